// SPDX-License-Identifier: Apache-2.0
// Which entry of a file of many keys a program means: its arguments, its environment, the host it calls, the default,
// in the catalog's order. Pure.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "agent/catalog/catalog.h"
#include "agent/link/instance.h"

namespace keytrail::link {

struct Narrowed {
  std::optional<std::size_t> index;   ///< of the one holding it names; absent: it names none of them, or several
  std::optional<std::size_t> source;  ///< of the holding that buys the key of the entry that it names (source_profile)
  bool covers_all = false;            ///< every other holding is another entry of the same file, or beaten by the rule
  bool told = false;                  ///< the program was told which entry, rather than falling back to the default
  bool beaten = false;                ///< something else than the file was told to count
  bool by_argument = false;
  bool elsewhere =
      false;           ///< the file says that the key of its default entry comes from elsewhere (credential_process)
  std::string detail;  ///< "profile prod"; at most 200 bytes
};

/// Whether the key's entry of its file is for this host (lower case): by the host the file gives it, else by its
/// selector.
[[nodiscard]] bool is_entry_of_host(const HeldKey& key, std::string_view host);
/// Whether it is for a host of another domain than this one's, in a file where the host of the call chooses the entry:
/// a registry's password in docker's config. Hosts of one domain (auth.docker.io, index.docker.io) share their entry.
[[nodiscard]] bool is_entry_of_other_host(const HeldKey& key, std::string_view host, const catalog::Catalog& catalog);

/// Whether a program that does not obey selectors may have taken an entry of this key's file (or this one) whose key
/// comes from elsewhere: from a helper, a login, a token's file.
[[nodiscard]] bool may_be_elsewhere(const HeldKey& key, const Instance& caller);

/// `host`: what is called, lower case. nullopt when no holding comes from a file with a selector, or no step of it
/// decides.
[[nodiscard]] std::optional<Narrowed> narrow(std::span<const Held* const> held, const Instance& caller,
                                             std::string_view host, const catalog::Catalog& catalog);

}  // namespace keytrail::link
