// SPDX-License-Identifier: Apache-2.0
// What link knows of one program in one process: the keys it holds, and what weakens a claim about them. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/catalog/catalog.h"
#include "agent/link/doubts.h"
#include "keytrail/event.h"
#include "keytrail/key.h"
#include "keytrail/process.h"

namespace keytrail::link {

/// The part of a holding that never changes: shared by all processes that inherited it.
struct HeldKey {
  Key key;
  Slot slot;
  std::uint64_t since_ns = 0;      ///< kernel time of the open, exec or payload that brought it
  std::uint32_t dev = 0;           ///< of its file
  std::string_view selector_rule;  ///< catalog id of the selector of its file, or ""
  Fingerprint selector_hash;
  std::string host;      ///< host (and port) that the file says the entry is for, or ""
  bool current = false;  ///< the file names this entry as the one in use
  /// What its place may hold, when the key itself does not tell (catalog data); else empty.
  std::span<const std::string_view> kinds;
  bool issued = false;      ///< maybe issued: an issuer was called with `key.parent`
  bool issue_told = false;  ///< and the path of the request, or what such a key is used there for, says so
  bool broker = false;      ///< from a local broker: possible at most
  bool baseline = false;    ///< found by the sweep
};

struct Held {
  std::shared_ptr<const HeldKey> what;
  How how = How::kDirect;
  std::int64_t last_use_ns = 0;  ///< Unix ns
  bool announced = false;        ///< its acquisition was looked at by the news filter
  bool slot_changed = false;
  std::uint64_t superseded_ns = 0;  ///< kernel time at which it read another key from the slot of this one; 0 = not
  bool dirty = true;                ///< the durable table does not know this yet
};

struct Examination;

struct Instance {
  InstanceId id;
  ProcessRef process;  ///< null when identify does not know it
  const catalog::Program* program = nullptr;
  std::shared_ptr<Instance> parent;  ///< only while both live and the child is a catalogued helper
  Doubts doubts;
  bool alive = true;
  bool environment_asked = false;
  std::size_t stored_life = 0;                  ///< hash of what the history has of it; see life.h
  std::unique_ptr<const Doubts> stored_doubts;  ///< those in it; null: not compared yet
  bool synced = false;                          ///< the durable table holds rows of it
  bool queued_dirty = false;
  std::size_t held_uses = 0;  ///< waiting to be weighed
  std::vector<Held> holdings;
  std::vector<std::shared_ptr<Examination>> pending;

  [[nodiscard]] bool reads_in_bulk() const { return doubts.bulk || (program != nullptr && program->bulk_reader); }
  [[nodiscard]] std::uint32_t uid() const { return process ? process->uid : 0; }
  [[nodiscard]] const SharedList<EnvItem>& env() const {
    static const SharedList<EnvItem> kNone;
    return !baseline_env.empty() ? baseline_env : (process ? process->env : kNone);
  }
  SharedList<EnvItem> baseline_env;  ///< of a process found by the sweep, from the examiner
};

using InstanceRef = std::shared_ptr<Instance>;

/// A question to the examiner that is not answered yet, and who waits for it.
struct Examination {
  struct Receiver {
    InstanceRef instance;
    How how = How::kDirect;
  };
  std::uint64_t time_ns = 0;                ///< kernel time of the open or exec
  std::span<const std::string_view> kinds;  ///< that may stand there (catalog data); empty = any
  bool done = false;
  std::vector<Receiver> receivers;  ///< the first is the one that opened
};

}  // namespace keytrail::link
