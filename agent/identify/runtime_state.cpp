// SPDX-License-Identifier: Apache-2.0
// Source of identity: what the container runtime on this node has written down of a container: its pod, its names, its
// image. Asked of the examiner by the id in the cgroup's path, and believed where the state puts the container into
// that very cgroup: a directory may be named like anybody's container. Thread: the pipeline's.
#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/base/workload_facts.h"
#include "agent/identify/cgroup_path.h"
#include "agent/identify/proc_reader.h"
#include "agent/identify/runtime_cgroup.h"
#include "agent/identify/sources.h"

namespace keytrail::identify {
namespace {

constexpr std::size_t kMaxLooks = 4'096;  ///< containers that are being looked up
constexpr std::size_t kMaxAsked = 64;     ///< at once: link has questions, too
constexpr std::size_t kMaxFollowing = 8;  ///< the same, about those that are known: key files come first
/// The state is written before the first process runs, but Docker's a moment later; a runtime may be restarting.
constexpr std::array<std::uint64_t, 3> kAgainAfterNs{200'000'000, 1'000'000'000, 5'000'000'000};
/// Docker and Podman let containers be renamed: those that run are looked at again. Docker's each at its own moment of
/// that time; all of Podman's stand in two lists.
constexpr std::uint64_t kRenamedAfterNs = 60'000'000'000;
constexpr std::size_t kMaxFollowed = 1'024;
/// Rounds of the lists without it, then it is asked about itself: the examiner leaves some entries out.
constexpr int kMissingRounds = 2;

std::string_view value_of(const std::vector<BundleFact>& facts, std::string_view name) {
  const auto it = std::ranges::find_if(
      facts, [&](const BundleFact& one) { return one.what < kBundleFacts.size() && kBundleFacts[one.what] == name; });
  return it == facts.end() ? std::string_view() : std::string_view(it->value);
}

bool is_of_pod(std::string_view name) {
  return name == fact::kNamespace || name == fact::kPodName || name == fact::kPodUid;
}

/// What a pod calls it, and as what it is in it.
bool is_in_pod(std::string_view name) { return name == fact::kK8sContainer || name == fact::kContainerType; }

/// Labels, which an image may bring with it.
bool is_label(std::string_view name) { return name == fact::kComposeProject || name == fact::kComposeService; }

/// "container:1000/ID": that user's own runtime keeps its state where he may write.
bool is_of_user(std::string_view id) {
  constexpr std::string_view kContainer = "container:";
  if (!id.starts_with(kContainer)) return false;
  id.remove_prefix(kContainer.size());
  const std::size_t end = id.find('/');
  constexpr std::size_t kDigits = 10;  // of a user's number; npos is more
  return end <= kDigits && std::ranges::all_of(id.substr(0, end), [](char c) { return c >= '0' && c <= '9'; });
}

class RuntimeState final : public IdentitySource {
 public:
  explicit RuntimeState(Examiner& examiner) : examiner_(examiner) {}

  void start(IdentitySink& sink) override { sink_ = &sink; }

  void on_workload(const WorkloadSeen& seen) override {
    const Workload& workload = *seen.workload;
    const bool container = workload.kind == WorkloadKind::kPod || workload.kind == WorkloadKind::kContainer;
    const std::string_view id = container ? workload.value(fact::kContainerId) : std::string_view();
    if (id.empty() || looks_.contains(workload.id)) return;
    // LXC, nspawn, Nomad, BuildKit: the path says it all. Of an earlier container of the id the runtime itself said it.
    if (const Fact* runtime = workload.find(fact::kRuntime); runtime && runtime->known_by != KnownBy::kRuntime) return;
    if (is_of_user(workload.id)) {
      ++of_users_;
      return;
    }
    Look look{.workload = seen.workload, .reach = seen.reach};
    if (!is_bundle_id(id)) return unknown(look, "no runtime gives such an id", unreadable_);
    if (looks_.size() - followed_ >= kMaxLooks) {
      ++over_bound_;
      return;
    }
    looks_.emplace(workload.id, std::move(look));
    new_.due.emplace(0, workload.id);
    ask_due();
  }

