// SPDX-License-Identifier: Apache-2.0
#include "agent/link/acquisitions.h"

#include <algorithm>
#include <utility>

#include "agent/base/program_name.h"

namespace keytrail::link {
namespace {

constexpr std::size_t kMaxInstances = 16;
constexpr std::uint64_t kLeastWaitNs = 60'000'000'000;
constexpr std::uint64_t kMostWaitNs = 3'600'000'000'000;

/// Each part ends with a 0, which none of them holds.
void add_part(std::string& text, std::string_view part) {
  text += part;
  text += '\0';
}

/// What makes two visits of one reader different: who logged in, and which entry into a running container it came by.
std::uint64_t session_of(const Instance& instance) {
  std::uint64_t login = instance.process ? instance.process->session_id : UINT32_MAX;
  if (login == UINT32_MAX && instance.process && instance.process->login_uid != UINT32_MAX) --login;
  return (std::uint64_t{instance.entered} << 32U) | login;
}

/// A mark of the file that it runs, whatever its path says; 0: not known.
std::uint32_t file_of(const Instance& instance) {
  const ExecutableFile file = instance.process ? instance.process->exe_file : ExecutableFile{};
  if (file.inode == 0) return 0;
  const std::uint64_t mixed = (file.inode ^ (std::uint64_t{file.dev} << 32U)) * 0x9E3779B97F4A7C15U;
  return static_cast<std::uint32_t>(mixed >> 32U) | 1U;
}

std::string session_text(const Instance& instance) {
  std::string out = instance.entered != 0 ? "exec" : "";
  const Process* process = instance.process.get();
  if (process == nullptr) return out;
  const auto add = [&](std::string_view text) { out.append(out.empty() ? "" : ", ").append(text); };
  const std::string terminal = terminal_name(process->tty);
  if (process->session_id != UINT32_MAX && process->session_id != 0) {
    add("login " + std::to_string(process->session_id));
    if (process->login_by != LoginBy::kUnknown) out.append(" by ").append(to_string(process->login_by));
    if (process->login_from) out.append(" from ").append(*process->login_from);
  }
  if (!terminal.empty() && !out.empty())
    out.append(" on ").append(terminal);
  else if (!terminal.empty())
    add(process->login_uid == UINT32_MAX ? terminal + " without a login uid" : terminal);
  if (process->acts_as) add("as " + *process->acts_as);
  if (process->agent) add("agent " + *process->agent);
  if (process->distributor) add("distributor " + *process->distributor);
  if (process->namespaces_of) add("namespaces of " + *process->namespaces_of);
  return out;
}

}  // namespace

Actor make_actor(const Instance& instance, std::uint64_t time_ns) {
  Actor actor;
  actor.id = instance.id;
  if (const Process* process = instance.process.get()) {
    actor.exe = process->exe;
    actor.file = process->exe_file;
    actor.program = base::program_name(*process);
    actor.comm = process->comm;
    actor.uid = process->uid_at(time_ns);
    if (const Account* account = process->account_at(time_ns); account != nullptr) {
      actor.user = account->user;
      actor.login_user = account->login_user;
    }
    actor.session = session_text(instance);
    if (process->workload) actor.workload = *process->workload;
  }
  return actor;
}

Acquisitions::Known& Acquisitions::known_of(const Instance& instance, const Key& key, const Slot& slot,
                                            std::uint64_t time_ns, bool& fresh) {
  text_ = "k";
  add_part(text_, workload_id(instance));
  add_part(text_, std::to_string(instance.process ? instance.process->uid_at(time_ns) : 0));
  if (const Process* process = instance.process.get()) {
    add_part(text_, process->exe);
    add_part(text_, base::program_name(*process));
  }
  add_part(text_, key.id);
  add_part(text_, to_string(slot.from));
  add_part(text_, slot.place);
  add_part(text_, slot.selector);
  const auto [known, made] = known_.get(text_);
  fresh = made;
  return *known;
}

bool Acquisitions::take(const Instance& instance, const Key& key, const Slot& slot, bool baseline,
                        std::uint64_t time_ns) {
  bool fresh = false;
  Known& known = known_of(instance, key, slot, time_ns, fresh);
  count(known, instance, key, slot, baseline, time_ns);
  return is_news(known, fresh, instance, time_ns);
}

bool Acquisitions::is_news(Known& known, bool fresh, const Instance& instance, std::uint64_t time_ns) {
  const std::uint64_t session = session_of(instance);
  const std::uint32_t file = file_of(instance);
  const bool replaced = file != 0 && known.file != 0 && file != known.file;
  const bool other = std::exchange(known.session, session) != session || replaced;
  if (file != 0) known.file = file;
  if (fresh) {
    known.quiet_ns = time_ns;
    return true;
  }
  if (!other || time_ns < known.quiet_ns) {
    ++repeats_;
    return false;
  }
  // A job that logs in each minute, a probe that enters its container: their readers count them, rows come seldom.
  const bool long_ago = time_ns - known.quiet_ns > kMostWaitNs;
  known.wait_ns = long_ago ? kLeastWaitNs : std::clamp(known.wait_ns * 4, kLeastWaitNs, kMostWaitNs);
  known.quiet_ns = time_ns + known.wait_ns;
  return true;
}

void Acquisitions::know(const Instance& instance, const Key& key, const Slot& slot) {
  bool fresh = false;
  Known& known = known_of(instance, key, slot, kNow, fresh);
  known.session = session_of(instance);
  known.file = file_of(instance);
}

void Acquisitions::count(Known& known, const Instance& instance, const Key& key, const Slot& slot, bool baseline,
                         std::uint64_t time_ns) {
  const std::uint64_t session = session_of(instance);
  if (known.round != round_ || known.counted != session) {
    known.round = round_;
    known.counted = session;
    known.place = static_cast<std::uint32_t>(readers_.size());
    KeyReader& made = readers_.emplace_back();
    made.actor = make_actor(instance, time_ns);
    made.key = key;
    made.slot = slot;
    made.baseline = baseline;
    made.first_ns = static_cast<std::int64_t>(time_ns);
  }
  KeyReader& reader = readers_[known.place];
  reader.last_ns = std::max(reader.last_ns, static_cast<std::int64_t>(time_ns));
  ++reader.count;
  if (!reader.instances.empty() && reader.instances.back() == instance.id) return;
  if (reader.instances.size() == kMaxInstances) {
    reader.instances.erase(reader.instances.begin());
    reader.instances_truncated = true;
  }
  reader.instances.push_back(instance.id);
  reader.actor.id = instance.id;
  if (instance.process) reader.actor.file = instance.process->exe_file;
}

std::vector<KeyReader> Acquisitions::take_readers(const Clock& clock) {
  ++round_;
  for (KeyReader& reader : readers_) {
    reader.first_ns = clock.to_wall(static_cast<std::uint64_t>(reader.first_ns));
    reader.last_ns = clock.to_wall(static_cast<std::uint64_t>(reader.last_ns));
  }
  return std::exchange(readers_, {});
}

bool Acquisitions::is_unread_news(const Instance& instance, std::uint64_t time_ns, std::string_view path,
                                  std::string_view reason) {
  text_ = "u";
  add_part(text_, workload_id(instance));
  add_part(text_, instance.process ? instance.process->exe : std::string_view());
  add_part(text_, path);
  add_part(text_, reason);
  const auto [known, fresh] = known_.get(text_);
  return is_news(*known, fresh, instance, time_ns);
}

}  // namespace keytrail::link
