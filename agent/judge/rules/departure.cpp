// SPDX-License-Identifier: Apache-2.0
// Somebody who does not usually read a key read it, and then a place was called that is not the key's own: a copy may
// have left (curl -F, -T, scp; ATT&CK T1552.001, T1048). Unusual is a program that reads a file's key for the first
// time, after others have read it for a while; not one that the catalog knows for that file, nor a backup, and not for
// ever: a reader is a usual one after `within_minutes`. What people look at files with (an editor, cat) is none by its
// own calls, but what it handed on is followed, over a few pipes. What leaves is not seen. Quiet is the place that
// takes the key, and one where another key was used (inferred, confirmed), but for SSH, where a login says nothing of
// the file that is copied. Resolved when the slot gets another key.
#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <vector>

#include "agent/judge/rule.h"

namespace keytrail::judge {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::size_t kMaxTakes = 16;    ///< of one process
constexpr std::size_t kMaxReaders = 16;  ///< of one key, and workloads; more are not remembered, and stay unusual
constexpr int kMaxPipes = 4;

/// The same for each instance of a service: a container that is started again has another id, not another name.
std::string owner_of(const Workload& workload) {
  if (workload.kind != WorkloadKind::kPod && workload.kind != WorkloadKind::kContainer) return workload.id;
  return "container:" + std::string(workload.value(fact::kNamespace)) + "/" +
         std::string(workload.value(fact::kContainerName));
}

/// Within which things are handed on. Of a directory that nobody has named each program is a workload of its own.
std::string group_of(const Workload& workload) {
  return workload.kind == WorkloadKind::kHost ? std::string(workload.value(fact::kCgroup)) : workload.id;
}

std::string program_of(const Actor& actor) { return joined({owner_of(actor.workload), actor.exe, actor.program}); }

std::string text_of(const InstanceId& id) {
  return joined({std::to_string(id.tgid), std::to_string(id.start_ns), std::to_string(id.exec)});
}

constexpr std::array<base::FindingSetting, 2> kSettings{
    {{"after_seconds", 60, 1, 86'400}, {"within_minutes", 60, 1, 1'440}}};

class Departure final : public Rule {
 public:
  Departure(const base::FindingType& is, Setup setup)
      : Rule(is, Severity::kMedium, std::move(setup)),
        keys_(this->setup().limit),
        by_process_(this->setup().limit),
        parents_(this->setup().limit),
        givers_(this->setup().limit),
        by_group_(this->setup().limit) {}

  // Which programs read it is not stored so that it can be asked here: those of a workload that had it count as usual.
  void load(const Earlier& earlier) override {
    Rule::load(earlier);
    for (const Sighting& one : earlier.sightings) {
      std::vector<std::string>& workloads = note_first(one.key, one.first_ns).workloads;
      std::string owner = owner_of(one.workload);
      if (workloads.size() < kMaxReaders && std::ranges::find(workloads, owner) == workloads.end())
        workloads.push_back(std::move(owner));
    }
  }

  void on_reader(const KeyReader& reader) override {
    if (reader.slot.from != From::kFile || reader.key.id.empty()) return;
    const std::string owner = owner_of(reader.actor.workload);
    Known& key = note_first(reader.key.id, reader.first_ns);
    const std::string program = program_of(reader.actor);
    std::int64_t since_ns = 0;
    if (const auto known = key.readers.find(program); known != key.readers.end()) {
      since_ns = known->second;
    } else {
      const bool late = reader.first_ns - key.first_ns >= number("after_seconds") * kSecond;
      const bool had = std::ranges::find(key.workloads, owner) != key.workloads.end();
      if (late && !had && !reader.baseline && !is_expected(reader)) since_ns = reader.first_ns;
      if (key.readers.size() < kMaxReaders) key.readers.emplace(program, since_ns);
    }
    if (since_ns == 0 || !is_recent(since_ns, reader.first_ns)) return;
    const Take take{reader.key, reader.slot, reader.actor.program, since_ns, is_viewer(reader)};
    *by_group_.get(joined({reader.key.id, group_of(reader.actor.workload)})).first = take;
    for (const InstanceId& process : reader.instances) {
      std::vector<Take>& takes = *by_process_.get(text_of(process)).first;
      const auto same = [&](const Take& one) { return one.key.id == take.key.id; };
      if (takes.size() < kMaxTakes && std::ranges::none_of(takes, same)) takes.push_back(take);
    }
  }

  void on_child(const Child& child) override {
    *(child.handed ? givers_ : parents_).get(text_of(child.process)).first = text_of(child.parent);
  }

