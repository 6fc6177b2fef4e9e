// SPDX-License-Identifier: Apache-2.0
#include "agent/link/opens.h"

namespace keytrail::link {
namespace {

/// An entry without a key tells for which host it is, or whose key buys its own.
void note_elsewhere(const Examination& examination, const KeyFact& fact, const catalog::File& entry) {
  const std::string rule(entry.selector);
  for (const auto& [instance, how] : examination.receivers) {
    if (how == How::kLostAtExec) continue;
    if (!fact.host.empty())
      instance->doubts.mark_unidentified(
          {.time_ns = examination.time_ns, .kind = {}, .host = fact.host, .selector_rule = rule});
    instance->doubts.note_lead({rule, fact.selector, fact.selector_hash, fact.key.parent});
  }
}

}  // namespace

const catalog::File* Opens::entry_of(const Instance& instance, const OpenEvent& event) const {
  const catalog::File* entry = catalog_.match_file(event.path);
  if (entry == nullptr) entry = file_of_pointer(instance.env(), catalog_, event.path);
  // What the program was told to read there says more than a name that tools share (auth.json).
  const catalog::File* told = instance.process ? file_of_argument(*instance.process, catalog_, event.path) : nullptr;
  if (told != nullptr && (entry == nullptr || entry->format != told->format)) entry = told;
  return entry != nullptr && !entry->format.empty() ? entry : nullptr;
}

Done Opens::on_open(const OpenEvent& event, const EventHead& head, const ProcessRef& who) {
  const InstanceRef instance = processes_.instance_of(head.who, who);
  if (!instance) return Done::kAbsorbed;
  if (event.path_truncated) return on_cut_path(instance, event, head);
  const catalog::File* entry = entry_of(*instance, event);
  if (entry == nullptr) return Done::kAbsorbed;
  instance->doubts.note_key_file(event.file.inode, head.time_ns, options_.bulk_window_ms * 1'000'000U,
                                 options_.bulk_files);
  if (examinations_.full()) {
    instance->doubts.mark_unidentified(head.time_ns, kinds_in(*entry));
    outbox_.settle(head.from_ring, Fate::kDropped, "examine_overflow");
    return Done::kLater;
  }

  const ExaminationRef examination = examinations_.begin(head.time_ns, kinds_in(*entry));
  Examinations::add_receiver(examination, instance, head.baseline ? How::kBaseline : How::kDirect);
  // A catalogued helper writes what it reads to its caller.
  if (instance->parent && instance->parent->alive)
    Examinations::add_receiver(examination, instance->parent, How::kHelper);

  FileQuestion question;
  question.path = event.path;
  question.file = event.file;
  question.format = entry->format;
  question.key_kind = entry->kind;
  question.other_kind = other_kind_of(*entry, catalog_);
  question.kinds = kinds_of(*entry);
  examinations_.ask(
      {instance->id, event.mnt_ns, examinations_.others_of_mount_ns(event.mnt_ns, instance->id)}, std::move(question),
      [this, asked = Asked{examination, event, *entry, head.baseline, head.from_ring}](FileAnswer& answer) {
        on_answer(asked, answer);
      });
  return Done::kLater;
}

Done Opens::on_cut_path(const InstanceRef& instance, const OpenEvent& event, const EventHead& head) {
  // Its name is a key file's, but which place it is cannot be told, nor can it be opened again.
  instance->doubts.mark_unidentified(head.time_ns, {});
  holders_.mark_doubts(instance);
  const bool recorded =
      holders_.announce_unread(*instance, head.time_ns, event.path, {}, "path not whole", head.baseline);
  return recorded ? Done::kRecorded : Done::kAbsorbed;
}

bool Opens::remember(const FileIdentity& file, FileAnswer& answer) {
  // git's credential store reads its file and puts another in its place at once: the second read of one file comes too
  // late.
  constexpr std::size_t kMaxFacts = 64;
  const bool late = answer.unread == "changed";
  if (file.inode == 0 || (!late && (!answer.unread.empty() || answer.keys.size() > kMaxFacts))) return false;
  std::string identity;
  for (const auto part : {std::uint64_t{file.dev}, file.inode, static_cast<std::uint64_t>(file.ctime_s),
                          std::uint64_t{file.ctime_ns}, file.size})
    identity += std::to_string(part) + ":";
  if (!late) {
    *answered_.get(identity).first = {answer.keys, answer.skipped};
    return false;
  }
  const Content* known = answered_.find(identity);
  if (known == nullptr) return false;
  answer.unread.clear();
  answer.keys = known->keys;
  answer.skipped = known->skipped;
  return true;
}

void Opens::on_answer(const Asked& asked, FileAnswer& answer) {
  const auto& [examination, event, entry, baseline, from_ring] = asked;
  const InstanceRef opener = examination->receivers.front().instance;
  outbox_.count("entries_unparsed", answer.skipped);
  const bool remembered = remember(event.file, answer);
  bool recorded = false;
  if (!answer.unread.empty()) {
    // What is not of its place's format may be anything.
    const bool of_format = answer.unread != "unknown format";
    mark_receivers(*examination, of_format ? kinds_in(entry) : std::span<const std::string_view>());
    recorded = holders_.announce_unread(*opener, examination->time_ns, event.path, entry.kind, answer.unread, baseline);
  } else {
    if (answer.skipped > 0) mark_receivers(*examination, kinds_in(entry));  // entries that are not understood
    for (KeyFact& fact : answer.keys)
      recorded = hold_fact(asked, fact) || recorded;
    for (const auto& [instance, how] : examination->receivers)
      holders_.supersede(instance, Slots::place_of(event.path), event.file.dev, answer.keys, examination->time_ns);
    looks_.on_read(*opener, event, examination->time_ns, entry, answer, remembered);
  }
  examinations_.finish(examination);
  outbox_.settle(from_ring, recorded ? Fate::kRecorded : Fate::kAbsorbed);
  uses_.weigh_ready();
}

bool Opens::hold_fact(const Asked& asked, KeyFact& fact) {
  const auto& [examination, event, entry, baseline, from_ring] = asked;
  if (fact.key.kind.empty()) fact.key.kind = entry.kind;
  if (fact.key.id.empty()) fact.key.id = fact.key.fingerprint.text();
  if (fact.key.id.empty()) {
    const bool elsewhere = !fact.host.empty() || !fact.key.parent.empty();
    elsewhere ? note_elsewhere(*examination, fact, entry) : mark_receivers(*examination, kinds_in(entry));
    return false;
  }
  index_.learn(fact.key);
  const Instance& opener = *examination->receivers.front().instance;
  if (!fact.claims.empty() && opener.process)
    outbox_.emit(TokenTold{opener.process->workload, fact.key.kind, Slots::place_of(event.path), fact.claims});
  auto what = std::make_shared<HeldKey>();
  what->key = fact.key;
  what->slot = {From::kFile, Slots::place_of(event.path), fact.selector};
  what->since_ns = examination->time_ns;
  what->dev = event.file.dev;
  what->selector_rule = entry.selector;
  what->selector_hash = fact.selector_hash;
  what->host = fact.host;
  what->current = fact.current;
  what->baseline = baseline;
  if (fact.untold) what->kinds = entry.kinds;
  bool recorded = false;
  for (std::size_t i = 0; i < examination->receivers.size(); ++i) {
    const auto& [instance, how] = examination->receivers[i];
    Held* held = holders_.hold(instance, what, how);
    if (held == nullptr) continue;
    if (i == 0) {
      recorded = holders_.announce(*instance, *held);
    } else {
      held->announced = true;  // inherited, or handed over by the helper: that process's row is the one
    }
  }
  return recorded;
}

}  // namespace keytrail::link
