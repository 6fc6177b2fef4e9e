// SPDX-License-Identifier: Apache-2.0
// How many values `service.name` may have: back ends keep an index for each, and names of short-lived pods and programs
// never end. What is over the bound is sent under one name, its own beside it. A name that was not seen for a day makes
// room for another. One thread (the exporter's).
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "exporters/otlp/last_used.h"

namespace keytrail::otlp {

/// As the semantic conventions call a value that is none of a bounded list.
inline constexpr char kOtherService[] = "_OTHER";

class ServiceNames {
 public:
  static constexpr std::size_t kMax = 1000;
  static constexpr std::int64_t kKeptNs = std::int64_t{24} * 3600 * 1'000'000'000;

  explicit ServiceNames(std::size_t max = kMax) : max_(max), names_(max) {}
  /// Whether a record of that time may have the name; else it counts as one under kOtherService.
  bool admit(const std::string& name, std::int64_t time_ns) {
    if (std::int64_t* last = names_.find(name)) {
      *last = std::max(*last, time_ns);
      return true;
    }
    if (names_.size() >= max_ && time_ns - names_.oldest() <= kKeptNs) {
      ++others_;
      return false;
    }
    names_.put(name, time_ns);
    return true;
  }
  /// Records that were refused their name.
  [[nodiscard]] std::uint64_t others() const { return others_; }
  /// Those were not sent.
  void forget_others() { others_ = 0; }

 private:
  std::size_t max_;
  LastUsed<std::int64_t> names_;  ///< when a record last had it, Unix ns
  std::uint64_t others_ = 0;
};

}  // namespace keytrail::otlp