  void on_use(const UseRow& use) override {
    if (by_group_.size() == 0) return;
    // What it was handed (a pipe, a fork) others of its workload took.
    for (const Candidate& candidate : use.keys) {
      if (use.reason != Reason::kUnknownDestination) break;
      const Take* take = by_group_.find(joined({candidate.key.id, group_of(use.actor.workload)}));
      if (take == nullptr || (take->viewer && take->program == use.actor.program)) continue;
      if (!is_usual(candidate.key.id, use.actor)) tell(use, *take);
    }
    const std::string self = text_of(use.actor.id);
    look_at(use, self, false);
    if (const std::string* parent = parents_.find(self)) look_at(use, *parent, false);
    const std::string* giver = givers_.find(self);
    for (int i = 0; i < kMaxPipes && giver != nullptr; ++i) {
      const std::string at = *giver;
      look_at(use, at, true);
      giver = givers_.find(at);
    }
  }

  void on_slot_change(const SlotChange& change) override {
    if (!change.old_id.empty() && !change.new_id.empty()) resolve_all(change.old_id + "|", change.time_ns);
  }

 private:
  struct Known {
    std::int64_t first_ns = 0;                    ///< it was taken first
    std::vector<std::string> workloads;           ///< that had it in an earlier run
    std::map<std::string, std::int64_t> readers;  ///< program_of: since when it is unusual; 0: usual
  };
  struct Take {
    Key key;
    Slot slot;
    std::string program;
    std::int64_t since_ns = 0;  ///< Unix ns: the reader's first
    bool viewer = false;
  };

  Known& note_first(const std::string& key, std::int64_t time_ns) {
    Known& known = *keys_.get(key).first;
    if (known.first_ns == 0 || time_ns < known.first_ns) known.first_ns = time_ns;
    return known;
  }

  [[nodiscard]] bool is_recent(std::int64_t since_ns, std::int64_t now_ns) const {
    return now_ns - since_ns <= 60 * kSecond * number("within_minutes");
  }

  [[nodiscard]] bool is_expected(const KeyReader& reader) const {
    const auto known = setup().catalog.match_reader(reader.actor.exe, reader.actor.program,
                                                    setup().catalog.match_file(reader.slot.place));
    using enum catalog::ReaderRole;
    // General tools and what people look at files with may read anything, and are how files are carried off.
    if (!known || known->role == kTool || known->role == kPerson) return false;
    return known->expected || known->role == kBackup || known->role == kScanner || known->role == kIndexer;
  }

  [[nodiscard]] bool is_viewer(const KeyReader& reader) const {
    const auto known = setup().catalog.match_reader(reader.actor.exe, reader.actor.program,
                                                    setup().catalog.match_file(reader.slot.place));
    return known && known->role == catalog::ReaderRole::kPerson;
  }

  [[nodiscard]] bool is_usual(const std::string& key, const Actor& actor) {
    const Known* known = keys_.find(key);
    if (known == nullptr) return false;
    const auto reader = known->readers.find(program_of(actor));
    return reader != known->readers.end() && reader->second == 0;
  }

  [[nodiscard]] static bool leaves(const UseRow& use, const std::string& key) {
    if (use.reason == Reason::kUnknownDestination) return true;
    const auto is_it = [&](const Candidate& one) { return one.key.id == key; };
    if (std::ranges::any_of(use.keys, is_it)) return false;
    return use.destination.provider == "ssh" || use.evidence == Evidence::kUnattributed ||
           use.evidence == Evidence::kPossible;
  }

  /// A call by this process, by one that it started, or (`handed`) that it handed something to.
  void look_at(const UseRow& use, const std::string& process, bool handed) {
    const std::vector<Take>* takes = by_process_.find(process);
    if (takes == nullptr) return;
    for (const Take& take : *takes) {
      if ((handed || !take.viewer) && leaves(use, take.key.id)) tell(use, take);
    }
  }

  // The subject is key, workload and program, without the place: where else it called stands in the uses.
  void tell(const UseRow& use, const Take& take) {
    if (!is_recent(take.since_ns, use.last_ns)) return;
    std::string host = use.destination.host.empty() ? use.destination.address : use.destination.host;
    if (host.empty()) host = "one of many unknown destinations";
    FindingRow finding;
    finding.text = use.actor.workload.name + ": " + take.program + " read key " + take.key.id + " from " +
                   place_words(take.slot.place, take.slot.selector) + ", which it had not read before, and then " +
                   use.actor.program + " called " + host +
                   (use.destination.port == 0 ? "" : ":" + std::to_string(use.destination.port)) +
                   "; a copy may have left";
    finding.attack = {"T1552.001", "T1048"};
    finding.actor = use.actor;
    finding.key = take.key;
    finding.slot = take.slot;
    finding.subject = take.key.id + "|" + owner_of(use.actor.workload) + "|" + take.program;
    open(use.last_ns, std::move(finding));
  }

  base::LruMap<std::string, Known> keys_;  ///< by id
  base::LruMap<std::string, std::vector<Take>> by_process_;
  base::LruMap<std::string, std::string> parents_;  ///< by process
  base::LruMap<std::string, std::string> givers_;   ///< by process
  base::LruMap<std::string, Take> by_group_;        ///< by key and group
};

}  // namespace

extern const RuleEntry kDeparture;
const RuleEntry kDeparture{{"departure", kSettings}, make_rule<Departure>};

}  // namespace keytrail::judge
