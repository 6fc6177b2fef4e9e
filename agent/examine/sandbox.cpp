// SPDX-License-Identifier: Apache-2.0
#include "agent/examine/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <utility>

namespace keytrail::examine {
namespace {

/// Mount and IPC first, network apart: a kernel or container may refuse one and grant the other.
constexpr std::pair<int, const char*> kNamespaces[] = {
    {CLONE_NEWNS, "mount"}, {CLONE_NEWNET, "network"}, {CLONE_NEWIPC, "IPC"}, {CLONE_NEWUTS, "host name"}};

/// The namespaces that are still missing, as flags.
int leave_namespaces() {
  int missing = 0;
  for (const auto& [flag, name] : kNamespaces) {
    if (unshare(flag) != 0) missing |= flag;
  }
  return missing;
}

bool leave_root(const std::string& root) { return !root.empty() && chroot(root.c_str()) == 0 && chdir("/") == 0; }

void drop_capabilities() {
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability)
    prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

bool no_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> none{};
  return syscall(SYS_capset, &header, none.data()) == 0;
}

bool become(uid_t uid, gid_t gid) {
  return setgroups(0, nullptr) == 0 && setresgid(gid, gid, gid) == 0 && setresuid(uid, uid, uid) == 0 && setuid(0) != 0;
}

void add_rules(scmp_filter_ctx filter, bool& ok) {
  for (const char* name : {"read",      "pread64",    "recvmsg",      "sendmsg",        "sendto",
                           "poll",      "ppoll",      "close",        "fstat",          "lseek",
                           "futex",     "munmap",     "brk",          "madvise",        "clock_gettime",
                           "exit",      "exit_group", "rt_sigreturn", "rt_sigprocmask", "restart_syscall",
                           "getrandom", "getpid",     "gettid"}) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number != __NR_SCMP_ERROR) ok = ok && seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0) == 0;
  }
  // Memory, but never memory to run.
  ok =
      ok && seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) == 0;
  // Its own log: standard output and error only.
  ok = ok && seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(write), 1, SCMP_A0(SCMP_CMP_LE, 2)) == 0;
}

bool filter_calls() {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
  if (filter == nullptr) return false;
  bool ok = true;
  add_rules(filter, ok);
  ok = ok && seccomp_load(filter) == 0;
  seccomp_release(filter);
  return ok;
}

void lock_memory(Sandbox& out) {
  // Pages are locked as they are touched: the rest of the libraries does not become resident.
  if (mlockall(MCL_CURRENT | MCL_ONFAULT) != 0)
    out.remarks.emplace_back(
        "The examiner's memory is not locked as a whole; its buffers for keys are, within RLIMIT_MEMLOCK.");
}

}  // namespace

Sandbox enter_sandbox(const SandboxOptions& options) {
  Sandbox out;
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  lock_memory(out);
  int missing = leave_namespaces();
  bool rooted = leave_root(options.root);
  drop_capabilities();
  if (geteuid() == 0 && !become(options.uid, options.gid)) {
    out.remarks.emplace_back("The examiner runs as root: its user could not be changed (is CAP_SETUID there?).");
  }
  if (missing != 0 && unshare(CLONE_NEWUSER | missing) == 0)
    missing = 0;  // without privilege: through a user namespace
  if (!rooted) rooted = leave_root(options.root);
  drop_capabilities();
  const bool bare = no_capabilities();
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // here, because the change of user clears it
  const bool sealed = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
  for (const auto& [flag, name] : kNamespaces) {
    if ((missing & flag) != 0)
      out.remarks.push_back("The examiner has no " + std::string(name) + " namespace of its own.");
  }
  if (!rooted) out.remarks.emplace_back("The examiner still sees the file system: chroot was refused.");
  if (!bare) out.remarks.emplace_back("The examiner keeps capabilities.");
  if (!sealed) out.remarks.emplace_back("The examiner could not be sealed against new privileges and dumps.");
  out.strict = sealed && filter_calls();
  if (!out.strict) out.remarks.emplace_back("The examiner has no system call filter: the kernel refused seccomp.");
  return out;
}

bool self_test() {
  struct Try {
    const char* name;
    long result;
    int error;
  };
  const auto run = [](const char* name, auto call) {
    errno = 0;
    const long result = call();
    return Try{name, result, errno};
  };
  char* const arguments[] = {nullptr};
  const Try tries[] = {
#ifdef SYS_open
      run("open", [] { return syscall(SYS_open, "/etc/passwd", O_RDONLY); }),
#endif
      run("openat", [] { return syscall(SYS_openat, AT_FDCWD, "/", O_RDONLY | O_DIRECTORY); }),
      run("openat2", [] { return syscall(SYS_openat2, AT_FDCWD, "/", nullptr, 0); }),
      run("socket", [] { return syscall(SYS_socket, AF_INET, SOCK_STREAM, 0); }),
      run("socket (unix)", [] { return syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0); }),
      run("connect", [] { return syscall(SYS_connect, 0, nullptr, 0); }),
      run("ptrace", [] { return syscall(SYS_ptrace, PTRACE_ATTACH, 1, nullptr, nullptr); }),
      run("process_vm_readv", [] { return syscall(SYS_process_vm_readv, 1, nullptr, 0, nullptr, 0, 0); }),
      run("execve", [&] { return syscall(SYS_execve, "/bin/true", arguments, arguments); }),
      run("clone", [] { return syscall(SYS_clone, 17 /* SIGCHLD */, nullptr, nullptr, nullptr, nullptr); }),
      run("kill", [] { return syscall(SYS_kill, 1, 0); }),
      run("bpf", [] { return syscall(SYS_bpf, 0, nullptr, 0); }),
      run("mprotect", [] { return syscall(SYS_mprotect, nullptr, 0, PROT_EXEC); }),
      run("mmap (executable)",
          [] { return syscall(SYS_mmap, nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }),
      run("setuid", [] { return syscall(SYS_setuid, 0); }),
      run("memfd_create", [] { return syscall(SYS_memfd_create, "x", 0); }),
  };
  bool all = true;
  for (const Try& one : tries) {
    if (one.result == 0 && strcmp(one.name, "clone") == 0)
      _exit(0);  // the child of a clone that should not have worked
    const bool refused = one.result == -1 && one.error == EPERM;
    all = all && refused;
    std::array<char, 128> line{};
    const int n = snprintf(line.data(), line.size(), "%s: %s\n", one.name, refused ? "refused" : "NOT REFUSED");
    (void)!write(STDOUT_FILENO, line.data(), static_cast<std::size_t>(n));
  }
  return all;
}

}  // namespace keytrail::examine
