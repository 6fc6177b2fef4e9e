// SPDX-License-Identifier: Apache-2.0
#include "agent/link/selectors.h"

#include <algorithm>

namespace keytrail::link {
namespace {

using By = catalog::Selector::Step::By;

bool is_entry_of(const Held& held, std::string_view rule) {
  return held.what->slot.from == From::kFile && held.what->selector_rule == rule;
}

const EnvItem* variable(const Instance& caller, std::string_view name) {
  for (const EnvItem& item : caller.env()) {
    if (item.name == name && (!item.value.empty() || item.length > 0 || !item.fingerprint.empty())) return &item;
  }
  return nullptr;
}

const ArgItem* argument(const Instance& caller, std::string_view flag) {
  if (!caller.process) return nullptr;
  // The last one counts, as argument parsers do it.
  const ArgItem* found = nullptr;
  for (const ArgItem& arg : caller.process->args) {
    if (arg.flag == flag) found = &arg;
  }
  return found;
}

/// "profile prod": the last word of the rule's id, and the entry. At most 200 bytes.
std::string describe(std::string_view rule, std::string_view entry) {
  const std::size_t dot = rule.rfind('.');
  std::string text(dot == rule.npos ? rule : rule.substr(dot + 1));
  if (!entry.empty()) text += " " + std::string(entry.substr(0, 128));
  return text;
}

}  // namespace

std::optional<Narrowed> narrow(std::span<const Held* const> held, const Instance& caller, const catalog::Catalog& catalog) {
  std::string_view rule;
  for (const Held* one : held) {
    if (one->what->slot.from == From::kFile && !one->what->selector_rule.empty()) rule = one->what->selector_rule;
  }
  const catalog::Selector* selector = rule.empty() ? nullptr : catalog.selector(rule);
  if (selector == nullptr) return std::nullopt;

  const auto pick = [&](By by, std::string_view entry, auto&& matches) {
    Narrowed out{by, std::nullopt, true, describe(rule, entry)};
    std::size_t hits = 0;
    for (std::size_t i = 0; i < held.size(); ++i) {
      const Held& one = *held[i];
      const bool entry_of_file = is_entry_of(one, rule);
      if (!entry_of_file && !(by == By::kOverridden && one.what->slot.from == From::kEnvironment)) out.covers_all = false;
      if (!matches(one, entry_of_file)) continue;
      out.index = i;
      ++hits;
    }
    if (hits != 1) out.index.reset();
    if (out.index && by != By::kOverridden) out.detail = describe(rule, held[*out.index]->what->slot.selector);
    return out;
  };

  for (const auto& step : selector->steps) {
    switch (step.by) {
      case By::kArgument:
        if (const ArgItem* arg = argument(caller, step.name)) {
          return pick(step.by, {}, [&](const Held& one, bool entry) {
            return entry && !arg->fingerprint.empty() && one.what->selector_hash == arg->fingerprint;
          });
        }
        break;
      case By::kEnvironment:
        if (const EnvItem* item = variable(caller, step.name)) {
          return pick(step.by, item->value, [&](const Held& one, bool entry) { return entry && one.what->slot.selector == item->value; });
        }
        break;
      case By::kOverridden: {
        // Only a complete key in the environment beats the file; half a pair is ignored by the SDKs.
        const bool complete = std::ranges::any_of(held, [](const Held* one) { return one->what->slot.from == From::kEnvironment; });
        if (complete && variable(caller, step.name) != nullptr) {
          Narrowed out = pick(step.by, {}, [](const Held& one, bool) { return one.what->slot.from == From::kEnvironment; });
          out.detail = std::string(step.name) + " beats the file";
          return out;
        }
        break;
      }
      case By::kDefault:
        return pick(step.by, step.name, [&](const Held& one, bool entry) { return entry && one.what->slot.selector == step.name; });
    }
  }
  return std::nullopt;
}

}  // namespace keytrail::link
