// SPDX-License-Identifier: Apache-2.0
// The settings of one section of a configuration: which of them are keys, and what the others say of them (login, host,
// public id).
#pragma once

#include <string_view>
#include <vector>

#include "agent/examine/credential.h"
#include "agent/examine/facts.h"

namespace keytrail::examine {

class Settings {
 public:
  /// `by_name`: the entry of a key is the name of its setting, not its section.
  explicit Settings(Work& work, bool by_name = false) : work_(work), by_name_(by_name), variables_(by_name) {}

  /// Begins a section; the keys of the one before are reported first.
  void begin(const Entry& entry);
  /// A setting. `name` and `value` must live until the next `begin` or `finish`. `kind`: what it is known to hold, and
  /// whether that is a password; else its name tells.
  void set(std::string_view name, std::string_view value, std::string_view kind = {}, bool password = false);
  /// The same of a variable, whose kind the catalog may know.
  void set_variable(std::string_view name, std::string_view value);
  void finish() { begin({}); }

 private:
  struct Setting {
    std::string_view name, value;
    Meaning meaning;
    std::string_view kind;
    std::string_view host, login;  ///< that its name or its value tells
    bool used = false;
  };
  /// What login and host stand beside it; `key`: only those that begin as this one does.
  void describe(Entry& entry, const Setting* key = nullptr) const;
  /// A login of a list of its own; true when it was one.
  bool set_list(std::string_view name, std::string_view value);
  void add_pairs();
  void add(const Setting& setting);
  void add_value(const Setting& setting);
  void add_by_name(const Setting& setting, bool password);

  Work& work_;
  bool by_name_;
  bool variables_;  ///< none but a client's id speaks for another
  Entry entry_;
  std::ptrdiff_t urls_ = 0;  ///< of the section, with a key in them
  std::vector<Setting> settings_;
};

/// Reads `bytes` as lines of INI, TOML, HCL, properties or "name value", whatever they are, into `settings`.
void read_lines(std::string_view bytes, Settings& settings, Work& work);

}  // namespace keytrail::examine
