// SPDX-License-Identifier: Apache-2.0
#include "agent/link/candidates.h"

#include <algorithm>
#include <cctype>
#include <deque>
#include <set>
#include <tuple>

#include "agent/link/selectors.h"

namespace keytrail::link {
namespace {

struct Fit {
  const Held* held;
  Key key;  ///< best known
  int rank = 0;
  std::size_t order = 0;
};

struct Fits {
  std::vector<Fit> list;
  std::deque<Held> made;  ///< what may have been issued, behind some of them
};

/// "Some secret" fits everywhere: it comes after every key whose kind is known.
constexpr int kWildcardRank = 10;

/// The SDKs' documented order: environment, file, what was issued; then what came loosely.
int rank(const Held& held) {
  if (held.how == How::kLostAtExec) return 6;
  if (held.how == How::kHelper) return 5;
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

Reason loose_reason(const Held& held) {
  if (held.how == How::kLostAtExec) return Reason::kLostAtExec;
  if (held.how == How::kHelper) return Reason::kFromHelper;
  if (held.what->broker) return Reason::kLocalBroker;
  return held.what->issued ? Reason::kParentOrIssued : Reason::kSeveralKeys;
}

/// By its kind; a key that does not tell its kind, by any that its place may hold.
bool fits_there(const Resolved& where, const Key& key, const HeldKey& held, const catalog::Catalog& catalog) {
  if (accepts(where, key.kind, catalog)) return true;
  return key.kind == held.key.kind &&
         std::ranges::any_of(held.kinds, [&](std::string_view kind) { return accepts(where, kind, catalog); });
}

/// The keys that fit, one per key id, best rank first, within a rank the newest first.
std::vector<Fit> fits(const Question& question, KeyIndex& index, const catalog::Catalog& catalog) {
  std::vector<Fit> found;
  for (const Held& held : question.caller.holdings) {
    if (held.what->since_ns > question.world.use_ns) continue;
    if (held.superseded_ns != 0 && held.superseded_ns <= question.world.connected_ns) continue;
    Key key = index.best(held.what->key);
    if (key.key_class == KeyClass::kEncryptionKey || !fits_there(question.where, key, *held.what, catalog)) continue;
    const catalog::Kind* kind = catalog.kind(key.kind);
    const int wildcard = kind != nullptr && kind->wildcard ? kWildcardRank : 0;
    found.push_back({&held, std::move(key), rank(held) + wildcard, found.size()});
  }
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
  // about its children, and a descriptor kept over the exec, read without an open, is the stated limit.
  if (!found.empty() && found.front().held->how != How::kLostAtExec) {
    std::erase_if(found, [](const Fit& fit) { return fit.held->how == How::kLostAtExec; });
  }
  // A helper hands over the entry of the host it was asked for; the others of its file stay with it.
  const auto handed_over = [&](const Fit& fit) {
    return fit.held->how == How::kHelper && is_entry_of_host(*fit.held->what, question.where.destination.host);
  };
  if (std::ranges::any_of(found, handed_over)) {
    std::erase_if(found, [&](const Fit& fit) { return fit.held->how == How::kHelper && !handed_over(fit); });
  }
  return found;
}

/// What calls to issuers may have given counts where nothing better fits, beside its parent only where such a call
/// always gives a key or a role in the configuration says that it was made for one.
void add_maybe_issued(Fits& found, const Question& question, const catalog::Catalog& catalog) {
  const Doubts& doubts = question.caller.doubts;
  const bool none = found.list.empty();
  for (const MaybeIssued& note : doubts.maybe_issued) {
    if (note.time_ns > question.world.use_ns || !accepts(question.where, note.kind, catalog)) continue;
    if (!none && !note.always && doubts.leads.empty()) continue;
    const Held& made = found.made.emplace_back(Held{issued_key(note, catalog), How::kDirect});
    const auto known = [&](const Fit& fit) { return fit.key.id == made.what->key.id; };
    if (std::ranges::any_of(found.list, known)) continue;
    found.list.push_back({&made, made.what->key, rank(made), found.list.size()});
  }
}

/// "1 of 2 AWS keys"
std::string count_text(std::span<const Fit> found, const catalog::Catalog& catalog) {
  std::string provider;
  for (const Fit& fit : found) {
    const catalog::Kind* kind = catalog.kind(fit.key.kind);
    const std::string own(kind != nullptr ? kind->provider
                                          : std::string_view(fit.key.kind).substr(0, fit.key.kind.find('.')));
    if (!provider.empty() && provider != own) return "1 of " + std::to_string(found.size()) + " keys";
    provider = own;
  }
  if (provider.size() <= 3) {
    std::ranges::transform(provider, provider.begin(),
                           [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  }
  return "1 of " + std::to_string(found.size()) + " " + provider + " keys";
}

void list(Verdict& verdict, std::span<const Fit> found, const Held* first, Reason first_reason) {
  const auto add = [&](const Fit& fit, Reason reason) {
    if (verdict.keys.size() >= kMaxCandidates) return;
    verdict.keys.push_back({fit.key, fit.held->what->slot, reason});
    verdict.held.push_back(fit.held->what);
  };
  for (const Fit& fit : found) {
    if (fit.held == first) add(fit, first_reason);
  }
  for (const Fit& fit : found) {
    if (fit.held != first) add(fit, loose_reason(*fit.held));
  }
}

void complete_facts(Question& question, const catalog::Catalog& catalog) {
  const Instance& caller = question.caller;
  WorldFacts& world = question.world;
  const catalog::Program* program = caller.program;
  world.relay_or_hub = program != nullptr && (program->bulk_reader || program->relay || program->hub);
  // A key that is not taken here may buy one that is: of the same provider.
  const auto concerns = [&](std::string_view kind) {
    const catalog::Kind* known = catalog.kind(kind);
    return known == nullptr || accepts(question.where, kind, catalog) ||
           (known->authenticates && known->provider == question.where.destination.provider);
  };
  caller.doubts.facts(world, question.remote, [&](const Unidentified& mark) {
    return concerns(mark.kind) && (mark.host.empty() || is_host(question.where, mark.host));
  });
  for (const auto& pending : caller.pending) {
    // What the program before its exec opened says nothing of this one.
    const bool own = pending->time_ns >= caller.doubts.life_from_ns;
    const bool here = pending->kinds.empty() || std::ranges::any_of(pending->kinds, concerns);
    if (own && !pending->done && here) earliest(world.unidentified_ns, pending->time_ns);
  }
  world.names_contradict = question.where.contradiction;
}

/// Of a program that was not seen whole, an option or variable that was cut off could choose another entry.
/// A program that the catalog trusts to obey its selectors, seen from its first argument to its last variable.
bool obeys(const Instance& caller) {
  return caller.program != nullptr && caller.program->obeys_selectors && caller.doubts.exec_seen &&
         caller.doubts.seen_whole;
}

void possible(Verdict& verdict, Reason reason) {
  verdict.evidence = Evidence::kPossible;
  verdict.reason = reason;
  for (Candidate& candidate : verdict.keys) {
    if (verdict.keys.size() == 1) candidate.reason = reason;
  }
}

/// What a relay does with this key, for people; "" for what is no relay.
std::string relay_detail(const catalog::Program* program, const HeldKey& held) {
  if (program == nullptr || !program->relay) return {};
  const bool own = std::ranges::find(program->kinds, held.key.kind) != program->kinds.end();
  if (!own) return "carries others' requests; such a key is none of its own";
  if (program->adds_key == catalog::Often::kNever) return "carries others' requests; adds no key to them";
  return program->adds_key == catalog::Often::kAlways ? "adds its own key to others' requests"
                                                      : "may add its own key to others' requests";
}

/// Inferred when the closed world holds, else possible with the clause that fails.
void infer(Verdict& verdict, Question& question, const HeldKey& held, Reason reason, const catalog::Catalog& catalog) {
  question.world.acquired_ns = question.key_after_connect ? 0 : held.since_ns;
  if (const auto clause = closed_world(question.world)) {
    possible(verdict, *clause);
    if (*clause == Reason::kRelayOrHub && verdict.detail.empty())
      verdict.detail = relay_detail(question.caller.program, held);
    return;
  }
  if (question.where.endpoint.open) {
    possible(verdict, Reason::kOwnerDecides);
    return;
  }
  if (!is_tied(question.where, held, question.caller, catalog)) {
    possible(verdict, Reason::kNotTied);
    return;
  }
  verdict.evidence = Evidence::kInferred;
  verdict.reason = reason;
  if (!verdict.keys.empty()) verdict.keys.front().reason = reason;
}

Verdict weigh_one(Question& question, const Fit& fit, const catalog::Catalog& catalog) {
  Verdict verdict;
  const Held& held = *fit.held;
  list(verdict, std::span(&fit, 1), &held, Reason::kOnlyKeyHeld);
  if (held.how == How::kLostAtExec) {
    possible(verdict, Reason::kLostAtExec);
  } else if (held.what->broker) {
    possible(verdict, Reason::kLocalBroker);
  } else if (held.what->issued && !held.what->issue_told) {
    possible(verdict, Reason::kParentOrIssued);
  } else if (held.how == How::kHelper) {
    const bool bound = is_entry_of_host(*held.what, question.where.destination.host);
    bound ? infer(verdict, question, *held.what, Reason::kHelper, catalog) : possible(verdict, Reason::kFromHelper);
  } else {
    const Held* const only[] = {&held};
    const auto narrowed = narrow(only, question.caller, question.where.destination.host, catalog);
    // A role is assumed with the key of the entry that it leads to, and nothing else is done with that key.
    const bool buys = narrowed && narrowed->source &&
                      !catalog.issues(question.where.endpoint, fit.key.kind, question.where.path, true).empty();
    const bool other = narrowed && (narrowed->told || narrowed->beaten || narrowed->elsewhere);
    const bool free = narrowed && !narrowed->told && !obeys(question.caller);
    if (free && may_be_elsewhere(*held.what, question.caller)) {
      possible(verdict, Reason::kAnotherEntryMeant);
      verdict.detail = "another entry's key comes from elsewhere, and the program may have taken that";
    } else if (other && !narrowed->index && !buys) {
      // The program was told to take another entry than the one that was read: its key may come from a helper or a
      // login it has elsewhere.
      possible(verdict, Reason::kAnotherEntryMeant);
      verdict.detail = narrowed->beaten ? narrowed->detail : narrowed->detail + " is not the entry that was read";
    } else {
      infer(verdict, question, *held.what,
            held.what->slot.from == From::kMetadata ? Reason::kIssuedByRole : Reason::kOnlyKeyHeld, catalog);
    }
  }
  if ((verdict.evidence == Evidence::kInferred || verdict.reason == Reason::kNotTied) &&
      is_entry_of_other_host(*held.what, question.where.destination.host, catalog)) {
    possible(verdict, Reason::kEntryOfAnotherHost);
  }
  return verdict;
}

Verdict weigh_several(Question& question, std::vector<Fit> found, const catalog::Catalog& catalog) {
  Verdict verdict;
  verdict.detail = count_text(found, catalog);
  // A key that was maybe issued is no rival of its parent but its child: narrow among the others.
  const auto has = [&](const std::string& id) {
    return std::ranges::any_of(found, [&](const Fit& fit) { return fit.key.id == id; });
  };
  std::vector<const Held*> core;
  for (const Fit& fit : found) {
    if (!(fit.held->what->issued && has(fit.key.parent))) core.push_back(fit.held);
  }
  const auto narrowed =
      core.size() > 1 ? narrow(core, question.caller, question.where.destination.host, catalog) : std::nullopt;
  const Held* chosen =
      core.size() == 1 ? core.front() : (narrowed && narrowed->index ? core[*narrowed->index] : nullptr);
  std::string chosen_id;
  for (const Fit& fit : found) {
    if (fit.held == chosen) chosen_id = fit.key.id;
  }
  const bool issued_too = chosen != nullptr && std::ranges::any_of(found, [&](const Fit& fit) {
                            return fit.held->what->issued && fit.held != chosen && fit.key.parent == chosen_id;
                          });
  const bool env_beside_argument = narrowed && narrowed->by_argument && !narrowed->covers_all;
  const bool certain = chosen != nullptr && narrowed && narrowed->covers_all && obeys(question.caller) &&
                       !env_beside_argument && rank(*chosen) <= 2;
  if (certain && !issued_too) {
    std::erase_if(found, [&](const Fit& fit) { return fit.held != chosen; });
    list(verdict, found, chosen, Reason::kSelector);
    verdict.detail = narrowed->detail;
    infer(verdict, question, *chosen->what, Reason::kSelector, catalog);
    return verdict;
  }
  if (issued_too) {
    if (core.size() == 1 || certain) {
      std::erase_if(found, [&](const Fit& fit) { return fit.held != chosen && fit.key.parent != chosen_id; });
      // What was bought comes first: that is what one buys it for. But a call to STS may only have asked who calls,
      // unless the program was told to buy (a role).
      const auto told = narrow(core, question.caller, question.where.destination.host, catalog);
      const bool role = told && told->source && core[*told->source] == chosen;
      // At the issuer itself one calls with what buys.
      const bool at_issuer = question.where.path.empty() &&
                             !catalog.issues(question.where.endpoint, chosen->what->key.kind, {}, true).empty();
      for (Fit& fit : found)
        fit.rank = !fit.held->what->issued ? 1 : (role || (fit.held->what->issue_told && !at_issuer) ? 0 : 2);
      std::ranges::sort(found, std::less<>{}, [](const Fit& fit) { return std::pair(fit.rank, fit.order); });
      list(verdict, found, nullptr, Reason::kParentOrIssued);
      for (Candidate& candidate : verdict.keys)
        candidate.reason = Reason::kParentOrIssued;
      verdict.detail = count_text(found, catalog);
      possible(verdict, Reason::kParentOrIssued);
      return verdict;
    }
  }
  const catalog::Program* program = question.caller.program;
  const bool in_runtime =
      chosen != nullptr && narrowed && narrowed->told && narrowed->covers_all && program != nullptr && program->runtime;
  list(verdict, found, chosen, in_runtime ? Reason::kSelectorInRuntime : Reason::kSeveralKeys);
  if (in_runtime) verdict.detail = narrowed->detail;
  possible(verdict, in_runtime ? Reason::kSelectorInRuntime : Reason::kSeveralKeys);
  return verdict;
}

/// Without a look into the request.
Verdict weigh_by_holdings(Question& question, KeyIndex& index, const catalog::Catalog& catalog) {
  Fits all{fits(question, index, catalog), {}};
  add_maybe_issued(all, question, catalog);
  std::vector<Fit>& found = all.list;
  if (found.empty()) {
    Verdict verdict;
    const bool holds_keys = std::ranges::any_of(question.caller.holdings, [&](const Held& held) {
      return held.how != How::kLostAtExec && held.what->since_ns <= question.world.use_ns;
    });
    const auto clause = closed_world(question.world);
    verdict.silent = question.where.endpoint.anonymous == catalog::Anonymous::kCommon || question.where.endpoint.open;
    verdict.reason = clause ? *clause : (holds_keys ? Reason::kNoKeyOfThisKind : Reason::kNoKeySeen);
    return verdict;
  }
  return found.size() == 1 ? weigh_one(question, found.front(), catalog)
                           : weigh_several(question, std::move(found), catalog);
}

/// No clause of the closed world is asked here: what was seen in the request needs none.
/// The key with the id or fingerprint that the request carries, from the place that ranks first, whatever became of it:
/// it was sent.
std::optional<Verdict> confirmed(const Question& question, KeyIndex& index) {
  const std::string& id = question.request->key_id;
  std::optional<Fit> sent;
  for (const Held& held : question.caller.holdings) {
    Key key = index.best(held.what->key);
    const bool same = !id.empty() && (key.id == id || held.what->key.fingerprint.text() == id);
    if (same && (!sent || rank(held) < sent->rank)) sent = Fit{&held, std::move(key), rank(held)};
  }
  if (!sent) return std::nullopt;
  Verdict verdict{.evidence = Evidence::kConfirmed, .reason = Reason::kKeyIdInRequest};
  list(verdict, std::span(&*sent, 1), sent->held, Reason::kKeyIdInRequest);
  return verdict;
}

}  // namespace

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
  return what;
}

Verdict weigh(Question question, KeyIndex& index, const catalog::Catalog& catalog) {
  complete_facts(question, catalog);
  const auto sent = question.request == nullptr ? RequestSeen::KeySent::kUnknown : question.request->key_sent;
  if (sent == RequestSeen::KeySent::kNone) return {.reason = Reason::kNoKeyInRequest, .silent = true};
  if (sent == RequestSeen::KeySent::kUnknown) return weigh_by_holdings(question, index, catalog);
  if (auto verdict = confirmed(question, index)) return *std::move(verdict);
  Verdict verdict = weigh_by_holdings(question, index, catalog);
  verdict.silent = false;  // it is no anonymous call
  verdict.reason = Reason::kAnotherKeyInRequest;
  if (verdict.keys.empty()) return verdict;
  verdict.detail.clear();
  possible(verdict, Reason::kAnotherKeyInRequest);
  return verdict;
}

}  // namespace keytrail::link
