// SPDX-License-Identifier: Apache-2.0
#include "agent/identify/otel_service.h"

#include <algorithm>
#include <string_view>

#include "agent/base/log.h"

namespace keytrail::identify {
namespace {

constexpr std::size_t kMaxName = 200;

}  // namespace

std::optional<Fact> otel_service_name(const Process& process) {
  const WorkloadKind kind = process.workload->kind;
  if (kind != WorkloadKind::kPod && kind != WorkloadKind::kContainer && kind != WorkloadKind::kSystemdUnit)
    return std::nullopt;
  const EnvItem* said = process.find_env("OTEL_SERVICE_NAME");
  if (said == nullptr || said->truncated || said->value.empty() || said->value.size() > kMaxName ||
      said->value.starts_with("unknown_service") || base::printable(said->value) != said->value)
    return std::nullopt;
  return Fact{fact::kServiceName, said->value, KnownBy::kClaimed};
}

}  // namespace keytrail::identify
