// SPDX-License-Identifier: Apache-2.0
// Places where a key was found, for the kernel's filter: from then on a file is watched as itself, and at a place that
// the catalog does not know its name in its folder is. Whoever reads it later, under whatever name and mode, is seen.
// Called by Opens and Pointers (a key was found), by Engine (places of an earlier run); emptied by Engine. Bounded, and
// fair to those whose keys they are. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/base/fair_map.h"
#include "keytrail/event.h"
#include "keytrail/examiner.h"

namespace keytrail::link {

class Found {
 public:
  /// `limit`: of files, and of places. One that is found again is the freshest; whoever has most of them gives up the
  /// stalest of its own.
  explicit Found(std::size_t limit);

  /// `owner`: the workload that read it. `known_place`: the catalog knows it, so that its name is watched anyway.
  void add(const std::string& owner, const FileIdentity& file, const std::string& path, bool known_place);
  /// The place alone, as a file told of it or an earlier run knew it: which file is there now is learnt when it is read
  /// again. `owner`: of an earlier run, which did not keep the workload, the scope and whose home it is in.
  void add_place(const std::string& owner, const std::string& path);
  /// What is to be watched, or no more, since the last call.
  [[nodiscard]] std::vector<FoundPlace> take() { return std::exchange(news_, {}); }
  [[nodiscard]] std::uint64_t over_bound() const { return files_.evicted() + places_.evicted(); }

 private:
  [[nodiscard]] bool is_new_place(const std::string& owner, const std::string& path);

  base::FairMap<FoundPlace> files_, places_;
  std::vector<FoundPlace> news_;
};

}  // namespace keytrail::link
