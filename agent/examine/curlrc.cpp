// SPDX-License-Identifier: Apache-2.0
// A configuration of curl (~/.curlrc, -K): its arguments, one a line, the hyphens of long ones optional.
// It tells where other files are. https://curl.se/docs/manpage.html#-K
#include <algorithm>
#include <cctype>

#include "agent/examine/formats.h"
#include "agent/examine/text.h"

namespace keytrail::examine::format {
namespace {

/// What is quoted may have escapes: \\ \" \t \n \r \v; written to `out`, which is as long.
std::size_t unescaped(std::string_view text, char* out) {
  std::size_t n = 0;
  for (std::size_t i = 1; i < text.size() && text[i] != '"'; ++i) {
    constexpr std::string_view kLetters = "tnrv", kMeant = "\t\n\r\v";
    const bool escape = text[i] == '\\' && i + 1 < text.size();
    if (escape) ++i;
    const std::size_t letter = escape ? kLetters.find(text[i]) : std::string_view::npos;
    out[n++] = letter == std::string_view::npos ? text[i] : kMeant[letter];
  }
  return n;
}

}  // namespace

role::Unread curlrc(std::string_view bytes, Work& work) {
  // Each line grows by two hyphens and two ends at most.
  const std::size_t lines = static_cast<std::size_t>(std::ranges::count(bytes, '\n')) + 1;
  const std::span<char> out = work.scratch().take(bytes.size() + 4 * lines + 8);
  if (out.empty() || bytes.find('\0') != std::string_view::npos) return role::Unread::kUnknownFormat;
  char* end = std::ranges::copy(std::string_view("curl"), out.data()).out;
  *end++ = '\0';
  for_each_line(bytes, [&](std::string_view line) {
    line = trimmed(line);
    if (line.empty() || line.front() == '#') return;
    const std::string_view name = line.substr(0, line.find_first_of(" \t=:"));
    std::string_view value = line.substr(name.size());
    value.remove_prefix(std::min(value.find_first_not_of(" \t=:"), value.size()));
    const std::string_view option = name.substr(std::min(name.find_first_not_of('-'), name.size()));
    if (!name.starts_with('-')) end = std::ranges::copy(std::string_view("--"), end).out;
    end = std::ranges::copy(name, end).out;
    *end++ = '\0';
    if (value.empty()) return;
    char* const begin = end;
    end = value.front() == '"' ? end + unescaped(value, end)
                               : std::ranges::copy(value.substr(0, value.find_first_of(" \t")), end).out;
    const std::string_view text(begin, static_cast<std::size_t>(end - begin));
    if (option == "netrc-file" || option == "key") work.add_place(option, text);
    if (option == "config" || option == "K") work.add_place("config", text);
    *end++ = '\0';
  });
  parse_arguments("curl", {out.data(), static_cast<std::size_t>(end - out.data())}, work.state(), work.scratch(),
                  work.found());
  // A key's entry is the file's, not a place among arguments.
  for (KeyFact& fact : work.found().keys) {
    if (fact.path.empty()) fact.variable.clear();
  }
  return role::Unread::kNone;
}

}  // namespace keytrail::examine::format
