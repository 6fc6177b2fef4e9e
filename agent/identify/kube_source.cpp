// SPDX-License-Identifier: Apache-2.0
#include "agent/identify/kube_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "agent/base/log.h"
#include "agent/identify/kube_owners.h"
#include "agent/identify/kube_pods.h"
#include "agent/identify/sources.h"

namespace keytrail::identify {
namespace {

using Clock = std::chrono::steady_clock;
using Kind = KubeFailure::Kind;

constexpr auto kShortStream = std::chrono::seconds(5);      // a watch that ends before is no progress
constexpr std::uint64_t kOwnersATurn = 20;                  // are asked for: the watch is not read meanwhile
constexpr auto kRoomPause = std::chrono::milliseconds(50);  // as often the pipeline empties the queue

/// What a fact list says, to see whether it changed.
std::uint64_t digest_of(const WorkloadFacts& facts) {
  std::size_t out = std::hash<std::string>{}(facts.id);
  const auto mix = [&out](std::size_t more) { out = (out ^ more) * 0x9E3779B97F4A7C15U + 1; };
  for (const Fact& one : facts.facts) {
    mix(std::hash<std::string>{}(one.name));
    mix(std::hash<std::string>{}(one.value));
    mix(static_cast<std::size_t>(one.known_by));
  }
  mix(facts.whole ? 1 + facts.whole->unsaid.size() : 0);
  return out;
}

std::function<double()> at_random() {
  return [engine = std::minstd_rand(std::random_device{}())]() mutable {
    return std::uniform_real_distribution<double>(0, 1)(engine);
  };
}

class KubeSource final : public IdentitySource {
 public:
  KubeSource(Result<KubeAccess> access, base::KubernetesConfig config, KubeTimes times)
      : access_(std::move(access)),
        config_(std::move(config)),
        times_(std::move(times)),
        backoff_(times_.draw ? times_.draw : at_random()) {
    if (!times_.draw) times_.draw = at_random();
    if (!access_) {
      set_remark(access_.error().message);
      return;
    }
    api_.emplace(access_->endpoint);
    owners_.emplace(access_->endpoint, times_.owners_again);
    query_ = "fieldSelector=" + url_encoded("spec.nodeName=" + access_->node);
  }

  void start(IdentitySink& sink) override {
    if (!access_) return;
    sink_ = &sink;
    thread_ = std::jthread([this](const std::stop_token& stop) {
      const std::stop_callback cancel(stop, [this] {
        api_->cancel();
        owners_->cancel();
      });
      run(stop);
    });
  }

  [[nodiscard]] std::map<std::string, std::uint64_t> counters() const override {
    const std::lock_guard lock(mutex_);
    return shown_;
  }
  [[nodiscard]] std::string remark() const override {
    const std::lock_guard lock(mutex_);
    return remark_;
  }

 private:
  /// A pod whose owner could not be asked for.
  struct Waiting {
    PodOwned owned;
    WorkloadFacts facts;
  };
  /// Of one pod: what was posted of it and of each container.
  struct Pod {
    std::string id;
    std::map<std::string, std::uint64_t> posted;  // digest by id
    std::optional<Waiting> waiting = std::nullopt;
    bool seen = true;  // in the list that is being read
  };
  enum class Step : std::uint8_t { kGoOn, kWait };

  void run(const std::stop_token& stop) {
    stop_ = stop;
    while (!stop.stop_requested()) {
      const KubeResult<Step> done = access_->kubelet ? poll() : follow();
      if (stop.stop_requested()) return;
      if (done) {
        tell_owners();
      } else {
        note(done.error());
      }
      publish();
      if (access_->kubelet && done) {
        sleep(times_.poll);
      } else if (!done || *done == Step::kWait) {
        sleep(backoff_.next(done ? std::chrono::seconds(0) : done.error().retry_after));
      }
    }
  }

  void sleep(std::chrono::milliseconds time) {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any().wait_for(lock, stop_, time, [] { return false; });
  }

  // ---- the API server

