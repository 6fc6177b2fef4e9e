// SPDX-License-Identifier: Apache-2.0
// What standard output is, and a text made for it: lines that fit, colours for what should be seen first. Pure but for
// the two questions.
#pragma once

#include <cstddef>
#include <string>

namespace keytrail::cli {

/// Columns: those that COLUMNS names, else the terminal's; 0 when output is no terminal.
[[nodiscard]] std::size_t terminal_width();
/// Output is a terminal that has colours, and NO_COLOR is not set.
[[nodiscard]] bool terminal_has_colours();
/// Lines over `width` (0 = any) are broken at blanks; verdicts and warnings get a colour.
[[nodiscard]] std::string for_terminal(const std::string& text, std::size_t width, bool colour);

}  // namespace keytrail::cli
