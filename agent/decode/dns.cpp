// SPDX-License-Identifier: Apache-2.0
#include "agent/decode/dns.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "agent/base/host.h"
#include "agent/decode/bytes.h"

namespace keytrail::decode {
namespace {

constexpr std::size_t kHeader = 12;
constexpr std::size_t kMaxRecords = 256, kMaxAnswers = 64, kMaxChain = 16;
constexpr std::uint16_t kTypeA = 1, kTypeCname = 5, kTypeAaaa = 28, kClassIn = 1;

struct Name {
  std::string text;      // as base::host_name(); empty for the root and for implausible names
  std::size_t next = 0;  // offset after the name where it stands
};

// RFC 1035 section 4.1.4. A pointer must point before the piece that it ends, so that no loop exists.
std::optional<Name> read_name(std::span<const std::byte> message, std::size_t at) {
  std::string text;
  std::size_t next = 0;
  std::size_t limit = at;
  bool plain = true;
  while (at < message.size()) {
    const auto length = std::to_integer<std::size_t>(message[at]);
    if (length == 0) {
      if (next == 0) next = at + 1;
      return Name{.text = plain ? base::host_name(text) : std::string{}, .next = next};
    }
    if ((length & 0xC0U) == 0xC0U) {
      if (at + 1 >= message.size()) return std::nullopt;
      if (next == 0) next = at + 2;
      const std::size_t target = ((length & 0x3FU) << 8U) | std::to_integer<std::size_t>(message[at + 1]);
      if (target >= limit || target < kHeader) return std::nullopt;
      at = limit = target;
      continue;
    }
    if (length > 63 || at + 1 + length > message.size() || text.size() + length > 254) return std::nullopt;
    const std::string_view label = text_of(message.subspan(at + 1, length));
    plain = plain && !label.contains('.');
    if (!text.empty()) text += '.';
    text += label;
    at += 1 + length;
  }
  return std::nullopt;
}

struct Link {
  std::string name;
  std::uint32_t ttl_s;
};

// The names that the question leads to, the question first.
using Chain = std::vector<Link>;

const Link* find(const Chain& chain, std::string_view name) {
  const auto it = std::find_if(chain.begin(), chain.end(), [&](const Link& link) { return link.name == name; });
  return it == chain.end() ? nullptr : &*it;
}

struct Record {
  std::string owner;
  std::uint16_t type = 0;
  std::uint32_t ttl_s = 0;
  std::size_t data_at = 0;
  std::span<const std::byte> data;
};

// Records of the answer section; false when they end too early.
bool read_records(std::span<const std::byte> message, std::size_t at, std::size_t count, std::vector<Record>& out) {
  for (std::size_t i = 0; i < count; ++i) {
    if (i == kMaxRecords) return false;
    auto name = read_name(message, at);
    if (!name) return false;
    Bytes in(message.subspan(name->next));
    const std::uint16_t type = in.u16();
    const std::uint16_t record_class = in.u16();
    const std::uint32_t ttl = in.u32();
    const std::uint16_t length = in.u16();
    const auto data = in.take(length);
    if (!in.ok()) return false;
    const std::size_t data_at = name->next + 10;
    // RFC 2181 section 8: a TTL with the top bit set is 0.
    if (record_class == kClassIn && !name->text.empty())
      out.push_back({std::move(name->text), type, (ttl >> 31U) != 0 ? 0 : ttl, data_at, data});
    at = data_at + length;
  }
  return true;
}

Chain follow(std::span<const std::byte> message, const std::string& question, const std::vector<Record>& records) {
  Chain chain{{question, UINT32_MAX}};
  for (bool grown = true; grown && chain.size() < kMaxChain;) {
    grown = false;
    for (const Record& record : records) {
      if (record.type != kTypeCname) continue;
      const Link* from = find(chain, record.owner);
      if (from == nullptr) continue;
      const auto target = read_name(message, record.data_at);
      if (!target || target->text.empty() || find(chain, target->text) != nullptr) continue;
      chain.push_back({target->text, std::min(from->ttl_s, record.ttl_s)});
      grown = chain.size() < kMaxChain;
      if (!grown) break;
    }
  }
  return chain;
}

}  // namespace

DnsMessage parse_dns(std::span<const std::byte> data) {
  DnsMessage out;
  Bytes header(data);
  header.take(2);  // id
  const std::uint16_t flags = header.u16();
  const std::uint16_t questions = header.u16();
  const std::uint16_t answers = header.u16();
  const bool is_answer = (flags & 0x8000U) != 0 && (flags & 0x7800U) == 0;  // QR, OPCODE 0
  const auto question = is_answer && questions == 1 ? read_name(data, kHeader) : std::nullopt;
  if (!question || question->text.empty() || question->next + 4 > data.size()) {
    out.malformed = true;
    return out;
  }
  out.question = question->text;
  out.truncated = (flags & 0x0200U) != 0;  // TC
  if ((flags & 0x000FU) != 0) return out;  // RCODE
  std::vector<Record> records;
  if (!read_records(data, question->next + 4, answers, records)) out.truncated = true;
  const Chain chain = follow(data, out.question, records);
  for (const Record& record : records) {
    const std::size_t size = record.type == kTypeA ? 4 : record.type == kTypeAaaa ? 16 : 0;
    const Link* link = size == 0 || record.data.size() != size ? nullptr : find(chain, record.owner);
    if (link == nullptr) continue;
    if (out.answers.size() == kMaxAnswers) {
      out.truncated = true;
      break;
    }
    DnsAnswer answer{.name = out.question, .address = {.v6 = size == 16}, .ttl_s = std::min(link->ttl_s, record.ttl_s)};
    std::memcpy(answer.address.address.data(), record.data.data(), size);
    out.answers.push_back(std::move(answer));
  }
  return out;
}

}  // namespace keytrail::decode
