// SPDX-License-Identifier: Apache-2.0
// The initial environment of a process (proc(5), /proc/PID/environ): only variables that the catalog names leave,
// secret ones as fingerprints; of a URL with a key in it also its host and port, and its password as a key of its
// login. The bounds are those of the kernel side, so that both say the same of a variable.
#include <algorithm>

#include "agent/examine/address.h"
#include "agent/examine/credential.h"
#include "agent/examine/formats.h"
#include "agent/examine/text.h"
#include "keytrail/event_abi.h"

namespace keytrail::examine {
namespace {

constexpr std::size_t kMaxHost = 126;  ///< role::KeyFact

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
    if (rule.url) item.value = address_of(value);
    return item;
  }
  std::string shown = without_user_info(value);
  item.truncated = shown.size() > KT_ITEM_VALUE_MAX;
  if (item.truncated) shown.resize(KT_ITEM_VALUE_MAX);
  item.value = std::move(shown);
  return item;
}

/// The password in a URL, or the value as a whole: what has no fingerprint gets a number.
void add_numbered(const catalog::EnvName& rule, const EnvItem& item, std::string_view value, ExaminerState& state,
                  Arena& scratch, Found& found) {
  const Hints hints{.format = "environ", .key_kind = rule.kind, .key_class = KeyClass::kPassword, .guessable = true};
  Work work(state, scratch, hints, found);
  const std::size_t before = found.keys.size();
  if (rule.url && item.fingerprint.empty()) (void)add_url(value, work);
  if (found.keys.size() == before && item.value.empty()) work.add(work.usual_fact(true), value, item.name);
  for (std::size_t i = before; i < found.keys.size(); ++i) {
    found.keys[i].variable = item.name;
    if (is_name(item.value, kMaxHost)) found.keys[i].host = item.value;
  }
}

/// A key because a file says so.
void add_named(const NamedVariable& named, std::string_view value, ExaminerState& state, Arena& scratch, Found& found) {
  const Hints hints{.format = "environ",
                    .key_kind = named.kind,
                    .key_class = named.key_class,
                    .lifetime = named.lifetime,
                    .guessable = named.guessable};
  Work work(state, scratch, hints, found);
  const std::size_t before = found.keys.size();
  (void)add_credential(value, named.key_class == KeyClass::kPassword, work);
  for (std::size_t i = before; i < found.keys.size(); ++i)
    found.keys[i].variable = std::string(named.name);
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

void parse_environment(std::string_view bytes, ExaminerState& state, Arena& scratch, Found& found,
                       const NamedVariable& named) {
  while (!bytes.empty()) {
    const std::size_t end = std::min(bytes.find('\0'), bytes.size());
    const std::string_view pair = bytes.substr(0, end);
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || equals == 0 || equals > KT_ITEM_NAME_MAX) continue;
    const std::string_view name = pair.substr(0, equals);
    if (name == named.name) add_named(named, pair.substr(equals + 1), state, scratch, found);
    const catalog::EnvName* rule = find_variable(state.env, name);
    if (rule == nullptr) continue;
    if (found.env.size() >= role::kMaxKeysPerFile || !is_name(name, KT_ITEM_NAME_MAX)) {
      ++found.skipped;
      continue;
    }
    const std::string_view value = pair.substr(equals + 1);
    found.env.push_back(item_of(*rule, name, value, state));
    if (rule->action == catalog::EnvAction::kSecret && found.env.back().fingerprint.empty() && !value.empty())
      add_numbered(*rule, found.env.back(), value, state, scratch, found);
  }
}

}  // namespace keytrail::examine
