// SPDX-License-Identifier: Apache-2.0
// Source of identity: which instance of a cloud this machine is, asked of the provider's metadata service on the link.
// Single values only: no document, whole tree or path that has a key, a token of the provider's or user data in it.
// Its own thread; nobody waits for it. What was learnt is kept until the agent ends.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "keytrail/identity_source.h"

namespace keytrail::identify {

/// Bounds and times; tests have others.
struct CloudTimes {
  std::chrono::milliseconds timeout{1'000};  ///< of a request
  std::vector<std::chrono::milliseconds> again{std::chrono::seconds(5), std::chrono::seconds(30),
                                               std::chrono::minutes(2)};  ///< waits after failures; then no more
  std::vector<std::string> urls;                                          ///< empty = those of the provider
};

/// By what the firmware says of the machine (`folder`: /sys/class/dmi/id): a name that `identity.cloud` takes, or
/// empty.
[[nodiscard]] std::string_view cloud_of_machine(const std::string& folder);

/// `provider`: aws, gcp, azure, oci. Posts to kThisMachine: cloud.provider, cloud.account.id, cloud.region,
/// cloud.availability_zone, host.id, host.type, and whom the machine acts as there (fact::kCloudIdentity).
[[nodiscard]] std::unique_ptr<IdentitySource> make_cloud_source(std::string_view provider, CloudTimes times = {});

}  // namespace keytrail::identify
