// SPDX-License-Identifier: Apache-2.0
// Target: pods as an API server or kubelet tells of them, and what it says when it refuses (agent/identify/kube_*).
#include <boost/json/parse.hpp>

#include "agent/base/workload_facts.h"
#include "agent/identify/kube_api.h"
#include "agent/identify/kube_pods.h"
#include "tests/fuzz/fuzz.h"

namespace keytrail::identify {
namespace {

using fuzz::require;

void check(const WorkloadFacts& facts, const PodHead& head) {
  require(facts.id == head.id || base::parent_id(facts.id) == head.id, "facts are of the pod and its containers");
  require(facts.facts.size() <= kMaxFacts, "facts are few");
  for (const Fact& one : facts.facts) {
    require(one.value.size() <= kMaxFactValue && one.name.size() <= kMaxFactName, "facts are short");
    require(fuzz::is_shown_safely(one.value) && !one.value.contains('\n'), "facts can be shown");
    require(one.known_by == KnownBy::kCluster || one.known_by == KnownBy::kClaimed, "facts are the cluster's");
  }
}

void run(std::string_view input) {
  const KubeFailure failure = kube_failure(429, input, input.substr(0, 16));
  require(failure.text.size() < 4096 && fuzz::is_shown_safely(failure.text), "a failure can be shown");
  require(failure.retry_after >= std::chrono::seconds(0) && failure.retry_after <= kRetryAfterMax,
          "a wait has its bound");
  boost::json::error_code error;
  const boost::json::value value = boost::json::parse(boost::json::string_view(input.data(), input.size()), error);
  if (error || !value.is_object()) return;
  const boost::json::object& pod = value.get_object();
  const auto head = pod_head(pod);
  if (!head) return;
  require(head->uid.size() == 36 || head->uid.size() == 32, "a uid has its length");
  PodLosses losses;
  for (const bool asked : {false, true}) {
    const OwnerOf owner_of = [&](std::string_view, const PodOwner& owner) -> std::expected<PodOwner, OwnerDoubt> {
      if (!asked) return std::unexpected(OwnerDoubt::kCannotAsk);
      return owner;
    };
    const auto all = pod_facts(pod, *head, {}, owner_of, losses);
    require(!all.empty() && all.size() <= 1 + kMaxPodContainers, "containers are bounded");
    for (const WorkloadFacts& facts : all)
      check(facts, *head);
  }
}

}  // namespace
}  // namespace keytrail::identify

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  keytrail::identify::run(keytrail::fuzz::text_of(data, size));
  return 0;
}
