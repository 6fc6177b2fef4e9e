// SPDX-License-Identifier: Apache-2.0
#include "agent/identify/sources.h"

namespace keytrail::identify {
namespace {

constexpr std::unique_ptr<IdentitySource> (*kSources[])() = {
    token_claims,
};

}  // namespace

std::vector<std::unique_ptr<IdentitySource>> all_sources() {
  std::vector<std::unique_ptr<IdentitySource>> out;
  for (const auto make : kSources)
    out.push_back(make());
  return out;
}

}  // namespace keytrail::identify