  /// One request for changes, of all that there is before where nothing is known yet.
  KubeResult<Step> follow() {
    if (!version_.empty()) return watch();
    if (watch_list_) {
      const std::uint64_t lists = lists_;
      KubeResult<Step> done = watch();
      if (lists_ != lists) return done;
      // Not served: an invalid question, a storage that lacks what it needs, an end without its mark, or silence.
      if (!done && done.error().status != 500 && done.error().kind != Kind::kInvalid && !silent_) return done;
      watch_list_ = false;
    }
    begin_list();
    KubeResult<KubeVersion> version =
        api_->list("/api/v1/pods", query_, [this](const boost::json::object& pod) { take(pod); });
    if (!version) return std::unexpected(version.error());
    if (version->empty())
      return std::unexpected(KubeFailure{.kind = Kind::kMalformed, .text = "the list of pods has no resourceVersion"});
    version_ = *std::move(version);
    end_list();
    return Step::kGoOn;
  }

  KubeResult<Step> watch() {
    const bool whole = version_.empty();
    const double longer = 1 + times_.draw() / 2;
    std::string query =
        fmt::format("{}&allowWatchBookmarks=true&timeoutSeconds={}&resourceVersion={}", query_,
                    static_cast<int>(static_cast<double>(times_.watch.count()) * longer), url_encoded(version_));
    if (whole) {
      query += "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
      begin_list();
    }
    const auto begin = Clock::now();
    const KubeResult<void> done =
        api_->watch("/api/v1/pods", query, times_.silence, [this](const KubeEvent& event) { return on_event(event); });
    silent_ = !done && Clock::now() - begin >= times_.silence;
    if (Clock::now() - begin >= kShortStream && !version_.empty()) progress();
    if (!done) return expired(std::unexpected(done.error()));
    // The server ends a watch when its time is over; one that ends each at once must not be asked without a pause.
    return Clock::now() - begin >= kShortStream ? Step::kGoOn : Step::kWait;
  }

  bool on_event(const KubeEvent& event) {
    const bool listing = version_.empty();
    if (event.type == KubeEventType::kBookmark) {
      if (listing && !event.initial_ends) return false;  // a watch that gave no list: this server does not know it
      if (!event.version.empty()) version_ = event.version;
      if (listing && !version_.empty()) end_list();
    } else {
      if (event.type == KubeEventType::kDeleted) {
        forget(event.object);
      } else {
        take(event.object);
      }
      if (!listing && !event.version.empty()) version_ = event.version;
    }
    if (!listing) {
      progress();
      ask_owners_again();
      tell_owners();
    }
    publish();
    return true;
  }

  /// What is learnt so is posted with what is known of the pod: nothing is listed for it.
  void ask_owners_again() {
    if (!owners_->take_due() && !owners_left_) return;
    const std::uint64_t before = owners_->asked();
    owners_left_ = false;
    auto it = pods_.upper_bound(asked_last_);
    for (std::size_t left = pods_.size(); left > 0 && !stop_.stop_requested(); --left, ++it) {
      if (it == pods_.end()) it = pods_.begin();
      Pod& pod = it->second;
      if (!pod.waiting) continue;
      const OwnerAnswer above = owners_->of(pod.waiting->owned.name_space, pod.waiting->owned.owner);
      set_owners(pod.waiting->facts, pod.waiting->owned, above, losses_);
      pod.posted[pod.waiting->facts.id] = post_if_new(pod, pod.waiting->facts);
      if (!may_be_asked_again(above)) pod.waiting.reset();
      asked_last_ = it->first;  // the next one is asked first when this one is not answered
      if (owners_->is_silent()) return;
      owners_left_ = owners_->asked() - before >= kOwnersATurn;
      if (owners_left_) return;  // with the next event
    }
  }

  static bool may_be_asked_again(const OwnerAnswer& above) {
    return !above && (above.error() == OwnerDoubt::kUnknown || above.error() == OwnerDoubt::kCannotAsk);
  }

