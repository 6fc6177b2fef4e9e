// SPDX-License-Identifier: Apache-2.0
// The settings of a PHP source as one tree: define('NAME', 'value'), const NAME = 'value', $name = 'value',
// $a['name'] = 'value', and arrays of 'name' => 'value'. Literals only: what is computed is left out, what comes from
// the environment (env('NAME'), getenv('NAME'), $_ENV['NAME']) is the text "${NAME}". Nothing is executed.
#include "agent/examine/document.h"

#include <algorithm>

namespace keytrail::examine {
namespace {

namespace json = boost::json;

struct Token {
  enum class Type : char { kEnd, kText, kWord, kSign } type = Type::kEnd;
  std::string_view text;  ///< of a literal: between its quotes; of a sign: itself
  bool plain = true;      ///< of a literal: nothing in it is put in when it runs

  [[nodiscard]] bool is(std::string_view sign) const { return type == Type::kSign && text == sign; }
};

bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

class Lexer {
 public:
  explicit Lexer(std::string_view rest) : rest_(rest) {}

  Token next() {
    skip_blanks();
    if (rest_.empty()) return {};
    const char c = rest_.front();
    if (c == '\'' || c == '"') return literal(c);
    if (rest_.starts_with("<<<")) return here_document();
    std::size_t length = c == '$' ? 1 : 0;
    while (length < rest_.size() && is_word(rest_[length]))
      ++length;
    if (length > 0) return {Token::Type::kWord, take(length)};
    return {Token::Type::kSign, take(rest_.starts_with("=>") || rest_.starts_with("->") ? 2 : 1)};
  }

 private:
  std::string_view take(std::size_t length) {
    const std::string_view out = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return out;
  }
  void skip_blanks() {
    while (!rest_.empty()) {
      if (rest_.front() == ' ' || (rest_.front() >= '\t' && rest_.front() <= '\r')) {
        rest_.remove_prefix(1);
      } else if (rest_.starts_with("/*")) {
        rest_.remove_prefix(std::min(rest_.find("*/", 2), rest_.size() - 2) + 2);
      } else if (rest_.starts_with("?>")) {  // a page's text, up to the next source
        const std::size_t source = rest_.find("<?php");
        rest_.remove_prefix(source == std::string_view::npos ? rest_.size() : source + 5);
      } else if (rest_.starts_with("//") || (rest_.front() == '#' && !rest_.starts_with("#["))) {
        rest_.remove_prefix(std::min(rest_.find('\n'), rest_.size()));
      } else {
        return;
      }
    }
  }
  /// <<<END … END: left out, with the quotes in it.
  Token here_document() {
    rest_.remove_prefix(3);
    const std::string_view line = rest_.substr(0, rest_.find('\n'));
    const auto begin = std::ranges::find_if(line, is_word);
    const auto end = std::find_if_not(begin, line.end(), is_word);
    const std::string_view label(begin, end);
    rest_.remove_prefix(line.size());
    while (!label.empty() && !rest_.empty()) {
      const std::size_t text = rest_.find_first_not_of(" \t\n");
      rest_.remove_prefix(std::min(text, rest_.size()));
      if (rest_.starts_with(label)) break;
      rest_.remove_prefix(std::min(rest_.find('\n'), rest_.size()));
    }
    rest_.remove_prefix(std::min(label.size(), rest_.size()));
    return {Token::Type::kText, {}, false};
  }
  Token literal(char quote) {
    std::size_t end = 1;
    bool plain = true;
    while (end < rest_.size() && rest_[end] != quote) {
      plain = plain && (quote == '\'' || rest_[end] != '$');
      end += rest_[end] == '\\' ? 2U : 1U;
    }
    if (end >= rest_.size()) {
      rest_ = {};
      return {};
    }
    const std::string_view text = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    return {Token::Type::kText, text, plain};
  }

  std::string_view rest_;
};

class Reader {
 public:
  Reader(std::string_view bytes, json::storage_ptr memory) : lexer_(bytes), memory_(std::move(memory)) { step(); }

  /// Nothing when it nests too deep.
  std::optional<json::value> run() {
    json::object root(memory_);
    while (now_.type != Token::Type::kEnd && !deep_)
      statement(root);
    if (deep_) return std::nullopt;
    return json::value(std::move(root));
  }

 private:
  void step() { now_ = lexer_.next(); }
  bool accept(std::string_view sign) {
    const bool is = now_.is(sign);
    if (is) step();
    return is;
  }

