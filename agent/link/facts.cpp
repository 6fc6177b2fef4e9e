// SPDX-License-Identifier: Apache-2.0
#include "agent/link/facts.h"

#include <algorithm>
#include <string>
#include <utility>

#include "agent/link/environment.h"
#include "agent/link/looks.h"

namespace keytrail::link {
namespace {

/// An entry without a key tells for which host it is, or whose key buys its own.
void note_elsewhere(const Examination& by, const KeyFact& fact, const catalog::File& file) {
  const std::string rule(file.selector);
  for (const auto& [instance, how] : by.receivers) {
    if (how == How::kLostAtExec) continue;
    if (!fact.host.empty())
      instance->doubts.mark_unidentified({.time_ns = by.time_ns, .kind = {}, .host = fact.host, .selector_rule = rule});
    instance->doubts.note_lead({rule, fact.selector, fact.selector_hash, fact.key.parent, fact.current});
  }
}

}  // namespace

std::optional<ToldPlace> told_of(const Instance& reader, std::string_view path) {
  for (const ToldPlace& place : reader.doubts.told_places) {
    if (names_path(place.path, path)) return place;
  }
  return std::nullopt;
}

bool Facts::hold(const Examination& by, const Place& where, KeyFact& fact) {
  const catalog::File& file = where.file;
  if (fact.untold && file.kinds.empty()) {  // neither the key nor its place says what it is
    mark_receivers(by, {});
    return false;
  }
  if (fact.key.kind.empty()) fact.key.kind = file.kind;
  if (const std::string_view kind = kind_at_host(fact, file, catalog_); !kind.empty()) fact.key.kind = kind;
  if (fact.key.id.empty()) fact.key.id = fact.key.fingerprint.text();
  if (fact.key.id.empty()) {
    const bool elsewhere = !fact.host.empty() || !fact.key.parent.empty();
    elsewhere ? note_elsewhere(by, fact, file) : mark_receivers(by, kinds_in(file));
    return false;
  }
  index_.learn(fact.key);
  const Instance& reader = *by.receivers.front().instance;
  if (!fact.claims.empty() && reader.process) {
    const catalog::Program* program = reader.program;
    outbox_.emit(
        TokenTold{.workload = reader.process->workload,
                  .key_kind = fact.key.kind,
                  .place = where.slot.place,
                  .claims = fact.claims,
                  .key_id = fact.key.id,
                  .issued_s = fact.key.issued_s,
                  .expires_s = fact.key.expires_s,
                  .for_others = reader.reads_in_bulk() || (program != nullptr && (program->relay || program->hub))});
  }
  return give(by, where, held_key(by, where, fact));
}

std::shared_ptr<HeldKey> Facts::held_key(const Examination& by, const Place& where, const KeyFact& fact) const {
  auto what = std::make_shared<HeldKey>();
  what->key = fact.key;
  what->slot = where.slot;
  what->slot.selector = where.slot.from == From::kFile ? fact.selector : std::string();
  if (where.slot.from == From::kFile) what->scope = where.scope;
  what->since_ns = by.time_ns;
  what->dev = where.dev;
  what->selector_rule = where.file.selector;
  what->selector_hash = fact.selector_hash;
  what->host = fact.host;
  what->current = fact.current;
  what->baseline = where.baseline;
  // A token is what the program was told to take it for, whatever else it could be.
  const bool named = where.taken_for != nullptr && fact.key.key_class == KeyClass::kIdentityToken;
  if (fact.untold || named) {
    const auto kinds = (named ? *where.taken_for : where.file).kinds;
    what->kinds.assign(kinds.begin(), kinds.end());
  }
  if (where.told) mean(*what, *where.told);
  return what;
}

bool Facts::give(const Examination& by, const Place& where, const std::shared_ptr<HeldKey>& what) {
  bool recorded = false, first = where.how != How::kTold;
  for (const auto& [instance, listed] : by.receivers) {
    const bool handed = listed == How::kHelper || listed == How::kLostAtExec;
    Held* held = holders_.hold(instance, what, where.how && !handed ? *where.how : listed);
    if (std::exchange(first, false)) {
      if (held == nullptr)
        recorded = holders_.tell(*instance, *what, by.time_ns);
      else  // what an environment began with was taken once, however often a file names it
        recorded = what->slot.from == From::kEnvironment ? holders_.announce(*instance, *held)
                                                         : holders_.announce_read(*instance, *held, by.time_ns);
    }
    if (held == nullptr) continue;
    held->announced = true;
    if (!where.told || held->what == what || !held->what->entry.empty()) continue;
    auto meant = std::make_shared<HeldKey>(*held->what);  // it was seen to take it before that told which it is
    meant->kinds = what->kinds;
    mean(*meant, *where.told);
    held->what = std::move(meant);
    held->dirty = true;
    holders_.mark_dirty(instance);
  }
  return recorded;
}

/// A key that lies where a file told is that of the entry there.
void Facts::mean(HeldKey& what, const ToldPlace& told) const {
  if (told.selector.empty()) return;
  if (const catalog::Selector* rule = catalog_.selector(told.selector_rule)) what.selector_rule = rule->id;
  what.entry = told.selector;
  what.selector_hash = told.selector_hash;
  if (!told.host.empty()) what.host = told.host;
  what.current = told.current;
}

}  // namespace keytrail::link
