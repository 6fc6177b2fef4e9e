// SPDX-License-Identifier: Apache-2.0
// Who sends: what of the machine and the agent goes into the resource of every record.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "keytrail/workload.h"

namespace keytrail::otlp {

struct Sender {
  std::string host_name;
  std::string service_name = "keytrail";  ///< of the agent itself: gaps and metrics
  /// OTEL_RESOURCE_ATTRIBUTES. All of them go to the agent's own records; to those of workloads only what says where
  /// they run.
  std::vector<std::pair<std::string, std::string>> attributes;
  /// What is learnt of the machine while running; goes to all records, below the attributes. Empty: nothing. Any
  /// thread.
  std::function<std::shared_ptr<const std::vector<Fact>>()> machine;
};

}  // namespace keytrail::otlp
