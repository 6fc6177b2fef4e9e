// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/loader_tables.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <set>

#include "agent/warden/loader_kernel.h"
#include "agent/warden/skeleton.h"

namespace keytrail::warden {
namespace {

constexpr std::size_t kThreadName = 15;  ///< the kernel knows a program by its thread's name, so long at most

/// Up to 8 bytes, little endian as the kernel side reads them.
kt_u64 word(std::string_view text) {
  kt_u64 value = 0;
  for (std::size_t i = 0; i < text.size() && i < 8; ++i)
    value |= kt_u64{static_cast<std::uint8_t>(text[i])} << (8 * i);
  return value;
}

kt_u64 key_of(std::string_view text, std::uint32_t kind) {
  const std::string_view last = text.size() >= 8 ? text.substr(text.size() - 8) : text;
  return kt_mix(word(text), word(last), static_cast<std::uint32_t>(text.size()), kind);
}

std::uint32_t slot(kt_u64 key, std::uint32_t slots) { return static_cast<std::uint32_t>(key >> 8U) & (slots - 1); }
std::uint32_t bit(kt_u64 key) { return static_cast<std::uint32_t>(key >> 16U) & (KT_PATTERN_BITS - 1); }

std::uint8_t env_action(const catalog::EnvName& variable) {
  switch (variable.action) {
    case catalog::EnvAction::kShow:
      return KT_ENV_SHOW;
    case catalog::EnvAction::kSecret:
      return variable.unhashed ? KT_ENV_UNHASHED : KT_ENV_SECRET;
    case catalog::EnvAction::kShowAndWatchBaseName:
      return KT_ENV_WATCH;
  }
  return KT_ENV_UNHASHED;
}

kt_u32 flag_kind(catalog::FlagAction action) {
  switch (action) {
    case catalog::FlagAction::kNone:
      return 0;
    case catalog::FlagAction::kHash:
      return KT_FLAG_VALUE;
    case catalog::FlagAction::kPresence:
      return KT_FLAG_PRESENCE;
  }
  return 0;
}

std::unexpected<Error> too_long(const char* what, std::string_view text) {
  return fail(Error::Code::kTooLarge,
              std::string("The kernel filter has no room for ") + what + " \"" + std::string(text) + "\".");
}

}  // namespace

kt_u64 name_key(std::string_view name) { return key_of(name, KT_NAME_KEY_EXACT); }
kt_u64 folder_key(std::string_view name) { return key_of(name, KT_NAME_KEY_DIRECTORY); }

Result<void> KernelFilter::add_pattern(const catalog::NamePattern& pattern) {
  using Match = catalog::NamePattern::Match;
  if (pattern.text.empty() || pattern.text.size() > 255) return too_long("the name", pattern.text);
  if (pattern.match == Match::kExact) {
    keys_.push_back(name_key(pattern.text));
    exact_slots_.push_back(slot(keys_.back(), KT_EXACT_SLOTS));
    return {};
  }
  if (pattern.text.size() < 2)
    return fail(Error::Code::kInvalid, "A pattern of file names needs at least two characters.");
  // Only the first or last 8 bytes count: a longer pattern lets a little more through, user space matches all of it.
  const auto length = static_cast<std::uint32_t>(std::min<std::size_t>(pattern.text.size(), 8));
  const bool prefix = pattern.match == Match::kPrefix;
  const std::string_view part =
      prefix ? pattern.text.substr(0, length) : pattern.text.substr(pattern.text.size() - length);
  keys_.push_back(kt_mix(word(part), 0, length, prefix ? KT_NAME_KEY_PREFIX : KT_NAME_KEY_SUFFIX));
  (prefix ? prefix_bits_ : suffix_bits_).push_back(bit(keys_.back()));
  const std::string_view end = prefix ? part.substr(0, 2) : part.substr(part.size() - 2);
  (prefix ? prefix_lengths_ : suffix_lengths_)
      .push_back({kt_end_slot(static_cast<kt_u32>(word(end))), static_cast<kt_u16>(1U << length)});
  return {};
}

Result<void> KernelFilter::add_variable(const catalog::EnvName& variable) {
  if (variable.prefix || variable.suffix) {
    kt_affix affix{};
    if (variable.name.size() < 3)
      return fail(Error::Code::kInvalid, "A prefix or suffix of variables needs at least three characters.");
    if (variable.name.size() > sizeof(affix.text) || affixes_.size() == KT_ENV_AFFIXES)
      return too_long("the variable", variable.name);
    affix.len = static_cast<kt_u8>(variable.name.size());
    affix.action = env_action(variable);
    affix.suffix = variable.suffix ? 1 : 0;
    std::ranges::copy(variable.name, affix.text);
    // prefixes win over suffixes
    affixes_.insert(variable.suffix ? affixes_.end() : affixes_.begin(), affix);
    return {};
  }
  if (variable.name.size() >= KT_ITEM_NAME_MAX) return too_long("the variable", variable.name);
  Named<kt_u8> named{.value = env_action(variable)};
  std::ranges::copy(variable.name, named.name.text);
  env_.push_back(named);
  env_slots_.push_back(slot(name_key(variable.name), KT_ENV_SLOTS));
  return {};
}

Result<void> KernelFilter::add_flags(const catalog::KernelTables& tables) {
  for (const catalog::ArgFlag& flag : tables.flags) {
    if (flag.flag.size() >= KT_ITEM_NAME_MAX) return too_long("the flag", flag.flag);
    Named<kt_flag> named{.value = {.kind = flag_kind(flag.action), .path_of = flag.path_of}};
    std::ranges::copy(flag.flag, named.name.text);
    flags_.push_back(named);
  }
  if (tables.flag_programs.size() > catalog::kMostFlagPrograms)
    return fail(Error::Code::kTooLarge, "Too many programs have flags of their own.");
  for (std::size_t i = 0; i < tables.flag_programs.size(); ++i) {
    if (tables.flag_programs[i].size() > kThreadName) return too_long("the program", tables.flag_programs[i]);
    Named<kt_u32> named{.value = 1U << i};
    std::ranges::copy(tables.flag_programs[i], named.name.text);
    programs_.push_back(named);
  }
  for (const catalog::ArgProgram& program : tables.programs) {
    kt_name name{};
    std::ranges::copy(program.name.substr(0, kThreadName), name.text);
    const auto same = [&](const Named<kt_u32>& one) { return memcmp(&one.name, &name, sizeof(name)) == 0; };
    const auto known = std::ranges::find_if(programs_, same);
    (known == programs_.end() ? programs_.emplace_back(Named<kt_u32>{name, 0}) : *known).value |= KT_EXAMINED_PROGRAM;
  }
  return {};
}

static kt_letters letters_of(std::string_view text) {
  kt_letters out{};
  for (const char c : text)
    out.bits[(static_cast<unsigned char>(c) >> 6U) & 1U] |= kt_u64{1} << (static_cast<unsigned char>(c) & 63U);
  return out;
}

Result<void> KernelFilter::add_interpreters(const catalog::KernelTables& tables) {
  if (tables.interpreters.size() > KT_INTERPRETERS)
    return fail(Error::Code::kTooLarge, "The kernel filter has no room for so many interpreters.");
  std::map<std::string_view, kt_script_word> words;
  for (std::size_t i = 0; i < tables.interpreters.size(); ++i) {
    const catalog::Interpreter& one = tables.interpreters[i];
    for (const std::string_view name : one.names) {
      if (name.size() > kThreadName) return too_long("the interpreter", name);
      Named<kt_u32> named{.value = static_cast<kt_u32>(i + 1)};
      std::ranges::copy(name, named.name.text);
      interpreters_.push_back(named);
    }
    for (const catalog::ScriptRule& rule : one.words) {
      if (rule.word.size() >= KT_ITEM_NAME_MAX) return too_long("the option", rule.word);
      words[rule.word].does[i] = static_cast<kt_u8>(rule.does);
    }
    interpreter_options_.push_back({.flags = letters_of(one.letters),
                                    .next = letters_of(one.next),
                                    .valued = letters_of(one.valued),
                                    .joined = letters_of(one.joined),
                                    .equals = one.equals ? 1U : 0U,
                                    .pad = 0});
  }
  for (const auto& [word, does] : words) {
    Named<kt_script_word> named{.value = does};
    std::ranges::copy(word, named.name.text);
    script_words_.push_back(named);
  }
  return {};
}

/// Of entries of one name the last, as if they were written one after the other.
template <typename Named>
static void keep_last(std::vector<Named>& all) {
  std::set<std::string> seen;
  std::ranges::reverse(all);
  std::erase_if(all, [&seen](const Named& one) { return !seen.emplace(one.name.text, sizeof(one.name.text)).second; });
}

Result<KernelFilter> KernelFilter::make(const catalog::KernelTables& tables) {
  KernelFilter filter;
  if (const Result<void> added = filter.add_pattern({catalog::NamePattern::Match::kExact, "memfd:" KT_HEARTBEAT_MEMFD});
      !added)
    return std::unexpected(added.error());
  for (const catalog::NamePattern& pattern : tables.names) {
    if (const Result<void> added = filter.add_pattern(pattern); !added) return std::unexpected(added.error());
  }
  for (const catalog::NamePattern& directory : tables.directories) {
    if (directory.match != catalog::NamePattern::Match::kExact)
      continue;  // the catalog has none; files in it are matched by their names
    filter.keys_.push_back(folder_key(directory.text));
    filter.directory_slots_.push_back(slot(filter.keys_.back(), KT_DIRECTORY_SLOTS));
  }
  for (const catalog::EnvName& variable : tables.env) {
    if (const Result<void> added = filter.add_variable(variable); !added) return std::unexpected(added.error());
  }
  if (const Result<void> added = filter.add_flags(tables); !added) return std::unexpected(added.error());
  if (const Result<void> added = filter.add_interpreters(tables); !added) return std::unexpected(added.error());
  for (const catalog::ArgFormat& format : tables.formats) {
    kt_format out{};
    if (format.prefix.size() > sizeof(out.prefix) || filter.formats_.size() + 1 == KT_ARG_FORMATS)
      return too_long("the format", format.format_id);
    out.prefix_len = static_cast<kt_u8>(format.prefix.size());
    out.use = format.is_public ? KT_FORMAT_PUBLIC : format.kind.empty() ? KT_FORMAT_NO_KEY : KT_FORMAT_SECRET;
    kt_u8& from = filter.format_from_[static_cast<unsigned char>(format.prefix.front())];
    if (from == 0) from = static_cast<kt_u8>(filter.formats_.size() + 1);
    out.min_len = format.min_len;
    out.max_len = format.max_len;
    std::ranges::copy(format.prefix, out.prefix);
    filter.formats_.push_back(out);
  }
  keep_last(filter.env_);
  keep_last(filter.flags_);
  keep_last(filter.programs_);
  return filter;
}

void KernelFilter::write_variables(keytrail_bpf& skeleton) const {
  auto& variables = *skeleton.rodata;
  for (std::uint32_t one : exact_slots_)
    skeleton.bss->name_exact[one] = 1;
  for (std::uint32_t one : directory_slots_)
    variables.cfg_directories[one] = 1;
  for (std::uint32_t one : env_slots_)
    variables.cfg_env_slots[one] = 1;
  for (std::uint32_t one : prefix_bits_)
    variables.cfg_name_prefix[one / 64] |= kt_u64{1} << (one % 64);
  for (std::uint32_t one : suffix_bits_)
    variables.cfg_name_suffix[one / 64] |= kt_u64{1} << (one % 64);
  for (const Ends& one : prefix_lengths_)
    variables.cfg_prefix_lengths[one.slot] |= one.lengths;
  for (const Ends& one : suffix_lengths_)
    variables.cfg_suffix_lengths[one.slot] |= one.lengths;
  for (const kt_affix& one : affixes_) {
    const std::string_view text(one.text, one.len);
    variables.cfg_affix_ends[kt_affix_slot(static_cast<kt_u32>(
        word(one.suffix != 0 ? text.substr(text.size() - 3) : text.substr(0, 3))))] |= one.suffix != 0 ? 2 : 1;
  }
  std::ranges::copy(affixes_, variables.cfg_env_affixes);
  variables.cfg_env_affix_count = static_cast<kt_u32>(affixes_.size());
  std::ranges::copy(interpreter_options_, variables.cfg_interpreters);
  std::ranges::copy(formats_, variables.cfg_formats);
  std::ranges::copy(format_from_, variables.cfg_format_from);
  variables.cfg_format_count = static_cast<kt_u32>(formats_.size());
  const auto room = [](bpf_map* map, std::size_t entries) {
    bpf_map__set_max_entries(map, static_cast<std::uint32_t>(entries + 1));
  };
  room(skeleton.maps.names, keys_.size());
  room(skeleton.maps.env_names, env_.size());
  room(skeleton.maps.arg_flags, flags_.size());
  room(skeleton.maps.arg_programs, programs_.size());
  room(skeleton.maps.interpreters, interpreters_.size());
  room(skeleton.maps.script_words, script_words_.size());
}

void KernelFilter::each_entry(const keytrail_bpf& skeleton, const EntryCall& call) const {
  const std::uint8_t one = 1;
  for (const kt_u64& key : keys_)
    call(skeleton.maps.names, &key, sizeof(key), &one, sizeof(one));
  const auto each = [&call](bpf_map* map, const auto& all) {
    for (const auto& named : all)
      call(map, &named.name, sizeof(named.name), &named.value, sizeof(named.value));
  };
  each(skeleton.maps.env_names, env_);
  each(skeleton.maps.arg_flags, flags_);
  each(skeleton.maps.arg_programs, programs_);
  each(skeleton.maps.interpreters, interpreters_);
  each(skeleton.maps.script_words, script_words_);
}

Result<void> KernelFilter::fill_maps(keytrail_bpf& skeleton) const {
  int failed = 0;
  each_entry(skeleton,
             [&failed](bpf_map* map, const void* key, std::size_t key_size, const void* value, std::size_t value_size) {
               failed |= bpf_map__update_elem(map, key, key_size, value, value_size, BPF_ANY);
             });
  if (failed != 0) return fail(Error::Code::kSystem, "Filling the kernel filter failed: " + errno_text(errno) + ".");
  return {};
}

}  // namespace keytrail::warden
