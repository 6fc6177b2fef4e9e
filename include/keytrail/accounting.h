// SPDX-License-Identifier: Apache-2.0
// Loss accounting (agent/README.md). Each term is counted at its own place; none is derived from the others.
//   hits = filtered + sent + lost(cause)                       counted by the kernel side, per family
//   sent = recorded + absorbed + dropped(reason) + in_flight   counted by the worker; in_flight is 0 at rest
//   rows = acknowledged + rejected + expired + waiting         counted by record, per exporter
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <string>

#include "keytrail/event.h"

namespace keytrail {

/// The kernel side's counters of one family, summed over CPUs.
struct KernelCounters {
  std::uint64_t hits = 0;
  std::uint64_t filtered = 0;                 ///< of no interest, or a repeat counted in the kernel
  std::uint64_t sent = 0;                     ///< committed to a ring
  std::map<std::string, std::uint64_t> lost;  ///< by cause
};

/// What became of an event that came through a ring.
enum class Fate : std::uint8_t {
  kRecorded,  ///< it caused at least one row
  kAbsorbed,  ///< context, or counted into an edge or a holding
  kDropped,   ///< refused, with a reason
};

/// The worker's side: totals since the history began. `add` is called on the pipeline's thread only; record stores a
/// copy with every batch.
struct WorkerCounters {
  std::uint64_t received = 0;
  std::uint64_t recorded = 0;
  std::uint64_t absorbed = 0;
  std::map<std::string, std::uint64_t> dropped;  ///< by reason
  std::map<std::string, std::uint64_t> told;     ///< kernel losses that gap rows tell, by "FAMILY/CAUSE"
  std::uint64_t untold = 0;                      ///< given up, and no row says it yet: it is lost with the worker

  void add(Fate fate, const std::string& reason = {}) {
    switch (fate) {
      case Fate::kRecorded:
        ++recorded;
        break;
      case Fate::kAbsorbed:
        ++absorbed;
        break;
      case Fate::kDropped:
        ++dropped[reason];
        break;
    }
  }
};

/// Rows since the history began, and what became of them at one exporter.
struct ExportCounters {
  std::uint64_t rows = 0;  ///< rows that this exporter has to deliver (appended since it was first configured)
  std::uint64_t acknowledged = 0;
  std::uint64_t rejected = 0;  ///< refused by the collector for good
  std::uint64_t expired = 0;   ///< removed by retention before they were delivered
  std::uint64_t waiting = 0;
};

}  // namespace keytrail