  void on_turn(std::uint64_t now_ns) override {
    now_ns_ = now_ns;
    ask_due();
    if (listed_ > 0 && !list_asked_ && now_ns_ >= list_due_ns_) {
      names_.clear();
      lists_read_ = 0;
      ask_list(bundle::kStorageNames);
    }
  }

  [[nodiscard]] std::map<std::string, std::uint64_t> counters() const override {
    return {{"runtime_containers_known", known_},           {"runtime_containers_gone", gone_},
            {"runtime_containers_unreadable", unreadable_}, {"runtime_cgroup_disagrees", disagrees_},
            {"runtime_containers_of_users", of_users_},     {"runtime_looks_over_bound", over_bound_},
            {"runtime_containers_unnamed", unnamed_},       {"runtime_names_not_followed", not_followed_},
            {"runtime_containers_removed", removed_},       {"runtime_lists_too_large", too_large_}};
  }

 private:
  struct Look {
    std::shared_ptr<const Workload> workload;
    Reach reach;
    std::string_view format = bundle::kOci;
    std::size_t again = 0;
    bool known = false;   ///< it has a name, and may be renamed
    bool listed = false;  ///< the lists tell of it
    int missing = 0;      ///< rounds running in which they did not; -1: it came while they were read
    std::string name;     ///< that one, of one that is listed
  };
  struct Queue {
    std::size_t most;                               ///< at once
    std::multimap<std::uint64_t, std::string> due;  ///< those that are not being asked, by when they are to be
    std::size_t asked = 0;
  };

  Queue& queue_of(const Look& look) { return look.known ? following_ : new_; }

  void ask_due() {
    for (Queue* const queue : {&new_, &following_}) {
      while (queue->asked < queue->most && !queue->due.empty() && queue->due.begin()->first <= now_ns_) {
        const std::string id = std::move(queue->due.begin()->second);
        queue->due.erase(queue->due.begin());
        ask(id, looks_.at(id), *queue);
      }
    }
  }

  void ask(const std::string& id, const Look& look, Queue& queue) {
    ++queue.asked;
    const std::string container(look.workload->value(fact::kContainerId));
    examiner_.ask<BundleQuestion>(look.reach, {.container = container, .format = std::string(look.format)},
                                  [this, id, &queue, alive = std::weak_ptr<bool>(alive_)](const BundleAnswer& answer) {
                                    if (alive.expired()) return;
                                    --queue.asked;
                                    take(id, answer);
                                    ask_due();
                                  });
  }

  void take(const std::string& id, const BundleAnswer& answer) {
    Look& look = looks_.at(id);
    const bool later = answer.unread == "busy" || answer.unread == "timeout" || answer.unread == "changed" ||
                       answer.unread == "examiner restarted";
    if ((later || answer.unread == "gone") && look.again < kAgainAfterNs.size()) {
      queue_of(look).due.emplace(now_ns_ + kAgainAfterNs[look.again++], id);
      return;
    }
    std::string_view next;
    if (look.format != bundle::kOci) {
      post(look, answer.facts);
      if (look.format == bundle::kStorage && answer.facts.empty() && !(look.known && later))
        next = bundle::kVolatile;
      else if ((!answer.facts.empty() || (look.known && later)) && follow(id, look, answer.facts))
        return;
      else if (answer.facts.empty() && !look.known)
        unnamed(look, answer.unread.empty() ? "gone" : answer.unread);
    } else if (answer.unread.empty()) {
      next = take_bundle(look, answer.facts);
    } else if (answer.unread == "gone") {
      unknown(look, "gone before the runtime's state was read", gone_);
    } else {
      unknown(look, "the runtime's state cannot be read: " + answer.unread, unreadable_);
    }
    if (next.empty()) {
      if (look.known) {
        --followed_;
        ++removed_;
      }
      looks_.erase(id);
      return;
    }
    look.format = next;
    look.again = 0;
    new_.due.emplace(0, id);
  }

