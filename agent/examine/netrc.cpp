// SPDX-License-Identifier: Apache-2.0
// .netrc and .authinfo: words machine, login, password, account, default, macdef (ftp(1), curl's and GNU's forms with
// quoted words). A '#' begins a comment only where a keyword may stand, as Python's netrc and curl read it: a password
// may hold one.
#include "agent/examine/credential.h"
#include "agent/examine/formats.h"
#include "agent/examine/text.h"

namespace keytrail::examine::format {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

class Words {
 public:
  Words(std::string_view text, Arena& scratch) : text_(text), scratch_(scratch) {}

  /// The next keyword; false at the end.
  bool next_keyword(std::string_view& word) {
    while (next(word)) {
      if (!word.starts_with('#')) return true;
      at_ = std::min(text_.find('\n', at_), text_.size());
    }
    return false;
  }
  /// The next word, whatever it is; false at the end.
  bool next(std::string_view& word) {
    while (at_ < text_.size() && is_blank(text_[at_]))
      ++at_;
    if (at_ >= text_.size()) return false;
    if (text_[at_] == '"') return quoted(word);
    const std::size_t begin = at_;
    while (at_ < text_.size() && !is_blank(text_[at_]))
      ++at_;
    word = text_.substr(begin, at_ - begin);
    return true;
  }
  /// A macro ends at the first empty line.
  void skip_macro() {
    const std::size_t unix_end = text_.find("\n\n", at_);
    at_ = std::min({unix_end, text_.find("\n\r\n", at_), text_.size()});
  }

 private:
  bool quoted(std::string_view& word) {
    const std::size_t begin = ++at_;
    while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\n')
      at_ += text_[at_] == '\\' ? 2U : 1U;
    at_ = std::min(at_, text_.size());
    const std::string_view inner = text_.substr(begin, at_ - begin);
    if (at_ < text_.size()) ++at_;
    if (inner.find('\\') == std::string_view::npos) {
      word = inner;
      return true;
    }
    const std::span<char> out = scratch_.take(inner.size());
    if (out.empty()) return false;
    std::size_t n = 0;
    for (std::size_t i = 0; i < inner.size(); ++i) {
      if (inner[i] == '\\' && i + 1 < inner.size()) ++i;
      out[n++] = inner[i];
    }
    word = {out.data(), n};
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  Arena& scratch_;
};

struct Machine {
  std::string_view name, login, password;
  bool open = false;
};

void report(const Machine& machine, Work& work) {
  if (!machine.open) return;
  const std::string_view host = machine.name == "default" ? std::string_view() : machine.name;
  Entry entry{.selector = machine.name, .host = host, .login = machine.login};
  const std::string_view key = key_of_login(entry.login, machine.password, work);
  if (key.empty()) return;
  work.at(entry);
  // Some tools keep API keys here: then that is the place's kind.
  const bool password = work.hints().key_kind.empty() || work.hints().key_class == KeyClass::kPassword;
  if (!add_credential(key, password, work)) work.skip();
}

}  // namespace

role::Unread netrc(std::string_view bytes, Work& work) {
  if (trimmed(bytes).empty()) return role::Unread::kNone;
  if (bytes.find('\0') != std::string_view::npos) return role::Unread::kUnknownFormat;
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
  Words words(bytes, work.scratch());
  Machine machine;
  bool any_machine = false;
  std::size_t stray = 0;
  for (std::string_view word; words.next_keyword(word);) {
    std::string_view value;
    const auto is = [&](std::string_view keyword) { return same_word(word, keyword); };  // curl takes any case
    if (is("machine") || is("default")) {
      report(machine, work);
      machine = {.name = "default", .open = true};
      any_machine = true;
      if (is("machine") && !words.next(machine.name)) machine.open = false;
    } else if (is("login") || is("user")) {
      if (words.next(value)) machine.login = value;
    } else if (is("password") || is("passwd")) {
      if (words.next(value)) machine.password = value;
    } else if (is("account") || is("port") || is("protocol")) {
      (void)words.next(value);
    } else if (is("macdef")) {
      words.skip_macro();
    } else if (++stray <= role::kMaxKeysPerFile) {
      work.skip();
    }
  }
  report(machine, work);
  return any_machine || stray == 0 ? role::Unread::kNone : role::Unread::kUnknownFormat;
}

}  // namespace keytrail::examine::format
