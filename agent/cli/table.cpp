// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/table.h"

#include <algorithm>
#include <cstdint>
#include <numeric>

#include "agent/base/log.h"

namespace keytrail::cli {
namespace {

constexpr std::string_view kBetween = "  ";
constexpr std::size_t kTallest = 4;  // lines of a row in columns

std::size_t code_point_width(std::uint32_t c) {
  if ((c >= 0x300 && c <= 0x36F) || c == 0x200B || c == 0x200D || (c >= 0xFE00 && c <= 0xFE0F)) return 0;
  const bool wide = (c >= 0x1100 && c <= 0x115F) || (c >= 0x2E80 && c <= 0xA4CF) || (c >= 0xAC00 && c <= 0xD7A3) ||
                    (c >= 0xF900 && c <= 0xFAFF) || (c >= 0xFE30 && c <= 0xFE6F) || (c >= 0xFF00 && c <= 0xFF60) ||
                    (c >= 0x1F300 && c <= 0x1FAFF) || (c >= 0x20000 && c <= 0x3FFFD);
  return wide ? 2 : 1;
}

}  // namespace

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  for (std::size_t i = 0; i < text.size();) {
    const auto first = static_cast<unsigned char>(text[i]);
    const std::size_t length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    std::uint32_t c = length == 1 ? first : first & (0x7FU >> length);
    for (std::size_t k = 1; k < length && i + k < text.size(); ++k)
      c = (c << 6U) | (static_cast<unsigned char>(text[i + k]) & 0x3FU);
    width += code_point_width(c);
    i += length;
  }
  return width;
}

void Table::add(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  for (std::string& cell : cells) {
    cell = cell.empty() ? "-" : base::printable(cell);
    unknown_ = unknown_ || cell == "?" || cell.ends_with(":?") || cell.contains(":? ");
  }
  rows_.push_back(std::move(cells));
}

std::vector<std::string> wrapped(std::string_view text, std::size_t width) {
  std::vector<std::string> lines(1);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    const std::string_view word = text.substr(at, end - at);
    std::string& line = lines.back();
    const std::size_t used = display_width(line);
    if (line.empty())
      line = word;
    else if (used + 1 + display_width(word) <= width)
      line.append(1, ' ').append(word);
    else
      lines.emplace_back(word);
    at = end + 1;
  }
  return lines;
}

std::string Table::in_columns(std::span<const std::size_t> shown, std::span<const std::size_t> widths) const {
  std::string out;
  const auto row = [&](const auto& cell_at) {
    std::vector<std::vector<std::string>> cells;
    std::size_t height = 1;
    for (std::size_t i = 0; i < shown.size(); ++i) {
      cells.push_back(wrapped(cell_at(shown[i]), widths[i]));
      height = std::max(height, cells.back().size());
    }
    for (std::size_t k = 0; k < height; ++k) {
      std::string line;
      for (std::size_t i = 0; i < shown.size(); ++i) {
        const std::string cell = k < cells[i].size() ? cells[i][k] : "";
        const std::string pad(widths[i] - display_width(cell), ' ');
        line += columns_[shown[i]].align == Align::kRight ? pad + cell : cell + pad;
        if (i + 1 < shown.size()) line += kBetween;
      }
      line.erase(line.find_last_not_of(' ') + 1);
      out += line + "\n";
    }
  };
  row([&](std::size_t i) -> const std::string& { return columns_[i].title; });
  for (const Cells& cells : rows_)
    row([&](std::size_t i) -> const std::string& { return cells[i]; });
  return out;
}

/// Where columns have no room: each cell with its title, as many on a line as fit.
std::string Table::in_lines(std::span<const std::size_t> shown, std::size_t width) const {
  std::string out;
  for (const Cells& cells : rows_) {
    std::string line;
    const auto put = [&](const std::string& text) {
      if (!line.empty() && display_width(line) + kBetween.size() + display_width(text) > width) {
        out += line + "\n";
        line = std::string(kBetween) + text;
      } else {
        line += (line.empty() ? "" : std::string(kBetween)) + text;
      }
    };
    for (const std::size_t i : shown) {
      if (cells[i] == "-") continue;
      for (const std::string& part : wrapped(columns_[i].title + " " + cells[i], width - kBetween.size()))
        put(part);
    }
    out += line + "\n";
  }
  return out;
}

std::string Table::text(std::size_t width) const {
  std::vector<std::size_t> shown;
  std::string same;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    const bool all = rows_.size() > 1 &&
                     std::ranges::all_of(rows_, [&](const Cells& cells) { return cells[i] == rows_.front()[i]; });
    if (!all)
      shown.push_back(i);
    else if (rows_.front()[i] != "-")
      same += (same.empty() ? "In all rows: " : " · ") + columns_[i].title + " " + rows_.front()[i];
  }
  std::string out;
  for (const std::string& line :
       same.empty() ? std::vector<std::string>() : wrapped(same, width == 0 ? SIZE_MAX : width))
    out += line + "\n";
  if (shown.empty()) return out + (rows_.empty() ? "" : std::to_string(rows_.size()) + " equal rows\n");
  std::vector<std::size_t> widths, least;
  for (const std::size_t i : shown) {
    std::size_t widest = 0, word = 0;
    const auto measure = [&](const std::string& cell) {
      widest = std::max(widest, display_width(cell));
      for (const std::string& one : wrapped(cell, 0))
        word = std::max(word, display_width(one));
    };
    measure(columns_[i].title);
    for (const Cells& cells : rows_)
      measure(cells[i]);
    widths.push_back(widest);
    least.push_back(word);
  }
  const auto total = [&] {
    return std::accumulate(widths.begin(), widths.end(), kBetween.size() * (widths.size() - 1));
  };
  while (width != 0 && total() > width) {
    std::size_t at = widths.size();  // the widest that can give
    for (std::size_t i = 0; i < widths.size(); ++i) {
      if (widths[i] > least[i] && (at == widths.size() || widths[i] > widths[at])) at = i;
    }
    if (at == widths.size()) return out + in_lines(shown, width);
    --widths[at];
  }
  const auto tall = [&](const Cells& cells) {
    for (std::size_t i = 0; i < shown.size(); ++i) {
      if (wrapped(cells[shown[i]], widths[i]).size() > kTallest) return true;
    }
    return false;
  };
  if (width != 0 && std::ranges::any_of(rows_, tall)) return out + in_lines(shown, width);
  return out + in_columns(shown, widths);
}

}  // namespace keytrail::cli
