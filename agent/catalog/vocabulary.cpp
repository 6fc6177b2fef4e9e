// SPDX-License-Identifier: Apache-2.0
// The words that a question may use: what the tables name. Services of names that only a rule takes (any AWS service)
// are not among them.
#include <set>

#include "agent/catalog/impl.h"

namespace keytrail::catalog {

std::vector<std::string_view> Catalog::words(Vocabulary of) const {
  std::set<std::string_view> out;
  const tables::Tables& t = impl().tables();
  const auto take = [&](const auto& entries) {
    for (const auto& entry : entries)
      out.insert(of == Vocabulary::kProviders ? std::string_view(entry.provider) : std::string_view(entry.service));
  };
  if (of == Vocabulary::kKinds) {
    for (const Kind& kind : t.kinds)
      out.insert(kind.id);
  } else {
    take(t.hosts);
    take(t.services);
    take(t.bindings);
    take(t.ports);
  }
  out.erase("");
  out.erase(tables::kByVariable);
  return {out.begin(), out.end()};
}

}  // namespace keytrail::catalog
