// SPDX-License-Identifier: Apache-2.0
#include "agent/link/selectors.h"

#include <algorithm>

#include "agent/base/domain.h"
#include "agent/base/host.h"
#include "agent/link/environment.h"

namespace keytrail::link {
namespace {

using By = catalog::Selector::Step::By;

const EnvItem* variable(const Instance& caller, std::string_view name) {
  for (const EnvItem& item : caller.env()) {
    if (item.name == name && (!item.value.empty() || item.length > 0 || !item.fingerprint.empty())) return &item;
  }
  return nullptr;
}

/// The last one counts, as argument parsers do it.
const ArgItem* argument(const Instance& caller, std::string_view flag) {
  if (!caller.process) return nullptr;
  const ArgItem* found = nullptr;
  for (const ArgItem& arg : caller.process->args) {
    if (arg.flag == flag) found = &arg;
  }
  return found;
}

/// "profile prod": the last word of the rule's id, and the entry.
std::string describe(std::string_view rule, std::string_view entry) {
  const std::size_t dot = rule.rfind('.');
  std::string text(dot == rule.npos ? rule : rule.substr(dot + 1));
  if (!entry.empty()) text += " " + std::string(entry.substr(0, 128));
  return text;
}

/// Whether a variable's or flag's value is the very file that this key was read from.
bool names_file_of(std::string_view value, const Held& held) {
  return held.what->slot.from == From::kFile && names_path(value, held.what->slot.place);
}

/// "https://registry.example/v1/", "registry.example:443" or "registry.example" is the entry of registry.example.
std::string host_of_entry(const HeldKey& key) {
  return base::host_of_url(key.host.empty() ? key.chosen_by() : key.host).host;
}

/// The holdings, and the file whose entries the rule chooses among.
struct Choice {
  std::span<const Held* const> held;
  std::string_view rule;

  [[nodiscard]] bool is_entry(const Held& one) const {
    return one.what->is_of_file() && one.what->selector_rule == rule;
  }

