// SPDX-License-Identifier: Apache-2.0
// Files of NAME=value: .env, .envrc, EnvironmentFile=, env_file: of compose. The entry of a key is its variable; the
// catalog knows the kinds of many, the rest shows its name. Quoted values may span lines, as dotenv's loaders read
// them.
#include "agent/examine/formats.h"
#include "agent/examine/settings.h"
#include "agent/examine/text.h"

namespace keytrail::examine::format {
namespace {

constexpr std::size_t kMaxVariables = 4096;
constexpr std::size_t kMaxHead = 256;  ///< how far "NAME: " is looked for

bool is_variable(std::string_view name) {
  return !name.empty() && name.size() <= 126 &&
         name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-") ==
             std::string_view::npos &&
         (name.front() < '0' || name.front() > '9');
}

/// Between double quotes \n is a line end; the scratch memory takes what changes.
std::string_view unescaped(std::string_view text, Arena& scratch) {
  if (text.find('\\') == std::string_view::npos) return text;
  const std::span<char> out = scratch.take(text.size());
  if (out.empty()) return {};
  std::size_t n = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '\\' && i + 1 < text.size()) {
      c = text[++i];
      c = c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c;
    }
    out[n++] = c;
  }
  return {out.data(), n};
}

class Reader {
 public:
  Reader(std::string_view bytes, Work& work) : rest_(bytes), work_(work), settings_(work, true) {}

  /// The number of variables.
  std::size_t run() {
    settings_.begin({});
    std::size_t variables = 0;
    std::size_t assignments = 0;
    while (!rest_.empty()) {
      if (assignments >= kMaxVariables) {
        skip_rest();
        break;
      }
      rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\r\n;&"), rest_.size()));
      drop_command();
      if (set_quoted_whole()) {
        ++assignments;
        ++variables;
        continue;
      }
      const std::string_view line = rest_.substr(0, rest_.find('\n'));
      const std::size_t equals = separator(line);
      if (line.empty() || line.front() == '#' || equals == std::string_view::npos) {
        if (!trimmed(line).empty() && line.front() != '#') ++strays_;
        rest_.remove_prefix(std::min(line.size() + 1, rest_.size()));
        continue;
      }
      const std::string_view name = trimmed(line.substr(0, equals));
      rest_.remove_prefix(equals + 1);
      ++assignments;  // several may stand on one line, and each looks for its end
      const std::string_view text = value();
      if (!is_variable(name)) {
        ++strays_;
        continue;
      }
      ++variables;
      settings_.set_variable(name, text);
    }
    settings_.finish();
    return variables;
  }
  [[nodiscard]] std::size_t strays() const { return strays_; }

