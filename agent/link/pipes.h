// SPDX-License-Identifier: Apache-2.0
// What one program hands to another: `x=$(cat key)`, `cat key | program`, a credential_process, a worker that is fed
// through a pipe or socket pair, processes forked from one program. The bytes are not seen. Whoever took a key, called
// nobody with it and shares such a channel with another may have handed it over: evidence `possible`, as from a helper
// that the catalog knows. Called by Engine at exec, exit and connect; Processes keeps who forked
// whom. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "agent/base/lru_map.h"
#include "agent/link/holders.h"
#include "agent/link/processes.h"

namespace keytrail::link {

/// A helper may write a key from a store that is not read (a keyring): no file that it read had one, and all that it
/// could hand on are known.
[[nodiscard]] bool may_hand_of_store(const Instance& writer);

class Pipes {
 public:
  Pipes(Holders& holders, const Processes& processes) : holders_(holders), processes_(processes) {}

  /// A program begins and reads or writes these pipes.
  void on_exec(const InstanceRef& program, const ExecEvent& event);
  /// A process of an earlier run goes on: it still reads the pipe that its program began with.
  void adopt(const InstanceRef& instance);
  /// A process ended: what it took is handed over by now.
  void on_exit(const InstanceRef& writer);
  /// A process is about to call: whoever lives and is tied to it by a channel may have handed it a key.
  void on_connect(const ConnectEvent& event, const InstanceRef& caller);

 private:
  [[nodiscard]] InstanceRef parent_of(const Instance& of) const;
  /// Its children that live, the newest of them.
  [[nodiscard]] std::vector<InstanceRef> children_of(const Instance& of) const;
  /// The program that reads its pipe and nothing else.
  [[nodiscard]] InstanceRef reader_of(const Instance& writer);
  /// Who reads its pipe, when that is no program that reads nothing else: the first that it comes from and that does
  /// not write into the same pipe.
  [[nodiscard]] InstanceRef caller_of(const Instance& writer) const;
  /// What the processes below `of` have for `to`; `top`: where that began. `room`: how many are still asked.
  void take_from_children(const InstanceRef& to, const InstanceRef& of, const Instance& top, int& room);
  enum class What : std::uint8_t { kKeys, kKeysAndMarks };
  void give(const InstanceRef& to, const InstanceRef& from, What what);

  static constexpr std::size_t kReaders = 4'096;
  static constexpr std::size_t kWritten = 64;  ///< pipes of ended writers, for a reader that begins later

  Holders& holders_;
  const Processes& processes_;
  base::LruMap<std::uint32_t, std::weak_ptr<Instance>> readers_{kReaders};
  base::LruMap<std::uint32_t, std::vector<InstanceRef>> written_{kWritten};
};

}  // namespace keytrail::link
