// SPDX-License-Identifier: Apache-2.0
// What the warden told of: for status the newest of each cause and family, for a minute; and up to which number all are
// in the history. Pure. Thread: one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "keytrail/history_reader.h"

namespace keytrail {

class Notices {
 public:
  static constexpr std::uint64_t kShownNs = 60'000'000'000;
  static constexpr std::size_t kMost = 32;  ///< the oldest goes

  void note(std::uint64_t now_ns, const std::string& cause, const std::string& family, std::string text) {
    std::string subject = cause + "|" + family;
    std::erase_if(all_, [&](const Note& one) { return one.subject == subject; });
    if (all_.size() >= kMost) all_.erase(all_.begin());
    all_.push_back({now_ns, std::move(subject), std::move(text)});
  }
  /// Oldest first.
  [[nodiscard]] std::vector<std::string> shown(std::uint64_t now_ns) {
    std::erase_if(all_, [now_ns](const Note& one) { return now_ns > one.at_ns + kShownNs; });
    std::vector<std::string> out;
    out.reserve(all_.size());
    for (const Note& one : all_)
      out.push_back("within the last minute: " + one.text);
    return out;
  }

 private:
  struct Note {
    std::uint64_t at_ns;  ///< ns since boot
    std::string subject, text;
  };
  std::vector<Note> all_;
};

/// Which notices are stored: what is not the warden tells the next worker again.
class StoredNotices {
 public:
  void heard(std::uint64_t number) { heard_ = std::max(heard_, number); }
  /// When all that was heard is in batches that were handed over. Gives a number up to which all are stored, once.
  std::optional<std::uint64_t> look(const BatchNumbers& batches) {
    std::optional<std::uint64_t> out;
    if (waiting_ && batches.stored >= in_batch_) out = std::exchange(waiting_, std::nullopt);
    if (!waiting_ && heard_ > given_) {
      waiting_ = given_ = heard_;
      in_batch_ = batches.submitted;
    }
    return out;
  }

 private:
  std::uint64_t heard_ = 0, given_ = 0;
  std::optional<std::uint64_t> waiting_;  ///< this number is stored with in_batch_
  std::uint64_t in_batch_ = 0;
};

}  // namespace keytrail
