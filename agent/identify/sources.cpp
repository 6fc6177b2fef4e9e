// SPDX-License-Identifier: Apache-2.0
#include "agent/identify/sources.h"

#include <utility>

namespace keytrail::identify {
namespace {

// A maker gives nothing where the configuration leaves its source out.
constexpr std::unique_ptr<IdentitySource> (*kSources[])(const SourceMeans&) = {
    token_claims, spiffe_ids, runtime_state, cloud_instance, kubernetes,
};

}  // namespace

std::vector<std::unique_ptr<IdentitySource>> all_sources(const SourceMeans& means) {
  std::vector<std::unique_ptr<IdentitySource>> out;
  for (const auto make : kSources) {
    if (auto source = make(means)) out.push_back(std::move(source));
  }
  return out;
}

}  // namespace keytrail::identify
