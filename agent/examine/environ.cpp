// SPDX-License-Identifier: Apache-2.0
// The initial environment of a process (proc(5), /proc/PID/environ): only variables that the catalog names leave,
// secret ones as fingerprints. The bounds are those of the kernel side, so that both say the same of a variable.
#include <algorithm>

#include "agent/examine/formats.h"
#include "agent/examine/text.h"
#include "keytrail/event_abi.h"

namespace keytrail::examine {
namespace {

EnvItem item_of(const catalog::EnvName& rule, std::string_view name, std::string_view value,
                const ExaminerState& state) {
  EnvItem item;
  item.name = std::string(name);
  item.length = static_cast<std::uint32_t>(value.size());
  if (rule.action == catalog::EnvAction::kSecret) {
    item.truncated = value.size() > KT_HASHED_MAX;
    if (!rule.unhashed && value.size() >= kMinFingerprintedBytes)
      item.fingerprint = base::fingerprint_of(state.key, value);
    if (const catalog::ArgFormat* format = catalog::format_of_text(state.formats, value))
      item.format = format->format_id;
    return item;
  }
  std::string shown = without_user_info(value);
  item.truncated = shown.size() > KT_ITEM_VALUE_MAX;
  if (item.truncated) shown.resize(KT_ITEM_VALUE_MAX);
  item.value = std::move(shown);
  return item;
}

}  // namespace

const catalog::EnvName* find_variable(std::span<const catalog::EnvName> names, std::string_view name) {
  const catalog::EnvName* by_suffix = nullptr;
  for (const catalog::EnvName& rule : names) {
    if (rule.suffix) {
      if (by_suffix == nullptr && name.ends_with(rule.name)) by_suffix = &rule;
    } else if (rule.prefix ? name.starts_with(rule.name) : name == rule.name) {
      return &rule;
    }
  }
  return by_suffix;
}

void parse_environment(std::string_view bytes, const ExaminerState& state, Found& found) {
  while (!bytes.empty()) {
    const std::size_t end = std::min(bytes.find('\0'), bytes.size());
    const std::string_view pair = bytes.substr(0, end);
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || equals == 0 || equals > KT_ITEM_NAME_MAX) continue;
    const std::string_view name = pair.substr(0, equals);
    const catalog::EnvName* rule = find_variable(state.env, name);
    if (rule == nullptr) continue;
    if (found.env.size() >= role::kMaxKeysPerFile || !is_name(name, KT_ITEM_NAME_MAX)) {
      ++found.skipped;
      continue;
    }
    found.env.push_back(item_of(*rule, name, pair.substr(equals + 1), state));
  }
}

}  // namespace keytrail::examine