  /// Too old: everything anew, at once, unless that was the answer just before.
  KubeResult<Step> expired(KubeResult<Step> done) {
    if (done || done.error().kind != Kind::kExpired) return done;
    version_.clear();
    return std::exchange(expired_, true) ? std::move(done) : KubeResult<Step>(Step::kGoOn);
  }

  void progress() {
    backoff_.reset();
    expired_ = false;
    if (failing_) {
      failing_ = false;
      tell_owners();
    }
  }

  // ---- the kubelet

  KubeResult<Step> poll() {
    const KubeResult<boost::json::object> all = api_->get("/pods");
    if (!all) return std::unexpected(all.error());
    const boost::json::value* items = all->if_contains("items");
    if (items == nullptr || !items->is_array())
      return std::unexpected(KubeFailure{.kind = Kind::kMalformed, .text = "the answer to /pods is no list"});
    begin_list();
    for (const boost::json::value& one : items->get_array()) {
      if (one.is_object()) take(one.get_object());
    }
    end_list();
    progress();
    return Step::kGoOn;
  }

  // ---- pods

  void begin_list() {
    for (auto& [uid, pod] : pods_)
      pod.seen = false;
  }
  void end_list() {
    ++lists_;
    std::erase_if(pods_, [](const auto& entry) { return !entry.second.seen; });
    failing_ = false;
    tell_owners();
    publish();
  }

  void take(const boost::json::object& object) {
    const std::optional<PodHead> head = pod_head(object);
    if (!head) {
      ++malformed_;
      return;
    }
    if (head->node != access_->node) {
      ++elsewhere_;
      return;
    }
    auto it = pods_.find(head->uid);
    if (it == pods_.end()) {
      if (pods_.size() >= kMaxPods) {
        ++over_;
        return;
      }
      // Who claims to be a static pod that another one already is, or that the kubelet tells nothing of (yet): its
      // author wrote that.
      const bool mirror = head->id != "pod:" + head->uid;
      if (mirror && !has_container(object)) return;
      const bool taken =
          mirror && std::ranges::any_of(pods_, [&](const auto& one) { return one.second.id == head->id; });
      if (taken) {
        ++contradicted_;
        return;
      }
      it = pods_.emplace(head->uid, Pod{.id = head->id, .posted = {}}).first;
    }
    it->second.seen = true;
    Pod& pod = it->second;
    bool waits = false;
    const OwnerOf owner_of = [&](std::string_view name_space, const PodOwner& owner) -> OwnerAnswer {
      if (access_->kubelet) return std::unexpected(OwnerDoubt::kCannotAsk);
      OwnerAnswer above = owners_->of(name_space, owner);
      waits = may_be_asked_again(above);
      return above;
    };
    std::vector<WorkloadFacts> all = pod_facts(object, *head, config_, owner_of, losses_);
    pod.waiting.reset();
    if (waits) pod.waiting = Waiting{*pod_owned(object), all.front()};
    std::map<std::string, std::uint64_t> now;
    for (const WorkloadFacts& facts : all)
      now.emplace(facts.id, post_if_new(pod, facts));
    pod.posted = std::move(now);
  }

  /// Gives the digest.
  std::uint64_t post_if_new(const Pod& pod, const WorkloadFacts& facts) {
    const std::uint64_t digest = digest_of(facts);
    const auto before = pod.posted.find(facts.id);
    if (before == pod.posted.end() || before->second != digest) post(facts);
    return digest;
  }

  void forget(const boost::json::object& object) {
    take(object);  // the last state tells how its last containers were called
    if (const std::optional<PodHead> head = pod_head(object)) pods_.erase(head->uid);
  }

  /// Waits for room: what would be dropped here nobody would post again.
  void post(WorkloadFacts facts) {
    while (!sink_->offer(facts) && !stop_.stop_requested())
      sleep(kRoomPause);
  }

  // ---- what is told

