// SPDX-License-Identifier: Apache-2.0
// A process instance and what is known of it. Made by identify, read by every later stage; immutable once published.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "keytrail/fingerprint.h"
#include "keytrail/shared_list.h"
#include "keytrail/words.h"
#include "keytrail/workload.h"

namespace keytrail {

/// One life of one program in one process: never a bare PID. With the boot id (constant for the agent's life) it is
/// unique for ever.
struct InstanceId {
  std::uint32_t tgid = 0;      ///< thread-group id in the initial PID namespace
  std::uint64_t start_ns = 0;  ///< start of the thread-group leader, ns since boot (task_struct.start_boottime)
  std::uint32_t exec = 0;      ///< low 32 bits of task_struct.self_exec_id: grows with each exec, copied by fork

  auto operator<=>(const InstanceId&) const = default;
  /// True when both are the same process, whatever program it runs.
  [[nodiscard]] bool same_process(const InstanceId& other) const {
    return tgid == other.tgid && start_ns == other.start_ns;
  }
};

/// The users that a process acts for at one moment: a daemon begins as root and goes on as nobody.
struct Credentials {
  std::uint32_t uid = 0;  ///< effective
  std::uint32_t gid = 0;
  std::uint32_t login_uid = UINT32_MAX;  ///< audit loginuid; UINT32_MAX when unset

  bool operator==(const Credentials&) const = default;
};

/// An executable as the kernel knows it, whatever its path says.
struct ExecutableFile {
  std::uint32_t dev = 0;    ///< super_block.s_dev, as in FileIdentity
  std::uint64_t inode = 0;  ///< 0: the file is not known
  bool deleted = false;     ///< no name leads to it any more: replaced by an update, removed, or memory (memfd)

  bool operator==(const ExecutableFile&) const = default;
};

/// A terminal by its number as ps shows it: "pts/3", "tty1"; empty for 0.
[[nodiscard]] inline std::string terminal_name(std::uint32_t tty) {
  static constexpr std::uint32_t kConsole = 4, kFirstPts = 136, kLastPts = 143, kConsoles = 64;
  const std::uint32_t major = tty >> 20U, minor = tty & 0xFFFFFU;
  if (tty == 0) return {};
  if (major >= kFirstPts && major <= kLastPts) return "pts/" + std::to_string(minor + ((major - kFirstPts) << 8U));
  if (major == kConsole && minor < kConsoles) return "tty" + std::to_string(minor);
  if (major == kConsole) return "ttyS" + std::to_string(minor - kConsoles);
  return "tty " + std::to_string(major) + ":" + std::to_string(minor);
}

/// A device number of the kernel as /proc/PID/mountinfo writes it: "8:1"; empty for 0.
[[nodiscard]] inline std::string device_text(std::uint32_t dev) {
  return dev == 0 ? std::string() : std::to_string(dev >> 20U) + ":" + std::to_string(dev & 0xFFFFFU);
}

/// A variable of the initial environment that the catalog names. A secret's value is never here.
struct EnvItem {
  std::string name;
  /// Only for names whose value the catalog may show (identifier, pointer, destination), else empty.
  std::string value;
  Fingerprint fingerprint;   ///< of the value, for secret names of 16 bytes or more; else empty
  std::uint32_t length = 0;  ///< bytes of the whole value
  bool truncated = false;    ///< the value was longer than the kernel side copies (512 bytes)
  std::string format;  ///< of a secret name: the catalog's format that its value has ("fmt.github.oauth"), or empty

  bool operator==(const EnvItem&) const = default;
};

/// An argument of a flag that the catalog names, or an argument that looks like a key.
struct ArgItem {
  std::string flag;         ///< "--profile"; empty for a bare value recognised by its format
  std::string format;       ///< catalog format id for a recognised value ("fmt.aws.akia"), else empty
  std::string value;        ///< only for public identifiers (an AKIA… id) and flags that name a key file, else empty
  Fingerprint fingerprint;  ///< of the value
  std::uint32_t position = 0;
};

/// How the agent came to know a process.
enum class Origin : std::uint8_t {
  kExecSeen,  ///< its exec was seen by the hook
  kForkSeen,  ///< forked from a known process, no exec since
  kBaseline,  ///< it ran before the agent armed: found by the sweep at start
  kInferred,  ///< an event named it, but neither fork nor exec was seen (a lost event)
};

/// By what kind of program a login session began.
enum class LoginBy : std::uint8_t { kUnknown, kSsh, kConsole, kDesktop, kSchedule, kAt };

template <>
inline constexpr auto kWords<LoginBy> = words<LoginBy>({
    {LoginBy::kUnknown, "unknown"},
    {LoginBy::kSsh, "ssh"},
    {LoginBy::kConsole, "console"},
    {LoginBy::kDesktop, "desktop"},
    {LoginBy::kSchedule, "cron"},
    {LoginBy::kAt, "at"},
});

/// The users behind a process, by name (or number, where the node's passwd does not know it). Shared by all processes
/// of the same users.
struct Account {
  std::string user;        ///< that it runs as; in a container the number: it means what that image's passwd says
  std::string login_user;  ///< who logged in (audit loginuid), or empty

