// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <sstream>
#include <string_view>
#include <utility>

#include "agent/cli/table.h"

namespace keytrail::cli {
namespace {

constexpr std::size_t kNarrowest = 40;
constexpr char kPlain[] = "\x1b[0m";
constexpr std::pair<std::string_view, const char*> kColours[] = {
    {"NOT CLEAR", "\x1b[31m"}, {"NOT DONE", "\x1b[31m"},    {"NOT ARMED", "\x1b[31m"}, {"CLEAR", "\x1b[32m"},
    {"DONE", "\x1b[32m"},      {"CANNOT TELL", "\x1b[33m"}, {"! ", "\x1b[33m"}};

const char* colour_of(std::string_view line) {
  for (const auto& [begin, colour] : kColours) {
    if (line.starts_with(begin)) return colour;
  }
  return nullptr;
}

}  // namespace

std::size_t terminal_width() {
  std::size_t width = 0;
  if (const char* told = std::getenv("COLUMNS"); told != nullptr) {
    const std::string_view text(told);
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), width);
    if (code != std::errc{} || end != text.data() + text.size() || width > 10'000) width = 0;
  }
  if (winsize size{}; width == 0 && ::isatty(STDOUT_FILENO) != 0 && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
    width = size.ws_col;
  return width == 0 ? 0 : std::max(width, kNarrowest);
}

bool terminal_has_colours() {
  const char* without = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return ::isatty(STDOUT_FILENO) != 0 && (without == nullptr || *without == '\0') && terminal != nullptr &&
         std::string_view(terminal) != "dumb";
}

std::string for_terminal(const std::string& text, std::size_t width, bool colour) {
  constexpr std::string_view kIndent = "    ";
  std::string out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const char* painted = colour ? colour_of(line) : nullptr;
    if (painted != nullptr) out += painted;
    if (width == 0 || display_width(line) <= width) {
      out += line;
    } else {
      const std::size_t blanks = std::min(line.find_first_not_of(' '), width / 2);
      const std::string before = line.substr(0, blanks);
      std::string indent = before;
      for (const std::string& part : wrapped(std::string_view(line).substr(blanks), width - blanks - kIndent.size())) {
        out += indent + part;
        out += '\n';
        indent = before + std::string(kIndent);
      }
      out.pop_back();
    }
    if (painted != nullptr) out += kPlain;
    out += '\n';
  }
  return out;
}

}  // namespace keytrail::cli
