// SPDX-License-Identifier: Apache-2.0
#include "agent/identify/kube_pods.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <charconv>
#include <iterator>
#include <utility>

#include "agent/base/log.h"
#include "agent/base/times.h"

namespace keytrail::identify {
namespace {

namespace json = boost::json;

/// What may make a pod, and what may make that.
struct Maker {
  std::string_view kind, group;
  const char* name;
  std::string_view above_kind;
  const char* above_name;
};
constexpr Maker kMakers[] = {{"ReplicaSet", "apps", fact::kReplicaSet, "Deployment", fact::kDeployment},
                             {"StatefulSet", "apps", fact::kStatefulSet, "", nullptr},
                             {"DaemonSet", "apps", fact::kDaemonSet, "", nullptr},
                             {"Job", "batch", fact::kJob, "CronJob", fact::kCronJob}};

bool is_owners(std::string_view name) {
  return std::ranges::any_of(kMakers, [&](const Maker& one) {
    return name == one.name || (one.above_name != nullptr && name == one.above_name);
  });
}

std::vector<std::string> owners_names() {
  std::vector<std::string> out;
  for (const Maker& one : kMakers) {
    out.emplace_back(one.name);
    if (one.above_name != nullptr) out.emplace_back(one.above_name);
  }
  return out;
}

const Maker* maker_of(const PodOwner& owner) {
  const auto* found = std::ranges::find_if(
      kMakers, [&](const Maker& one) { return one.kind == owner.kind && one.group == owner.group; });
  return found == std::end(kMakers) ? nullptr : found;
}

/// Annotations of this prefix are attributes: those of the service, and what does not say where it runs.
/// https://opentelemetry.io/docs/specs/semconv/non-normative/k8s-attributes/
constexpr std::string_view kAttribute = "resource.opentelemetry.io/";
constexpr const char* kAttributes[] = {fact::kServiceName, fact::kServiceNamespace, fact::kServiceVersion,
                                       fact::kServiceInstance, fact::kEnvironment};

const json::object& object_at(const json::object& in, std::string_view key) {
  static const json::object kNothing;
  const json::value* found = in.if_contains(key);
  return found != nullptr && found->is_object() ? found->get_object() : kNothing;
}

std::string_view text_at(const json::object& in, std::string_view key) {
  const json::value* found = in.if_contains(key);
  return found != nullptr && found->is_string() ? std::string_view(found->get_string()) : std::string_view();
}

/// The objects of a list; what is none is left out.
template <typename Take>
void each_of(const json::object& in, std::string_view key, const Take& take) {
  const json::value* found = in.if_contains(key);
  if (found == nullptr || !found->is_array()) return;
  for (const json::value& one : found->get_array()) {
    if (one.is_object()) take(one.get_object());
  }
}

bool is_hex(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !is_hex(text.substr(i, 1))) return false;
  }
  return true;
}

/// At most `max` bytes, whole characters.
std::string_view cut(std::string_view text, std::size_t max) {
  if (text.size() <= max) return text;
  while (max > 0 && (static_cast<unsigned char>(text[max]) & 0xC0U) == 0x80U)
    --max;
  return text.substr(0, max);
}

PodOwner controller_in(const json::object& meta) {
  PodOwner out;
  each_of(meta, "ownerReferences", [&](const json::object& one) {
    const json::value* controller = one.if_contains("controller");
    if (!out.kind.empty() || controller == nullptr || !controller->is_bool() || !controller->get_bool()) return;
    const std::string_view version = text_at(one, "apiVersion");
    const std::size_t slash = version.find('/');
    out = {.kind = std::string(text_at(one, "kind")),
           .name = std::string(text_at(one, "name")),
           .uid = std::string(text_at(one, "uid")),
           .group = std::string(slash == std::string_view::npos ? "" : version.substr(0, slash))};
  });
  return out;
}

void add(std::vector<Fact>& to, std::string name, std::string_view text, PodLosses& losses,
         KnownBy known_by = KnownBy::kCluster) {
  if (text.empty()) return;
  const std::string clean = base::printable(cut(text, kMaxFactValue));
  const std::string_view kept = cut(clean, kMaxFactValue);
  if (text.size() > kMaxFactValue || kept.size() < clean.size()) ++losses.texts_cut;
  to.push_back({std::move(name), std::string(kept), known_by});
}

class PodReader {
 public:
  PodReader(const json::object& pod, const PodHead& head, const base::KubernetesConfig& config, PodLosses& losses)
      : pod_of_(pod),
        meta_(object_at(pod, "metadata")),
        spec_(object_at(pod, "spec")),
        status_(object_at(pod, "status")),
        labels_(object_at(meta_, "labels")),
        annotations_(object_at(meta_, "annotations")),
        head_(head),
        config_(config),
        losses_(losses) {}

