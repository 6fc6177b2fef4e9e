// SPDX-License-Identifier: Apache-2.0
// What the warden told of lately, for status: the newest of each cause and family, for a minute. Pure. Thread: one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

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

}  // namespace keytrail