 private:
  /// Lines that are not read any more, each an entry.
  void skip_rest() {
    for_each_line(rest_, [this](std::string_view line) {
      if (!line.starts_with('#') && line.find('=') != std::string_view::npos) work_.skip();
    });
  }
  /// "export NAME=…", "declare -x NAME=…", with any blanks: then it is a shell that reads the line.
  void drop_command() {
    in_shell_ = by_blank_ = false;
    if (rest_.starts_with("Environment=")) rest_.remove_prefix(12);
    for (const std::string_view command : {"export", "set", "declare", "typeset", "readonly", "local", "setenv"}) {
      if (!rest_.starts_with(command)) continue;
      const std::size_t name = rest_.find_first_not_of(" \t", command.size());
      if (name == std::string_view::npos || name == command.size() || rest_[name] == '=') continue;
      rest_.remove_prefix(name);
      in_shell_ = command != "set" || rest_.front() == '-';  // Windows' set takes the rest of the line
      by_blank_ = command == "setenv" || (command == "set" && in_shell_);
      while (rest_.starts_with('-')) {
        const std::size_t end = std::min(rest_.find_first_of(" \t\n"), rest_.size());
        rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t", end), rest_.size()));
      }
      return;
    }
  }
  /// "NAME=value" in quotes as a whole, as systemd and lists of variables have it.
  bool set_quoted_whole() {
    if (!rest_.starts_with('"') && !rest_.starts_with('\'')) return false;
    const std::string_view line = rest_.substr(0, rest_.find('\n'));
    const std::size_t end = line.find(rest_.front(), 1);
    const std::size_t equals = line.find('=');
    if (equals > end || !is_variable(line.substr(1, equals - 1))) return false;
    settings_.set_variable(line.substr(1, equals - 1), line.substr(equals + 1, end - equals - 1));
    rest_.remove_prefix(line.size());
    return true;
  }
  /// "NAME=value", or "NAME: value" as dotenv's loaders take it too; "setenv NAME value".
  [[nodiscard]] std::size_t separator(std::string_view line) const {
    const std::size_t equals = line.find('=');
    const std::size_t blank = by_blank_ ? line.substr(0, equals).find_first_of(" \t") : std::string_view::npos;
    if (blank != std::string_view::npos) return blank;
    const std::string_view head = line.substr(0, std::min(equals, kMaxHead));
    const std::size_t colon = std::min(head.find(": "), head.find(":\t"));
    return colon < equals && is_variable(trimmed(head.substr(0, colon))) ? colon : equals;
  }
  std::string_view value() {
    std::size_t begin = rest_.find_first_not_of(" \t");
    if (begin == std::string_view::npos) begin = rest_.size();
    const char quote = begin < rest_.size() ? rest_[begin] : '\n';
    if (quote == '"' || quote == '\'' || quote == '`') {
      std::size_t end = begin + 1;
      while (end < rest_.size() && rest_[end] != quote)
        end += quote == '"' && rest_[end] == '\\' ? 2U : 1U;
      if (end < rest_.size()) {
        std::string_view inner = rest_.substr(begin + 1, end - begin - 1);
        // A shell's command, not a value: with its marks it is known as a reference.
        if (quote == '`' && inner.find(' ') != std::string_view::npos) inner = rest_.substr(begin, end + 1 - begin);
        rest_.remove_prefix(in_shell_ ? end + 1 : std::min(rest_.find('\n', end), rest_.size()));
        return quote == '"' ? unescaped(inner, work_.scratch()) : inner;
      }
    }
    std::string_view line = rest_.substr(0, rest_.find('\n'));
    if (in_shell_) {  // one word; the next may be another variable's
      line = line.substr(0, line.find_first_of(" \t\r;", std::min(begin, line.size())));
    } else {
      std::size_t end = line.find(';');  // NAME=value; export NAME
      while (end != std::string_view::npos &&
             (end + 1 == line.size() || !std::string_view(" \t\r").contains(line[end + 1])))
        end = line.find(';', end + 1);
      line = line.substr(0, end);
      if (line.ends_with(';')) line.remove_suffix(1);
    }
    rest_.remove_prefix(line.size());
    if (!in_shell_) {
      for (const std::string_view comment : {" #", "\t#"})
        line = line.substr(0, line.find(comment));
    }
    return trimmed(line);
  }

  std::string_view rest_;
  Work& work_;
  Settings settings_;
  std::size_t strays_ = 0;
  bool in_shell_ = false;  ///< the line begins with a shell's command: its values are single words
  bool by_blank_ = false;  ///< there a blank may stand for the '='
};

}  // namespace

role::Unread dotenv(std::string_view bytes, Work& work) {
  const std::string_view text = trimmed(bytes);
  if (text.empty()) return role::Unread::kNone;
  if (text.find('\0') != std::string_view::npos) return role::Unread::kUnknownFormat;
  Reader reader(text, work);
  const std::size_t variables = reader.run();
  return variables > 0 || reader.strays() == 0 ? role::Unread::kNone : role::Unread::kUnknownFormat;
}

}  // namespace keytrail::examine::format