  /// `beats`: a key from elsewhere that the step says counts instead of the file.
  template <typename Matches, typename Beats>
  [[nodiscard]] Narrowed pick(std::string detail, Matches&& matches, Beats&& beats) const {
    Narrowed out{.covers_all = true, .detail = std::move(detail)};
    std::size_t hits = 0;
    for (std::size_t i = 0; i < held.size(); ++i) {
      const bool entry = is_entry(*held[i]), other = beats(*held[i]);
      if (!entry && !other) out.covers_all = false;
      if (!other && !(entry && matches(*held[i]))) continue;
      if (out.index && held[*out.index]->what->key.id == held[i]->what->key.id)
        continue;  // the same key in another entry
      out.index = i;
      ++hits;
    }
    if (hits != 1) out.index.reset();
    return out;
  }
};

bool nothing(const Held&) { return false; }

/// The entry whose key buys that of the entry which `starts` names. One step only: what buys it must be bought itself
/// by none.
template <typename Starts>
std::optional<std::size_t> source_of(const Choice& choice, const Instance& caller, Starts&& starts) {
  const auto& leads = caller.doubts.leads;
  const auto lead =
      std::ranges::find_if(leads, [&](const Lead& one) { return one.selector_rule == choice.rule && starts(one); });
  if (lead == leads.end()) return std::nullopt;
  const auto further = [&](const Lead& one) { return one.selector_rule == choice.rule && one.from == lead->to; };
  if (std::ranges::any_of(leads, further)) return std::nullopt;
  return choice.pick({}, [&](const Held& one) { return one.what->chosen_by() == lead->to; }, nothing).index;
}

std::optional<Narrowed> overridden(const Choice& choice, std::string_view name, const Instance& caller) {
  const bool flag = name.starts_with('-');
  const ArgItem* arg = flag ? argument(caller, name) : nullptr;
  const EnvItem* item = flag ? nullptr : variable(caller, name);
  if (arg == nullptr && item == nullptr) return std::nullopt;
  // What names the very file that was read beats nothing.
  const std::string_view value = arg != nullptr ? arg->value : item->value;
  const bool names_file = std::ranges::any_of(
      choice.held, [&](const Held* one) { return choice.is_entry(*one) && names_file_of(value, *one); });
  if (names_file) return std::nullopt;
  Narrowed out = choice.pick(std::string(name) + " beats the file", nothing, [&](const Held& one) {
    const Slot& slot = one.what->slot;
    return (slot.from == From::kEnvironment || slot.from == From::kArgument) && slot.place == name;
  });
  out.beaten = true;
  return out;
}

}  // namespace

bool is_entry_of_host(const HeldKey& key, std::string_view host) { return !host.empty() && host_of_entry(key) == host; }

bool is_entry_of_other_host(const HeldKey& key, std::string_view host, const catalog::Catalog& catalog) {
  const catalog::Selector* selector = key.selector_rule.empty() ? nullptr : catalog.selector(key.selector_rule);
  if (!key.is_of_file() || selector == nullptr || !selector->host_binds || host.empty()) return false;
  const std::string entry = host_of_entry(key);
  const bool is_host = entry.contains('.') || base::is_address(entry);
  return is_host && entry != host && base::registrable_domain(entry) != base::registrable_domain(host);
}

bool may_be_elsewhere(const HeldKey& key, const Instance& caller) {
  const auto is_entry = [&](const std::string& name) {
    return std::ranges::any_of(caller.holdings, [&](const Held& one) {
      return one.what->selector_rule == key.selector_rule && one.what->chosen_by() == name;
    });
  };
  // Of an entry with both, the SDKs differ in which comes first.
  return std::ranges::any_of(caller.doubts.leads, [&](const Lead& lead) {
    const bool its_own = !key.entry.empty() && lead.from == key.entry;
    return lead.selector_rule == key.selector_rule && !its_own && !is_entry(lead.to);
  });
}

std::optional<Narrowed> narrow(std::span<const Held* const> held, const Instance& caller, std::string_view host,
                               const catalog::Catalog& catalog) {
  Choice choice{held, {}};
  for (const Held* one : held) {
    if (one->what->is_of_file() && !one->what->selector_rule.empty()) choice.rule = one->what->selector_rule;
  }
  const catalog::Selector* selector = choice.rule.empty() ? nullptr : catalog.selector(choice.rule);
  if (selector == nullptr) return std::nullopt;

  const auto comes_from_elsewhere = [&](const HeldKey& key) {
    return key.entry.empty() && std::ranges::any_of(caller.doubts.leads, [&](const Lead& lead) {
             return lead.first && lead.selector_rule == choice.rule && lead.from == key.slot.selector;
           });
  };
  const auto finish = [&](Narrowed out, bool told) -> std::optional<Narrowed> {
    out.told = told;
    if (out.index && comes_from_elsewhere(*held[*out.index]->what)) {
      out.index.reset();
      out.elsewhere = true;
    }
    if (out.index) out.detail = describe(choice.rule, held[*out.index]->what->chosen_by());
    return out;
  };
  const auto bound_to_host = [&](const Held& one) { return is_entry_of_host(*one.what, host); };
  const bool host_has_entry = selector->host_binds && std::ranges::any_of(held, [&](const Held* one) {
                                return choice.is_entry(*one) && bound_to_host(*one);
                              });

  const bool has_entries = std::ranges::any_of(
      held, [&](const Held* one) { return choice.is_entry(*one) && !one->what->chosen_by().empty(); });

  for (const auto& step : selector->steps) {
    switch (step.by) {
      case By::kArgument:
        // Where files hold one key each, the argument names the file (ssh -i), and that is what was read.
        if (const ArgItem* arg = has_entries ? argument(caller, step.name) : nullptr) {
          Narrowed out = choice.pick(
              describe(choice.rule, {}),
              [&](const Held& one) { return !arg->fingerprint.empty() && one.what->selector_hash == arg->fingerprint; },
              nothing);
          out.by_argument = true;
          out.source = source_of(choice, caller, [&](const Lead& lead) { return lead.from_hash == arg->fingerprint; });
          return finish(std::move(out), true);
        }
        break;
      case By::kEnvironment:
        if (const EnvItem* item = variable(caller, step.name)) {
          const auto named = [&](const Held& one) {
            return one.what->chosen_by() == item->value || names_file_of(item->value, one);
          };
          Narrowed out = choice.pick(describe(choice.rule, item->value), named, nothing);
          out.source = source_of(choice, caller, [&](const Lead& lead) { return lead.from == item->value; });
          return finish(std::move(out), true);
        }
        break;
      case By::kOverridden:
        if (auto out = overridden(choice, step.name, caller)) return out;
        break;
      case By::kDefault: {
        if (host_has_entry) return finish(choice.pick({}, bound_to_host, nothing), true);
        Narrowed out = choice.pick(
            describe(choice.rule, step.name),
            [&](const Held& one) { return one.what->current || one.what->chosen_by() == step.name; }, nothing);
        const auto of_default = [&](const Lead& lead) { return lead.from == step.name; };
        out.source = source_of(choice, caller, of_default);
        out.elsewhere = !out.index && std::ranges::any_of(caller.doubts.leads, [&](const Lead& lead) {
          return lead.selector_rule == choice.rule && of_default(lead);
        });
        return finish(std::move(out), false);
      }
    }
  }
  if (host_has_entry) return finish(choice.pick({}, bound_to_host, nothing), true);
  return std::nullopt;
}

}  // namespace keytrail::link
