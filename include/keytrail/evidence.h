// SPDX-License-Identifier: Apache-2.0
// How sure a use is, and why. The first clause of the closed world that fails is the reason shown.
#pragma once

#include <cstdint>

#include "keytrail/words.h"

namespace keytrail {

enum class Evidence : std::uint8_t { kUnattributed = 0, kPossible = 1, kInferred = 2, kConfirmed = 3 };

/// The reason beside every evidence; `to_string` is what records carry (keytrail.evidence.reason), `explain` what
/// people read: one sentence part, "only AWS key it holds" and the like, without names.
enum class Reason : std::uint8_t {
  // confirmed
  kKeyIdInRequest = 0,
  kProviderLog = 1,
  // inferred
  kOnlyKeyHeld = 2,   ///< of the keys that crossed a watched boundary into this process exactly one is accepted here
  kSelector = 3,      ///< a catalogued program whose selector names one entry of the file
  kIssuedByRole = 4,  ///< issued by the metadata service, and the only one accepted here
  kHelper = 5,        ///< a catalogued helper bound to this host handed it over
  // possible: more than one, or inherited loosely
  kSeveralKeys = 6,        ///< n keys fit; all are listed
  kSelectorInRuntime = 7,  ///< narrowed by a selector, but the program is a general runtime that may override it
  kLostAtExec = 8,         ///< held before an exec and not seen again after it
  kFromHelper = 9,         ///< read by a child whose pipe ends in the caller
  kParentOrIssued = 10,    ///< an issuer was called: the parent or what it issued
  // possible: a clause of the closed world fails, in the order they are tried
  kExecNotSeen = 11,
  kGapInLife = 12,         ///< a gap that counters do not prove empty overlaps the process's life
  kHooksNotArmed = 13,     ///< exec, open, connect or name family was not armed
  kLocalBroker = 14,       ///< an unclassified local socket was talked to
  kRelayOrHub = 15,        ///< the process carries others' requests or holds many keys
  kOpenedBeforeKey = 16,   ///< the connection was opened before the acquisition
  kUnidentifiedFile = 17,  ///< a key file it read was not identified (unread, gone, unknown format)
  kNamesContradict = 18,   ///< two names of the destination contradict, or the address is shared
  // unattributed
  kNoKeySeen =
      19,  ///< closed world holds, and no key crossed a watched boundary: built in code, from a pipe, or typed in
  kNoKeyOfThisKind = 20,  ///< keys are held, none is accepted here
  // added later; one number each, never used again for another
  kOwnerDecides = 21,        ///< possible: one key fits, and the destination's owner decides which keys it takes
  kAnotherEntryMeant = 22,   ///< possible: one key fits, and the program was told to take another entry or key than it
  kEntryOfAnotherHost = 23,  ///< possible: one key fits, and its entry of the file is for another host
  kAnotherKeyInRequest =
      24,                ///< possible or unattributed: the request carries a key that the process is not known to hold
  kNoKeyInRequest = 25,  ///< unattributed: the request was read and carries no key
  kNotSeenWhole = 26,    ///< possible: arguments, environment or keys were more than is read or kept
  kNotTied = 27,         ///< possible: a generic key, or one of another service, that nothing ties to the destination
  kUnknownDestination = 28,  ///< possible: keys are held, and nobody knows the place: it may take any of them
  kNameAtLocalAddress = 29,  ///< possible: a name of elsewhere, claimed at a loopback or link-local address
  kToldByFile = 30,          ///< possible: a file that it read names the key's place; its read was not seen
};

template <>
inline constexpr auto kWords<Evidence> = words<Evidence>({{Evidence::kConfirmed, "confirmed", "used"},
                                                          {Evidence::kInferred, "inferred", "used (inferred)"},
                                                          {Evidence::kPossible, "possible", "may have used"},
                                                          {Evidence::kUnattributed, "unattributed", "called"}});

template <>
inline constexpr auto kWords<Reason> = words<Reason>({
    {Reason::kKeyIdInRequest, "key_id_in_request", "key ID in request"},
    {Reason::kProviderLog, "provider_log", "provider's log agrees"},
    {Reason::kOnlyKeyHeld, "only_key_held", "only key it holds that is accepted there"},
    {Reason::kSelector, "selector", "selector of a known program"},
    {Reason::kIssuedByRole, "issued_by_role", "issued to it by the metadata service"},
    {Reason::kHelper, "helper", "handed over by a known helper for this host"},
    {Reason::kSeveralKeys, "several_keys", "several keys it holds are accepted there"},
    {Reason::kSelectorInRuntime, "selector_in_runtime", "selector points at it, but the program may override it"},
    {Reason::kLostAtExec, "lost_at_exec", "held before an exec, not seen again after it"},
    {Reason::kFromHelper, "from_helper", "read by a child whose output it takes"},
    {Reason::kParentOrIssued, "parent_or_issued", "this key, or one issued from it"},
    {Reason::kExecNotSeen, "exec_not_seen", "older than the agent, or its start was not seen"},
    {Reason::kGapInLife, "gap_in_life", "a gap overlaps its life"},
    {Reason::kHooksNotArmed, "hooks_not_armed", "a hook family was not armed"},
    {Reason::kLocalBroker, "local_broker", "it talked to an unclassified local socket"},
    {Reason::kRelayOrHub, "relay_or_hub", "it carries others' requests or holds many keys"},
    {Reason::kOpenedBeforeKey, "opened_before_key", "the connection is older than the key"},
    {Reason::kUnidentifiedFile, "unidentified_file", "a key file it read was not identified"},
    {Reason::kNamesContradict, "names_contradict", "names of the destination contradict each other"},
    {Reason::kNoKeySeen, "no_key_seen", "no key was seen crossing into it"},
    {Reason::kNoKeyOfThisKind, "no_key_of_this_kind", "no key it holds is accepted there"},
    {Reason::kOwnerDecides, "owner_decides",
     "only key it holds that fits, but the owner of that place decides which it takes"},
    {Reason::kAnotherEntryMeant, "another_entry_meant", "it fits, but the program was told to take another"},
    {Reason::kEntryOfAnotherHost, "entry_of_another_host", "it fits, but the file says that it is for another host"},
    {Reason::kAnotherKeyInRequest, "another_key_in_request", "the request carries a key that it was not seen to get"},
    {Reason::kNoKeyInRequest, "no_key_in_request", "the request carries no key"},
    {Reason::kNotSeenWhole, "not_seen_whole", "its arguments, environment or keys were more than is read"},
    {Reason::kNotTied, "not_tied", "it fits, but nothing ties it to this service"},
    {Reason::kUnknownDestination, "unknown_destination", "unknown destination: any key it holds may go there"},
    {Reason::kNameAtLocalAddress, "name_at_local_address",
     "a name of elsewhere, claimed at a loopback or link-local address"},
    {Reason::kToldByFile, "told_by_file", "a file that it read names the place of this key, whose read was not seen"},
});

}  // namespace keytrail