  std::vector<WorkloadFacts> read(const OwnerOf& owner_of) {
    pod_.id = head_.id;
    const std::string_view name = text_at(meta_, "name");
    add(pod_, fact::kNamespace, text_at(meta_, "namespace"));
    add(pod_, fact::kPodName, name);
    add(pod_, fact::kNodeName, head_.node);
    add(pod_, fact::kServiceAccount, text_at(spec_, "serviceAccountName"));
    for (const std::string& key : config_.labels)
      add(pod_, fact::kPodLabel + key, text_at(labels_, key));
    add(pod_, fact::kTeam, text_at(annotations_, config_.team_annotation));
    // Where there is none, whoever shows one takes what the convention names next (base::service_name).
    for (const char* attribute : kAttributes)
      add(pod_, attribute, text_at(annotations_, std::string(kAttribute) + attribute));
    add_ci_job();
    if (const std::optional<PodOwned> owned = pod_owned(pod_of_)) {
      set_owners(pod_, *owned, owner_of(owned->name_space, owned->owner), losses_);
    } else {
      pod_.whole = WorkloadFacts::Whole{.nor_claimed = owners_names()};
    }
    out_.push_back(std::move(pod_));
    add_containers("containers", "containerStatuses");
    add_containers("initContainers", "initContainerStatuses");
    add_containers("ephemeralContainers", "ephemeralContainerStatuses");
    return std::move(out_);
  }

 private:
  void add(WorkloadFacts& to, std::string name, std::string_view text) {
    identify::add(to.facts, std::move(name), text, losses_);
  }

  // What the agents of CI systems in the cluster write onto the pods that they make: tekton.dev/docs/pipelines/labels,
  // argo-workflows.readthedocs.io/en/latest/workflow-concepts. A workflow's name is that of one run.
  void add_ci_job() {
    const std::string_view pipeline = text_at(labels_, "tekton.dev/pipeline");
    std::string_view task = text_at(labels_, "tekton.dev/pipelineTask");
    if (task.empty()) task = text_at(labels_, "tekton.dev/task");
    const std::string_view workflow = text_at(labels_, "workflows.argoproj.io/workflow");
    if (!task.empty()) {
      add(pod_, fact::kCiSystem, "tekton");
      add(pod_, fact::kCiPipeline, pipeline);
      add(pod_, fact::kCiRun, text_at(labels_, "tekton.dev/pipelineRun"));
      add(pod_, fact::kCiTask, task);
      add(pod_, fact::kCiJob, pipeline.empty() ? std::string(task) : std::string(pipeline).append(" ").append(task));
    } else if (!workflow.empty()) {
      add(pod_, fact::kCiSystem, "argo");
      add(pod_, fact::kCiRun, workflow);
    }
  }

  void add_containers(std::string_view manifests, std::string_view statuses) {
    each_of(status_, statuses, [&](const json::object& one) {
      const std::string_view name = text_at(one, "name");
      std::string_view image = text_at(one, "image");
      if (image.empty() || image.starts_with("sha256:")) {  // the runtime knows no name of it
        each_of(spec_, manifests, [&](const json::object& meant) {
          if (text_at(meant, "name") == name) image = text_at(meant, "image");
        });
      }
      std::string_view before;
      const std::string_view now = text_at(one, "containerID");
      for (const std::string_view id : {now, text_at(object_at(object_at(one, "state"), "terminated"), "containerID"),
                                        text_at(object_at(object_at(one, "lastState"), "terminated"), "containerID")}) {
        if (id.empty() || id == before) continue;
        // The digest is that of the one that runs: after an update the last one had another.
        add_container(id, name, id == now ? image : std::string_view(),
                      id == now ? text_at(one, "imageID") : std::string_view());
        before = id;
      }
    });
  }

  void add_container(std::string_view uri, std::string_view name, std::string_view image, std::string_view image_id) {
    const std::size_t scheme = uri.find("://");
    if (scheme == std::string_view::npos) return;
    const std::string_view id = uri.substr(scheme + 3);
    if (id.empty() || id.size() > 64 || !is_hex(id)) return;
    if (out_.size() > kMaxPodContainers) {
      ++losses_.containers_over;
      return;
    }
    WorkloadFacts facts{.id = head_.id + "/" + std::string(id), .facts = {}};
    add(facts, fact::kK8sContainer, name);
    add(facts, fact::kRuntime, uri.substr(0, scheme));
    add(facts, fact::kImageName, image);
    if (const std::size_t pulled = image_id.find("://"); pulled != std::string_view::npos)
      image_id.remove_prefix(pulled + 3);
    if (image_id.contains("sha256:")) add(facts, fact::kImageDigest, image_id);
    if (!facts.facts.empty()) out_.push_back(std::move(facts));
  }

