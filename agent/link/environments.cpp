// SPDX-License-Identifier: Apache-2.0
#include "agent/link/environments.h"

#include <algorithm>

namespace keytrail::link {

void Environments::ask(const InstanceRef& instance, std::uint64_t time_ns) {
  instance->environment_asked = true;
  time_ns = std::max<std::uint64_t>(time_ns, 1);
  if (queue_.size() >= options_.max_environment_queue) {
    outbox_.count("environments_over_bound");
    instance->doubts.mark_cut(time_ns);
    return;
  }
  const ExaminationRef examination = examinations_.begin(time_ns, {});
  Examinations::add_receiver(examination, instance, instance->doubts.exec_seen ? How::kExec : How::kBaseline);
  queue_.emplace_back(instance, examination);
  start();
}

void Environments::start() {
  while (!queue_.empty() && running_ < options_.max_environments && !examinations_.full()) {
    const auto [weak, examination] = std::move(queue_.front());
    queue_.pop_front();
    const InstanceRef instance = weak.lock();
    if (!instance || !instance->alive) {
      examinations_.finish(examination);
      continue;
    }
    ++running_;
    examinations_.ask({instance->id, instance->process ? instance->process->mnt_ns : 0, {}}, EnvironmentQuestion{},
                      [this, asked = examination](EnvironmentAnswer& answer) { on_answer(asked, answer); });
  }
}

void Environments::on_answer(const ExaminationRef& examination, EnvironmentAnswer& answer) {
  --running_;
  if (!answer.unread.empty() || answer.skipped > 0) {
    for (const auto& [instance, how] : examination->receivers)
      if (how != How::kLostAtExec) instance->doubts.mark_cut(examination->time_ns);
  }
  if (!answer.unread.empty()) {
    outbox_.count("environments_unread");
  } else {
    const std::vector<FoundKey> found = keys_of(*examination->receivers.front().instance, answer);
    for (const FoundKey& one : found)
      index_.learn(one.key);
    for (const auto& [instance, how] : examination->receivers) {
      if (how == How::kBaseline || how == How::kExec || how == How::kFork) instance->baseline_env = answer.env;
      holders_.hold_found(instance, found, examination->time_ns, how, nullptr);
    }
  }
  examinations_.finish(examination);
  uses_.weigh_ready();
  start();
}

std::vector<FoundKey> Environments::keys_of(const Instance& instance, const EnvironmentAnswer& answer) {
  const std::string owner =
      instance.process && instance.process->workload ? instance.process->workload->id : std::string();
  std::vector<FoundKey> found = keys_of_environment(answer.env, catalog_, owner);
  // Where the examiner could tell more of a value than its fingerprint (a JWT's claims), that is the key.
  for (const KeyFact& fact : answer.keys) {
    if (fact.key.id.empty()) continue;
    const auto it = std::ranges::find_if(found, [&](const FoundKey& one) { return one.slot.place == fact.variable; });
    if (it == found.end()) {
      const bool paired = std::ranges::any_of(found, [&](const FoundKey& one) {
        return !fact.key.fingerprint.empty() && one.key.fingerprint == fact.key.fingerprint;
      });
      if (!paired) found.push_back({fact.key, {From::kEnvironment, fact.variable, {}}, {}});
    } else if (it->key.id.starts_with("fp:")) {
      it->key = fact.key;
      it->kinds = {};
    }
  }
  return found;
}

}  // namespace keytrail::link
