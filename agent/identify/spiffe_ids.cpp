// SPDX-License-Identifier: Apache-2.0
// Source of identity: whom an SVID names, the X.509 certificate or JWT by which SPIFFE calls a workload by its name.
// The signature is not checked. It names its reader where it may be the reader's own: valid now, not in a place of
// others, not what another workload had before since this worker began, and not read by a program that has those of
// others. Several at once are all told, and none is the workload's name. Thread: the pipeline's.
#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "agent/base/fair_queue.h"
#include "agent/base/lru_map.h"
#include "agent/base/workload_facts.h"
#include "agent/identify/sources.h"

namespace keytrail::identify {
namespace {

constexpr std::size_t kMaxWorkloads = 4'096;  // with an SVID
constexpr std::size_t kMaxSvids = 16;         // of one of them that are valid: JWTs are renewed every few minutes
/// Whose are remembered until they end. One that is not remembered names nobody.
constexpr std::size_t kMaxOwned = 32'768;
constexpr std::int64_t kSweepEveryS = 60;
constexpr std::int64_t kClockSlackS = 60;

/// Volumes and roots of others, as the node sees them.
bool is_of_others(std::string_view place) {
  constexpr std::array<std::string_view, 5> kOthers{"/kubelet/pods/", "/rootfs/", "/overlay2/", "/overlay/",
                                                    "/merged/"};
  return place.starts_with("/proc/") ||
         std::ranges::any_of(kOthers, [&](std::string_view part) { return place.contains(part); });
}

struct Svid {
  std::string key_id;
  std::string names;  ///< its SPIFFE ID
  std::int64_t expires_s = 0;
};

class SpiffeIds final : public IdentitySource {
 public:
  explicit SpiffeIds(std::function<std::int64_t()> wall_ns) : wall_ns_(std::move(wall_ns)) {}

  void start(IdentitySink& sink) override { sink_ = &sink; }

  void on_token(const TokenTold& told) override {
    const auto names = std::ranges::find(told.claims, std::string_view(fact::kSpiffeId), &Claim::name);
    if (names == told.claims.end() || sink_ == nullptr) return;
    const Workload& reader = *told.workload;
    // A person's tools and the machine's own read and copy the SVIDs of others.
    if (reader.kind != WorkloadKind::kPod && reader.kind != WorkloadKind::kContainer &&
        reader.kind != WorkloadKind::kSystemdUnit) {
      ++outside_;
      return;
    }
    if (told.for_others || is_of_others(told.place)) {
      ++of_others_;
      return;
    }
    const std::int64_t now_s = wall_ns_() / 1'000'000'000;
    if (told.expires_s <= now_s || told.issued_s > now_s + kClockSlackS) {
      ++not_valid_;
      return;
    }
    Owned* const owned = owned_of(reader.id, told.key_id, now_s);
    if (owned == nullptr) {
      ++over_bound_;
      return;
    }
    if (owned->owner != owner_of(reader.id)) {
      ++of_others_;
      return;
    }
    owned->expires_s = std::max(owned->expires_s, told.expires_s);
    std::vector<Svid>& own = *held_.get(reader.id).first;
    std::erase_if(own, [&](const Svid& one) { return one.expires_s <= now_s; });
    keep(own, {told.key_id, names->value, told.expires_s});
    sink_->post({reader.id, {{fact::kSpiffeId, all_names(own), KnownBy::kToken}}});
  }

  [[nodiscard]] std::map<std::string, std::uint64_t> counters() const override {
    return {{"svids_not_valid", not_valid_},
            {"svids_of_others", of_others_},
            {"svids_outside_workloads", outside_},
            {"svids_over_bound", over_bound_ + held_.evicted()}};
  }

 private:
  struct Owned {
    std::string owner;
    std::int64_t expires_s = 0;
    base::FairShares::Share room;
  };

  /// A pod's containers have one volume.
  static std::string_view owner_of(const std::string& workload) {
    const std::string_view pod = base::parent_id(workload);
    return pod.empty() ? std::string_view(workload) : pod;
  }

  /// Who had the key first; whoever has it now, where nobody had or what that one had has ended. Null: no room for it.
  Owned* owned_of(const std::string& reader, const std::string& key_id, std::int64_t now_s) {
    if (now_s >= sweep_s_) {
      sweep_s_ = now_s + kSweepEveryS;
      std::erase_if(owned_, [&](const auto& entry) { return entry.second.expires_s <= now_s; });
    }
    if (const auto it = owned_.find(key_id); it != owned_.end() && it->second.expires_s > now_s) return &it->second;
    const std::string_view owner = owner_of(reader);
    auto room = room_.take({std::hash<std::string_view>{}(owner), 0, 0});
    if (!room) return nullptr;
    return &owned_.insert_or_assign(key_id, Owned{std::string(owner), 0, std::move(room)}).first->second;
  }

  void keep(std::vector<Svid>& own, Svid svid) {
    if (const auto known = std::ranges::find(own, svid.key_id, &Svid::key_id); known != own.end()) {
      *known = std::move(svid);  // a certificate that was renewed for the same key
      return;
    }
    if (own.size() >= kMaxSvids) {
      ++over_bound_;
      own.erase(own.begin());
    }
    own.push_back(std::move(svid));
  }

  /// One after the other, each once.
  static std::string all_names(const std::vector<Svid>& own) {
    std::vector<std::string_view> names;
    names.reserve(own.size());
    for (const Svid& one : own)
      names.emplace_back(one.names);
    std::ranges::sort(names);
    const auto twice = std::ranges::unique(names);
    names.erase(twice.begin(), twice.end());
    std::string out;
    for (const std::string_view name : names) {
      if (out.size() + name.size() + 1 > kMaxFactValue) break;
      if (!out.empty()) out += ' ';
      out += name;
    }
    return out;
  }

  const std::function<std::int64_t()> wall_ns_;
  IdentitySink* sink_ = nullptr;
  base::LruMap<std::string, std::vector<Svid>> held_{kMaxWorkloads};  // by workload: those that are valid
  std::unordered_map<std::string, Owned> owned_;  // by key, until it ends: nobody makes it forget whose one is
  base::FairShares room_{kMaxOwned};              // for those, by owner
  std::int64_t sweep_s_ = 0;
  std::uint64_t not_valid_ = 0, of_others_ = 0, outside_ = 0, over_bound_ = 0;
};

}  // namespace

std::unique_ptr<IdentitySource> spiffe_ids(const SourceMeans& means) {
  return std::make_unique<SpiffeIds>(means.wall_ns);
}

}  // namespace keytrail::identify
