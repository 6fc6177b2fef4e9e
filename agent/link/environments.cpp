// SPDX-License-Identifier: Apache-2.0
#include "agent/link/environments.h"

#include <algorithm>
#include <utility>

namespace keytrail::link {

void Environments::tell_given_up(const char* cause, const Instance& instance, std::uint64_t time_ns) {
  if (!instance.doubts.exec_seen || time_ns < watch_.armed_ns) return outbox_.count(cause);
  outbox_.give_up(cause, to_string(Family::kExec), workload_name(instance.process), 1, time_ns);
}

void Environments::ask(const InstanceRef& instance, std::uint64_t time_ns) {
  instance->environment_asked = true;
  time_ns = std::max<std::uint64_t>(time_ns, 1);
  const base::Owners owner = owners_of(*instance);
  base::FairShares::Share share = shares_.take(owner);
  if (!share) {
    tell_given_up("environments_over_bound", *instance, time_ns);
    instance->doubts.mark_cut(time_ns);
    holders_.mark_doubts(instance);
    holders_.hold_found(instance, untold_of(*instance), time_ns, How::kExec, nullptr);
    return;
  }
  const ExaminationRef examination = examinations_.begin(time_ns, {});
  Examinations::add_receiver(examination, instance, instance->doubts.exec_seen ? How::kExec : How::kBaseline);
  queue_.push(owner, {instance, examination, std::move(share)});
  start();
}

void Environments::start() {
  while (!queue_.empty() && running_ < options_.max_environments) {
    const Waiting next = queue_.pop();
    const InstanceRef instance = next.instance.lock();
    if (!instance || !instance->alive) {
      give_up(next.examination);
      continue;
    }
    ++running_;
    examinations_.ask(owners_of(*instance), {instance->id, instance->process ? instance->process->mnt_ns : 0, {}},
                      EnvironmentQuestion{},
                      [this, asked = next.examination](EnvironmentAnswer& answer) { on_answer(asked, answer); });
  }
}

void Environments::on_answer(const ExaminationRef& examination, EnvironmentAnswer& answer) {
  --running_;
  if (!answer.unread.empty()) {
    give_up(examination);
  } else {
    const Instance& asked = *examination->receivers.front().instance;
    check(asked, answer);
    const std::vector<FoundKey> found = keys_of(asked, answer);
    for (const FoundKey& one : found)
      index_.learn(one.key);
    if (answer.skipped > 0) tell_given_up("environments_cut", asked, examination->time_ns);
    for (const auto& [instance, how] : examination->receivers) {
      if (how == How::kBaseline || how == How::kExec || how == How::kFork) instance->baseline_env = answer.env;
      if (answer.skipped > 0 && how != How::kLostAtExec) instance->doubts.mark_cut(examination->time_ns);
      holders_.hold_found(instance, found, examination->time_ns, how, nullptr);
    }
    examinations_.finish(examination);
  }
  uses_.weigh_ready();
  start();
}

void Environments::give_up(const ExaminationRef& examination) {
  const auto lost = [](const Examination::Receiver& one) { return one.how == How::kLostAtExec; };
  // Another program began in its process: that one is asked itself, and has the same variables nearly always.
  const bool replaced = std::ranges::any_of(examination->receivers, lost);
  InstanceRef cut;
  for (const auto& [instance, how] : examination->receivers) {
    if (how == How::kLostAtExec) continue;
    // It was asked for what its exec did not show; or only for what that showed as the hash of a value.
    const bool shown = instance->untold || instance->hides_address;
    if (!shown || !instance->doubts.seen_whole) {
      instance->doubts.mark_cut(examination->time_ns);
      cut = instance;
    }
    if (!shown) continue;
    if (!replaced) holders_.hold_found(instance, untold_of(*instance), examination->time_ns, how, nullptr);
  }
  if (cut)
    tell_given_up("environments_unread", *cut, examination->time_ns);
  else
    outbox_.count("environments_unread");
  examinations_.finish(examination);
}

/// What its exec showed is sure: a program can write over its environment later (setproctitle does). Of a variable that
/// was hidden then, what is there now counts if it is as long.
void Environments::check(const Instance& instance, EnvironmentAnswer& answer) {
  if (!instance.process || !instance.doubts.exec_seen) return;
  const SharedList<EnvItem>& seen = instance.process->env;
  const auto of = [](const auto& items, const std::string& name) {
    return std::ranges::find(items, name, &EnvItem::name);
  };
  std::vector<EnvItem> env;
  for (const EnvItem& item : seen) {
    const auto now = of(answer.env, item.name);
    const bool hidden = item.value.empty() && now != answer.env.end() && now->length == item.length;
    env.push_back(hidden ? *now : item);
  }
  for (const EnvItem& item : answer.env) {
    if (!instance.doubts.seen_whole && of(seen, item.name) == seen.end()) env.push_back(item);
  }
  std::erase_if(answer.keys, [&](const KeyFact& fact) {
    const auto counts = of(env, fact.variable), now = of(answer.env, fact.variable);
    return counts == env.end() || now == answer.env.end() || counts->length != now->length;
  });
  answer.env = std::move(env);
}

std::vector<FoundKey> Environments::untold_of(const Instance& instance) const {
  std::vector<FoundKey> found = keys_of_environment(instance.env(), catalog_, variable_owner(instance));
  std::erase_if(found, [](const FoundKey& one) { return !one.told; });
  return found;
}

std::vector<FoundKey> Environments::keys_of(const Instance& instance, const EnvironmentAnswer& answer) {
  std::vector<FoundKey> found = keys_of_environment(answer.env, catalog_, variable_owner(instance));
  // An address without a password in it ("redis://cache:6379").
  std::erase_if(found, [&](const FoundKey& one) {
    return one.told && !one.host.empty() && one.key.fingerprint.empty() &&
           std::ranges::find(answer.keys, one.slot.place, &KeyFact::variable) == answer.keys.end();
  });
  const auto known = [&](Key key) {
    if (const catalog::Kind* kind = catalog_.kind(key.kind)) {
      key.key_class = kind->key_class;
      key.lifetime = kind->lifetime;
    }
    return key;
  };
  // Where the examiner could tell more of a value than its fingerprint (a URL's login), that is the key.
  for (const KeyFact& fact : answer.keys) {
    if (fact.key.id.empty()) continue;
    const auto it = std::ranges::find_if(found, [&](const FoundKey& one) { return one.slot.place == fact.variable; });
    const bool number = fact.key.id.starts_with(fact.key.kind + ":" + fact.variable + " #");
    if (it == found.end()) {
      if (number) continue;  // no key by its name or value
      const bool paired = std::ranges::any_of(found, [&](const FoundKey& one) {
        return !fact.key.fingerprint.empty() && one.key.fingerprint == fact.key.fingerprint;
      });
      if (!paired)
        found.push_back({.key = known(fact.key), .slot = {From::kEnvironment, fact.variable, {}}, .host = fact.host});
    } else if (it->told && number) {
      // A password's number: of the kind that its beginning may have told.
      it->key.id = it->key.kind + fact.key.id.substr(fact.key.kind.size());
    } else if (it->told || it->key.id.starts_with("fp:")) {
      it->key = known(fact.key);
      if (!fact.untold) it->kinds = {};
    }
  }
  return found;
}

}  // namespace keytrail::link
