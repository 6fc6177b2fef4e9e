// SPDX-License-Identifier: Apache-2.0
#include "agent/base/workload_facts.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "agent/base/workload_pattern.h"

namespace keytrail::base {
namespace {

constexpr std::size_t kShownId = 12;

/// What may make a pod, the outermost first: a cron job's jobs and a deployment's replica sets come and go.
struct PodOwner {
  const char* fact;
  const char* word;  ///< kubectl's short name
};
constexpr PodOwner kPodOwners[] = {{fact::kDeployment, "deploy"},
                                   {fact::kStatefulSet, "sts"},
                                   {fact::kDaemonSet, "ds"},
                                   {fact::kCronJob, "cronjob"},
                                   {fact::kJob, "job"}};

bool before(const Fact& a, const Fact& b) { return std::tie(a.name, a.known_by) < std::tie(b.name, b.known_by); }

/// The one of this name that counts, or nullptr.
const Fact* find(std::span<const Fact> facts, std::string_view name) {
  const auto it = std::ranges::find(facts, name, &Fact::name);
  return it == facts.end() ? nullptr : &*it;
}

/// Puts a name together and keeps the weakest way in which its parts are known.
class Naming {
 public:
  explicit Naming(std::span<const Fact> facts) : facts_(facts) {}

  [[nodiscard]] bool has(std::string_view name) const { return find(name) != nullptr; }
  [[nodiscard]] bool is_below_root() const {
    const Fact* cgroup = find(fact::kCgroup);
    return cgroup != nullptr && cgroup->value != "/";
  }
  Naming& text(std::string_view text) {
    out_.text += text;
    return *this;
  }
  Naming& fact(std::string_view name, std::size_t max = kMaxFactValue) {
    if (const Fact* found = find(name)) {
      out_.text.append(found->value, 0, max);
      out_.known_by = std::max(out_.known_by, found->known_by);
    }
    return *this;
  }
  /// A container's by its first 12 digits, as the runtimes show it; an id of free text whole.
  Naming& id(std::string_view name) {
    const Fact* id = find(name);
    return fact(name, id != nullptr && is_drawn_id(id->value) ? kShownId : kMaxFactValue);
  }
  /// "deploy/api" of what the cluster says made the pod; the pod's own name where nothing did.
  Naming& pod() {
    for (const PodOwner& owner : kPodOwners) {
      if (has(owner.fact)) return text(owner.word).text("/").fact(owner.fact);
    }
    return fact(fact::kPodName);
  }
  /// " (nginx:1.25)": without the registry and the digest.
  Naming& image() {
    const Fact* found = find(fact::kImageName);
    if (found == nullptr) return *this;
    std::string_view image = found->value;
    image = image.substr(0, image.find('@'));
    image.remove_prefix(image.rfind('/') + 1);
    out_.known_by = std::max(out_.known_by, found->known_by);
    return text(" (").text(image).text(")");
  }
  /// Of what is in a container that is a machine of its own: equal names would make it one with what is not.
  Naming& place() { return has(fact::kOuterContainer) ? text(" in container ").id(fact::kOuterContainer) : *this; }
  [[nodiscard]] ShownName done() { return std::move(out_); }

 private:
  [[nodiscard]] const Fact* find(std::string_view name) const { return keytrail::base::find(facts_, name); }

