// SPDX-License-Identifier: Apache-2.0
// The accounting across restarts. The kernel's counters begin with their map (a session) and outlive a worker, where
// systemd keeps them also a warden; the worker's totals are stored with every batch. What the last worker of the same
// session took and did not commit is their exact difference. Thread: the pipeline's.
#pragma once

#include <cstdint>
#include <string>

#include "keytrail/accounting.h"
#include "keytrail/recorder.h"

namespace keytrail {

class Session {
 public:
  /// `stored`: the session that the history knows (id empty: none); `totals`: stored with the last batch.
  Session(const std::string& id, const SessionBase& stored, WorkerCounters totals);

  /// True when the history knows this session: a worker before this one ran in it.
  [[nodiscard]] bool continued() const { return continued_; }
  /// Books what the worker before this one lost: `sent` and `backlog` are of the rings now. Returns how many events
  /// that were.
  std::uint64_t book_loss(std::uint64_t sent, std::uint64_t backlog, const std::string& reason);

  /// A row tells of events of this family that the kernel side lost.
  void told(const std::string& family, const std::string& cause, std::uint64_t count);
  /// What rows have told so, since the kernel's counters began.
  [[nodiscard]] std::uint64_t told(const std::string& family, const std::string& cause) const;

  void received();
  void fate(Fate fate, const std::string& reason);

  /// Since the history began: goes with every batch.
  [[nodiscard]] const WorkerCounters& totals() const { return totals_; }
  /// Since the kernel's counters began.
  [[nodiscard]] WorkerCounters since_armed() const;
  /// Taken from a ring, fate not decided yet.
  [[nodiscard]] std::uint64_t pending() const { return pending_; }
  /// To be stored with the first batch.
  [[nodiscard]] const SessionBase& base() const { return base_; }

 private:
  SessionBase base_;
  WorkerCounters totals_;
  std::uint64_t pending_ = 0;
  bool continued_ = false;
};

}  // namespace keytrail
