// SPDX-License-Identifier: Apache-2.0
// Which entry of a file of many keys a program means: its arguments, its environment, the default, in the catalog's order. Pure.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "agent/catalog/catalog.h"
#include "agent/link/instance.h"

namespace keytrail::link {

struct Narrowed {
  catalog::Selector::Step::By by = catalog::Selector::Step::By::kDefault;
  std::optional<std::size_t> index;  ///< of the one holding it names; absent: it names none of them, or several
  bool covers_all = false;           ///< every other holding is another entry of the same file, or beaten by the rule
  std::string detail;                ///< "profile prod"
  /// The program was told which entry, rather than falling back to the default.
  [[nodiscard]] bool told() const {
    return by == catalog::Selector::Step::By::kArgument || by == catalog::Selector::Step::By::kEnvironment;
  }
};

/// nullopt when no holding comes from a file with a selector, or no step of it decides.
[[nodiscard]] std::optional<Narrowed> narrow(std::span<const Held* const> held, const Instance& caller, const catalog::Catalog& catalog);

}  // namespace keytrail::link
