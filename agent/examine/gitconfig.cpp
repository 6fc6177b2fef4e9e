// SPDX-License-Identifier: Apache-2.0
// git's configuration (git-config(1), "Syntax"): keys are inline only, in URLs ("https://user:token@host/") and in
// http.extraHeader.
#include "agent/examine/credential.h"
#include "agent/examine/formats.h"
#include "agent/examine/text.h"

namespace keytrail::examine::format {
namespace {

/// The value without quotes, escapes and comment, in the scratch memory. `text` begins behind the '='; `joined` lines
/// follow it.
std::string_view plain_value(std::string_view text, Arena& scratch) {
  const std::span<char> out = scratch.take(text.size());
  if (out.empty()) return {};
  std::size_t n = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (!quoted && (c == '#' || c == ';' || c == '\n')) break;
    if (c == '"') {
      quoted = !quoted;
    } else if (c == '\\' && i + 1 < text.size()) {
      const char next = text[++i];
      if (next == '\r' && i + 1 < text.size() && text[i + 1] == '\n') ++i;
      if (next != '\n' && next != '\r') out[n++] = next == 'n' ? '\n' : next == 't' ? '\t' : next;
    } else {
      out[n++] = c;
    }
  }
  return trimmed({out.data(), n});
}

/// [http "https://host/"]: the text between the quotes; empty when there is none.
std::string_view subsection(std::string_view header) {
  const std::size_t first = header.find('"');
  const std::size_t last = header.rfind('"');
  return first == std::string_view::npos || last <= first ? std::string_view()
                                                          : header.substr(first + 1, last - first - 1);
}

class Reader {
 public:
  explicit Reader(Work& work) : work_(work) {}

  /// One line, and what a backslash at its end joins to it.
  void line(std::string_view text) {
    text = trimmed(text);
    if (text.starts_with('[')) {
      const std::size_t end = text.rfind(']');
      if (end == std::string_view::npos) return work_.skip();
      sections_ = true;
      section_ = text.substr(1, end - 1);
      url(subsection(section_));  // [url "https://token@host/"] insteadOf = …
      text = trimmed(text.substr(end + 1));
    }
    if (text.empty() || text.front() == '#' || text.front() == ';') return;
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) return;
    const std::string_view name = trimmed(text.substr(0, equals));
    const std::string_view value = plain_value(text.substr(equals + 1), work_.scratch());
    if (same_word(name, "extraheader")) {
      header(value);
    } else if (same_word(name, "path") && section_.starts_with("include")) {
      file("path", value);
    } else if (same_word(name, "sslkey")) {
      file("sslKey", value);
    } else if (same_word(name, "helper")) {
      store(value);
    } else {
      url(value);
    }
  }
  [[nodiscard]] bool sections() const { return sections_; }

 private:
  /// Another file that git reads, of the host that the section is for.
  void file(std::string_view option, std::string_view path) {
    const std::optional<Url> parts = split_url(subsection(section_));
    work_.at(parts ? Entry{.selector = parts->host, .host = parts->host} : Entry{});
    work_.add_place(option, path);
  }
  /// credential.helper = store --file ~/keys (git-credential-store(1))
  void store(std::string_view helper) {
    if (cut(helper, ' ') != "store") return;
    for (const std::string_view flag : {"--file=", "--file "}) {
      if (const std::size_t at = helper.find(flag); at != std::string_view::npos)
        return file("store", unquoted(trimmed(helper.substr(at + flag.size()))));
    }
  }
  void url(std::string_view text) {
    const std::optional<Url> parts = split_url(text);
    if (!parts) return;
    work_.at({.selector = parts->host});
    (void)add_url(text, work_);
  }
  void header(std::string_view value) {
    const std::optional<Url> parts = split_url(subsection(section_));
    work_.at(parts ? Entry{.selector = parts->host, .host = parts->host} : Entry{});
    (void)add_header(value, work_);
  }

  Work& work_;
  std::string_view section_;
  bool sections_ = false;
};

}  // namespace

role::Unread gitconfig(std::string_view bytes, Work& work) {
  if (trimmed(bytes).empty()) return role::Unread::kNone;
  if (bytes.find('\0') != std::string_view::npos) return role::Unread::kUnknownFormat;
  Reader reader(work);
  bool comments = true;
  std::size_t joined_from = bytes.size();  // where a line begins that goes on: its backslash joins the next
  std::string_view joined;
  for_each_line(bytes, [&](std::string_view text) {
    const auto begin = static_cast<std::size_t>(text.begin() - bytes.begin());
    if (joined.empty()) joined_from = begin;
    joined = bytes.substr(joined_from, begin + text.size() - joined_from);
    if (text.ends_with('\\') && !trimmed(joined).starts_with('#')) return;
    if (const std::string_view own = trimmed(joined); !own.empty() && own.front() != '#' && own.front() != ';')
      comments = false;
    reader.line(joined);
    joined = {};
  });
  if (!joined.empty()) reader.line(joined);
  return reader.sections() || comments ? role::Unread::kNone : role::Unread::kUnknownFormat;
}

}  // namespace keytrail::examine::format
