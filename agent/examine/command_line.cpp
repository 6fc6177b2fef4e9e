// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "agent/examine/command_line.h"

namespace keytrail::examine {
namespace {

using catalog::ArgProgram;
using catalog::ArgRule;

constexpr std::size_t kThreadName = 15;
constexpr std::size_t kMostCommands = 4;  ///< words among which a command is looked for

class Reader {
 public:
  Reader(std::string_view program, std::span<const ArgProgram> programs, ArgLine& out) : out_(out) {
    for (const ArgProgram& one : programs) {
      // Two names may begin alike (git-remote-http, git-remote-https): their rules are the same.
      const auto same = [&](const Entry& entry) { return entry.program->rules.data() == one.rules.data(); };
      if (one.name.substr(0, kThreadName) == program && std::ranges::none_of(entries_, same))
        entries_.push_back({&one, one.command.empty()});
    }
  }

  [[nodiscard]] bool knows_program() const { return !entries_.empty(); }

  void take(std::string_view text, std::size_t position) {
    position_ = position;
    if (done_) return;
    if (pending_) {
      add(*pending_, text);
      pending_.reset();
    } else if (!only_words_ && text == "--") {
      only_words_ = true;
    } else if (!only_words_ && text.size() > 1 && text.front() == '-') {
      take_flag(text);
    } else {
      take_word(text);
    }
  }

 private:
  struct Entry {
    const ArgProgram* program;
    bool counts;            ///< its command, if it needs one, was there
    std::size_t words = 0;  ///< behind it
  };
  struct Flag {
    const ArgProgram* program;
    const ArgRule* rule;
  };

  [[nodiscard]] std::optional<Flag> find(std::string_view flag) const {
    for (const Entry& entry : entries_) {
      const auto rule = std::ranges::find(entry.program->rules, flag, &ArgRule::flag);
      if (entry.counts && rule != entry.program->rules.end()) return Flag{entry.program, &*rule};
    }
    return std::nullopt;
  }

  void add(const Flag& flag, std::string_view value) {
    out_.words.push_back({flag.rule->use, flag.rule->flag, value, position_, flag.program});
  }

  void take_flag(std::string_view text) {
    if (const auto flag = find(text)) {
      if (!flag->rule->joined) pending_ = flag;
      return;
    }
    const std::size_t equals = text.find('=');
    if (const auto flag = equals == text.npos ? std::nullopt : find(text.substr(0, equals)))
      return add(*flag, text.substr(equals + 1));
    if (text[1] != '-') return take_letters(text.substr(1));
    if (equals != text.npos) add_other(text.substr(equals + 1));
  }

  /// "-sSu": letters that have no value, and perhaps one that has: what follows it, or the next word.
  void take_letters(std::string_view letters) {
    for (std::size_t i = 0; i < letters.size(); ++i) {
      const std::array<char, 2> name{'-', letters[i]};
      const auto flag = find({name.data(), name.size()});
      if (!flag) continue;
      if (i + 1 < letters.size()) {
        add(*flag, letters.substr(i + 1));
      } else if (!flag->rule->joined) {
        pending_ = flag;
      }
      return;
    }
  }

  void take_word(std::string_view text) {
    ++commands_;
    for (Entry& entry : entries_) {
      if (entry.counts || commands_ > kMostCommands || entry.program->command != text) continue;
      entry.counts = true;
      return;
    }
    bool taken = false;
    for (Entry& entry : entries_) {
      if (!entry.counts) continue;
      const std::string place = std::to_string(++entry.words);
      for (const ArgRule& rule : entry.program->rules) {
        if (!rule.flag.empty() && rule.flag != place) continue;
        out_.words.push_back({rule.use, {}, text, position_, entry.program});
        taken = true;
        done_ = done_ || rule.use == catalog::ArgUse::kRest;
      }
    }
    if (!taken) add_other(text);
  }

  /// No rule says anything of it.
  void add_other(std::string_view text) {
    out_.words.push_back({catalog::ArgUse::kOther, {}, text, position_, entries_.front().program});
  }

  ArgLine& out_;
  std::vector<Entry> entries_;
  std::optional<Flag> pending_;
  bool only_words_ = false;
  bool done_ = false;
  std::size_t commands_ = 0;
  std::size_t position_ = 0;
};

}  // namespace

ArgLine read_command_line(std::string_view program, std::string_view bytes, std::span<const ArgProgram> programs) {
  ArgLine out;
  Reader reader(program, programs, out);
  if (!reader.knows_program()) return out;
  for (std::size_t position = 0; !bytes.empty(); ++position) {
    const std::size_t end = bytes.find('\0');
    out.cut = end == bytes.npos;
    if (out.cut) break;
    if (position > 0) reader.take(bytes.substr(0, end), position);
    bytes.remove_prefix(end + 1);
  }
  return out;
}

}  // namespace keytrail::examine