  bool operator==(const Account&) const = default;
};

struct Process {
  InstanceId id;
  InstanceId parent;     ///< tgid 0 when unknown
  std::string exe;       ///< path of the executable as the kernel resolved it, in the process's own root
  std::string filename;  ///< what was passed to execve; for a `#!` program the script, which the kernel opened itself
  std::string comm;      ///< a label that the process can change: never evidence
  /// What an interpreter runs, as it was given: "/srv/run.py", "app.jar", "-m http.server"; empty: `exe` is none, or
  /// that is not known. Of a process that is older than the agent its own word.
  std::string script;
  ExecutableFile exe_file;  ///< which file `exe` is; inode 0 where it is not known
  std::uint32_t uid = 0;    ///< effective, like gid and login_uid at the newest event
  std::uint32_t gid = 0;
  std::uint32_t login_uid = UINT32_MAX;   ///< audit loginuid; UINT32_MAX when unset
  std::uint32_t session_id = UINT32_MAX;  ///< audit session id; UINT32_MAX when unset
  std::uint32_t mnt_ns = 0;               ///< inode numbers of the namespaces
  std::uint32_t pid_ns = 0;
  std::uint32_t net_ns = 0;
  std::uint64_t cgroup_id = 0;
  std::uint64_t cgroup_owner = 0;  ///< equal for cgroups that one owner may make and move processes between; 0: unknown
  std::uint64_t exec_ns = 0;       ///< when its program began (exec, or fork), ns since boot
  Origin origin = Origin::kInferred;
  std::uint32_t tty = 0;                 ///< of its session: major << 20 | minor; 0: none
  LoginBy login_by = LoginBy::kUnknown;  ///< of its login session
  /// The address that its login session says it came from (SSH_CONNECTION: its own word). Null: it says none.
  std::shared_ptr<const std::string> login_from;
  /// As whom it acts, by which program each time: "root by sudo, postgres by su". Null: as itself, or that is not
  /// known.
  std::shared_ptr<const std::string> acts_as;
  /// The coding agent that it is or that started it ("claude code"), by the name of that program. Null: none.
  std::shared_ptr<const std::string> agent;
  /// What it is called as one that writes keys elsewhere or hands them on ("Terraform"), by the name of its program.
  /// Null: it is none.
  std::shared_ptr<const std::string> distributor;
  bool env_truncated = false;  ///< variables were left unread at exec
  SharedList<EnvItem> env;     ///< of its exec; a forked process shares its parent's
  SharedList<ArgItem> args;
  std::shared_ptr<const Account> account;  ///< never null once published
  /// Whom it acted for before its newest change of users: rows of a moment before that are told with these.
  struct Former {
    Credentials users;
    std::shared_ptr<const Account> account;
    std::uint64_t until_ns = 0;  ///< ns since boot; 0: there was no change
  };
  Former former;
  /// Whose mount namespace it is in, where that is not its workload's (nsenter, setns): a name, or "host". Null: in its
  /// own, or that is not known.
  std::shared_ptr<const std::string> namespaces_of;
  /// Never null once published; as it was known then: the history joins later facts by its id.
  std::shared_ptr<const Workload> workload;

  [[nodiscard]] Credentials credentials() const { return {uid, gid, login_uid}; }
  [[nodiscard]] std::uint32_t uid_at(std::uint64_t time_ns) const {
    return time_ns < former.until_ns ? former.users.uid : uid;
  }
  [[nodiscard]] const Account* account_at(std::uint64_t time_ns) const {
    return time_ns < former.until_ns ? former.account.get() : account.get();
  }
  void set(const Credentials& now) {
    uid = now.uid;
    gid = now.gid;
    login_uid = now.login_uid;
  }
  /// The value of a shown variable, or nullptr.
  [[nodiscard]] const EnvItem* find_env(std::string_view name) const {
    for (const EnvItem& item : env) {
      if (item.name == name) return &item;
    }
    return nullptr;
  }
};

using ProcessRef = std::shared_ptr<const Process>;

}  // namespace keytrail

template <>
struct std::hash<keytrail::InstanceId> {
  std::size_t operator()(const keytrail::InstanceId& id) const noexcept {
    return std::hash<std::uint64_t>{}((std::uint64_t{id.tgid} << 32) ^ id.start_ns ^
                                      (std::uint64_t{id.exec} * 0x9E3779B97F4A7C15U));
  }
};
