// SPDX-License-Identifier: Apache-2.0
// Takes server-sent events (WHATWG HTML, section 9.2) out of a stream of bytes. Pure.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace keytrail::cli {

class EventStream {
 public:
  using OnEvent = std::function<bool(std::string_view name, std::string_view data)>;
  explicit EventStream(OnEvent on_event) : on_event_(std::move(on_event)) {}

  /// Gives every event that is complete by now; false when the receiver wants no more. A line over 16 MiB is cut.
  bool feed(std::string_view bytes) {
    constexpr std::size_t kMaxLine = 16U << 20U;
    for (const char c : bytes) {
      if (c != '\n') {
        if (line_.size() < kMaxLine) line_ += c;
        continue;
      }
      if (!line_.empty() && line_.back() == '\r') line_.pop_back();
      if (!take_line()) return false;
      line_.clear();
    }
    return true;
  }

 private:
  bool take_line() {
    if (line_.empty()) {
      const bool go_on = data_.empty() || on_event_(name_.empty() ? "message" : name_, data_);
      name_.clear();
      data_.clear();
      return go_on;
    }
    const std::size_t colon = line_.find(':');
    const std::string_view field = std::string_view(line_).substr(0, colon);
    std::string_view value =
        colon == std::string::npos ? std::string_view() : std::string_view(line_).substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (field == "event") name_ = value;
    if (field == "data") data_ += (data_.empty() ? "" : "\n") + std::string(value);
    return true;
  }

  OnEvent on_event_;
  std::string line_, name_, data_;
};

}  // namespace keytrail::cli
