// SPDX-License-Identifier: Apache-2.0
// Text tables: columns as wide as their widest cell, two spaces between, nothing cut and no word broken (a key id is
// pasted into other tools). What is equal in all rows is said once, above. A table that is wider than the terminal
// wraps its cells, else its rows. Pure.
#pragma once

#include <span>
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
  /// `width` of the terminal; 0 = any.
  [[nodiscard]] std::string text(std::size_t width = 0) const;

 private:
  using Cells = std::vector<std::string>;
  [[nodiscard]] std::string in_columns(std::span<const std::size_t> shown, std::span<const std::size_t> widths) const;
  [[nodiscard]] std::string in_lines(std::span<const std::size_t> shown, std::size_t width) const;

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
  bool unknown_ = false;
};

/// A text in lines of at most `width` columns, broken at blanks; a longer word has a line of its own.
[[nodiscard]] std::vector<std::string> wrapped(std::string_view text, std::size_t width);
/// Columns a text takes on a terminal: code points that are not combining; wide ones count two.
[[nodiscard]] std::size_t display_width(std::string_view text);

}  // namespace keytrail::cli