  void note(const KubeFailure& failure) {
    ++errors_;
    failing_ = true;
    const std::string whom = access_->kubelet ? "the kubelet" : "the API server";
    std::string why = failure.text;
    switch (failure.kind) {
      case Kind::kForbidden:
        why += access_->kubelet
                   ? "; allow the agent's service account to get nodes/pods (before Kubernetes 1.33: nodes/proxy)"
                   : "; allow the agent's service account to list and watch pods (Helm: profile standard)";
        break;
      case Kind::kUnauthorized:
        why += "; is " + access_->endpoint.token_file + " the token of a service account of this cluster?";
        break;
      case Kind::kNotFound:
      case Kind::kMalformed:
      case Kind::kInvalid:
        why += "; is " + access_->endpoint.url + " what it should be?";
        break;
      default:
        break;
    }
    set_remark(fmt::format("names of new pods are not learnt: {} {}: {}", whom, access_->endpoint.url, why));
  }

  /// Pods are known; who stands above their owners may not be.
  void tell_owners() {
    if (failing_) return;
    const auto [missing, said] = owners_->refused();
    set_remark(
        missing.empty()
            ? ""
            : fmt::format("what made a pod is taken from what its author wrote, and marked as claimed; allow the "
                          "agent's service account to get {} (Helm: profile standard): {}",
                          missing, said));
  }

  void set_remark(std::string text) {
    const std::lock_guard lock(mutex_);
    if (text == remark_) return;
    if (!text.empty()) spdlog::warn("identity: {}", text);
    remark_ = std::move(text);
  }

  void publish() {
    const KubeLosses& lost = api_->losses();
    std::map<std::string, std::uint64_t> next{{"kubernetes_pods", pods_.size()},
                                              {"kubernetes_lists", lists_},
                                              {"kubernetes_errors", errors_},
                                              {"kubernetes_events_too_large", lost.events_too_large},
                                              {"kubernetes_malformed", malformed_ + lost.events_malformed},
                                              {"kubernetes_pods_over_bound", over_},
                                              {"kubernetes_pods_elsewhere", elsewhere_},
                                              {"kubernetes_pods_contradicted", contradicted_},
                                              {"kubernetes_owners_over_bound", owners_->forgotten()},
                                              {"kubernetes_containers_over_bound", losses_.containers_over},
                                              {"kubernetes_texts_cut", losses_.texts_cut}};
    const std::lock_guard lock(mutex_);
    shown_ = std::move(next);
  }

  const Result<KubeAccess> access_;
  const base::KubernetesConfig config_;
  KubeTimes times_;
  KubeBackoff backoff_;
  std::string query_;
  std::optional<KubeApi> api_;
  std::optional<KubeOwners> owners_;
  IdentitySink* sink_ = nullptr;

  // Of the thread alone.
  std::stop_token stop_;
  KubeVersion version_;  // where the watch goes on; empty = everything is asked for
  bool watch_list_ = true, expired_ = false, failing_ = false;
  bool silent_ = false;              // the last watch ended because nothing came
  std::map<std::string, Pod> pods_;  // by uid
  std::string asked_last_;           // of those that wait for their owners
  bool owners_left_ = false;         // some were not asked for yet
  PodLosses losses_;
  std::uint64_t lists_ = 0, errors_ = 0, malformed_ = 0, over_ = 0, elsewhere_ = 0, contradicted_ = 0;

  mutable std::mutex mutex_;
  std::map<std::string, std::uint64_t> shown_;
  std::string remark_;
  std::jthread thread_;  // ends first
};

}  // namespace

std::unique_ptr<IdentitySource> make_kube_source(Result<KubeAccess> access, const base::KubernetesConfig& config,
                                                 KubeTimes times) {
  return std::make_unique<KubeSource>(std::move(access), config, std::move(times));
}

std::unique_ptr<IdentitySource> kubernetes(const SourceMeans& means) {
  const auto from = [](const std::string& name) {
    const char* found = std::getenv(name.c_str());
    return found == nullptr ? std::nullopt : std::optional<std::string>(found);
  };
  Result<std::optional<KubeAccess>> access = kube_access(means.config.kubernetes, from);
  if (!access) return make_kube_source(std::unexpected(access.error()), means.config.kubernetes);
  if (!*access) return nullptr;
  return make_kube_source(**std::move(access), means.config.kubernetes);
}

}  // namespace keytrail::identify