  const json::object &pod_of_, &meta_, &spec_, &status_, &labels_, &annotations_;
  const PodHead& head_;
  const base::KubernetesConfig& config_;
  PodLosses& losses_;
  WorkloadFacts pod_;
  std::vector<WorkloadFacts> out_;
};

}  // namespace

// A static pod runs under the hash of its manifest; the API shows a mirror of it with a uid of its own. Only a hash is
// taken for one: a pod whose author wrote such an annotation never passes for one with a UUID.
std::optional<PodHead> pod_head(const json::object& pod) {
  const json::object& meta = object_at(pod, "metadata");
  PodHead out{.uid = std::string(text_at(meta, "uid")), .id = {}, .node = {}};
  const bool is_hash = out.uid.size() == 32 && is_hex(out.uid);  // the kubelet shows static pods so
  if (!is_hash && !is_uuid(out.uid)) return std::nullopt;
  const std::string_view mirror = text_at(object_at(meta, "annotations"), "kubernetes.io/config.mirror");
  out.id = "pod:" + (mirror.size() == 32 && is_hex(mirror) ? std::string(mirror) : out.uid);
  out.node = base::printable(cut(text_at(object_at(pod, "spec"), "nodeName"), kMaxFactValue));
  return out;
}

bool has_container(const json::object& pod) {
  bool out = false;
  for (const char* statuses : {"initContainerStatuses", "containerStatuses"})
    each_of(object_at(pod, "status"), statuses,
            [&](const json::object& one) { out = out || !text_at(one, "containerID").empty(); });
  return out;
}

std::vector<WorkloadFacts> pod_facts(const json::object& pod, const PodHead& head, const base::KubernetesConfig& config,
                                     const OwnerOf& owner_of, PodLosses& losses) {
  return PodReader(pod, head, config, losses).read(owner_of);
}

std::optional<PodOwned> pod_owned(const json::object& pod) {
  const json::object& meta = object_at(pod, "metadata");
  PodOwned out{.name_space = std::string(text_at(meta, "namespace")), .owner = controller_in(meta), .by_name = {}};
  if (maker_of(out.owner) == nullptr) return std::nullopt;
  if (out.owner.kind == "ReplicaSet") {
    out.by_name = deployment_by_name(out.owner.name, text_at(object_at(meta, "labels"), "pod-template-hash"));
  } else if (out.owner.kind == "Job") {
    const auto created = base::parse_rfc3339(text_at(meta, "creationTimestamp"));
    out.by_name = cron_job_by_name(out.owner.name, created ? *created / 1'000'000'000 : 0);
  }
  return out;
}

void set_owners(WorkloadFacts& pod, const PodOwned& owned, const OwnerAnswer& above, PodLosses& losses) {
  std::vector<Fact> facts;
  const PodOwner& owner = owned.owner;
  const Maker* const maker = maker_of(owner);
  if (maker == nullptr) return;
  const bool unknown = !above && (above.error() == OwnerDoubt::kGone || above.error() == OwnerDoubt::kUnknown);
  add(facts, maker->name, owner.name, losses, above ? KnownBy::kCluster : KnownBy::kClaimed);
  if (maker->above_name != nullptr && !unknown) {
    if (!above) {
      add(facts, maker->above_name, owned.by_name, losses, KnownBy::kClaimed);
    } else if (above->kind == maker->above_kind && above->group == owner.group) {
      add(facts, maker->above_name, above->name, losses);
    }
  }
  std::erase_if(pod.facts, [](const Fact& one) { return is_owners(one.name); });
  pod.facts.insert(pod.facts.begin(), std::make_move_iterator(facts.begin()), std::make_move_iterator(facts.end()));
  pod.whole.emplace(KnownBy::kCluster);
  (unknown ? pod.whole->unsaid : pod.whole->nor_claimed) = owners_names();
}

PodOwner controller_of(const json::object& object) { return controller_in(object_at(object, "metadata")); }

std::string_view deployment_by_name(std::string_view replica_set, std::string_view template_hash) {
  if (template_hash.empty() || !replica_set.ends_with(template_hash)) return {};
  replica_set.remove_suffix(template_hash.size());
  return replica_set.ends_with('-') ? replica_set.substr(0, replica_set.size() - 1) : std::string_view();
}

std::string_view cron_job_by_name(std::string_view job, std::int64_t created_s) {
  constexpr std::int64_t kDay = 86'400;
  const std::size_t dash = job.rfind('-');
  if (dash == std::string_view::npos) return {};
  std::int64_t minutes = 0;
  const std::string_view digits = job.substr(dash + 1);
  const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), minutes);
  if (digits.size() != 8 || code != std::errc{} || end != digits.data() + digits.size()) return {};
  const std::int64_t away = created_s - minutes * 60;
  return away > kDay || away < -kDay ? std::string_view() : job.substr(0, dash);
}

}  // namespace keytrail::identify
