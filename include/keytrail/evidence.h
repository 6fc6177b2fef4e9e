// SPDX-License-Identifier: Apache-2.0
// How sure a use is, and why. The first clause of the closed world that fails is the reason shown.
#pragma once

#include <cstdint>

namespace keytrail {

enum class Evidence : std::uint8_t { kUnattributed, kPossible, kInferred, kConfirmed };

/// The reason beside every evidence; `to_string` is what records carry (keytrail.evidence.reason), `explain` what people read.
enum class Reason : std::uint8_t {
  // confirmed
  kKeyIdInRequest,
  kProviderLog,
  // inferred
  kOnlyKeyHeld,   ///< of the keys that crossed a watched boundary into this process exactly one is accepted here
  kSelector,      ///< a catalogued program whose selector names one entry of the file
  kIssuedByRole,  ///< issued by the metadata service, and the only one accepted here
  kHelper,        ///< a catalogued helper bound to this host handed it over
  // possible: more than one, or inherited loosely
  kSeveralKeys,        ///< n keys fit; all are listed
  kSelectorInRuntime,  ///< narrowed by a selector, but the program is a general runtime that may override it
  kLostAtExec,         ///< held before an exec and not seen again after it
  kFromHelper,         ///< read by a child whose pipe ends in the caller
  kParentOrIssued,     ///< an issuer was called: the parent or what it issued
  // possible: a clause of the closed world fails, in the order they are judged
  kExecNotSeen,
  kGapInLife,         ///< a gap that counters do not prove empty overlaps the process's life
  kHooksNotArmed,     ///< exec, open, connect or name family was not armed
  kLocalBroker,       ///< an unclassified local socket was talked to
  kRelayOrHub,        ///< the process carries others' requests or holds many keys
  kOpenedBeforeKey,   ///< the connection was opened before the acquisition
  kUnidentifiedFile,  ///< a key file it read was not identified (unread, gone, unknown format)
  kNamesContradict,   ///< two names of the destination contradict, or the address is shared
  // unattributed
  kNoKeySeen,        ///< closed world holds, and no key crossed a watched boundary: built in code, from a pipe, or typed in
  kNoKeyOfThisKind,  ///< keys are held, none is accepted here
};

[[nodiscard]] constexpr const char* to_string(Evidence value) {
  switch (value) {
    case Evidence::kUnattributed:
      return "unattributed";
    case Evidence::kPossible:
      return "possible";
    case Evidence::kInferred:
      return "inferred";
    case Evidence::kConfirmed:
      return "confirmed";
  }
  return "unattributed";
}

[[nodiscard]] constexpr const char* to_string(Reason value) {
  switch (value) {
    case Reason::kKeyIdInRequest:
      return "key_id_in_request";
    case Reason::kProviderLog:
      return "provider_log";
    case Reason::kOnlyKeyHeld:
      return "only_key_held";
    case Reason::kSelector:
      return "selector";
    case Reason::kIssuedByRole:
      return "issued_by_role";
    case Reason::kHelper:
      return "helper";
    case Reason::kSeveralKeys:
      return "several_keys";
    case Reason::kSelectorInRuntime:
      return "selector_in_runtime";
    case Reason::kLostAtExec:
      return "lost_at_exec";
    case Reason::kFromHelper:
      return "from_helper";
    case Reason::kParentOrIssued:
      return "parent_or_issued";
    case Reason::kExecNotSeen:
      return "exec_not_seen";
    case Reason::kGapInLife:
      return "gap_in_life";
    case Reason::kHooksNotArmed:
      return "hooks_not_armed";
    case Reason::kLocalBroker:
      return "local_broker";
    case Reason::kRelayOrHub:
      return "relay_or_hub";
    case Reason::kOpenedBeforeKey:
      return "opened_before_key";
    case Reason::kUnidentifiedFile:
      return "unidentified_file";
    case Reason::kNamesContradict:
      return "names_contradict";
    case Reason::kNoKeySeen:
      return "no_key_seen";
    case Reason::kNoKeyOfThisKind:
      return "no_key_of_this_kind";
  }
  return "no_key_seen";
}

/// One sentence part for people: "only AWS key it holds" and the like, without names.
[[nodiscard]] constexpr const char* explain(Reason value) {
  switch (value) {
    case Reason::kKeyIdInRequest:
      return "key ID in request";
    case Reason::kProviderLog:
      return "provider's log agrees";
    case Reason::kOnlyKeyHeld:
      return "only key it holds that is accepted there";
    case Reason::kSelector:
      return "selector of a known program";
    case Reason::kIssuedByRole:
      return "issued to it by the metadata service";
    case Reason::kHelper:
      return "handed over by a known helper for this host";
    case Reason::kSeveralKeys:
      return "several keys it holds are accepted there";
    case Reason::kSelectorInRuntime:
      return "selector points at it, but the program may override it";
    case Reason::kLostAtExec:
      return "held before an exec, not seen again after it";
    case Reason::kFromHelper:
      return "read by a child whose output it takes";
    case Reason::kParentOrIssued:
      return "this key, or one issued from it";
    case Reason::kExecNotSeen:
      return "older than the agent, or its start was not seen";
    case Reason::kGapInLife:
      return "a gap overlaps its life";
    case Reason::kHooksNotArmed:
      return "a hook family was not armed";
    case Reason::kLocalBroker:
      return "it talked to an unclassified local socket";
    case Reason::kRelayOrHub:
      return "it carries others' requests or holds many keys";
    case Reason::kOpenedBeforeKey:
      return "the connection is older than the key";
    case Reason::kUnidentifiedFile:
      return "a key file it read was not identified";
    case Reason::kNamesContradict:
      return "names of the destination contradict each other";
    case Reason::kNoKeySeen:
      return "no key was seen crossing into it";
    case Reason::kNoKeyOfThisKind:
      return "no key it holds is accepted there";
  }
  return "";
}

}  // namespace keytrail
