// SPDX-License-Identifier: Apache-2.0
#include "agent/link/arguments.h"

#include <algorithm>

#include "agent/link/environment.h"
#include "agent/link/pointers.h"

namespace keytrail::link {

void Arguments::on_exec(const InstanceRef& instance, const ExecEvent& event, std::uint64_t time_ns) {
  if (event.args_kept == ArgsKept::kPart || event.args_kept == ArgsKept::kLost) instance->doubts.mark_cut(time_ns);
  if (event.args_kept == ArgsKept::kLost)
    outbox_.give_up("arguments_unread", to_string(Family::kExec), workload_name(instance->process), 1, time_ns);
  if (!event.arguments_wait()) return;
  const ExaminationRef examination = examinations_.begin(time_ns, {});
  Examinations::add_receiver(examination, instance, How::kExec);
  const SharedList<ArgItem> args(event.args);
  const Room room = examinations_.room_for(*instance);
  if (!room) {
    ArgumentsAnswer busy{.unread = "busy"};
    return on_answer(examination, args, busy);
  }
  examinations_.ask(owners_of(*instance), {instance->id, event.mnt_ns, {}}, ArgumentsQuestion{event.comm},
                    [this, room, examination, args](ArgumentsAnswer& answer) { on_answer(examination, args, answer); });
}

void Arguments::on_answer(const ExaminationRef& examination, const SharedList<ArgItem>& args, ArgumentsAnswer& answer) {
  if (!answer.unread.empty() || answer.skipped > 0) {
    std::string scope;
    for (const auto& [instance, how] : examination->receivers) {
      if (how != How::kLostAtExec) instance->doubts.mark_cut(examination->time_ns);
      scope = workload_name(instance->process);
    }
    outbox_.give_up(answer.unread.empty() ? "arguments_cut" : "arguments_unread", to_string(Family::kExec),
                    std::move(scope), 1, examination->time_ns);
  }
  for (const KeyFact& fact : answer.keys)
    hold_fact(examination, fact);
  std::vector<FoundKey> seen = keys_of_arguments(args, catalog_, index_);
  std::erase_if(seen, [&](const FoundKey& one) {
    return std::ranges::any_of(answer.keys,
                               [&](const KeyFact& fact) { return fact.key.fingerprint == one.key.fingerprint; });
  });
  for (const auto& [instance, how] : examination->receivers)
    holders_.hold_found(instance, seen, examination->time_ns, how, nullptr);
  examinations_.finish(examination);
  uses_.weigh_ready();
}

void Arguments::hold_fact(const ExaminationRef& examination, const KeyFact& fact) {
  if (fact.key.id.empty()) return void(note_told_address(*examination, fact, catalog_, outbox_));
  index_.learn(fact.key);
  auto what = std::make_shared<HeldKey>();
  what->key = fact.key;
  what->slot = {From::kArgument, fact.variable, fact.selector};
  what->since_ns = examination->time_ns;
  what->selector_hash = fact.selector_hash;
  what->host = fact.host;
  for (std::size_t i = 0; i < examination->receivers.size(); ++i) {
    const auto& [instance, how] = examination->receivers[i];
    Held* held = holders_.hold(instance, what, how);
    if (held == nullptr) {
      if (i == 0) holders_.tell(*instance, *what, examination->time_ns);
    } else if (i == 0) {
      holders_.announce(*instance, *held);
    } else {
      held->announced = true;  // inherited: the row is that of the program which was given them
    }
  }
}

}  // namespace keytrail::link
