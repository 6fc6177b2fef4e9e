// SPDX-License-Identifier: Apache-2.0
// What was decided for each hook family, as the warden told the worker: for `status`, `doctor` and the closed world.
#pragma once

#include <string>
#include <vector>

#include "keytrail/event.h"

namespace keytrail {

struct HookPlan {
  struct Refused {
    std::string name, why;
  };
  Family family = Family::kExec;
  std::string chosen;            ///< "tracepoint sys_exit_openat"; empty: the family is not armed
  std::string cost;              ///< "every system call +20 ns"
  std::string missing;           ///< what this alternative does not see; empty: nothing
  bool sees_less = false;        ///< than the best alternatives: not every fallback loses something
  std::vector<Refused> refused;  ///< better alternatives and why they are not used
};

}  // namespace keytrail
