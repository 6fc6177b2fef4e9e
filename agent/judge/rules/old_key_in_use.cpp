// SPDX-License-Identifier: Apache-2.0
// A key is used after its slot was seen with another one: the rotation is not finished, and revoking the old key would
// stop this process. Resolved when each process that used it so has ended or holds the new key, and no use was seen for
// `quiet_minutes`; when the slot goes back to the key; and after a day without a use, whatever lives (after a restart
// it is not known who used it).
#include <array>
#include <set>

#include "agent/judge/rule.h"

namespace keytrail::judge {
namespace {

constexpr std::int64_t kMinute = 60'000'000'000;
/// After this long without a use it is over, whoever still holds the key.
constexpr std::int64_t kForgotten = std::int64_t{24} * 60 * kMinute;
constexpr std::int64_t kLookEvery = 5'000'000'000;
constexpr std::size_t kMaxUsers = 64;

class OldKeyInUse final : public Rule {
 public:
  OldKeyInUse(const base::FindingType& is, Setup setup)
      : Rule(is, Severity::kMedium, std::move(setup)),
        quiet_ns_(number("quiet_minutes") * kMinute),
        replaced_(this->setup().limit),
        cases_(this->setup().limit) {}

  void on_slot_change(const SlotChange& change) override {
    if (change.old_id.empty() || change.new_id.empty()) return;  // the first key of a slot, or the end of following it
    const std::string old_place = joined({change.scope, change.place, change.selector, change.old_id});
    const std::string new_place = joined({change.scope, change.place, change.selector, change.new_id});
    replaced_.erase(new_place);  // a slot that went back to a key: that one is no longer replaced
    for (auto& [subject, one] : cases_.items()) {
      if (one.place == new_place) one.over = true;
    }
    *replaced_.get(old_place).first = change;
  }

  void on_use(const UseRow& use) override {
    if (use.keys.empty() || use.evidence == Evidence::kUnattributed || use.keys.front().slot.from != From::kFile)
      return;
    // That it holds the key is no news, and nothing says that it went there.
    if (use.reason == Reason::kUnknownDestination) return;
    const Candidate& used = use.keys.front();
    look_at(use, joined({used.scope, used.slot.place, used.slot.selector, used.key.id}));
  }

  void on_holding(const HoldingChange& change) override {
    if (cases_.size() == 0) return;
    const InstanceId& who = change.holding.actor.id;
    if (change.kind == HoldingChange::Kind::kSet) std::erase(just_used_, who);
    for (auto& [subject, one] : cases_.items()) {
      if (change.kind == HoldingChange::Kind::kEnd || change.holding.key.id == one.new_key) one.users.erase(who);
    }
  }

  void on_tick(std::int64_t now_ns) override {
    // A use comes with the holding it used, unless the process has ended before anybody noted that it held something.
    for (const InstanceId& who : just_used_) {
      for (auto& [subject, one] : cases_.items())
        one.users.erase(who);
    }
    just_used_.clear();
    if (now_ns < next_look_ns_) return;
    next_look_ns_ = now_ns + kLookEvery;
    std::vector<std::string> done;
    for (const auto& [subject, one] : cases_.items()) {
      const bool left = one.users_known && one.users.empty() && now_ns - one.last_ns >= quiet_ns_;
      if (one.over || left || now_ns - one.last_ns >= kForgotten) done.push_back(subject);
    }
    for (const std::string& subject : done) {
      cases_.erase(subject);
      resolve(subject, now_ns);
    }
  }

  void load(const Earlier& earlier) override {
    Rule::load(earlier);
    for (const SlotChange& change : earlier.replaced)
      on_slot_change(change);
    for (const FindingChange& one : earlier.findings) {
      if (one.type == "old_key_in_use" && one.state != FindingState::kResolved)
        cases_.get(one.subject).first->last_ns = one.time_ns;
    }
  }

 private:
  struct Case {
    std::string place, new_key;
    std::set<InstanceId> users;  ///< that used it after the change, and still may
    bool users_known = false;
    bool over = false;
    std::int64_t last_ns = 0;
  };

  void look_at(const UseRow& use, const std::string& place) {
    const SlotChange* change = replaced_.find(place);
    // Until the slot is seen with the new key the old one may be the right one: nobody knows when it changed.
    if (change == nullptr || use.last_ns <= change->time_ns) return;
    const Candidate& used = use.keys.front();
    const std::string slot = place_words(change->place, change->selector);
    FindingRow finding;
    finding.text = use.actor.program + std::string(used_words(use.evidence)) + "key " + used.key.id + " after " + slot +
                   " got key " + change->new_id;
    finding.actor = use.actor;
    finding.key = used.key;
    finding.slot = used.slot;
    // By program, not process: ten workers of one service with an old key are one thing to mend.
    finding.subject = used.key.id + "|" + slot + "|" + use.actor.workload.id + "|" + use.actor.exe;
    const auto [one, fresh] = cases_.get(finding.subject);
    if (fresh) one->users_known = true;
    one->place = place;
    one->new_key = change->new_id;
    one->over = false;
    one->last_ns = std::max(one->last_ns, use.last_ns);
    // Over the bound nobody can say that all have left: such a case ends only by its slot or by time.
    if (one->users.size() < kMaxUsers) {
      one->users.insert(use.actor.id);
    } else {
      one->users_known = false;
    }
    if (use.connections > 0) just_used_.push_back(use.actor.id);  // a touch has none: its process held the key before
    open(use.last_ns, std::move(finding));
  }

  const std::int64_t quiet_ns_;
  base::LruMap<std::string, SlotChange> replaced_;  ///< by slot and old key
  base::LruMap<std::string, Case> cases_;           ///< by subject: what is open
  std::vector<InstanceId> just_used_;               ///< in this batch
  std::int64_t next_look_ns_ = 0;
};

constexpr std::array<base::FindingSetting, 1> kSettings{{{"quiet_minutes", 10, 1, 10'080}}};

}  // namespace

extern const RuleEntry kOldKeyInUse;
const RuleEntry kOldKeyInUse{{"old_key_in_use", kSettings}, make_rule<OldKeyInUse>};

}  // namespace keytrail::judge
