// SPDX-License-Identifier: Apache-2.0
// Who has which key: adds holdings to instances, makes the acquisition rows that are news, and keeps the durable table
// of holders (holdings and lives) in step. Called by every owner that sees a key cross or a doubt arise; emptied by
// Engine. One thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/link/acquisitions.h"
#include "agent/link/environment.h"
#include "agent/link/instance.h"
#include "agent/link/key_index.h"
#include "agent/link/options.h"
#include "agent/link/outbox.h"
#include "agent/link/slots.h"

namespace keytrail::link {

class Holders {
 public:
  Holders(const LinkOptions& options, const Clock& clock, const Watch& watch, KeyIndex& index, Outbox& outbox)
      : options_(options),
        clock_(clock),
        watch_(watch),
        index_(index),
        outbox_(outbox),
        acquisitions_(options.max_news),
        shares_(options.max_all_holdings) {}

  /// Adds, or recognises as the same key from the same slot. Returns the holding; nullptr when the bound turned it
  /// away: it is no candidate then, but `tell` tells that it was taken: nobody hides a take behind many others.
  Held* hold(const InstanceRef& instance, std::shared_ptr<const HeldKey> what, How how);
  /// Adds what it was seen to take, and tells of it whatever bound is met. True when a row was made.
  bool take(const InstanceRef& instance, const std::shared_ptr<const HeldKey>& what, How how);
  /// Counts the acquisition of a holding, once, and makes its row if it is news. True when a row was made.
  bool announce(Instance& instance, Held& held);
  /// The same for a key that was just read, also when the process had it before.
  bool announce_read(Instance& instance, Held& held, std::uint64_t time_ns);
  /// The same for a key that is not held.
  bool tell(const Instance& instance, const HeldKey& what, std::uint64_t time_ns);
  /// A file that could not be read was given up: it may have held any key of these kinds (empty: of any).
  void give_up_unread(const Instance& opener, std::uint64_t time_ns, std::vector<std::string> kinds,
                      std::string reason);
  /// The same of a key file at a known place. True when it is news and a row was made. `usual`: kind and class of what
  /// it usually holds.
  bool announce_unread(const Instance& opener, std::uint64_t time_ns, const std::string& path, Key usual,
                       std::vector<std::string> kinds, std::string reason, bool baseline);
  /// The keys of an environment or of arguments. `before`: the program before the exec that brought them, or null. True
  /// when a row was made.
  bool hold_found(const InstanceRef& instance, std::span<const FoundKey> found, std::uint64_t time_ns, How how,
                  const Instance* before);
  /// The judge is told who may have handed a key to whom.
  void tell_handed(const Instance& to, const Instance& from);
  /// A forked process has all keys of its parent.
  void inherit(Instance& child, const InstanceRef& parent, std::uint64_t time_ns);
  /// What the program before an exec held is lost to the next, unless it is seen again.
  void carry_over_exec(Instance& next, const Instance& before);
  /// A process has read these keys of a file of this scope, in its own root: what it had from the same slots before is
  /// what it used before, but no candidate for its new connections, and not what it holds.
  void supersede(const InstanceRef& reader, std::string_view place, std::string_view scope, std::uint32_t dev,
                 std::span<const KeyFact> facts, std::uint64_t time_ns);
  /// Slots got other keys: their holders (of `live`) hold an old one by now, all but the reader.
  void on_rotations(const std::vector<SlotChange>& rotations, const Instance* reader,
                    const std::unordered_map<std::uint32_t, InstanceRef>& live);

  /// The table needs another look at this instance: at a new holding, and at its end.
  void mark_dirty(const InstanceRef& instance);
  /// What is stored of a holder beside its keys may have changed.
  void mark_doubts(const InstanceRef& instance) {
    if (instance->synced) mark_dirty(instance);
  }
  /// Of the table of an earlier run: what it stored of the instance beside its holdings, then each holding.
  void load(std::span<const Life> lives);
  void adopt_life(Instance& instance);
  /// The scope of a holding, as the table has it; nothing when that was stored by an earlier build.
  [[nodiscard]] std::optional<std::string> stored_scope(const Instance& instance, const Holding& holding) const;
  void adopt(const InstanceRef& instance, const Holding& holding, std::string_view selector_rule, std::string scope,
             const catalog::Catalog& catalog);
  /// Whoever was not adopted by now has ended meanwhile.
  void forget_lives() { lives_.clear(); }
  /// Moves what the table does not know yet into `out`.
  void sync(Link::Output& out, std::uint64_t now_ns);
  /// Since when somebody's keys wait for rows of their own, ns since boot; 0 = nobody's do.
  [[nodiscard]] std::uint64_t waits_since_ns() const { return waits_since_ns_; }

  [[nodiscard]] std::uint64_t repeats() const { return acquisitions_.repeats(); }

 private:
  /// Takes room for so many more holdings of this instance.
  [[nodiscard]] bool has_room(Instance& instance, std::size_t more);
  /// The same; else it may hold anything from now on, and that is told.
  [[nodiscard]] bool admit(Instance& instance, std::size_t more, std::uint64_t time_ns);
  void sync_one(const InstanceRef& instance, Link::Output& out);

  const LinkOptions& options_;
  const Clock& clock_;
  const Watch& watch_;
  KeyIndex& index_;
  Outbox& outbox_;
  Acquisitions acquisitions_;
  base::FairShares shares_;
  std::vector<InstanceRef> dirty_;
  std::uint64_t waits_since_ns_ = 0;
  std::map<InstanceId, std::string> lives_;  ///< of an earlier run, until all are adopted
};

}  // namespace keytrail::link
