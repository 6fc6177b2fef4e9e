// SPDX-License-Identifier: Apache-2.0
// Source of identity: what a service account token says of the pod that reads it: namespace, pod, service account,
// node. The signature is not checked, so it counts less than what runtime and cluster say, and only where it speaks of
// the very pod that reads it: a token that was stolen, copied or mounted from elsewhere never names its reader. Thread:
// the pipeline's.
#include <algorithm>
#include <string_view>

#include "agent/identify/sources.h"

namespace keytrail::identify {
namespace {

// Where the kubelet mounts a pod's own token (also with the link /var/run → /run followed).
// https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-token-volume
constexpr std::string_view kOwnToken = "/run/secrets/kubernetes.io/serviceaccount/token";

bool is_own_place(std::string_view place) {
  if (place.starts_with("/var/run/")) place.remove_prefix(4);
  return place == kOwnToken;
}

std::string_view value_of(const std::vector<Claim>& claims, std::string_view name) {
  const auto it = std::ranges::find(claims, name, &Claim::name);
  return it == claims.end() ? std::string_view() : std::string_view(it->value);
}

class TokenClaims final : public IdentitySource {
 public:
  void start(IdentitySink& sink) override { sink_ = &sink; }

  void on_token(const TokenTold& told) override {
    if (told.claims.empty() || !value_of(told.claims, fact::kSpiffeId).empty() || sink_ == nullptr) return;
    const Workload& reader = *told.workload;
    if (reader.kind != WorkloadKind::kPod && reader.kind != WorkloadKind::kContainer) {
      ++outside_;
      return;
    }
    const std::string_view pod_of_token = value_of(told.claims, fact::kPodUid);
    const std::string_view pod_of_reader = kernel_pod(reader);
    if (!pod_of_token.empty() && !pod_of_reader.empty()) {
      if (pod_of_token != pod_of_reader) {
        ++of_another_;
        return;
      }
    } else if (!is_own_place(told.place)) {
      ++unbound_;  // it names no pod, or the reader's is not known: only the place can tell that it is the reader's own
      return;
    }
    WorkloadFacts facts{.id = pod_of_reader.empty() ? reader.id : "pod:" + std::string(pod_of_reader), .facts = {}};
    for (const Claim& claim : told.claims)
      facts.facts.push_back({claim.name, claim.value, KnownBy::kToken});
    sink_->post(std::move(facts));
  }

  [[nodiscard]] std::map<std::string, std::uint64_t> counters() const override {
    return {{"tokens_of_another_pod", of_another_}, {"tokens_outside_pods", outside_}, {"tokens_unbound", unbound_}};
  }

 private:
  // By the cgroup, not by what another token said.
  static std::string_view kernel_pod(const Workload& reader) {
    const Fact* uid = reader.find(fact::kPodUid);
    return uid == nullptr || uid->known_by != KnownBy::kKernel ? std::string_view() : std::string_view(uid->value);
  }

  IdentitySink* sink_ = nullptr;
  std::uint64_t of_another_ = 0, outside_ = 0, unbound_ = 0;
};

}  // namespace

std::unique_ptr<IdentitySource> token_claims(const SourceMeans&) { return std::make_unique<TokenClaims>(); }

}  // namespace keytrail::identify