  std::span<const Fact> facts_;
  ShownName out_;
};

}  // namespace

bool is_drawn_id(std::string_view id) {
  constexpr std::size_t kDigits = 64;
  return id.size() == kDigits && id.find_first_not_of("0123456789abcdef") == id.npos;
}

Joined join_fact(std::vector<Fact>& facts, Fact fact) {
  if (fact.name.empty() || fact.name.size() > kMaxFactName || fact.value.empty() || fact.value.size() > kMaxFactValue)
    return Joined::kRefused;
  const auto at = std::lower_bound(facts.begin(), facts.end(), fact, before);
  if (at != facts.end() && at->name == fact.name && at->known_by == fact.known_by) {
    if (at->value == fact.value) return Joined::kKnown;
    *at = std::move(fact);
    return Joined::kNew;
  }
  if (facts.size() >= kMaxFacts) return Joined::kRefused;
  facts.insert(at, std::move(fact));
  return Joined::kNew;
}

ShownName shown_name(WorkloadKind kind, std::span<const Fact> facts) {
  Naming name(facts);
  switch (kind) {
    case WorkloadKind::kPod:
    case WorkloadKind::kContainer:
      if (name.has(fact::kNamespace) && name.has(fact::kPodName))
        return name.fact(fact::kNamespace).text("/").pod().place().done();
      if (kind == WorkloadKind::kPod) {
        name.text("pod: ").fact(fact::kPodUid);
        if (name.has(fact::kContainerId)) name.text("/").id(fact::kContainerId);
        return name.place().done();
      }
      name.text("container: ");
      if (name.has(fact::kContainerName))
        name.fact(fact::kContainerName);
      else
        name.id(fact::kContainerId);
      return name.image().place().done();
    case WorkloadKind::kSystemdUnit:
      if (name.has(fact::kUnitOwner)) name.fact(fact::kUnitOwner).text("/");
      return name.fact(fact::kUnit).done();
    case WorkloadKind::kLoginSession:
      name.text("person: ").fact(fact::kPerson);
      return name.has(fact::kAgent) ? name.text(" (").fact(fact::kAgent).text(")").done() : name.done();
    case WorkloadKind::kCiJob:
      return name.text("ci: ").fact(fact::kCiJob).done();
    case WorkloadKind::kHost:
    case WorkloadKind::kSpiffe:
      break;
  }
  name.text("host: ").fact(fact::kProgram);
  // One interpreter in two directories is two workloads: equal names would make them one in whatever goes by the name.
  return name.is_below_root() ? name.text(" in ").fact(fact::kCgroup).done() : name.done();
}

std::optional<Fact> service_name(std::span<const Fact> facts) {
  // https://opentelemetry.io/docs/specs/semconv/non-normative/k8s-attributes/; kServiceName is the annotation's.
  static constexpr const char* kOrder[] = {fact::kServiceName,
                                           "k8s.pod.label.app.kubernetes.io/instance",
                                           "k8s.pod.label.app.kubernetes.io/name",
                                           fact::kDeployment,
                                           fact::kReplicaSet,
                                           fact::kStatefulSet,
                                           fact::kDaemonSet,
                                           fact::kCronJob,
                                           fact::kJob,
                                           fact::kPodName,
                                           fact::kK8sContainer};
  const Fact* own = find(facts, fact::kServiceName);
  const bool claimed = own != nullptr && own->known_by == KnownBy::kClaimed;
  for (const char* name : kOrder) {
    const Fact* found = find(facts, name);
    if (found != nullptr && !(found == own && claimed)) return *found;
  }
  return claimed ? std::optional(*own) : std::nullopt;
}

ServiceIdentity service_identity(std::span<const Fact> facts) {
  const auto value = [&](std::string_view name) {
    const Fact* found = find(facts, name);
    return found == nullptr ? std::string() : found->value;
  };
  ServiceIdentity out{.name_space = value(fact::kServiceNamespace),
                      .version = value(fact::kServiceVersion),
                      .instance = value(fact::kServiceInstance)};
  const std::string name_space = value(fact::kNamespace), pod = value(fact::kPodName),
                    container = value(fact::kK8sContainer), image = value(fact::kImageName),
                    digests = value(fact::kImageDigest);
  if (out.name_space.empty()) out.name_space = name_space;
  if (out.instance.empty() && !name_space.empty() && !pod.empty() && !container.empty())
    out.instance.append(name_space).append(".").append(pod).append(".").append(container);
  if (out.version.empty()) out.version = value("k8s.pod.label.app.kubernetes.io/version");
  if (out.version.empty()) {
    const std::string_view tag = image_parts(image).tag;
    const std::string_view digest =
        digests.empty() ? image_parts(image).digest : std::string_view(digests).substr(digests.find('@') + 1);
    out.version.append(tag).append(tag.empty() || digest.empty() ? "" : "@").append(digest);
  }
  return out;
}

std::string_view parent_id(std::string_view id) {
  if (!id.starts_with("pod:")) return {};
  const std::size_t slash = id.find('/');
  return slash == std::string_view::npos || slash != id.rfind('/') ? std::string_view() : id.substr(0, slash);
}

}  // namespace keytrail::base
