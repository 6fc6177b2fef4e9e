// SPDX-License-Identifier: Apache-2.0
#include "agent/link/pipes.h"

#include <algorithm>

#include "agent/link/examinations.h"
#include "agent/link/exchange.h"

namespace keytrail::link {
namespace {

constexpr int kSteps = 8;       ///< up
constexpr int kRelatives = 32;  ///< below and beside

/// Did it take this key itself, or get it so, since its program began? A variable or an argument its caller has, too.
bool is_its_own(const Held& held, const Instance& holder) {
  const From from = held.what->slot.from;
  if (held.how == How::kHelper) return true;
  const bool found_open = held.how == How::kBaseline && from == From::kFile;
  if ((held.how > How::kFork && !found_open) || from == From::kEnvironment || from == From::kArgument) return false;
  // Who calls somebody took its key for that; what it was handed out there it may hand on.
  const bool fetched = from == From::kMetadata || from == From::kIssued || held.what->broker;
  return held.what->since_ns >= holder.doubts.life_from_ns && (fetched || !holder.called);
}

/// What it writes may be a key that nobody saw: of an issuer that it called, of an agent that decrypts for it (gpg),
/// or, of a helper, from a store that is not read.
bool may_hand_unseen(const Instance& writer) {
  const auto has = [&](const auto& is_it) {
    return std::ranges::any_of(writer.holdings, [&](const Held& one) { return is_its_own(one, writer) && is_it(one); });
  };
  const bool borrows = !writer.called && has([](const Held& one) { return one.what->broker; });
  return borrows || may_hand_of_store(writer) || !writer.doubts.maybe_issued.empty();
}

bool has_something(const Instance& writer) {
  const Doubts& doubts = writer.doubts;
  return may_hand_unseen(writer) || !writer.pending.empty() || !doubts.unidentified.empty() ||
         std::ranges::any_of(writer.holdings, [&](const Held& held) { return is_its_own(held, writer); });
}

/// It has begun no program of its own.
bool is_fork(const Instance& instance) { return instance.doubts.life_from_ns < instance.id.start_ns; }

/// One is a fork of the other, or both are of a third, and no other program came between: they have what was open then.
bool same_image(const Instance& one, const Instance& other) {
  return one.id.exec == other.id.exec && one.doubts.life_from_ns == other.doubts.life_from_ns;
}

/// The same of a process and its parent; or the parent's start was seen by an earlier worker at most, and then it is
/// not known.
bool is_forked(const Instance& child, const Instance& parent) {
  return same_image(child, parent) || (child.doubts.exec_seen && !parent.doubts.exec_seen && is_fork(child));
}

/// The child's program has a channel that its parent does not read itself.
bool is_fed(const Instance& child, const Instance& parent) {
  return child.channel || (child.stdin_pipe != 0 && child.stdin_pipe != parent.stdin_pipe);
}

/// Beyond its own service, session or container somebody collects output.
bool same_cgroup(const Instance& one, const Instance& other) {
  return one.process && other.process && one.process->cgroup_id == other.process->cgroup_id;
}

bool same_owner(const Instance& one, const Instance& other) {
  return owners_of(one).front() == owners_of(other).front();
}

}  // namespace

bool may_hand_of_store(const Instance& writer) {
  if (writer.program == nullptr || !writer.program->helper) return false;
  // Whoever is given what it reads waits for that; what it called with is given to nobody.
  const bool reads = std::ranges::any_of(
      writer.pending, [&](const auto& pending) { return pending->time_ns >= writer.doubts.life_from_ns; });
  if (reads && !writer.called) return false;
  return std::ranges::none_of(writer.holdings, [&](const Held& held) { return is_its_own(held, writer); });
}

void Pipes::on_fork(const InstanceRef& shell) {
  if (!shell || shell->stdin_pipe == 0 || !is_shell(*shell)) return;
  const InstanceRef parent = parent_of(*shell);
  if (!parent) return;
  for (const InstanceRef& writer : children_of(*parent)) {
    if (writer != shell && writer->stdout_pipe == shell->stdin_pipe) give(shell, writer, What::kKeysAndMarks);
  }
}

void Pipes::on_exec(const InstanceRef& program, const ExecEvent& event) {
  program->stdin_pipe = event.stdin_pipe;
  program->stdout_pipe = event.stdout_pipe;
  program->channel = event.channel;
  if (event.stdin_pipe != 0) read_from(program, event.stdin_pipe, By::kProgram);
}

void Pipes::on_open(const InstanceRef& reader, const OpenEvent& event, std::uint64_t time_ns) {
  if (!reader) return;
  // Only who has it as its standard output is known to write there: others may have opened it, too.
  reader->doubts.mark_unidentified({.time_ns = time_ns});
  holders_.mark_doubts(reader);
  if (const auto pipe = static_cast<std::uint32_t>(event.file.inode); pipe != 0) read_from(reader, pipe, By::kPath);
}

void Pipes::add_reader(const InstanceRef& reader, std::uint32_t pipe, By by) {
  std::vector<Reader>& readers = *readers_.get(pipe).first;
  std::erase_if(readers, [&](const Reader& one) {
    const InstanceRef who = one.who.lock();
    return !who || who == reader || (one.by == by && same_owner(*who, *reader));
  });
  if (readers.size() >= kReadersOfOne) {
    const auto opener = std::ranges::find(readers, By::kPath, &Reader::by);
    readers.erase(opener != readers.end() ? opener : readers.begin());
  }
  readers.push_back({reader, by});
}

void Pipes::read_from(const InstanceRef& reader, std::uint32_t pipe, By by) {
  add_reader(reader, pipe, by);
  auto* written = written_.find(pipe);
  if (written == nullptr) return;
  for (const InstanceRef& writer : *written)
    give(reader, writer, What::kKeysAndMarks);
  std::erase_if(*written, [&](const InstanceRef& writer) { return same_owner(*writer, *reader); });
  if (written->empty()) written_.erase(pipe);
}

void Pipes::adopt(const InstanceRef& instance) {
  if (instance->stdin_pipe != 0 && !is_fork(*instance)) add_reader(instance, instance->stdin_pipe, By::kProgram);
}

void Pipes::on_exit(const InstanceRef& writer) {
  if (!has_something(*writer)) return;
  if (writer->stdout_pipe != 0) {
    const std::vector<InstanceRef> readers = readers_of(*writer);
    for (const InstanceRef& reader : readers) {
      if (reader->alive) give(reader, writer, What::kKeysAndMarks);
    }
    if (has_own(readers, *writer)) return;
    constexpr std::size_t kWriters = 8;
    auto& written = *written_.get(writer->stdout_pipe).first;
    if (written.size() < kWriters) written.push_back(writer);
  }
  const InstanceRef caller = caller_of(*writer);
  if (!caller) return;
  // A server forks for each request: what one of them could not tell is no doubt of all that come later.
  const bool part_of_server = writer->stdout_pipe == 0 && !is_shell(*caller);
  give(caller, writer, part_of_server ? What::kKeys : What::kKeysAndMarks);
  if (!is_shell(*caller)) return;
  for (const InstanceRef& subshell : children_of(*caller)) {  // `cat key | while read line`
    if (same_image(*subshell, *caller)) give(subshell, writer, What::kKeysAndMarks);
  }
}

void Pipes::on_connect(const ConnectEvent& event, const InstanceRef& caller) {
  if (!caller || is_question(event)) return;
  // Of one whose start was not seen it is not known what it began with: it may be tied to anybody. Only who can be sure
  // of what it has is in need of that.
  const auto unknown = [&](const Instance& one) { return caller->doubts.exec_seen && !one.doubts.exec_seen; };
  int room = kRelatives;
  take_from_children(caller, caller, *caller, room);
  InstanceRef at = caller;
  for (int i = 0; i < kSteps; ++i) {
    const InstanceRef parent = parent_of(*at);
    if (!parent || parent->id.tgid == 1 || !same_cgroup(*parent, *at)) return;
    const bool forked = is_forked(*at, *parent);
    if (forked || is_fed(*at, *parent) || unknown(*at)) {
      give(caller, parent, What::kKeys);
      if (forked) take_from_children(caller, parent, *parent, room);
    } else if (at->stdin_pipe == 0) {  // else it reads on what its parent reads
      return;
    }
    at = parent;
  }
}

void Pipes::take_from_children(const InstanceRef& to, const InstanceRef& of, const Instance& top, int& room) {
  for (const InstanceRef& child : children_of(*of)) {
    if (room-- <= 0) return;
    const bool writes =
        child->stdout_pipe != 0 && child->stdout_pipe != top.stdout_pipe && !has_own(readers_of(*child), *child);
    const bool unknown = to->doubts.exec_seen && !child->doubts.exec_seen;
    const bool tied = is_forked(*child, *of) || child->channel || writes || unknown;
    if (child == to || !tied || !same_cgroup(*child, *of)) continue;
    give(to, child, What::kKeys);
    take_from_children(to, child, top, room);
  }
}

InstanceRef Pipes::parent_of(const Instance& of) const {
  return of.process ? processes_.find_live(of.process->parent) : nullptr;
}

std::vector<InstanceRef> Pipes::children_of(const Instance& of) const {
  std::vector<InstanceRef> out;
  for (auto tgid = of.children.rbegin(); tgid != of.children.rend(); ++tgid) {
    const auto child = processes_.live().find(*tgid);
    if (child == processes_.live().end()) continue;
    const Process* process = child->second->process.get();
    if (process != nullptr && process->parent.same_process(of.id)) out.push_back(child->second);
  }
  return out;
}

std::vector<InstanceRef> Pipes::readers_of(const Instance& writer) {
  std::vector<InstanceRef> out;
  const auto* known = readers_.find(writer.stdout_pipe);
  if (known == nullptr) return out;
  for (const Reader& one : *known) {
    InstanceRef reader = one.who.lock();
    if (reader && reader.get() != &writer) out.push_back(std::move(reader));
  }
  return out;
}

bool Pipes::has_own(const std::vector<InstanceRef>& readers, const Instance& writer) {
  return std::ranges::any_of(readers, [&](const InstanceRef& reader) { return same_owner(*reader, writer); });
}

InstanceRef Pipes::caller_of(const Instance& writer) const {
  InstanceRef caller = parent_of(writer);
  if (!caller || caller->id.tgid == 1) return nullptr;
  // A fork that runs no program: where it writes is not seen, but it is a part of what it comes from.
  if (writer.stdout_pipe == 0) return same_image(*caller, writer) ? caller : nullptr;
  for (int i = 0; caller && caller->stdout_pipe == writer.stdout_pipe; ++i)
    caller = i < kSteps ? parent_of(*caller) : nullptr;
  return caller && same_cgroup(*caller, writer) && caller->id.tgid != 1 ? caller : nullptr;
}

void Pipes::give(const InstanceRef& to, const InstanceRef& from, What what) {
  if (!has_something(*from)) return;
  for (const Held& held : from->holdings) {
    if (!is_its_own(held, *from)) continue;
    const bool known = std::ranges::any_of(to->holdings, [&](const Held& own) {
      return own.how != How::kLostAtExec && own.what->key.id == held.what->key.id &&
             own.what->slot == held.what->slot && own.what->since_ns >= held.what->since_ns;
    });
    if (known) continue;
    if (Held* handed = holders_.hold(to, held.what, How::kHelper)) handed->announced = true;  // its taker's is the row
    holders_.tell_handed(*to, *from);
  }
  for (MaybeIssued note : from->doubts.maybe_issued) {
    note.handed = true;
    to->doubts.note_maybe_issued(std::move(note));
  }
  if (what == What::kKeysAndMarks && may_hand_unseen(*from))
    to->doubts.mark_unidentified({.time_ns = from->doubts.life_from_ns});
  holders_.mark_doubts(to);
  if (from->called) return;
  for (const Unidentified& mark : from->doubts.unidentified) {
    if (what == What::kKeysAndMarks && mark.latest_ns() >= from->doubts.life_from_ns)
      to->doubts.mark_unidentified(mark);
  }
  for (const auto& pending : from->pending) {
    const bool waits = std::ranges::find(to->pending, pending) != to->pending.end();
    if (waits || pending->done || pending->time_ns < from->doubts.life_from_ns) continue;
    Examinations::add_receiver(pending, to, How::kHelper);
    holders_.tell_handed(*to, *from);
  }
}

}  // namespace keytrail::link
