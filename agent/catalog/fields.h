// SPDX-License-Identifier: Apache-2.0
// The keys of one entry of a catalog file, each asked for once; what nobody asked for is a problem. Internal to this
// folder.
#pragma once

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/catalog/source.h"
#include "keytrail/words.h"

namespace keytrail::catalog::source {

using Names = std::initializer_list<std::string_view>;

/// "a, b, c"
[[nodiscard]] std::string join(const std::vector<std::string_view>& names);
/// " (did you mean `x`?)", or "" when no known word is near.
[[nodiscard]] std::string did_you_mean(std::string_view word, const std::vector<std::string_view>& known);

class Fields {
 public:
  Fields(const YAML::Node& node, const std::string& file, Problems& problems);

  [[nodiscard]] const Where& where() const { return where_; }

  /// The value of `key`, or "".
  std::string text(std::string_view key, bool required = false);
  std::vector<std::string> list(std::string_view key, bool required = false);
  bool flag(std::string_view key, bool fallback);
  /// 0 to 65535.
  std::uint16_t number(std::string_view key);
  std::vector<std::uint16_t> numbers(std::string_view key);
  /// Index of the value among `known`, or `fallback` when the key is absent.
  std::size_t choice(std::string_view key, Names known, std::size_t fallback, bool required = false) {
    return choice(key, std::span(known.begin(), known.size()), fallback, required);
  }
  std::size_t choice(std::string_view key, std::span<const std::string_view> known, std::size_t fallback,
                     bool required);
  /// An enumerator by its word.
  template <Worded E>
  E word(std::string_view key, E fallback, bool required) {
    constexpr auto kKnown = all_words<E>();
    const std::size_t index = choice(key, kKnown, kKnown.size(), required);
    return index < kKnown.size() ? kWords<E>[index].value : fallback;
  }
  YAML::Node node(std::string_view key) { return get(key, false); }
  /// The mark of the entry: how its facts are known. Asks for `source`, too.
  std::string verified();

  /// Says what was given and never asked for, and what was given twice.
  void finish();
  void problem(int line, const std::string& what) {
    problems_.push_back(file_ + ":" + std::to_string(line) + ": " + what);
  }

 private:
  YAML::Node get(std::string_view key, bool required);
  std::uint16_t number_of(std::string_view key, const std::string& value);

  YAML::Node node_;
  const std::string& file_;
  Problems& problems_;
  Where where_;
  std::vector<std::string> asked_;
};

// One function per section; each reads one entry.
void read_proof(Fields& f, Model& model);
void read_kind(Fields& f, Model& model);
void read_file_entry(Fields& f, Model& model);
void read_env(Fields& f, Model& model);
void read_selector(Fields& f, const std::string& file, Model& model, Problems& problems);
void read_format(Fields& f, const std::string& file, Model& model, Problems& problems);
void read_endpoint(Fields& f, Model& model);
void read_issuer(Fields& f, const std::string& file, Model& model, Problems& problems);
void read_rule(Fields& f, Model& model);
void read_service(Fields& f, Model& model);
void read_binding(Fields& f, Model& model);
void read_port(Fields& f, Model& model);
void read_request(Fields& f, Model& model);
void read_metadata(Fields& f, Model& model);
void read_ranges(Fields& f, Model& model);
void read_socket(Fields& f, Model& model);
void read_program(Fields& f, Model& model);
void read_role(Fields& f, Model& model);
void read_interpreter(Fields& f, Model& model);
void read_command(Fields& f, Model& model);
void read_broker(Fields& f, Model& model);
void read_arguments(Fields& f, Model& model);
void read_carried(Fields& f, Model& model);
void read_reader(Fields& f, Model& model);

}  // namespace keytrail::catalog::source
