// SPDX-License-Identifier: Apache-2.0
// /etc/hosts (hosts(5)): an address and its names on each line. It holds no key: each name goes out as the host of an
// entry whose selector is the address. Left out are those at this machine's own addresses: what answers there is told
// by the address.
#include <arpa/inet.h>

#include <array>
#include <optional>
#include <string>

#include "agent/base/host.h"
#include "agent/examine/formats.h"
#include "agent/examine/text.h"

namespace keytrail::examine::format {
namespace {

constexpr std::string_view kBlank = " \t\r";

/// The next word; empty at the end.
std::string_view next_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(kBlank), line.size()));
  const std::string_view word = line.substr(0, line.find_first_of(kBlank));
  line.remove_prefix(word.size());
  return word;
}

std::optional<SocketAddress> address_of(std::string_view word) {
  SocketAddress out;
  const std::string text(word.substr(0, INET6_ADDRSTRLEN));
  if (inet_pton(AF_INET, text.c_str(), out.address.data()) == 1) return out;
  out.v6 = true;
  if (inet_pton(AF_INET6, text.c_str(), out.address.data()) == 1) return out;
  return std::nullopt;
}

}  // namespace

role::Unread hosts_file(std::string_view bytes, Work& work) {
  if (bytes.find('\0') != std::string_view::npos) return role::Unread::kUnknownFormat;
  for_each_line(bytes, [&](std::string_view line) {
    line = trimmed(line.substr(0, line.find('#')));
    const std::string_view first = next_word(line);
    if (first.empty()) return;
    const auto address = address_of(first);
    if (!address) return work.skip();
    if (base::is_loopback(*address)) return;
    const std::string text = base::address_text(*address);
    for (std::string_view name = next_word(line); !name.empty(); name = next_word(line)) {
      work.at({.selector = text, .host = name});
      work.add_elsewhere();
    }
  });
  return role::Unread::kNone;
}

}  // namespace keytrail::examine::format
