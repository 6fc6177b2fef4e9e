// SPDX-License-Identifier: Apache-2.0
#include "agent/link/acquisitions.h"

#include "agent/base/program_name.h"

namespace keytrail::link {
namespace {

std::string workload_id(const Instance& instance) {
  return instance.process && instance.process->workload ? instance.process->workload->id : std::string();
}

}  // namespace

Actor make_actor(const Instance& instance) {
  Actor actor;
  actor.id = instance.id;
  if (const Process* process = instance.process.get()) {
    actor.exe = process->exe;
    actor.program = base::program_name(process->exe, process->filename, process->comm);
    actor.comm = process->comm;
    actor.uid = process->uid;
    if (process->account) {
      actor.user = process->account->user;
      actor.login_user = process->account->login_user;
    }
    if (process->workload) actor.workload = *process->workload;
  }
  return actor;
}

bool Acquisitions::is_news(const Instance& instance, const Key& key, const Slot& slot) {
  std::string text = "k";
  for (const std::string& part :
       {workload_id(instance), std::to_string(instance.uid()), instance.process ? instance.process->exe : std::string(),
        key.id, std::string(to_string(slot.from)), slot.place, slot.selector}) {
    text += part;
    text += '\0';
  }
  return first_time(text);
}

bool Acquisitions::is_unread_news(const Instance& instance, std::string_view path, std::string_view reason) {
  std::string text = "u" + workload_id(instance);
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
