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
    while (!rest_.empty()) {
      while (!rest_.empty() &&
             (rest_.front() == ' ' || rest_.front() == '\t' || rest_.front() == '\n' || rest_.front() == '\r'))
        rest_.remove_prefix(1);
      drop_command();
      const std::string_view line = rest_.substr(0, rest_.find('\n'));
      const std::size_t equals = separator(line);
      if (line.empty() || line.front() == '#' || equals == std::string_view::npos) {
        if (!trimmed(line).empty() && line.front() != '#') ++strays_;
        rest_.remove_prefix(std::min(line.size() + 1, rest_.size()));
        continue;
      }
      const std::string_view name = trimmed(line.substr(0, equals));
      rest_.remove_prefix(equals + 1);
      const std::string_view text = value();
      if (!is_variable(name)) {
        ++strays_;
        continue;
      }
      if (++variables > kMaxVariables) {
        work_.skip();
      } else {
        set(name, text);
      }
    }
    settings_.finish();
    return variables;
  }
  [[nodiscard]] std::size_t strays() const { return strays_; }

 private:
  /// "export NAME=…", with any blanks.
  void drop_command() {
    if (rest_.starts_with("Environment=")) rest_.remove_prefix(12);
    for (const std::string_view command : {"export", "set"}) {
      if (!rest_.starts_with(command)) continue;
      const std::size_t name = rest_.find_first_not_of(" \t", command.size());
      if (name != std::string_view::npos && name > command.size()) rest_.remove_prefix(name);
    }
  }
  /// "NAME=value", or "NAME: value" as dotenv's loaders take it too.
  static std::size_t separator(std::string_view line) {
    const std::size_t equals = line.find('=');
    const std::size_t colon = std::min(line.find(": "), line.find(":\t"));
    return colon < equals && is_variable(trimmed(line.substr(0, colon))) ? colon : equals;
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
        rest_.remove_prefix(std::min(rest_.find('\n', end), rest_.size()));
        return quote == '"' ? unescaped(inner, work_.scratch()) : inner;
      }
    }
    std::string_view line = rest_.substr(0, rest_.find('\n'));
    rest_.remove_prefix(line.size());
    for (const std::string_view comment : {" #", "\t#"})
      line = line.substr(0, line.find(comment));
    return trimmed(line);
  }
  void set(std::string_view name, std::string_view text) {
    const catalog::EnvName* rule = find_variable(work_.state().env, name);
    const bool known =
        rule != nullptr && rule->action == catalog::EnvAction::kSecret && !rule->kind.starts_with("generic.");
    settings_.set(name, text, known ? rule->kind : std::string_view(), known && rule->unhashed);
  }

  std::string_view rest_;
  Work& work_;
  Settings settings_;
  std::size_t strays_ = 0;
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
