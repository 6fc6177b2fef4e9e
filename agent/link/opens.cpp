// SPDX-License-Identifier: Apache-2.0
#include "agent/link/opens.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "agent/base/program_name.h"
#include "keytrail/role_abi.h"

namespace keytrail::link {
namespace {

using namespace std::string_view_literals;

/// One state of one file, whatever is known of its file system.
FileIdentity state_of(FileIdentity file) {
  file.fs_magic = 0;
  return file;
}

/// The machine's files through another door (`/` mounted in a container, an unpacked root): what they are in their own.
const catalog::File* match_below_another_root(std::string_view path, const catalog::Catalog& catalog) {
  constexpr int kMaxDepth = 6;
  static constexpr std::array kTops{"/etc/"sv, "/var/"sv, "/root/"sv, "/home/"sv, "/run/"sv, "/opt/"sv};
  std::size_t at = path.find('/', 1);
  for (int depth = 0; depth < kMaxDepth && at != std::string_view::npos; ++depth, at = path.find('/', at + 1)) {
    const std::string_view below = path.substr(at);
    if (std::ranges::none_of(kTops, [&](std::string_view top) { return below.starts_with(top); })) continue;
    if (const catalog::File* entry = catalog.match_file(below)) return entry;
  }
  return nullptr;
}

/// An answer that the file itself gave, not the way to it.
bool is_of_content(std::string_view unread) {
  return unread.empty() || unread == "too large" || unread == "unknown format";
}

}  // namespace

const catalog::File* Opens::entry_of(const Instance& instance, const OpenEvent& event) {
  const catalog::File* entry = catalog_.match_file(event.path);
  if (entry == nullptr) entry = file_of_pointer(instance.env(), catalog_, event.path);
  // What the program was told to read there says more than a name that tools share (auth.json).
  const catalog::File* told = instance.process ? file_of_argument(*instance.process, catalog_, event.path) : nullptr;
  if (told != nullptr && (entry == nullptr || entry->format != told->format)) return told;
  if (entry == nullptr) entry = pointers_.file_of(instance, event.path);
  return entry != nullptr ? entry : match_below_another_root(event.path, catalog_);
}

Done Opens::on_open(const OpenEvent& event, const EventHead& head, const ProcessRef& who) {
  const InstanceRef instance = processes_.instance_of(head.who, who);
  if (!instance) return Done::kAbsorbed;
  if (event.over_budget) {
    give_up("secret_shaped_over_budget", instance, head.time_ns);
    return Done::kAbsorbed;
  }
  // Before all else: a flood costs no more than this.
  if (!examinations_.has_room(*instance)) return drop(instance, head);
  if (event.path_truncated) return on_cut_path(instance, event, head);
  const catalog::File* entry = entry_of(*instance, event);
  if (entry != nullptr && entry->format.empty()) return Done::kAbsorbed;
  if (entry == nullptr) {  // its name or its shape may be a key's, its place is nobody's
    if (event.file.size == 0 || event.file.size > role::kMaxFileBytes) return Done::kAbsorbed;
    const std::string* known = contents_.find(state_of(event.file));
    if (known != nullptr) entry = catalog_.file_of_content(*known);
    if (known != nullptr && entry == nullptr) {
      if (event.secret_shaped && *known == kSecretShaped) mark_unknown(instance, head.time_ns);
      return Done::kAbsorbed;
    }
  }
  return examine(instance,
                 {.examination = nullptr,
                  .event = event,
                  .entry = entry,
                  .baseline = head.baseline,
                  .from_ring = head.from_ring,
                  .room = examinations_.room_for(*instance)},
                 head.time_ns);
}

Done Opens::drop(const InstanceRef& instance, const EventHead& head) {
  give_up("examine_overflow", instance, head.time_ns);
  outbox_.settle(head.from_ring, Fate::kDropped, "examine_overflow");
  return Done::kLater;
}

Done Opens::on_peek(const PeekEvent& event, const EventHead& head, const ProcessRef& who) {
  const InstanceRef reader = processes_.instance_of(head.who, who), of = processes_.find_live(event.of);
  if (!reader || of == reader) return Done::kAbsorbed;
  const auto something_else = [&] {
    reader->doubts.mark_unidentified(head.time_ns, {});
    holders_.mark_doubts(reader);
  };
  if (!of || of->id != event.of || !of->process) {
    something_else();
    return Done::kAbsorbed;
  }
  const bool memory = event.what != PeekEvent::What::kEnvironment, traces = event.what == PeekEvent::What::kTrace;
  // What is not known of the other one may be known to the reader now; and who traces it sees what it takes later, too.
  const Doubts& other = of->doubts;
  if (traces || !other.exec_seen || other.cut_ns != 0 || !of->pending.empty() ||
      (memory && !other.unidentified.empty()))
    something_else();
  const Process& process = *of->process;
  const std::string place = std::string(memory ? "memory of " : "environment of ") + base::program_name(process);
  bool recorded = false;
  for (const Held& held : of->holdings) {
    if (held.how == How::kLostAtExec || (!memory && held.what->slot.from != From::kEnvironment)) continue;
    auto what = std::make_shared<HeldKey>(*held.what);
    what->slot = {From::kMemory, place, held.what->slot.place};
    what->since_ns = head.time_ns;
    what->selector_rule = {};
    what->baseline = false;
    // What the other one was only handed, perhaps, this one has only perhaps.
    const bool sure = held.how < How::kHelper;
    Held* taken = holders_.hold(reader, what, sure ? How::kDirect : How::kHelper);
    if (!sure) {
      if (taken != nullptr) taken->announced = true;
      continue;
    }
    recorded = (taken != nullptr ? holders_.announce_read(*reader, *taken, head.time_ns)
                                 : holders_.tell(*reader, *what, head.time_ns)) ||
               recorded;
  }
  // Whoever goes through many processes takes stock.
  reader->doubts.note_key_file(event.of.start_ns, head.time_ns, options_.bulk_window_ms * 1'000'000U,
                               options_.bulk_files);
  holders_.mark_doubts(reader);
  return recorded ? Done::kRecorded : Done::kAbsorbed;
}

Done Opens::examine(const InstanceRef& instance, Asked asked, std::uint64_t time_ns) {
  const auto kinds = asked.entry != nullptr ? kinds_in(*asked.entry) : std::span<const std::string_view>();
  if (asked.entry == nullptr && examinations_.crowded(*instance)) {  // known places come first
    give_up("contents_over_budget", instance, time_ns);
    return Done::kAbsorbed;
  }
  if (asked.entry != nullptr) note_key_file(*instance, asked.event, time_ns);
  asked.examination = examinations_.begin(time_ns, kinds);
  Examinations::add_receiver(asked.examination, instance, asked.baseline ? How::kBaseline : How::kDirect);
  // A catalogued helper writes what it reads to its caller.
  if (instance->parent && instance->parent->alive)
    Examinations::add_receiver(asked.examination, instance->parent, How::kHelper);
  ask(asked);
  return Done::kLater;
}

Done Opens::on_cut_path(const InstanceRef& instance, const OpenEvent& event, const EventHead& head) {
  // Its name is a key file's, but which place it is cannot be told, nor can it be opened again.
  instance->doubts.mark_unidentified(head.time_ns, {});
  holders_.mark_doubts(instance);
  const bool recorded =
      holders_.announce_unread(*instance, head.time_ns, event.path, {}, {}, "path not whole", head.baseline);
  return recorded ? Done::kRecorded : Done::kAbsorbed;
}

void Opens::note_key_file(Instance& instance, const OpenEvent& event, std::uint64_t time_ns) {
  instance.doubts.note_key_file(event.file.inode, time_ns, options_.bulk_window_ms * 1'000'000U, options_.bulk_files);
}

void Opens::mark_unknown(const InstanceRef& instance, std::uint64_t time_ns) {
  instance->doubts.mark_unidentified(time_ns, {});
  holders_.mark_doubts(instance);
}

void Opens::give_up(const char* cause, const InstanceRef& instance, std::uint64_t time_ns) {
  mark_unknown(instance, time_ns);
  outbox_.give_up(cause, to_string(Family::kOpen), workload_name(instance->process), 1, time_ns);
}

// Each who waits has a turn of his own, so that nobody waits behind what another one asked for before; and a question
// for each way, so that nobody makes a file unreadable for those who have another name of it.
void Opens::ask(const Asked& asked) {
  const State state{asked.event.file, asked.entry};
  const Instance& asker = *asked.examination->receivers.front().instance;
  const base::Owners whose = owners_of(asker);
  const Way way = way_of(asked.event);
  Waiting& waiting = waiting_[state];
  if (waiting.all.empty()) waiting.round = ++rounds_;
  waiting.all.push_back(asked);
  if (waiting.out.contains(way) || !waiting.queued.emplace(way, whose).second) return;
  FileQuestion question;
  question.path = asked.event.path;
  question.file = asked.event.file;
  question.format = kContentFormat;
  if (asked.entry != nullptr) {
    question.format = asked.entry->format;
    question.key_kind = asked.entry->kind;
    question.other_kind = other_kind_of(*asked.entry, catalog_);
    question.kinds = kinds_of(*asked.entry);
  }
  // Also a question that is not needed any more keeps its Room until its turn: what waits stays bounded.
  examinations_.ask(
      whose, {asker.id, way.second, {}}, std::move(question),
      [this, state, round = waiting.round, way, room = asked.room](FileAnswer& answer) {
        on_answer_for_all(state, round, way, answer);
      },
      [this, state, round = waiting.round, way, whose] { return goes_out(state, round, way, whose); });
}

bool Opens::goes_out(const State& state, std::uint64_t round, const Way& way, const base::Owners& whose) {
  const auto waiting = waiting_.find(state);
  if (waiting == waiting_.end() || waiting->second.round != round) return false;
  waiting->second.queued.erase({way, whose});
  return waiting->second.out.insert(way).second;
}

void Opens::on_answer_for_all(const State& state, std::uint64_t round, const Way& way, const FileAnswer& answer) {
  const auto waiting = waiting_.find(state);
  if (waiting == waiting_.end() || waiting->second.round != round) return;
  // What the file is it is by any way; a failure is of this one only.
  const bool for_all = is_of_content(answer.unread);
  std::vector<Asked> answered, others;
  for (Asked& one : waiting->second.all)
    (for_all || way_of(one.event) == way ? answered : others).push_back(std::move(one));
  if (others.empty()) {
    waiting_.erase(waiting);
  } else {
    waiting->second.all = std::move(others);
    waiting->second.out.erase(way);
  }
  for (const Asked& one : answered) {
    FileAnswer own = answer;
    one.entry != nullptr ? on_answer(one, own) : on_content(one, own);
  }
}

void Opens::on_content(Asked asked, const FileAnswer& answer) {
  const auto& [instance, how] = asked.examination->receivers.front();
  const std::uint64_t time_ns = asked.examination->time_ns;
  if (answer.unread.empty()) {
    *contents_.get(state_of(asked.event.file)).first = answer.format;
    asked.entry = catalog_.file_of_content(answer.format);
  }
  if (asked.entry != nullptr) {
    note_key_file(*instance, asked.event, time_ns);
    asked.examination->kinds = kinds_in(*asked.entry);
    return ask(asked);
  }
  if (!answer.unread.empty() || (asked.event.secret_shaped && answer.format == kSecretShaped))
    mark_receivers(*asked.examination, {});
  bool recorded = false;
  if (!answer.unread.empty() && asked.event.detached)  // nobody else can go there: no place to pass over in silence
    recorded = holders_.announce_unread(*instance, time_ns, asked.event.path, {}, {}, answer.unread, asked.baseline);
  else if (!answer.unread.empty() && asked.event.secret_shaped)
    holders_.give_up_unread(*instance, time_ns, {}, answer.unread);
  examinations_.finish(asked.examination);
  outbox_.settle(asked.from_ring, recorded ? Fate::kRecorded : Fate::kAbsorbed);
  uses_.weigh_ready();
}

/// What such a place usually holds.
Key Opens::usual_key(const catalog::File& entry) const {
  Key usual{.kind = std::string(entry.kind)};
  if (const catalog::Kind* kind = catalog_.kind(entry.kind)) {
    usual.key_class = kind->key_class;
    usual.lifetime = kind->lifetime;
  }
  return usual;
}

bool Opens::remember(const FileIdentity& file, FileAnswer& answer) {
  // git's credential store reads its file and puts another in its place at once: the second read of one file comes too
  // late.
  constexpr std::size_t kMaxFacts = 64;
  const bool late = answer.unread == "changed" || answer.unread == "gone";
  if (file.inode == 0 || (!late && (!answer.unread.empty() || answer.keys.size() > kMaxFacts))) return false;
  if (!late) {
    *answered_.get(state_of(file)).first = {answer.keys, answer.skipped};
    return false;
  }
  const Content* known = answered_.find(state_of(file));
  if (known == nullptr) return false;
  answer.unread.clear();
  answer.keys = known->keys;
  answer.skipped = known->skipped;
  return true;
}

void Opens::on_answer(const Asked& asked, FileAnswer& answer) {
  const auto& [examination, event, place, baseline, from_ring, room] = asked;
  const catalog::File& entry = *place;
  const InstanceRef opener = examination->receivers.front().instance;
  outbox_.count("entries_unparsed", answer.skipped);
  if (answer.skipped > 0 && answer.keys.size() >= role::kMaxKeysPerFile)  // else they are not understood
    outbox_.give_up(GivenUp{"entries_over_bound",
                            to_string(Family::kOpen),
                            workload_name(opener->process),
                            {},
                            kinds_found_in(entry),
                            answer.skipped,
                            examination->time_ns,
                            examination->time_ns});
  const bool remembered = remember(event.file, answer);
  bool recorded = false;
  if (!answer.unread.empty()) {
    // What is not of its place's format may be anything.
    const bool of_format = answer.unread != "unknown format";
    mark_receivers(*examination, of_format ? kinds_in(entry) : std::span<const std::string_view>());
    recorded = holders_.announce_unread(*opener, examination->time_ns, event.path, usual_key(entry),
                                        of_format ? kinds_found_in(entry) : std::vector<std::string>(), answer.unread,
                                        baseline);
  } else {
    if (answer.skipped > 0) mark_receivers(*examination, kinds_in(entry));  // entries that are not understood
    const std::string scope = looks_.scope_of(*opener, event);
    // What lies at no known place may be what somebody told of it.
    const bool own_place = catalog_.match_file(event.path) == &entry;
    const catalog::File* told_file = own_place ? nullptr : pointers_.file_of(*opener, event.path);
    const Facts::Place here{.file = entry,
                            .slot = {From::kFile, Slots::place_of(event.path), {}},
                            .scope = scope,
                            .dev = event.file.dev,
                            .baseline = baseline,
                            .told = told_of(*opener, event.path),
                            .taken_for = own_place || told_file != nullptr ? told_file : &entry,
                            .how = std::nullopt};
    // Else it lies in another root, where the reader is not, or in none.
    const bool here_too = event.place_ns == 0 && !event.detached;
    for (KeyFact& fact : answer.keys) {
      if (!leads_on(fact))
        recorded = facts_.hold(*examination, here, fact) || recorded;
      else if (here_too)
        pointers_.follow(*examination, {entry, event.path, event.mnt_ns, scope, 0, event.file}, fact);
      else
        mark_receivers(*examination, {});
    }
    for (const auto& [instance, how] : examination->receivers) {
      if (here_too)
        holders_.supersede(instance, Slots::place_of(event.path), scope, event.file.dev, answer.keys,
                           examination->time_ns);
    }
    const auto is_key = [&](const KeyFact& fact) {
      return !fact.key.id.empty() && !(fact.untold && entry.kinds.empty());
    };
    if (!remembered && std::ranges::any_of(answer.keys, is_key))
      found_.add(std::string(workload_id(*opener)), event.file, Slots::place_of(event.path),
                 catalog_.match_file(event.path) != nullptr);
    if (!event.detached) looks_.on_read(*opener, scope, event, examination->time_ns, entry, answer, remembered);
  }
  examinations_.finish(examination);
  outbox_.settle(from_ring, recorded ? Fate::kRecorded : Fate::kAbsorbed);
  uses_.weigh_ready();
}

}  // namespace keytrail::link
