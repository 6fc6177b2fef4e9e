// SPDX-License-Identifier: Apache-2.0
#include "agent/link/pointers.h"

#include <algorithm>
#include <utility>

#include "agent/base/told_path.h"
#include "agent/link/looks.h"

namespace keytrail::link {
namespace {

constexpr int kMaxDepth = 3;

}  // namespace

bool note_told_address(const Examination& by, const KeyFact& fact, const catalog::Catalog& catalog, Outbox& outbox) {
  const catalog::Env* variable = fact.path.empty() ? nullptr : catalog.match_env(fact.variable);
  if (variable == nullptr || variable->binding.empty()) return false;
  bool over = false;
  for (const auto& [instance, how] : by.receivers) {
    if (how >= How::kHelper && how != How::kTold) continue;
    const bool room = instance->doubts.note_told_place({.path = fact.path,
                                                        .file = fact.variable,
                                                        .selector_rule = {},
                                                        .selector = fact.selector,
                                                        .selector_hash = {},
                                                        .host = {}});
    over = over || !room;
  }
  if (over) {
    outbox.give_up("told_places_over_budget", to_string(Family::kOpen), {}, 1, by.time_ns);
    mark_receivers(by, {});
  }
  return true;
}

void Pointers::follow(const Examination& by, const Teller& teller, const KeyFact& fact) {
  if (note_told_address(by, fact, catalog_, outbox_)) return;
  const catalog::File& of = teller.file;
  const catalog::File* file = fact.path.empty() ? &of : catalog_.file_of_option(of, fact.variable);
  if (file == nullptr || file->format.empty()) return;
  if (teller.depth >= kMaxDepth) return mark_receivers(by, kinds_in(*file));
  Asked asked{.file = file,
              .place = {.path = fact.path.empty() ? std::string() : base::told_path(teller.path, fact.path),
                        .file = std::string(file->id),
                        .selector_rule = std::string(of.selector),
                        .selector = fact.selector,
                        .selector_hash = fact.selector_hash,
                        .host = fact.host,
                        .current = fact.current},
              .mnt_ns = teller.mnt_ns,
              .scope = teller.scope,
              .depth = teller.depth + 1,
              .include = !fact.path.empty() && file == &of,
              .teller = teller.path,
              .teller_file = teller.identity,
              .room = nullptr};
  asked.examination = examinations_.begin(by.time_ns, kinds_in(*file));
  bool room = true;
  for (const auto& [instance, how] : by.receivers) {
    if (how >= How::kHelper && how != How::kTold) continue;
    // The entry's own key counts before others: those of other entries are no more than possible.
    if (!fact.selector.empty())
      instance->doubts.note_lead({asked.place.selector_rule, fact.selector, fact.selector_hash, fact.variable});
    if (!asked.place.path.empty()) room = instance->doubts.note_told_place(asked.place) && room;
    Examinations::add_receiver(asked.examination, instance, How::kTold);
  }
  if (asked.examination->receivers.empty()) return examinations_.finish(asked.examination);
  const Instance& reader = *asked.examination->receivers.front().instance;
  if (room && !examinations_.crowded(reader)) asked.room = examinations_.room_for(reader);
  if (!asked.room) {
    outbox_.give_up("told_places_over_budget", to_string(Family::kOpen), workload_name(reader.process), 1, by.time_ns);
    return give_up(asked);
  }
  asked.place.path.empty() ? ask_variable(std::move(asked), fact.variable) : look(std::move(asked));
}

void Pointers::look(Asked asked) {
  if (!asked.place.path.starts_with('/')) return give_up(asked);
  const Instance& reader = *asked.examination->receivers.front().instance;
  FileQuestion question;
  question.path = asked.place.path;
  question.file = asked.teller_file;
  question.teller = asked.teller;
  question.format = asked.file->format;
  question.key_kind = asked.file->kind;
  question.other_kind = other_kind_of(*asked.file, catalog_);
  question.kinds = kinds_of(*asked.file);
  question.look = question.told = true;
  Reach reach{reader.id, asked.mnt_ns, {}};
  examinations_.ask(owners_of(reader), std::move(reach), std::move(question),
                    [this, asked = std::move(asked)](FileAnswer& answer) { on_file(asked, answer); });
}

void Pointers::on_file(const Asked& asked, FileAnswer& answer) {
  if (!answer.unread.empty()) return give_up(asked);
  if (answer.skipped > 0) mark_receivers(*asked.examination, kinds_in(*asked.file));
  const std::string place = Slots::place_of(asked.place.path);
  const Facts::Place here = place_of(asked, From::kFile, place, How::kTold);
  for (KeyFact& fact : answer.keys) {
    if (leads_on(fact)) {
      follow(*asked.examination, {*asked.file, asked.place.path, asked.mnt_ns, asked.scope, asked.depth, answer.file},
             fact);
      continue;
    }
    (void)facts_.hold(*asked.examination, here, fact);
    if (fact.key.id.empty()) continue;
    *known_.get(place).first = asked.file;
    const Instance& reader = *asked.examination->receivers.front().instance;
    found_.add_place(std::string(workload_id(reader)), place);  // whoever reads it next is seen to
  }
  examinations_.finish(asked.examination);
  uses_.weigh_ready();
}

void Pointers::ask_variable(Asked asked, const std::string& name) {
  const Instance& reader = *asked.examination->receivers.front().instance;
  const EnvironmentQuestion question{name, std::string(asked.file->kind)};
  Reach reach{reader.id, asked.mnt_ns, {}};
  examinations_.ask(
      owners_of(reader), std::move(reach), question,
      [this, name, asked = std::move(asked)](EnvironmentAnswer& answer) { on_variable(asked, name, answer); });
}

/// What its environment began with crossed into it, whatever it did with that.
void Pointers::on_variable(const Asked& asked, const std::string& name, EnvironmentAnswer& answer) {
  if (!answer.unread.empty()) return give_up(asked);
  const Facts::Place here = place_of(asked, From::kEnvironment, name, How::kExec);
  for (KeyFact& fact : answer.keys) {
    if (fact.variable == name) (void)facts_.hold(*asked.examination, here, fact);
  }
  examinations_.finish(asked.examination);
  uses_.weigh_ready();
}

Facts::Place Pointers::place_of(const Asked& asked, From from, std::string name, How how) {
  return {.file = *asked.file,
          .slot = {from, std::move(name), {}},
          .scope = asked.scope,
          .told = asked.place,
          .taken_for = asked.file,
          .how = how};
}

void Pointers::give_up(const Asked& asked) {
  if (asked.include) {
    // git and ssh go on without it.
  } else if (asked.place.host.empty()) {
    mark_receivers(*asked.examination, asked.file->kinds);
  } else {
    for (const auto& [instance, how] : asked.examination->receivers)
      instance->doubts.mark_unidentified({.time_ns = asked.examination->time_ns,
                                          .kind = {},
                                          .host = asked.place.host,
                                          .selector_rule = asked.place.selector_rule});
  }
  examinations_.finish(asked.examination);
  uses_.weigh_ready();
}

const catalog::File* Pointers::file_of(const Instance& instance, std::string_view path) {
  if (const auto told = told_of(instance, path)) return catalog_.file(told->file);
  const catalog::File* const* known = known_.find(Slots::place_of(path));
  return known == nullptr ? nullptr : *known;
}

}  // namespace keytrail::link
