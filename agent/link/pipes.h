// SPDX-License-Identifier: Apache-2.0
// What one program hands to another: `x=$(cat key)`, `cat key | program`, a credential_process, a worker that is fed
// through a pipe or socket pair, processes forked from one program. The bytes are not seen. Whoever took a key, called
// nobody with it and shares such a channel with another may have handed it over: evidence `possible`, as from a helper
// that the catalog knows. Called by Engine at exec, exit and connect, and when a named pipe is opened; Processes keeps
// who forked whom. One thread.
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

  /// A shell, or what is one (xargs), is about to start a program with what it read: who writes there may have closed
  /// the pipe and not ended yet.
  void on_fork(const InstanceRef& shell);
  /// A program begins and reads or writes these pipes.
  void on_exec(const InstanceRef& program, const ExecEvent& event);
  /// A process reads from a named pipe: whoever wrote into it may have handed it a key, also one that nobody saw.
  void on_open(const InstanceRef& reader, const OpenEvent& event, std::uint64_t time_ns);
  /// A process of an earlier run goes on: it still reads the pipe that its program began with.
  void adopt(const InstanceRef& instance);
  /// A process ended: what it took is handed over by now.
  void on_exit(const InstanceRef& writer);
  /// A process is about to call: whoever lives and is tied to it by a channel may have handed it a key.
  void on_connect(const ConnectEvent& event, const InstanceRef& caller);

 private:
  /// By which it reads a pipe: its program began with it, or it opened it by its path.
  enum class By : std::uint8_t { kProgram, kPath };
  struct Reader {
    std::weak_ptr<Instance> who;
    By by;
  };
  /// The number says neither which kind of pipe it is nor on which device, and a file's can be chosen: whoever reads
  /// one of that number is added, and takes the place of none of another owner's, and of none that came otherwise.
  void add_reader(const InstanceRef& reader, std::uint32_t pipe, By by);
  void read_from(const InstanceRef& reader, std::uint32_t pipe, By by);
  [[nodiscard]] InstanceRef parent_of(const Instance& of) const;
  /// Its children that live, the newest of them.
  [[nodiscard]] std::vector<InstanceRef> children_of(const Instance& of) const;
  /// Who reads its pipe.
  [[nodiscard]] std::vector<InstanceRef> readers_of(const Instance& writer);
  /// One of these that is of the same owner: another one's may read a pipe that only has the same number.
  [[nodiscard]] static bool has_own(const std::vector<InstanceRef>& readers, const Instance& writer);
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
  static constexpr std::size_t kReadersOfOne = 8;
  base::LruMap<std::uint32_t, std::vector<Reader>> readers_{kReaders};
  base::LruMap<std::uint32_t, std::vector<InstanceRef>> written_{kWritten};
};

}  // namespace keytrail::link
