// SPDX-License-Identifier: Apache-2.0
#include "agent/link/acquisitions.h"

namespace keytrail::link {
namespace {

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

std::string workload_name(const Instance& instance) {
  return instance.process && instance.process->workload ? instance.process->workload->name : std::string();
}

}  // namespace

std::string program_name(std::string_view exe, std::string_view filename) {
  const std::string_view program = base_name(exe), passed = base_name(filename);
  // /proc/self/exe and /dev/fd/N say nothing, and python3 is a name of python3.11.
  const bool says_nothing = passed.empty() || filename.starts_with("/proc/") || filename.starts_with("/dev/");
  if (says_nothing || program.starts_with(passed)) return std::string(program.empty() ? passed : program);
  return std::string(passed);
}

Actor make_actor(const Instance& instance) {
  Actor actor;
  actor.id = instance.id;
  if (const Process* process = instance.process.get()) {
    actor.exe = process->exe;
    actor.program = program_name(process->exe, process->filename);
    actor.comm = process->comm;
    actor.uid = process->uid;
    if (process->workload) actor.workload = *process->workload;
  }
  return actor;
}

bool Acquisitions::is_news(const Instance& instance, const Key& key, const Slot& slot) {
  std::string text = "k";
  for (const std::string& part :
       {workload_name(instance), std::to_string(instance.uid()), instance.process ? instance.process->exe : std::string(), key.id,
        std::string(to_string(slot.from)), slot.place, slot.selector}) {
    text += part;
    text += '\0';
  }
  return first_time(text);
}

bool Acquisitions::is_unread_news(const Instance& instance, std::string_view path, std::string_view reason) {
  std::string text = "u" + workload_name(instance);
  text += '\0';
  text += instance.process ? instance.process->exe : std::string();
  for (const std::string_view part : {path, reason}) {
    text += '\0';
    text += part;
  }
  return first_time(text);
}

bool Acquisitions::first_time(const std::string& text) {
  const bool fresh = seen_.get(text).second;
  if (!fresh) ++repeats_;
  return fresh;
}

}  // namespace keytrail::link
