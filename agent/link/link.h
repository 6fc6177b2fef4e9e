// SPDX-License-Identifier: Apache-2.0
// The heart: joins keys that crossed into processes and the connections that these processes make into uses with
// evidence. In: events in kernel time order, with the processes that identify made of them. Out: rows, uses, holdings,
// lives and changes of slots, by take(). Thread: the pipeline's only one; the examiner's answers come on it, too.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/catalog/catalog.h"
#include "agent/link/options.h"
#include "keytrail/accounting.h"
#include "keytrail/agent_status.h"
#include "keytrail/clock.h"
#include "keytrail/event.h"
#include "keytrail/examiner.h"
#include "keytrail/identity_source.h"
#include "keytrail/process.h"
#include "keytrail/recorder.h"
#include "keytrail/row.h"

namespace keytrail::link {

class Engine;

class Link {
 public:
  struct Output {
    std::vector<Row> rows;  ///< acquisitions and gaps
    std::vector<UseRow> uses;
    std::vector<UseTouch> touches;  ///< byte counts are what came since the last report; `connections` is 0
    std::vector<KeyReader> readers;
    std::vector<Child> children;
    std::vector<HoldingChange> holdings;
    std::vector<Life> lives;
    std::vector<SlotChange> slot_changes;
    std::vector<FoundPlace> found;  ///< for the kernel's filter
    std::vector<TokenTold> told;    ///< tokens that say whom they are for, with who read them
  };
  using FateCall = std::function<void(Fate, std::string reason)>;
  using SameMountNs = std::function<std::vector<std::uint32_t>(std::uint32_t mnt_ns)>;

  /// `fate` is called once for each event with head.from_ring, at once or when its examination or held use is settled.
  /// `same_mount_ns`: live processes of a mount namespace, for the examiner. All references must outlive the Link.
  Link(LinkOptions options, const catalog::Catalog& catalog, Examiner& examiner, const Clock& clock, FateCall fate,
       SameMountNs same_mount_ns);
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  /// What an earlier run stored: its slots and lives. Call once, before the first event.
  void load(const Earlier& earlier);
  void set_armed(Family family, bool armed);
  /// Since when the hooks are armed, ns since boot: an exec before it was not seen.
  void set_armed_ns(std::uint64_t armed_ns);
  /// `who`: the process of head.who, or null; `other`: the child of a fork, the previous program of an exec, else null.
  void on_event(const Event& event, const ProcessRef& who, const ProcessRef& other);
  /// Resolves held uses that waited long enough, looks again at known slots, paces examinations. Call every 50 to 100
  /// ms.
  void on_tick(std::uint64_t now_boot_ns);
  /// After a restart: a holding of the durable table whose process is still alive. Only its process's identity is taken
  /// from `who`.
  void adopt(const Holding& holding, const ProcessRef& who);
  /// A period in which something may be missing; becomes a row. `lost` 0 = proven empty, absent = unknown; `family`
  /// empty = all; `text`: one sentence, where there is more to say than what is lost.
  void gap(std::uint64_t from_boot_ns, std::uint64_t to_boot_ns, std::string cause, std::optional<std::uint64_t> lost,
           std::string family, std::string text = {});
  /// Something that may have mattered was given up, once or more often: told as coalesced gaps (ledger.h). `scope`: the
  /// name of the workload that it concerns, or empty.
  void give_up(std::string cause, std::string family, std::string scope, std::uint64_t count,
               std::uint64_t time_boot_ns);
  /// So many records were lost that may have been anybody's, within a period: told as give_up(), and no process that
  /// lived then was seen whole.
  void lose(std::string cause, std::uint64_t count, std::uint64_t from_boot_ns, std::uint64_t to_boot_ns);
  /// Up to when all that was seen left by the next take(), or did before: what waits (an examination, a use that is
  /// held back) ends it. Ns since boot, at most `now_boot_ns`.
  [[nodiscard]] std::uint64_t settled_ns(std::uint64_t now_boot_ns) const;
  /// What was given up and is in no row of take() yet.
  [[nodiscard]] std::uint64_t untold() const;
  /// Settles everything that waits, as it stands now: before the worker stops.
  void finish(std::uint64_t now_boot_ns);
  [[nodiscard]] Output take();
  /// For status: what link keeps and what its bounds turned away, by name.
  [[nodiscard]] std::map<std::string, std::uint64_t> counters() const;
  /// Live processes that may hold keys which nobody saw them take. Walks all of them. Nothing until the sweep has
  /// ended.
  [[nodiscard]] std::optional<UnseenLives> unseen(std::uint64_t now_boot_ns) const;

 private:
  std::unique_ptr<Engine> engine_;
};

}  // namespace keytrail::link
