// SPDX-License-Identifier: Apache-2.0
// Which trace each row belongs to. A trace is one segment of one (process instance, key): it ends after 15 idle
// minutes, 200 spans or one hour, and the next one links back. Ids are hashes of the history's id and the row's epoch
// and sequence: a row that is sent twice has the same span id, and a trace, named by the row that is its root, never
// has two. Bounded memory, no I/O; one thread (the exporter's).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agent/base/siphash.h"
#include "exporters/otlp/last_used.h"
#include "exporters/otlp/service_names.h"
#include "keytrail/row.h"
#include "keytrail/row_queue.h"

namespace keytrail::otlp {

using HistoryId = std::array<std::uint8_t, 16>;

struct SpanRef {
  std::string trace_id;  ///< 16 bytes, never all zero
  std::string span_id;   ///< 8 bytes, never all zero
};

struct SpanLink {
  SpanRef to;
  std::string relation;  ///< "previous_segment", "acquired_elsewhere", "candidate", "issued_from"
  std::string key_id;
  std::string reason;  ///< why the candidate fits, or empty
};

/// Where a row's record stands. `self.span_id` is empty for a row without a span (finding, gap, revision).
struct Place {
  SpanRef self;
  std::string parent;  ///< span id, or empty for a root
  std::vector<SpanLink> links;
  bool other = false;  ///< there are too many service names: it is sent under kOtherService
};

class SpanBuilder {
 public:
  static constexpr std::int64_t kIdleNs = 15LL * 60 * 1'000'000'000;
  static constexpr std::int64_t kAgeNs = 60LL * 60 * 1'000'000'000;
  static constexpr std::uint32_t kSpansMax = 200;
  static constexpr std::size_t kSegmentsMax = 16'384;

  explicit SpanBuilder(const HistoryId& history, std::vector<RowEpoch> epochs = {},
                       std::size_t services_max = ServiceNames::kMax)
      : history_(history),
        epochs_(std::move(epochs)),
        segments_(kSegmentsMax),
        acquired_(kSegmentsMax),
        services_(services_max) {}
  /// One place per row, in the rows' order. Give each row once, oldest first.
  [[nodiscard]] std::vector<Place> place(std::span<const Row> rows);
  /// Records without their own service name.
  [[nodiscard]] std::uint64_t others() const { return services_.others(); }
  void forget_others() { services_.forget_others(); }

 private:
  struct Segment {
    SpanRef root;
    std::int64_t begun_ns = 0;
    std::int64_t last_ns = 0;
    std::uint32_t spans = 0;
  };
  Place place_row(const Row& row);
  Place place_acquisition(const Row& row, const AcquisitionRow& body);
  Place place_use(const Row& row, const UseRow& body);
  /// Joins the segment of the instance and key, or begins the next one. `began`: the row is its root.
  Place join(const Row& row, const InstanceId& who, const std::string& key_id, bool& began);
  /// A trace of its own.
  [[nodiscard]] Place alone(const Row& row) const;
  /// The root of the instance's live or last segment with the key; else where the key was acquired last, by any
  /// process.
  [[nodiscard]] std::optional<SpanRef> origin_of(const InstanceId& who, const std::string& key_id);
  [[nodiscard]] std::string hash(char domain, std::uint64_t seq, std::size_t bytes) const;
  [[nodiscard]] std::string span_id(const Row& row) const;
  [[nodiscard]] std::string trace_id(const Row& root) const;

  HistoryId history_;
  std::vector<RowEpoch> epochs_;
  LastUsed<Segment> segments_;  ///< by instance and key id
  LastUsed<SpanRef> acquired_;  ///< by key id: the span of its latest acquisition
  ServiceNames services_;
};

}  // namespace keytrail::otlp