  /// A name that may change is asked for again, until the runtime forgets the container. False: there are too many.
  bool follow(const std::string& id, Look& look, const std::vector<BundleFact>& facts) {
    if (!look.known && followed_ >= kMaxFollowed) {
      ++not_followed_;
      return false;
    }
    followed_ += look.known ? 0 : 1;
    look.known = true;
    look.again = 0;
    if (look.format == bundle::kDocker) {
      following_.due.emplace(next_look(id), id);
      return true;
    }
    look.name = value_of(facts, fact::kContainerName);
    look.listed = true;
    look.missing = list_asked_ ? -1 : 0;
    if (listed_++ == 0) list_due_ns_ = now_ns_ + kRenamedAfterNs;
    return true;
  }

  /// Within kRenamedAfterNs, each id at its own moment: what began together must not be asked about together.
  [[nodiscard]] std::uint64_t next_look(const std::string& id) const {
    const std::uint64_t moment = std::hash<std::string>{}(id) % kRenamedAfterNs, passed = now_ns_ % kRenamedAfterNs;
    return now_ns_ - passed + moment + (moment > passed ? 0 : kRenamedAfterNs);
  }

  void ask_list(std::string_view format) {
    list_asked_ = true;
    examiner_.ask<BundleQuestion>({}, {.container = "all", .format = std::string(format)},
                                  [this, format, alive = std::weak_ptr<bool>(alive_)](const BundleAnswer& answer) {
                                    if (!alive.expired()) take_list(format, answer);
                                  });
  }

  void take_list(std::string_view format, const BundleAnswer& answer) {
    const bool read = answer.unread.empty() || answer.unread == "gone";  // no such list: nobody is in it
    lists_read_ += answer.unread.empty() ? 1 : 0;
    const bool cut = answer.facts.size() >= kMaxNodeUsers && answer.skipped > 0;
    too_large_ += cut || answer.unread == "too large" ? 1 : 0;
    for (const BundleFact& one : answer.facts) {
      const std::size_t blank = one.value.find(' ');
      if (one.what < kBundleFacts.size() && kBundleFacts[one.what] == bundle::kNamed && blank != one.value.npos)
        names_.try_emplace(one.value.substr(0, blank), one.value.substr(blank + 1));
    }
    if (read && format == bundle::kStorageNames) return ask_list(bundle::kVolatileNames);
    list_asked_ = false;
    list_due_ns_ = now_ns_ + kRenamedAfterNs;
    if (read && lists_read_ > 0) take_names();  // "gone" is any file that could not be opened: both say nothing
    names_.clear();
  }

  void take_names() {
    for (auto& [id, look] : looks_) {
      if (!look.listed) continue;
      const auto named = names_.find(look.workload->value(fact::kContainerId));
      if (named == names_.end() || look.missing < 0) {
        if (++look.missing >= kMissingRounds) ask_itself(id, look);
        continue;
      }
      look.missing = 0;
      if (std::exchange(look.name, named->second) != named->second && sink_ != nullptr)
        sink_->post({id, {{fact::kContainerName, named->second, KnownBy::kRuntime}}});
    }
  }

  /// Removed, or left out of the list: the answer tells, and it is followed on or forgotten.
  void ask_itself(const std::string& id, Look& look) {
    look.listed = false;
    --listed_;
    look.format = bundle::kStorage;
    following_.due.emplace(now_ns_, id);
  }

  /// Gives the file that tells more, if there is one.
  std::string_view take_bundle(const Look& look, const std::vector<BundleFact>& facts) {
    const std::string_view pod = value_of(facts, fact::kPodUid), kernels = look.workload->value(fact::kPodUid);
    const bool other_pod = !pod.empty() && !kernels.empty() && pod != kernels;
    if (other_pod || !is_there(look, value_of(facts, fact::kCgroup))) {
      unknown(look, "the runtime has this container in another cgroup", disagrees_);
      return {};
    }
    ++known_;
    post(look, facts);
    const std::string_view runtime = value_of(facts, fact::kRuntime);
    return runtime == "docker" ? bundle::kDocker : runtime == "podman" ? bundle::kStorage : std::string_view();
  }

  void unnamed(const Look& look, std::string_view why) {
    const std::string_view option = look.format == bundle::kDocker ? "--docker-root" : "--storage-root";
    std::string because = std::string("the runtime's name of it cannot be read: ").append(why);
    if (why == "gone") because.append(" (is it elsewhere: keytrail-warden ").append(option).append("?)");
    unknown(look, std::move(because), unnamed_);
  }

