// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/privilege.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace keytrail::warden {
namespace {

#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#endif
#ifndef CAP_BPF
#define CAP_BPF 39
#endif

constexpr std::array kWarden{CAP_BPF,       CAP_PERFMON,    CAP_NET_ADMIN, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH,
                             CAP_FOWNER,    CAP_SETUID,     CAP_SETGID,    CAP_SETPCAP,    CAP_KILL,
                             CAP_SYS_ADMIN, CAP_SYS_CHROOT, CAP_IPC_LOCK};
constexpr std::array kOpener{CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, CAP_FOWNER};

using Data = std::array<__user_cap_data_struct, 2>;

void drop_bounding(std::span<const int> keep) {
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability) {
    if (std::ranges::find(keep, capability) == keep.end()) prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  }
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

bool set_capabilities(std::span<const int> keep) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  Data now{};
  if (syscall(SYS_capget, &header, now.data()) != 0) return false;
  Data wanted{};
  for (const int capability : keep) {
    const auto word = static_cast<std::size_t>(capability) / 32;
    const std::uint32_t bit = now[word].permitted & (1U << (static_cast<unsigned>(capability) % 32));
    wanted[word].permitted |= bit;
    wanted[word].effective |= bit;
  }
  return syscall(SYS_capset, &header, wanted.data()) == 0;
}

}  // namespace

Result<User> find_user(const std::string& name) {
  if (const passwd* entry = getpwnam(name.c_str()); entry != nullptr) {
    if (entry->pw_uid == 0)
      return fail(Error::Code::kInvalid,
                  "The worker must not run as root: give --user another user than " + name + ".");
    return User{entry->pw_uid, entry->pw_gid, false};
  }
  if (const passwd* nobody = getpwnam("nobody"); nobody != nullptr && nobody->pw_uid != 0)
    return User{nobody->pw_uid, nobody->pw_gid, true};
  return User{65534, 65534, true};
}

Result<gid_t> find_group(const std::string& name) {
  if (const group* entry = getgrnam(name.c_str()); entry != nullptr) return entry->gr_gid;
  gid_t number = 0;
  const char* const end = name.data() + name.size();
  const auto [rest, error] = std::from_chars(name.data(), end, number);
  if (error == std::errc() && rest == end && number != static_cast<gid_t>(-1)) return number;
  return fail(Error::Code::kInvalid,
              "--api-group " + name + ": there is no such group here; give its number, or make it.");
}

std::span<const int> warden_capabilities() { return kWarden; }
std::span<const int> opener_capabilities() { return kOpener; }

bool keep_only(std::span<const int> capabilities) {
  drop_bounding(capabilities);
  return set_capabilities(capabilities) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

bool become_worker(const User& user) {
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  drop_bounding({});
  if (setgroups(0, nullptr) != 0 || setresgid(user.gid, user.gid, user.gid) != 0 ||
      setresuid(user.uid, user.uid, user.uid) != 0)
    return false;
  return set_capabilities({}) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && setuid(0) != 0;
}

}  // namespace keytrail::warden
