// SPDX-License-Identifier: Apache-2.0
#include "agent/link/fits.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <tuple>

#include "agent/link/selectors.h"

namespace keytrail::link {
namespace {

/// "Some secret" fits everywhere: it comes after every key whose kind is known.
constexpr int kWildcardRank = 10;

bool fits_there(const Resolved& where, const Key& key, const HeldKey& held, const catalog::Catalog& catalog) {
  const catalog::Kind* kind = catalog.kind(key.kind);
  if (is_told_for(where, held) && where.takes_keys && kind != nullptr && kind->authenticates) return true;
  if (!kind_there(where, held, key, catalog).empty()) return true;
  // A file's entry for this host names the key for it, of whatever kind the place's keys usually are (.netrc).
  const bool of_host = held.slot.from == From::kFile && !held.kinds.empty() && is_host(where, held.host);
  return of_host && where.takes_keys && kind != nullptr && kind->authenticates;
}

/// A file that was opened after the fork and before the exec.
bool may_be_open_still(const Held& held, const Instance& caller) {
  return held.what->slot.from == From::kFile && held.last_opened_ns() > caller.id.start_ns;
}

}  // namespace

int rank(const Held& held) {
  if (held.how == How::kLostAtExec) return 6;
  if (held.how == How::kHelper || held.how == How::kTold) return 5;
  if (held.what->broker) return 4;
  if (held.what->issued) return 3;
  switch (held.what->slot.from) {
    case From::kEnvironment:
    case From::kArgument:
      return 0;
    case From::kFile:
      return 1;
    default:
      return 2;
  }
}

std::string_view kind_there(const Resolved& where, const HeldKey& held, const Key& key,
                            const catalog::Catalog& catalog) {
  if (accepts(where, key.kind, catalog)) return key.kind;
  if (key.kind != held.key.kind) return {};
  const auto taken = std::ranges::find_if(held.kinds, [&](auto kind) { return accepts(where, kind, catalog); });
  return taken == held.kinds.end() ? std::string_view() : *taken;
}

bool is_told_for(const Resolved& where, const HeldKey& held) {
  return held.slot.from == From::kArgument && is_host(where, held.host);
}

std::vector<Fit> held_then(const Question& question, KeyIndex& index, const catalog::Catalog& catalog,
                           const Counts& counts) {
  std::vector<Fit> found;
  for (const Held& held : question.caller.holdings) {
    if (held.what->since_ns > question.world.use_ns) continue;
    if (held.superseded_ns != 0 && held.superseded_ns <= question.world.connected_ns) continue;
    // Of the places that a file names for several hosts, a program reads that of the host it calls.
    const std::string& host = held.what->host;
    if (held.how == How::kTold && !host.empty() && !is_host(question.where, host)) continue;
    Key key = index.best(held.what->key);
    if (!counts(key, *held.what)) continue;
    const catalog::Kind* kind = catalog.kind(key.kind);
    const int wildcard = kind != nullptr && kind->wildcard ? kWildcardRank : 0;
    found.push_back({&held, std::move(key), rank(held) + wildcard, found.size()});
  }
  // What the command line gives for this host counts before all that the program could find elsewhere.
  const auto told = [&](const Fit& fit) { return is_told_for(question.where, *fit.held->what); };
  if (std::ranges::any_of(found, told)) std::erase_if(found, [&](const Fit& fit) { return !told(fit); });
  // A file of many keys keeps its order; of two reads the later comes first.
  std::ranges::sort(found, std::less<>{},
                    [](const Fit& fit) { return std::tuple(fit.rank, ~fit.held->what->since_ns, fit.order); });
  // One key in several entries of a file (the contexts of one user) is one: in the entry that is meant, where that is
  // known.
  std::vector<const Held*> all;
  all.reserve(found.size());
  for (const Fit& fit : found)
    all.push_back(fit.held);
  const auto narrowed = narrow(all, question.caller, question.where.destination.host, catalog);
  const Held* meant = narrowed && narrowed->index ? all[*narrowed->index] : nullptr;
  std::set<std::string> seen;
  if (narrowed && narrowed->index) seen.insert(found[*narrowed->index].key.id);
  std::erase_if(found, [&](const Fit& fit) { return fit.held != meant && !seen.insert(fit.key.id).second; });
  // What was lost at an exec counts only where nothing crossed into the program itself: a shell's own keys say little
  // about its children. A file that this process itself opened may still be open (`program < key`).
  const auto is_lost = [&](const Fit& fit) {
    return fit.held->how == How::kLostAtExec && !may_be_open_still(*fit.held, question.caller);
  };
  if (!found.empty() && found.front().held->how != How::kLostAtExec) std::erase_if(found, is_lost);
  // A helper hands over the entry of the host it was asked for; the others of its file stay with it.
  const auto handed_over = [&](const Fit& fit) {
    return fit.held->how == How::kHelper && is_entry_of_host(*fit.held->what, question.where.destination.host);
  };
  if (std::ranges::any_of(found, handed_over)) {
    std::erase_if(found, [&](const Fit& fit) { return fit.held->how == How::kHelper && !handed_over(fit); });
  }
  return found;
}

std::vector<Fit> fits(const Question& question, KeyIndex& index, const catalog::Catalog& catalog) {
  return held_then(question, index, catalog, [&](const Key& key, const HeldKey& held) {
    return key.key_class != KeyClass::kEncryptionKey && fits_there(question.where, key, held, catalog);
  });
}

std::vector<Fit> signers(const Question& question, KeyIndex& index, const catalog::Catalog& catalog) {
  return held_then(question, index, catalog, [&](const Key& key, const HeldKey&) {
    const catalog::Kind* kind = catalog.kind(key.kind);
    return kind != nullptr && std::ranges::any_of(kind->signs, [&](std::string_view made) {
             return accepts(question.where, made, catalog);
           });
  });
}

std::shared_ptr<const HeldKey> issued_key(const MaybeIssued& note, const catalog::Catalog& catalog) {
  auto what = std::make_shared<HeldKey>();
  what->key.kind = note.kind;
  what->key.id = note.kind + "@" + note.parent;
  what->key.parent = note.parent;
  what->key.lifetime = Lifetime::kShortLived;
  if (const catalog::Kind* kind = catalog.kind(note.kind)) {
    what->key.key_class = kind->key_class;
    what->key.lifetime = kind->lifetime;
  }
  what->slot = {From::kIssued, note.host, {}};
  what->since_ns = note.time_ns;
  what->issued = true;
  what->issue_told = note.always;
  what->issue_first = note.first;
  return what;
}

void add_maybe_issued(Fits& found, const Question& question, const catalog::Catalog& catalog) {
  const Doubts& doubts = question.caller.doubts;
  const bool none = found.list.empty();
  for (const MaybeIssued& note : doubts.maybe_issued) {
    if (note.time_ns > question.world.use_ns || !accepts(question.where, note.kind, catalog)) continue;
    // A place that hands out keys for none is called for one.
    const bool for_none = note.parent == kUnnamedRole;
    if (!none && !note.always && !note.handed && !for_none && doubts.leads.empty()) continue;
    const auto is_it = [&](const Fit& fit) {  // seen since, with its role
      const HeldKey& what = *fit.held->what;
      return what.slot.from == From::kMetadata && fit.key.kind == note.kind && what.since_ns >= note.time_ns;
    };
    if (for_none && std::ranges::any_of(found.list, is_it)) continue;
    const Held& made =
        found.made.emplace_back(Held{issued_key(note, catalog), note.handed ? How::kHelper : How::kDirect});
    const auto known = [&](const Fit& fit) { return fit.key.id == made.what->key.id; };
    if (std::ranges::any_of(found.list, known)) continue;
    found.list.push_back({&made, made.what->key, rank(made), found.list.size()});
  }
}

}  // namespace keytrail::link
