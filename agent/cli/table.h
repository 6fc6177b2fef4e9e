// SPDX-License-Identifier: Apache-2.0
// Text tables for the terminal: columns as wide as their widest cell, two spaces between, nothing cut. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace keytrail::cli {

enum class Align { kLeft, kRight };

struct Column {
  std::string title;
  Align align = Align::kLeft;
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  /// One cell for each column; made printable here, an empty one becomes "-".
  void add(std::vector<std::string> cells);
  [[nodiscard]] bool empty() const { return rows_.empty(); }
  /// True when a cell is or ends with "?": a footnote is due.
  [[nodiscard]] bool has_unknown() const { return unknown_; }
  [[nodiscard]] std::string text() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
  bool unknown_ = false;
};

/// Columns a text takes on a terminal: code points that are not combining; wide ones count two.
[[nodiscard]] std::size_t display_width(std::string_view text);

}  // namespace keytrail::cli
