// SPDX-License-Identifier: Apache-2.0
// The sources of identity. To add one: a file of its own that implements IdentitySource, its maker declared here, one
// line in sources.cpp, its file in CMakeLists.txt.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "agent/base/config.h"
#include "agent/base/system_clock.h"
#include "keytrail/examiner.h"
#include "keytrail/identity_source.h"

namespace keytrail::identify {

/// What a source may need beside the sink.
struct SourceMeans {
  const base::IdentityConfig& config;
  Examiner& examiner;  ///< to be asked on the pipeline's thread only; outlives the sources
  std::function<std::int64_t()> wall_ns = [] { return base::SystemClock().wall_ns(); };  ///< what is valid now
};

/// The claims of service account tokens that pods read (token_claims.cpp).
[[nodiscard]] std::unique_ptr<IdentitySource> token_claims(const SourceMeans& means);

/// Whom the SVIDs name that workloads read (spiffe_ids.cpp).
[[nodiscard]] std::unique_ptr<IdentitySource> spiffe_ids(const SourceMeans& means);

/// The container runtimes' state on this node (runtime_state.cpp).
[[nodiscard]] std::unique_ptr<IdentitySource> runtime_state(const SourceMeans& means);

/// Which instance of a cloud this machine is (cloud_instance.cpp).
[[nodiscard]] std::unique_ptr<IdentitySource> cloud_instance(const SourceMeans& means);

/// The API server or the kubelet, of this node's pods (kube_source.cpp).
[[nodiscard]] std::unique_ptr<IdentitySource> kubernetes(const SourceMeans& means);

/// One of each that the configuration does not leave out, not started.
[[nodiscard]] std::vector<std::unique_ptr<IdentitySource>> all_sources(const SourceMeans& means);

}  // namespace keytrail::identify
