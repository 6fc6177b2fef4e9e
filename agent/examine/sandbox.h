// SPDX-License-Identifier: Apache-2.0
// Takes everything away from the examiner: user, capabilities, file system, network, system calls. In: the process as
// the warden started it (root, or not). Out: what could not be taken, one sentence each. Thread: before any other
// exists.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace keytrail::examine {

struct SandboxOptions {
  uid_t uid = 65534;
  gid_t gid = 65534;
  std::string root;  ///< an empty directory that becomes `/`; "" = stay where we are, which is a remark
};

/// Afterwards only reading, receiving and sending on open descriptors and memory work; all else gives EPERM.
/// The remarks are for `keytrail status`. Without the seccomp filter `strict` is false.
struct Sandbox {
  std::vector<std::string> remarks;
  bool strict = false;
};
[[nodiscard]] Sandbox enter_sandbox(const SandboxOptions& options);

/// Tries what must be refused (open, socket, ptrace, execve, fork, …) and prints one line each on descriptor 1.
/// True when all were refused.
bool self_test();

}  // namespace keytrail::examine
