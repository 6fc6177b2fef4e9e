// SPDX-License-Identifier: Apache-2.0
#include "agent/link/candidates.h"

#include <algorithm>
#include <cctype>
#include <tuple>

#include "agent/link/fits.h"
#include "agent/link/selectors.h"

namespace keytrail::link {
namespace {

Reason loose_reason(const Held& held) {
  if (held.how == How::kLostAtExec) return Reason::kLostAtExec;
  if (held.how == How::kHelper) return Reason::kFromHelper;
  if (held.how == How::kTold) return Reason::kToldByFile;
  if (held.what->broker) return Reason::kLocalBroker;
  return held.what->issued ? Reason::kParentOrIssued : Reason::kSeveralKeys;
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
    verdict.keys.push_back({fit.key, fit.held->what->slot, reason, fit.held->what->scope});
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
  world.relay_or_hub = caller.reads_in_bulk() || (program != nullptr && (program->relay || program->hub));
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
    // What the process opened before its exec may be open still; what it was forked from had that before its exec.
    const bool own = pending->time_ns >= std::min(caller.doubts.life_from_ns, caller.id.start_ns);
    const bool here = pending->kinds.empty() || std::ranges::any_of(pending->kinds, concerns);
    if (own && !pending->done && here) earliest(world.unidentified_ns, pending->time_ns);
  }
  world.names_contradict = question.where.contradiction;
  world.local_name = question.where.local_name;
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

/// Does what the program is for say that this key is not the one it called with? A relay may carry somebody's whatever
/// it holds itself; a hub has kinds that are its own; who reads in bulk reads files and other
/// processes.
bool is_for_others(const Instance& caller, const HeldKey& held) {
  const catalog::Program* program = caller.program;
  const From from = held.slot.from;
  if (caller.reads_in_bulk() && (from == From::kFile || from == From::kMemory)) return true;
  if (program == nullptr) return false;
  return program->relay || (program->hub && std::ranges::find(program->own, held.key.kind) == program->own.end());
}

/// Inferred when the closed world holds, else possible with the clause that fails.
void infer(Verdict& verdict, Question& question, const HeldKey& held, Reason reason, const catalog::Catalog& catalog) {
  question.world.acquired_ns = question.key_after_connect ? 0 : held.since_ns;
  question.world.relay_or_hub = is_for_others(question.caller, held);
  if (const auto clause = closed_world(question.world)) {
    possible(verdict, *clause);
    if (*clause == Reason::kRelayOrHub && verdict.detail.empty())
      verdict.detail = relay_detail(question.caller.program, held);
    return;
  }
  if (question.where.endpoint.open && !is_told_for(question.where, held)) {
    possible(verdict, Reason::kOwnerDecides);
    return;
  }
  // Each of its keys was inherited with a shell's environment, and it looks for none there.
  const catalog::Program* program = question.caller.program;
  const bool idle = program != nullptr && !program->environment && held.slot.from == From::kEnvironment;
  if (idle || !is_tied(question.where, held, question.caller, catalog)) {
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
  } else if (held.how == How::kTold) {
    possible(verdict, Reason::kToldByFile);
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

/// What a program does tells more than the default of its file. It is the likeliest of several, and no more:
/// - what an issuer always gives for the key that it was called with, and that is taken there alone: one calls it for
///   that;
/// - what a helper handed over, where an entry says that its key comes from elsewhere: programs run one when they need
///   it;
/// - what was read where an entry says that its key lies.
const Held* in_use(std::span<const Held* const> held, const Instance& caller) {
  const auto find = [&](const auto& is_it) {
    const auto it = std::ranges::find_if(held, [&](const Held* one) { return is_it(*one); });
    return it == held.end() ? nullptr : *it;
  };
  const bool elsewhere = !caller.doubts.leads.empty();
  if (const Held* bought = find([](const Held& one) { return one.what->issue_told && one.what->issue_first; }))
    return bought;
  if (const Held* handed = find([&](const Held& one) { return elsewhere && one.how == How::kHelper; })) return handed;
  return find([](const Held& one) { return one.how < How::kHelper && !one.what->entry.empty(); });
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
  const Held* likeliest = narrowed && narrowed->told && narrowed->index ? nullptr : in_use(core, question.caller);
  if (likeliest != nullptr) {
    const Reason reason = loose_reason(*likeliest);
    list(verdict, found, likeliest, reason);
    possible(verdict, reason);
    return verdict;
  }
  const bool in_runtime =
      chosen != nullptr && narrowed && narrowed->told && narrowed->covers_all && program != nullptr && program->runtime;
  list(verdict, found, chosen, in_runtime ? Reason::kSelectorInRuntime : Reason::kSeveralKeys);
  if (in_runtime) verdict.detail = narrowed->detail;
  possible(verdict, in_runtime ? Reason::kSelectorInRuntime : Reason::kSeveralKeys);
  return verdict;
}

/// Nobody knows what this place takes: any key that is held may go there, an encryption key where no other is. None is
/// better than another, so their order is one that stays.
Verdict weigh_unknown(const Question& question, KeyIndex& index, const catalog::Catalog& catalog) {
  const auto of_class = [&](bool encryption) {
    return held_then(question, index, catalog, [=](const Key& key, const HeldKey&) {
      return (key.key_class == KeyClass::kEncryptionKey) == encryption;
    });
  };
  std::vector<Fit> found = of_class(false);
  if (found.empty()) found = of_class(true);
  std::ranges::sort(found, std::less<>{}, [](const Fit& fit) { return std::tie(fit.rank, fit.key.id); });
  Verdict verdict{.evidence = Evidence::kPossible, .reason = Reason::kUnknownDestination, .silent = found.empty()};
  list(verdict, found, nullptr, Reason::kUnknownDestination);
  for (Candidate& candidate : verdict.keys) {
    if (candidate.reason == Reason::kSeveralKeys) candidate.reason = Reason::kUnknownDestination;
  }
  return verdict;
}

/// Without a look into the request.
Verdict weigh_by_holdings(Question& question, KeyIndex& index, const catalog::Catalog& catalog) {
  if (!question.where.known) return weigh_unknown(question, index, catalog);
  Fits all{fits(question, index, catalog), {}};
  add_maybe_issued(all, question, catalog);
  if (all.list.empty()) all.list = signers(question, index, catalog);
  std::vector<Fit>& found = all.list;
  if (found.empty()) {
    Verdict verdict;
    const bool holds_keys = std::ranges::any_of(question.caller.holdings, [&](const Held& held) {
      return held.how != How::kLostAtExec && held.what->since_ns <= question.world.use_ns;
    });
    // Somebody's own service on a provider's host is known no better than a host that is in no catalog.
    if (question.where.endpoint.open) return weigh_unknown(question, index, catalog);
    const auto clause = closed_world(question.world);
    // A file that was not identified may hold a key for it.
    verdict.silent =
        question.where.endpoint.anonymous == catalog::Anonymous::kCommon && question.world.unidentified_ns == 0;
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
