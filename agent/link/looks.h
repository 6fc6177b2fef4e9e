// SPDX-License-Identifier: Apache-2.0
// Known key files: what opens showed of them, and looks at those of live holders, so that a rotation is noticed that
// nobody reads. Owns the slots and the queue of looks. Called by Opens (an open was read), by Engine (ticks, adoption,
// what is stored). One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "agent/catalog/catalog.h"
#include "agent/link/examinations.h"
#include "agent/link/gaps.h"
#include "agent/link/processes.h"
#include "agent/link/slots.h"

namespace keytrail::link {

/// What such a place may hold besides its usual kind: a password where that is none, else what is no password. Empty
/// when nothing.
[[nodiscard]] std::string_view other_kind_of(const catalog::File& entry, const catalog::Catalog& catalog);
/// The kind of a key that does not tell its own, in an entry for a host that the catalog knows: the one of the place's
/// kinds that is taken there, else the host's own of this class. A password stays the place's. Empty when nothing
/// tells.
[[nodiscard]] std::string_view kind_at_host(const KeyFact& fact, const catalog::File& entry,
                                            const catalog::Catalog& catalog);
/// Every kind that it may hold, as FileQuestion has them.
[[nodiscard]] std::string kinds_of(const catalog::File& entry);

class Looks {
 public:
  Looks(const LinkOptions& options, const catalog::Catalog& catalog, const Clock& clock, KeyIndex& index,
        Holders& holders, const Processes& processes, Examinations& examinations, const Watch& watch)
      : options_(options),
        catalog_(catalog),
        clock_(clock),
        index_(index),
        holders_(holders),
        processes_(processes),
        examinations_(examinations),
        watch_(watch),
        slots_(options.max_files) {}

  /// Whose the file is that was opened: see SlotChange.
  [[nodiscard]] std::string scope_of(const Instance& opener, const OpenEvent& event);
  /// A file of this scope was opened (kernel time) and read, now or (`remembered`) before.
  void on_read(const Instance& opener, const std::string& scope, const OpenEvent& event, std::uint64_t time_ns,
               const catalog::File& entry, const FileAnswer& answer, bool remembered);
  struct Adopted {
    std::string_view selector_rule;  ///< of its file, or ""
    std::string scope;
  };
  /// A holding of an earlier run, and its scope where that is stored.
  Adopted adopt(const Instance& instance, const Holding& holding, std::optional<std::string> stored_scope);
  void on_tick(std::uint64_t now_ns);

  void load(std::span<const SlotChange> slots) { slots_.load(slots); }
  [[nodiscard]] std::vector<SlotChange> take_changes() { return slots_.take_changes(); }
  [[nodiscard]] std::uint64_t forgotten() const { return slots_.forgotten(); }

 private:
  [[nodiscard]] std::uint32_t machine_mnt_ns() const {
    return Slots::machine_mnt_ns(processes_.live(), options_.own_mnt_ns);
  }
  /// Whether an open in this scope may have reached another file than the one that is followed there (null: none is):
  /// the same path in another mount namespace.
  [[nodiscard]] bool is_elsewhere(std::string_view scope, const KnownFile* file, const OpenEvent& event) const;
  /// Whether this is still the mount namespace of that number in which the file was seen last: numbers come again.
  [[nodiscard]] bool is_same_mount(const KnownFile& file, const Instance& opener) const;
  void queue();
  void start();
  void look(const std::string& key, const InstanceRef& through);
  /// `asked_ns`: Unix ns of the question.
  void on_answer(const std::string& key, std::int64_t asked_ns, FileAnswer& answer);

  const LinkOptions& options_;
  const catalog::Catalog& catalog_;
  const Clock& clock_;
  KeyIndex& index_;
  Holders& holders_;
  const Processes& processes_;
  Examinations& examinations_;
  const Watch& watch_;
  Slots slots_;
  std::size_t running_ = 0;
  std::uint64_t last_ns_ = 0;
  std::deque<std::pair<std::string, std::weak_ptr<Instance>>> queue_;  ///< file key, and who sees it
};

}  // namespace keytrail::link
