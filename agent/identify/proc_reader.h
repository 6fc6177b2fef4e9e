// SPDX-License-Identifier: Apache-2.0
// What an unprivileged reader of /proc learns of a process that no event has introduced. Thread: the pipeline's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "agent/catalog/catalog.h"

namespace keytrail::identify {

struct ProcFacts {
  std::string comm;
  std::uint32_t parent_tgid = 0;
  std::uint32_t uid = 0;  ///< effective
  std::uint32_t gid = 0;
  std::uint32_t login_uid = UINT32_MAX;
  std::uint32_t session_id = UINT32_MAX;
  std::uint32_t tty = 0;  ///< as Process::tty
  std::string cgroup;     ///< chosen path, "" when unreadable
};

class ProcReader {
 public:
  explicit ProcReader(std::string root);

  /// Nothing when there is no such process *with this start*: all is read through one directory descriptor, which never
  /// changes over to a PID's next owner.
  [[nodiscard]] std::optional<ProcFacts> read(std::uint32_t tgid, std::uint64_t start_ns) const;

  /// The script that the interpreter was given, as Process::script; empty where it is not known. Its words are read one
  /// by one and none behind the script: keys stand among them.
  [[nodiscard]] std::string script(std::uint32_t tgid, std::uint64_t start_ns,
                                   const catalog::Interpreter& interpreter) const;

  enum class Alive : std::uint8_t { kYes, kNo, kUnknown };
  /// kNo only where this /proc shows everybody's processes by their numbers in the initial PID namespace.
  [[nodiscard]] Alive alive(std::uint32_t tgid, std::uint64_t start_ns) const;

 private:
  [[nodiscard]] std::uint64_t ticks_of(std::uint64_t start_ns) const;

  std::string root_;
  std::uint64_t ns_per_tick_;
  std::int64_t offset_ns_ = 0;  // of our time namespace
  bool complete_;               // initial PID namespace, no hidepid
};

}  // namespace keytrail::identify
