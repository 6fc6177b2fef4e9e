// SPDX-License-Identifier: Apache-2.0
// Somebody reads what the kubelet mounted for another pod: its service account token, its secrets (ATT&CK T1528,
// T1552.007). The place tells whose it is: the kubelet keeps a pod's volumes under the pod's uid. Known readers: the
// kubelet itself, under its names, outside of pods; and CSI drivers, whose image or container is one by what cluster or
// runtime say, not by its own word. Told once for each reader and pod; nothing resolves it: who read the token may use
// it from anywhere until it expires.
#include <algorithm>
#include <array>
#include <optional>

#include "agent/judge/rule.h"

namespace keytrail::judge {
namespace {

/// Programs that are a kubelet, or have one in them.
constexpr std::array<std::string_view, 7> kKubelets{"kubelet", "hyperkube", "k3s",     "k3s-server",
                                                    "rke2",    "k0s",       "kubelite"};
/// Volumes of the kubelet that hold keys.
constexpr std::array<std::string_view, 3> kVolumes{"kubernetes.io~projected/", "kubernetes.io~secret/",
                                                   "kubernetes.io~csi/"};

struct Mounted {
  std::string_view pod;  ///< its uid
  bool token = false;    ///< else a secret
};

/// "…/pods/UID/volumes/kubernetes.io~projected/…/token": wherever the kubelet's directory is mounted.
std::optional<Mounted> mounted_for(std::string_view place) {
  constexpr std::string_view kPods = "/pods/", kInside = "/volumes/";
  const std::size_t pods = place.find(kPods), inside = place.find(kInside);
  if (pods == std::string_view::npos || inside == std::string_view::npos || inside <= pods + kPods.size()) return {};
  const std::string_view uid = place.substr(pods + kPods.size(), inside - pods - kPods.size());
  const std::string_view volume = place.substr(inside + kInside.size());
  if (uid.contains('/') || std::ranges::none_of(kVolumes, [&](auto one) { return volume.starts_with(one); })) return {};
  return Mounted{uid, volume.starts_with(kVolumes[0]) && volume.ends_with("/token")};
}

bool is_sure(const Workload& workload, std::string_view name, std::string_view part) {
  const Fact* known = workload.find(name);
  return known != nullptr && known->known_by <= KnownBy::kCluster && known->value.contains(part);
}

bool is_known_reader(const Actor& actor) {
  const Workload& w = actor.workload;
  if (w.value(fact::kPodUid).empty()) {
    const std::string_view exe = std::string_view(actor.exe).substr(actor.exe.rfind('/') + 1);
    return actor.uid == 0 && std::ranges::find(kKubelets, exe) != kKubelets.end();
  }
  return is_sure(w, fact::kImageName, "csi") || is_sure(w, fact::kK8sContainer, "csi");
}

class ForeignTokenRead final : public Rule {
 public:
  ForeignTokenRead(const base::FindingType& is, Setup setup)
      : Rule(is, Severity::kHigh, std::move(setup)), names_(this->setup().limit) {}

  void on_row(const Row& row) override {
    const auto* acquisition = std::get_if<AcquisitionRow>(&row.body);
    if (acquisition == nullptr) return;
    const Actor& actor = acquisition->actor;
    const std::string own(actor.workload.value(fact::kPodUid));
    if (!own.empty()) *names_.get(own).first = actor.workload.name;
    if (acquisition->slot.from != From::kFile) return;
    const auto of = mounted_for(acquisition->slot.place);
    if (!of || of->pod == own || is_known_reader(actor)) return;
    const std::string* name = names_.find(std::string(of->pod));
    const std::string whose = name != nullptr ? *name : "pod " + std::string(of->pod);
    const bool in_pod = !own.empty();
    FindingRow finding;
    finding.text = actor.workload.name + (in_pod ? "" : " on the node") + " (" + actor.program + ") read a " +
                   (of->token ? "token" : "secret") + " that is mounted for " + whose +
                   (acquisition->key.id.empty() ? "" : ": " + acquisition->key.id);
    finding.attack = {"T1528", "T1552.007"};
    finding.actor = actor;
    finding.key = acquisition->key;
    finding.slot = acquisition->slot;
    finding.subject =
        actor.workload.id + "|" + actor.exe + "|" + std::string(of->pod) + (of->token ? "|token" : "|secret");
    open(row.time_ns, std::move(finding));
  }

 private:
  base::LruMap<std::string, std::string> names_;  ///< of pods by uid, as last seen
};

}  // namespace

extern const RuleEntry kForeignTokenRead;
const RuleEntry kForeignTokenRead{{"foreign_token_read", {}}, make_rule<ForeignTokenRead>};

}  // namespace keytrail::judge
