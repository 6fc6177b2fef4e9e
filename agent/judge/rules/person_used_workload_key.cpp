// SPDX-License-Identifier: Apache-2.0
// A person used a key that is a workload's: an intruder with a shell, or a habit that ends the trail at a shared key
// (ATT&CK T1552.001, T1078.004). A key is a workload's when units, containers, pods or CI jobs had it on this node
// before any person did, and it is not the person's own: it stands somewhere else than in that person's home. A person
// is also who came into a running container at a terminal (kubectl exec -it): nobody's name is known here, unless a
// login of this node did (podman exec -it); and what has no terminal may be a probe. Resolved when its slot gets
// another key; the end of the session changes nothing, for who had the key still has it.
#include <algorithm>
#include <array>

#include "agent/base/session_text.h"
#include "agent/judge/rule.h"

namespace keytrail::judge {
namespace {

/// Units whose processes carry a login although no person is there: they log in for the jobs they start.
constexpr std::array<std::string_view, 4> kSchedulers{"cron.service", "crond.service", "anacron.service",
                                                      "atd.service"};

bool runs_by_itself(WorkloadKind kind) {
  return kind == WorkloadKind::kSystemdUnit || kind == WorkloadKind::kContainer || kind == WorkloadKind::kPod ||
         kind == WorkloadKind::kCiJob;
}

/// Stands for the name of who came into a container; no user's name has a blank.
constexpr std::string_view kInside = "somebody inside";

/// The person behind a process: who logged in, by the session or by the audit login, or kInside; "" for none.
std::string person_of(const Workload& workload, const std::string& login_user, std::string_view session) {
  const bool contained = workload.kind == WorkloadKind::kContainer || workload.kind == WorkloadKind::kPod;
  const std::string_view way = base::session_way(session);
  if (contained && way.starts_with("exec") && way.contains(" on "))
    return login_user.empty() ? std::string(kInside) : login_user;
  if (std::ranges::find(kSchedulers, workload.value(fact::kUnit)) != kSchedulers.end()) return {};
  const bool may_have_login = workload.kind == WorkloadKind::kSystemdUnit || !runs_by_itself(workload.kind);
  return may_have_login ? login_user : std::string();
}

/// "alice (as postgres)", "alice (by claude code, as root by sudo, postgres by su)", or where somebody came in.
std::string who_words(const Actor& actor, const std::string& person) {
  if (person == kInside) {
    return "somebody who came into " + actor.workload.name + " at a terminal (kubectl exec, docker exec: the API " +
           "server's audit log has the name)";
  }
  std::string as;
  if (const std::string_view steps = base::session_part(actor.session, "as "); !steps.empty()) {
    as = "as " + std::string(steps);
  } else if (!actor.user.empty() && actor.user != person) {
    as = "as " + actor.user;
  }
  // Of this process: what else runs in its unit or container may be another person's.
  if (const std::string_view agent = base::session_part(actor.session, "agent "); !agent.empty())
    as = "by " + std::string(agent) + (as.empty() ? "" : ", ") + as;
  return as.empty() ? person : person + " (" + as + ")";
}

/// Whose home the slot is in, by the usual places; "" for none.
std::string home_of(const Slot& slot) {
  constexpr std::string_view kHomes = "/home/";
  const std::string_view place = slot.place;
  if (slot.from != From::kFile) return {};
  if (place.starts_with("/root/")) return "root";
  const std::size_t end = place.find('/', kHomes.size());
  return place.starts_with(kHomes) && end != place.npos ? std::string(place.substr(kHomes.size(), end - kHomes.size()))
                                                        : std::string();
}

class PersonUsedWorkloadKey final : public Rule {
 public:
  PersonUsedWorkloadKey(const base::FindingType& is, Setup setup)
      : Rule(is, Severity::kHigh, std::move(setup)), owners_(this->setup().limit) {}

  void load(const Earlier& earlier) override {
    Rule::load(earlier);
    for (const Sighting& one : earlier.sightings) {
      const std::string login(one.login_user.empty() ? one.workload.value(fact::kPerson) : one.login_user);
      note(one.key, one.slot, one.workload, person_of(one.workload, login, one.session));
    }
  }

  void on_row(const Row& row) override {
    const auto* acquisition = std::get_if<AcquisitionRow>(&row.body);
    if (acquisition == nullptr || acquisition->key.id.empty()) return;
    const Actor& actor = acquisition->actor;
    note(acquisition->key.id, acquisition->slot, actor.workload,
         person_of(actor.workload, actor.login_user, actor.session));
  }

  void on_use(const UseRow& use) override {
    if (use.evidence == Evidence::kUnattributed) return;
    const std::string person = person_of(use.actor.workload, use.actor.login_user, use.actor.session);
    for (const Candidate& candidate : use.keys) {
      if (!person.empty()) look_at(use, candidate, person);
    }
    // Of several that fit, the first: the others were not seen used.
    if (!use.keys.empty()) note(use.keys.front().key.id, use.keys.front().slot, use.actor.workload, person);
  }

  void on_slot_change(const SlotChange& change) override {
    if (!change.old_id.empty() && !change.new_id.empty()) resolve_all(change.old_id + "|", change.time_ns);
  }

 private:
  struct Owner {
    std::string workload;  ///< that had it first; "" when a person did
    std::string home;      ///< all places where workloads had it are in the home of this user; "" when they are not
    std::string person;    ///< the first who used it
  };

  void note(const std::string& key, const Slot& slot, const Workload& workload, const std::string& person) {
    const bool own = runs_by_itself(workload.kind) && person.empty();
    if (!own && person.empty()) return;  // a program of the host, of which nothing is known
    const auto [owner, fresh] = owners_.get(key);
    if (fresh) *owner = {own ? workload.name : std::string(), home_of(slot), {}};
    if (own && owner->home != home_of(slot)) owner->home.clear();
  }

  // The subject is key and person, without place or program: a person who comes back by another way is the same news.
  void look_at(const UseRow& use, const Candidate& candidate, const std::string& person) {
    Owner* owner = owners_.find(candidate.key.id);
    if (owner == nullptr || owner->workload.empty()) return;
    if (owner->home == person && home_of(candidate.slot) == person)
      return;  // the person's own key, which a unit takes from the home
    FindingRow finding;
    const bool read = candidate.slot.from == From::kFile;
    const std::string_view did = use.evidence == Evidence::kPossible   ? " and may have used it ("
                                 : use.evidence == Evidence::kInferred ? " and used it (inferred) ("
                                                                       : " and used it (";
    std::string host = use.destination.host.empty() ? use.destination.address : use.destination.host;
    if (host.empty()) host = "one of many unknown destinations";
    finding.text = who_words(use.actor, person) + (read ? " read key " : " had key ") + candidate.key.id +
                   std::string(did) + use.actor.program + ", " + host + ")" +
                   (owner->person.empty() ? "; no person used it before, it is a key of " : "; it is a key of ") +
                   owner->workload;
    finding.attack = {"T1552.001", "T1078.004"};
    finding.actor = use.actor;
    finding.key = candidate.key;
    finding.slot = candidate.slot;
    finding.subject = candidate.key.id + "|" + person;
    if (owner->person.empty()) owner->person = person;
    open(use.last_ns, std::move(finding));
  }

  base::LruMap<std::string, Owner> owners_;  ///< by key id
};

}  // namespace

extern const RuleEntry kPersonUsedWorkloadKey;
const RuleEntry kPersonUsedWorkloadKey{{"person_used_workload_key", {}}, make_rule<PersonUsedWorkloadKey>};

}  // namespace keytrail::judge
