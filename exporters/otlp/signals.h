// SPDX-License-Identifier: Apache-2.0
// The table of signals: how each is named, where it goes in each protocol, and what builds its request. Pure; any
// thread. A new signal is one row here, its builder, and its name in agent/base/config.h.
#pragma once

#include <google/protobuf/message_lite.h>

#include <array>
#include <memory>
#include <span>
#include <string>

#include "exporters/otlp/segments.h"
#include "exporters/otlp/sender.h"
#include "keytrail/metrics.h"
#include "keytrail/row.h"

namespace keytrail::otlp {

using Message = google::protobuf::MessageLite;

/// What requests are made of: rows, `places[i]` the place of `rows[i]`; or the metrics of `now_ns`.
struct Material {
  const Sender& sender;
  std::span<const Row> rows;
  std::span<const Place> places;
  std::span<const Metric> metrics;
  std::int64_t now_ns = 0;  ///< Unix ns
};

struct Signal {
  const char* name;       ///< in the configuration and in messages
  const char* http_path;  ///< after the endpoint's path
  const char* grpc_method;
  const char* response;  ///< full name of the answer's message
  bool of_rows;          ///< made of the history's rows, each of which must be settled; else of the state now
  /// The request, or nullptr when there is nothing to send.
  std::unique_ptr<Message> (*build)(const Material& from);
};

inline constexpr std::size_t kSignals = 3;
[[nodiscard]] const std::array<Signal, kSignals>& signals();

}  // namespace keytrail::otlp
