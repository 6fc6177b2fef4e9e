// SPDX-License-Identifier: Apache-2.0
// Turns the catalog's kernel tables into what the programs filter by: variables before loading, maps after it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/catalog/catalog.h"
#include "bpf/lib/control.h"
#include "keytrail/result.h"

struct bpf_map;
struct keytrail_bpf;

namespace keytrail::warden {

/// Key of a file name, as the kernel side computes it.
[[nodiscard]] kt_u64 name_key(std::string_view name);
[[nodiscard]] kt_u64 folder_key(std::string_view name);

class KernelFilter {
 public:
  /// Checks sizes: an entry that does not fit is an error, never silently dropped.
  static Result<KernelFilter> make(const catalog::KernelTables& tables);
  /// Writes variables and map sizes of a skeleton that is open but not loaded.
  void write_variables(keytrail_bpf& skeleton) const;
  /// Fills the maps of a loaded skeleton.
  [[nodiscard]] Result<void> fill_maps(keytrail_bpf& skeleton) const;
  using EntryCall = std::function<void(bpf_map* map, const void* key, std::size_t key_size, const void* value,
                                       std::size_t value_size)>;
  /// Calls for each entry that `fill_maps` writes, always in the same order.
  void each_entry(const keytrail_bpf& skeleton, const EntryCall& call) const;

 private:
  template <typename Value>
  struct Named {
    kt_name name{};
    Value value{};
  };
  struct Ends {
    std::uint32_t slot;
    kt_u16 lengths;
  };
  Result<void> add_pattern(const catalog::NamePattern& pattern);
  Result<void> add_variable(const catalog::EnvName& variable);
  Result<void> add_flags(const catalog::KernelTables& tables);
  Result<void> add_interpreters(const catalog::KernelTables& tables);

  std::vector<kt_u64> keys_;  ///< of names, patterns and directories
  std::vector<std::uint32_t> exact_slots_, directory_slots_, env_slots_, prefix_bits_, suffix_bits_;
  std::vector<Ends> prefix_lengths_, suffix_lengths_;
  std::vector<Named<kt_u8>> env_;
  std::vector<Named<kt_flag>> flags_;
  std::vector<Named<kt_u32>> programs_;
  std::vector<Named<kt_u32>> interpreters_;
  std::vector<Named<kt_script_word>> script_words_;
  std::vector<kt_interpreter> interpreter_options_;
  std::vector<kt_affix> affixes_;
  std::vector<kt_format> formats_;
  std::array<kt_u8, 256> format_from_{};  ///< by first byte: 1 + the first format that begins so
};

}  // namespace keytrail::warden
