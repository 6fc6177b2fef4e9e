// SPDX-License-Identifier: Apache-2.0
#include "agent/examine/setting_forms.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>

#include "agent/examine/text.h"

namespace keytrail::examine {
namespace {

constexpr std::size_t kMostAssignments = 256;

/// "BUNDLE_GEMS__EXAMPLE__COM" → "gems.example.com": "__" is a dot, "___" a hyphen (bundle-config(1)).
std::string_view host_of_bundler(std::string_view name, Arena& scratch) {
  name.remove_prefix(std::string_view("BUNDLE_").size());
  const std::span<char> out = scratch.take(name.size());
  if (out.empty()) return {};
  std::size_t n = 0;
  for (std::size_t i = 0; i < name.size();) {
    const std::size_t marks = std::min(name.find_first_not_of('_', i), name.size()) - i;
    const bool taken = marks == 2 || marks == 3;
    out[n++] = marks == 2   ? '.'
               : marks == 3 ? '-'
                            : static_cast<char>(std::tolower(static_cast<unsigned char>(name[i])));
    i += taken ? marks : 1;
  }
  return host_of_name({out.data(), n});
}

bool says_keys(std::string_view section) {
  static constexpr std::array<std::string_view, 5> kParts{"oauth", "bearer", "token", "apikey", "credential"};
  std::string small(section);
  std::ranges::transform(small, small.begin(), [](unsigned char c) { return std::tolower(c); });
  return std::ranges::any_of(kParts, [&](std::string_view part) { return small.contains(part); });
}

bool is_variable_letter(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

/// The next name="value" of a list, or an empty name; moves behind it.
Assignment next_assignment(std::string_view& rest) {
  while (!rest.empty()) {
    const auto begin = std::ranges::find_if(rest, is_variable_letter);
    const bool quoted = begin != rest.begin() && (begin[-1] == '"' || begin[-1] == '\'');  // systemd: "NAME=value"
    const char around = quoted ? begin[-1] : '\0';
    rest.remove_prefix(static_cast<std::size_t>(begin - rest.begin()));
    const auto end = std::ranges::find_if_not(rest, is_variable_letter);
    const std::string_view name(rest.begin(), end);
    rest.remove_prefix(name.size());
    if (!rest.starts_with('=')) continue;  // a word of another meaning
    rest.remove_prefix(1);
    const char quote = quoted ? around : (rest.starts_with('"') || rest.starts_with('\'')) ? rest.front() : '\0';
    if (!quoted && quote != '\0') rest.remove_prefix(1);
    const std::size_t stop = quote != '\0' ? rest.find(quote) : rest.find_first_of(", \t\r\n;");
    const std::string_view value = rest.substr(0, stop);
    rest.remove_prefix(std::min(value.size() + 1, rest.size()));
    return {name, value};
  }
  return {};
}

}  // namespace

std::string_view host_of_setting(std::string_view name, std::string_view section, Arena& scratch) {
  if (name.starts_with("BUNDLE_"))
    return name.find("__") == std::string_view::npos ? std::string_view() : host_of_bundler(name, scratch);
  if (const std::optional<Url> url = split_url(name)) return url->host;
  return says_keys(section) ? host_of_name(name) : std::string_view();
}

Assignments assignments_of(std::string_view name, std::string_view value) {
  Assignments out;
  out.variables = same_word(name, "environment");
  if (!out.variables && value.find("LoginModule ") == std::string_view::npos) return out;
  while (out.list.size() < kMostAssignments) {
    const Assignment one = next_assignment(value);
    if (one.first.empty()) break;
    out.list.push_back(one);
  }
  return out;
}

std::string_view joined_lines(std::string_view bytes, Arena& scratch) {
  if (bytes.find("\\\n") == std::string_view::npos && bytes.find("\\\r\n") == std::string_view::npos) return bytes;
  const std::span<char> out = scratch.take(bytes.size());
  if (out.empty()) return {};
  std::size_t n = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::string_view rest = bytes.substr(i);
    const bool escaped = rest.starts_with("\\\\");  // a backslash of its own
    if (escaped) out[n++] = bytes[i++];
    if (!escaped && (rest.starts_with("\\\n") || rest.starts_with("\\\r\n"))) {
      const std::size_t next = bytes.find_first_not_of(" \t", bytes.find('\n', i) + 1);
      i = std::min(next, bytes.size()) - 1;
      continue;
    }
    out[n++] = bytes[i];
  }
  return {out.data(), n};
}

}  // namespace keytrail::examine
