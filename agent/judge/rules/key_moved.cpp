// SPDX-License-Identifier: Apache-2.0
// A key that was one workload's is read by another one of another owner or namespace: it was copied, or taken (ATT&CK
// T1552). Workloads are what somebody governs: a deployment and the like, a container by its name, a unit. Both must be
// known by name before anything is said, which may take a moment after a pod's start, so it is looked at a little
// later. What several took within `after_minutes` of the first is shared, not moved: none of them is news when its next
// process takes it.
// Persons are another finding (person_used_workload_key), certificates are public, and a bulk reader (a backup) takes
// no key for itself. What a distributor (Terraform, External Secrets) had before is nobody's yet, unless it is a kind
// of key that it uses itself; what it takes is told as anybody's, for its name alone proves nothing. Resolved when the
// key's slot gets another key.
#include <algorithm>
#include <array>
#include <deque>

#include "agent/base/session_text.h"
#include "agent/base/workload_facts.h"
#include "agent/judge/rule.h"

namespace keytrail::judge {
namespace {

constexpr std::int64_t kMinute = 60'000'000'000;
constexpr std::int64_t kNamedWithin = 10'000'000'000;  // names of a pod are known by then, or will not be soon
constexpr std::size_t kMostWaiting = 1'024;
constexpr std::size_t kMostOwners = 64;  ///< of one key
constexpr std::array<base::FindingSetting, 1> kSettings{{{"after_minutes", 60, 0, 525'600}}};

/// What makes a pod, the first that is known.
constexpr std::array kOwners{fact::kDeployment, fact::kStatefulSet, fact::kDaemonSet,
                             fact::kCronJob,    fact::kJob,         fact::kReplicaSet};

/// Who governs the workload; "" where that is not known, or nobody does.
std::string owner_of(const Workload& w) {
  const std::string_view space = w.value(fact::kNamespace);
  if (w.kind == WorkloadKind::kSystemdUnit) return w.id;
  if (w.kind == WorkloadKind::kContainer) {
    const std::string_view name = w.value(fact::kContainerName);
    return name.empty() ? "" : "container|" + std::string(name);
  }
  if (w.kind != WorkloadKind::kPod || space.empty()) return {};
  for (const char* owner : kOwners) {
    if (const std::string_view name = w.value(owner); !name.empty())
      return std::string(space) + "|" + owner + "|" + std::string(name);
  }
  return {};
}

class KeyMoved final : public Rule {
 public:
  KeyMoved(const base::FindingType& is, Setup setup)
      : Rule(is, Severity::kMedium, std::move(setup)),
        after_ns_(number("after_minutes") * kMinute),
        firsts_(this->setup().limit),
        facts_(this->setup().limit) {}

  void load(const Earlier& earlier) override {
    Rule::load(earlier);
    for (const Sighting& one : earlier.sightings) {
      if (!one.login_user.empty()) continue;  // as on_row
      if (one.kept || !hands_on(one.session, one.kind)) note(one.key, one.workload, one.first_ns);
    }
  }

  void on_facts(const WorkloadFacts& news) override {
    std::vector<Fact>& known = *facts_.get(news.id).first;
    for (Fact& one : known) {
      if (news.whole && news.whole->speaks_of(one.name, one.known_by)) one.value.clear();
    }
    for (const Fact& one : news.facts)
      (void)base::join_fact(known, one);
  }

  void on_row(const Row& row) override {
    const auto* acquisition = std::get_if<AcquisitionRow>(&row.body);
    if (acquisition == nullptr || acquisition->key.id.empty() || acquisition->bulk) return;
    if (acquisition->key.key_class == KeyClass::kCertificate || !acquisition->actor.login_user.empty()) return;
    if (waiting_.size() >= std::min(kMostWaiting, setup().limit)) next();  // by what is known already
    waiting_.push_back({row.time_ns, *acquisition});
  }

  void on_tick(std::int64_t now_ns) override {
    while (!waiting_.empty() && now_ns - waiting_.front().time_ns >= kNamedWithin)
      next();
  }

  void on_slot_change(const SlotChange& change) override {
    if (change.old_id.empty() || change.new_id.empty()) return;
    resolve_all(change.old_id + "|", change.time_ns);
    firsts_.erase(change.old_id);
  }

 private:
  struct First {
    std::string name;
    std::int64_t since_ns = 0;
    std::vector<std::string> owners;  ///< the first, and who shares the key with it
  };
  struct Waiting {
    std::int64_t time_ns = 0;
    AcquisitionRow row;
  };

  static bool shares(const First& first, const std::string& owner) {
    return std::ranges::find(first.owners, owner) != first.owners.end();
  }

  /// With what was learnt since.
  Workload as_known(Workload workload) {
    std::vector<Fact> all(workload.facts.begin(), workload.facts.end());
    for (const std::string_view id : {std::string_view(workload.id), base::parent_id(workload.id)}) {
      if (const std::vector<Fact>* learnt = id.empty() ? nullptr : facts_.find(std::string(id))) {
        for (const Fact& one : *learnt) {
          if (one.value.empty())
            std::erase_if(all, [&](const Fact& had) { return had.name == one.name && had.known_by == one.known_by; });
          else
            (void)base::join_fact(all, one);
        }
      }
    }
    workload.name = base::shown_name(workload.kind, all).text;
    workload.facts = std::move(all);
    return workload;
  }

  const First* note(const std::string& key, const Workload& workload, std::int64_t at_ns) {
    std::string owner = owner_of(workload);
    if (owner.empty()) return nullptr;
    const auto [first, fresh] = firsts_.get(key);
    if (fresh) *first = {workload.name, at_ns, {}};
    const bool in_time = fresh || at_ns - first->since_ns < after_ns_;
    if (in_time && first->owners.size() < kMostOwners && !shares(*first, owner))
      first->owners.push_back(std::move(owner));
    return first;
  }

  /// It writes keys elsewhere, and this is none that it calls its own provider with.
  [[nodiscard]] bool hands_on(std::string_view session, std::string_view kind) const {
    const std::string_view title = base::session_part(session, "distributor ");
    const catalog::Role* role = title.empty() ? nullptr : setup().catalog.find_role(title);
    return role != nullptr && role->role == catalog::ProgramRole::kDistributor &&
           std::ranges::none_of(role->own, [&](std::string_view own) {
             return own == kind || (own.ends_with('*') && kind.starts_with(own.substr(0, own.size() - 1)));
           });
  }

  void next() {
    if (waiting_.empty()) return;
    const Waiting one = std::move(waiting_.front());
    waiting_.pop_front();
    look_at(one);
  }

  void look_at(const Waiting& one) {
    const Workload reader = as_known(one.row.actor.workload);
    if (!firsts_.find(one.row.key.id) && hands_on(one.row.actor.session, one.row.key.kind)) return;
    const First* first = note(one.row.key.id, reader, one.time_ns);
    if (first == nullptr || one.time_ns - first->since_ns < after_ns_) return;
    if (shares(*first, owner_of(reader))) return;
    FindingRow finding;
    finding.text = reader.name + " (" + one.row.actor.program + ") took key " + one.row.key.id + " from " +
                   place_words(one.row.slot.place, one.row.slot.selector) + "; it is a key of " + first->name;
    finding.attack = {"T1552"};
    finding.actor = one.row.actor;
    finding.actor.workload = reader;
    finding.key = one.row.key;
    finding.slot = one.row.slot;
    finding.subject = one.row.key.id + "|" + owner_of(reader);
    open(one.time_ns, std::move(finding));
  }

  const std::int64_t after_ns_;
  base::LruMap<std::string, First> firsts_;  ///< who had a key first, by its id
  /// Learnt since a process began, by id; what was withdrawn has no value.
  base::LruMap<std::string, std::vector<Fact>> facts_;
  std::deque<Waiting> waiting_;  ///< until names are known
};

}  // namespace

extern const RuleEntry kKeyMoved;
const RuleEntry kKeyMoved{{"key_moved", kSettings}, make_rule<KeyMoved>};

}  // namespace keytrail::judge