  /// The kernel's path begins at the machine's root; the runtime's where the node has its own (a node that is itself a
  /// container), and so does what this agent reads in /proc.
  [[nodiscard]] bool is_there(const Look& look, std::string_view cgroups_path) const {
    const std::string_view container = look.workload->value(fact::kContainerId);
    if (is_in_bundle(look.workload->value(fact::kCgroup), cgroups_path, container)) return true;
    const auto process = proc_.read(look.reach.who.tgid, look.reach.who.start_ns);
    return process && is_in_bundle(process->cgroup, cgroups_path, container);
  }

  void post(const Look& look, const std::vector<BundleFact>& facts) {
    const Workload& workload = *look.workload;
    const std::string pod(workload.value(fact::kPodUid));
    // What dockerd has of a pod are labels: they count where the kernel has that pod.
    const bool names_pod = look.format == bundle::kOci || (!pod.empty() && value_of(facts, fact::kPodUid) == pod);
    WorkloadFacts own{.id = workload.id, .facts = {}}, of_pod{.id = "pod:" + pod, .facts = {}};
    for (const BundleFact& one : facts) {
      const std::string_view name = kBundleFacts[one.what];
      if (name == fact::kCgroup || name == bundle::kUser || ((is_of_pod(name) || is_in_pod(name)) && !names_pod))
        continue;
      WorkloadFacts& to = is_of_pod(name) && !pod.empty() ? of_pod : own;
      to.facts.push_back({std::string(name), one.value, is_label(name) ? KnownBy::kClaimed : KnownBy::kRuntime});
    }
    if (look.format == bundle::kOci)
      own.facts.push_back({fact::kContainerId, std::string(workload.value(fact::kContainerId)), KnownBy::kRuntime});
    if (look.format == bundle::kOci) own.whole = whole_of(look);
    for (WorkloadFacts* const to : {&of_pod, &own}) {
      if (!to->facts.empty() && sink_ != nullptr) sink_->post(std::move(*to));
    }
  }

  /// An id that people gave comes again, and nothing of the container before is true of the next.
  static std::optional<WorkloadFacts::Whole> whole_of(const Look& look) {
    if (base::is_drawn_id(look.workload->value(fact::kContainerId))) return std::nullopt;
    return WorkloadFacts::Whole{.known_by = KnownBy::kRuntime};
  }

  void unknown(const Look& look, std::string because, std::uint64_t& counter) {
    ++counter;
    if (sink_ == nullptr) return;
    WorkloadFacts out{look.workload->id, {{fact::kRuntimeUnknown, std::move(because), KnownBy::kRuntime}}};
    if (look.format == bundle::kOci) out.whole = whole_of(look);
    sink_->post(std::move(out));
  }

  Examiner& examiner_;
  ProcReader proc_{"/proc"};
  IdentitySink* sink_ = nullptr;
  std::map<std::string, Look> looks_;  // by the workload's id
  Queue new_{.most = kMaxAsked, .due = {}}, following_{.most = kMaxFollowing, .due = {}};
  std::size_t followed_ = 0;  // of the looks, those at what is known
  std::size_t listed_ = 0;    // of these, those that a list tells of
  bool list_asked_ = false;
  int lists_read_ = 0;  // of the two, in this round
  std::uint64_t list_due_ns_ = 0;
  std::map<std::string, std::string, std::less<>> names_;  // by id, of the lists that are being read
  std::uint64_t now_ns_ = 0;
  std::uint64_t known_ = 0, gone_ = 0, unreadable_ = 0, disagrees_ = 0, of_users_ = 0, over_bound_ = 0;
  std::uint64_t unnamed_ = 0, not_followed_ = 0, removed_ = 0, too_large_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // answers may come after the end
};

}  // namespace

std::unique_ptr<IdentitySource> runtime_state(const SourceMeans& means) {
  return means.config.runtime ? std::make_unique<RuntimeState>(means.examiner) : nullptr;
}

}  // namespace keytrail::identify
