// SPDX-License-Identifier: Apache-2.0
// How a hook family is armed: decided by the warden's plan, sent to the worker as role::Hook, shown by `status` and
// `doctor`. The two forms in which a report travels (between roles, and as the text of `keytrail-warden --plan`) are
// in hooks_wire.h.
#pragma once

#include <string>
#include <vector>

#include "keytrail/event.h"

namespace keytrail {

struct HookReport {
  struct Refused {
    std::string name, why;
  };
  Family family = Family::kExec;
  std::string chosen;            ///< "tracepoint sys_exit_openat"; empty: the family is not armed
  std::string cost;              ///< "every system call +20 ns"
  std::string missing;           ///< what this way does not see; empty: nothing
  bool sees_less = false;        ///< than the best ways: not every fallback loses something
  std::vector<Refused> refused;  ///< better ways and why they are not used

  [[nodiscard]] bool armed() const { return !chosen.empty(); }
};

}  // namespace keytrail