  /// One that sets something; else its first token is left behind.
  void statement(json::object& root) {
    const Token first = now_;
    step();
    if (first.type == Token::Type::kWord && first.text == "define" && accept("(")) {
      if (now_.type != Token::Type::kText) return;
      const std::string_view name = now_.text;
      step();
      if (accept(",")) set(root, name);
    } else if (first.type == Token::Type::kWord && first.text == "return") {
      if (std::optional<json::value> value = this->value(0); value && value->is_object())
        root.insert(value->get_object().begin(), value->get_object().end());
    } else if (first.type == Token::Type::kWord) {
      std::string_view name = first.text.substr(first.text.starts_with('$') ? 1 : 0);
      while (accept("[")) {
        if (now_.type == Token::Type::kText) name = now_.text;
        while (now_.type != Token::Type::kEnd && !now_.is("]"))
          step();
        step();
      }
      if (accept("=") && !now_.is("=")) set(root, name);
    }
  }
  void set(json::object& into, std::string_view name) {
    std::optional<json::value> value = this->value(0);
    if (value) into.insert_or_assign(name, std::move(*value));
  }

  /// Nothing for what is computed.
  std::optional<json::value> value(std::size_t depth) {
    if (depth >= kMaxDepth) {
      deep_ = true;
      return std::nullopt;
    }
    std::optional<json::value> out = part(depth);
    if (ends()) return out;
    while (now_.type != Token::Type::kEnd && !ends())
      skip_part();
    return std::nullopt;
  }
  [[nodiscard]] bool ends() const {
    return now_.is(",") || now_.is(")") || now_.is("]") || now_.is(";") || now_.is("=>") || now_.is("?");
  }
  std::optional<json::value> part(std::size_t depth) {
    const Token first = now_;
    if (ends() || first.type == Token::Type::kEnd) return std::nullopt;
    step();
    if (first.is("[")) return array("]", depth);
    if (first.type == Token::Type::kText) {
      if (!first.plain) return std::nullopt;
      return json::value(unescaped(first.text));
    }
    if (first.type != Token::Type::kWord) return std::nullopt;
    if (first.text == "array" && accept("(")) return array(")", depth);
    const bool global = first.text == "$_ENV" || first.text == "$_SERVER";
    if ((global && accept("[")) || ((first.text == "env" || first.text == "getenv") && accept("("))) return variable();
    if (accept("(")) skip_to_close();
    return std::nullopt;
  }
  json::string unescaped(std::string_view text) const {
    json::string out(memory_);
    for (std::size_t i = 0; i < text.size(); ++i) {
      i += text[i] == '\\' && i + 1 < text.size() ? 1U : 0U;
      out.push_back(text[i]);
    }
    return out;
  }
  std::optional<json::value> variable() {
    const Token name = now_;
    skip_to_close();
    if (accept("?")) {  // $_ENV['NAME'] ?? 'other'
      while (now_.type != Token::Type::kEnd && (now_.is("?") || !ends()))
        step();
    }
    if (name.type != Token::Type::kText) return std::nullopt;
    json::string out("${", memory_);
    out.append(name.text).append("}");
    return json::value(std::move(out));
  }
  std::optional<json::value> array(std::string_view close, std::size_t depth) {
    json::object out(memory_);
    while (now_.type != Token::Type::kEnd && !deep_ && !accept(close)) {
      const Token name = now_;
      std::optional<json::value> first = value(depth + 1);
      if (accept("=>")) {
        std::optional<json::value> second = value(depth + 1);
        if (second && name.type == Token::Type::kText) out.insert_or_assign(name.text, std::move(*second));
      }
      if (!accept(",") && !now_.is(close) && now_.type != Token::Type::kEnd) step();
    }
    return json::value(std::move(out));
  }
  void skip_part() {
    const bool opens = now_.is("(") || now_.is("[");
    step();
    if (opens) skip_to_close();
  }
  /// Behind the bracket that is open.
  void skip_to_close() {
    for (std::size_t open = 1; open > 0 && now_.type != Token::Type::kEnd; step()) {
      if (now_.is("(") || now_.is("[")) ++open;
      if (now_.is(")") || now_.is("]")) --open;
    }
  }

  Lexer lexer_;
  json::storage_ptr memory_;
  Token now_;
  bool deep_ = false;
};

}  // namespace

std::optional<json::value> read_php(std::string_view bytes, TreeMemory& memory) {
  const std::size_t begin = bytes.find("<?php");
  if (begin == std::string_view::npos) return std::nullopt;
  return Reader(bytes.substr(begin + 5), memory.storage()).run();
}

}  // namespace keytrail::examine
