// SPDX-License-Identifier: Apache-2.0
// Target: one ring record of any bytes (agent/decode). What leaves decode is no longer than what came in, and no secret
// can be in it.
#include <algorithm>
#include <array>
#include <variant>

#include "agent/base/host.h"
#include "agent/decode/decode.h"
#include "keytrail/event_abi.h"
#include "tests/fuzz/fuzz.h"

namespace keytrail {
namespace {

using fuzz::require;

constexpr std::array<std::string_view, 7> kRefusals{decode::kTooShort,      decode::kBeyondRecord, decode::kUnknownType,
                                                    decode::kUnknownFamily, decode::kUnknownValue, decode::kBadItem,
                                                    decode::kBadDns};

/// One '/' of a component becomes "\x2f".
constexpr std::size_t kPathGrowth = 4;

void check(const ExecEvent& exec, std::size_t size) {
  require(exec.exe.size() <= kPathGrowth * size + 1 && exec.filename.size() <= size && exec.comm.size() <= 16,
          "an exec's texts are bounded");
  require(exec.env.size() <= size / sizeof(ev_item) && exec.args.size() <= size / sizeof(ev_item),
          "items are bounded by the record");
  for (const EnvItem& item : exec.env) {
    require(item.value.size() <= KT_ITEM_VALUE_MAX && item.name.size() <= KT_ITEM_NAME_MAX,
            "a variable keeps to the layout");
    require(item.value.empty() || item.fingerprint.empty(), "a variable is shown or hashed, never both");
  }
  for (const ArgItem& item : exec.args) {
    require(item.value.empty() || item.fingerprint.empty(), "an argument is shown or hashed, never both");
  }
}

void check(const PayloadEvent& payload, std::size_t size) {
  require(payload.path.size() <= size && payload.path.find_first_of("?#") == std::string::npos, "a path has no query");
  require(payload.method.size() <= 16, "a method is short");
  const bool v6 = payload.name.contains(':');
  require(payload.name.empty() || v6 || base::host_name(payload.name) == payload.name, "a name is a host name");
}

void check(const Event& event, std::size_t size) {
  if (const auto* exec = std::get_if<ExecEvent>(&event.body)) check(*exec, size);
  if (const auto* task = std::get_if<TaskEvent>(&event.body)) check(task->exec, size);
  if (const auto* payload = std::get_if<PayloadEvent>(&event.body)) check(*payload, size);
  if (const auto* open = std::get_if<OpenEvent>(&event.body))
    require(open->path.size() <= kPathGrowth * size + 1, "a path is bounded");
  if (const auto* unix_event = std::get_if<UnixConnectEvent>(&event.body))
    require(!unix_event->path.contains('\0'), "a socket's path has no NUL");
  require(static_cast<std::size_t>(event.head.family) < kFamilies && event.head.from_ring, "the head is sound");
}

}  // namespace
}  // namespace keytrail

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace keytrail;
  const auto event = decode::decode(std::as_bytes(std::span(data, size)), catalog::kernel_tables().formats);
  if (event) {
    check(*event, size);
  } else {
    fuzz::require(std::ranges::find(kRefusals, event.error().message) != kRefusals.end(),
                  "a refusal is one of the fixed texts");
  }
  return 0;
}
