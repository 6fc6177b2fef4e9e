// SPDX-License-Identifier: Apache-2.0
// What decode makes of kernel bytes: bounds-checked, copied, in kernel time order. Consumed by identify and link on the
// pipeline's thread.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "keytrail/process.h"
#include "keytrail/words.h"

namespace keytrail {

/// Hook families, the unit of arming, loss accounting and doctor. Numbers are those of event_abi.h (KT_FAMILY_…).
enum class Family : std::uint8_t { kExec = 0, kOpen = 1, kConnect = 2, kName = 3, kLifetime = 4, kRequest = 5 };
inline constexpr std::size_t kFamilies = 6;

/// What is said of a hook family wherever it is named.
struct FamilyEntry {
  Family family;
  const char* word;   ///< in configuration, API and history
  const char* title;  ///< for people: what it sees
  bool optional;      ///< its absence costs precision, not coverage
};
inline constexpr std::array<FamilyEntry, kFamilies> kFamilyTable{{
    {Family::kExec, "exec", "Programs, environment, arguments", false},
    {Family::kOpen, "open", "Key files that are opened", false},
    {Family::kConnect, "connect", "Calls: connections and bytes", false},
    {Family::kName, "name", "Host names of calls", false},
    {Family::kLifetime, "lifetime", "Ends of processes and connections", false},
    {Family::kRequest, "request", "Action and key ID in the request", true},
}};
static_assert([] {
  for (std::size_t i = 0; i < kFamilies; ++i)
    if (kFamilyTable[i].family != static_cast<Family>(i)) return false;
  return true;
}());

[[nodiscard]] constexpr const FamilyEntry& entry_of(Family value) {
  const auto at = static_cast<std::size_t>(value);
  return kFamilyTable[at < kFamilies ? at : 0];
}
template <>
inline constexpr auto kWords<Family> = [] {
  std::array<Word<Family>, kFamilies> out{};
  for (std::size_t i = 0; i < kFamilies; ++i)
    out[i] = {kFamilyTable[i].family, kFamilyTable[i].word, kFamilyTable[i].title};
  return out;
}();

/// A file as the kernel knows it. On overlayfs `dev` differs from what stat says: compare inode, change time and size
/// there.
struct FileIdentity {
  std::uint32_t dev = 0;  ///< super_block.s_dev, kernel encoding (major << 20 | minor)
  std::uint64_t inode = 0;
  std::uint64_t fs_magic = 0;
  std::int64_t ctime_s = 0;
  std::uint32_t ctime_ns = 0;
  std::uint64_t size = 0;
  auto operator<=>(const FileIdentity&) const = default;
};

/// An IPv4 or IPv6 address with its port. v4-mapped IPv6 is given as IPv4.
struct SocketAddress {
  bool v6 = false;
  std::array<std::uint8_t, 16> address{};  ///< network order; IPv4 in the first four bytes
  std::uint16_t port = 0;                  ///< host order
  auto operator<=>(const SocketAddress&) const = default;
};

struct ForkEvent {
  InstanceId child;
};

/// What of the arguments of a program that may be given keys waits for the examiner (event_abi.h, KT_ARGS_…).
enum class ArgsKept : std::uint8_t { kNone, kWhole, kPart, kLost };

struct ExecEvent {
  InstanceId parent;
  std::string exe, filename, comm;
  ExecutableFile exe_file;
  std::uint32_t uid = 0, gid = 0, login_uid = UINT32_MAX, session_id = UINT32_MAX;
  std::uint32_t mnt_ns = 0, pid_ns = 0, net_ns = 0;
  /// The pipe, local socket pair or file behind standard input and output, by its inode number; 0: something else.
  std::uint32_t stdin_pipe = 0, stdout_pipe = 0;
  std::uint32_t tty = 0;  ///< of its session: dev_t of the kernel (major << 20 | minor); 0: none
  /// What an interpreter runs: "/srv/run.py", "app.jar", "-m http.server"; empty: no interpreter, or it is not known.
  std::string script;
  bool channel = false;  ///< it has another pipe, local socket or secret-shaped file (3 to 63)
  std::vector<EnvItem> env;
  std::vector<ArgItem> args;
  bool env_truncated = false;
  bool args_truncated = false;
  ArgsKept args_kept = ArgsKept::kNone;

  [[nodiscard]] bool arguments_wait() const { return args_kept == ArgsKept::kWhole || args_kept == ArgsKept::kPart; }
};

struct ExitEvent {};

struct OpenEvent {
  FileIdentity file;
  std::string path;  ///< from the kernel's dentries, in the mount namespace of the process, or else in place_ns
  std::uint32_t mnt_ns = 0;
  std::uint32_t place_ns = 0;  ///< another mount namespace, to which the file belongs (/proc/PID/root); 0: mnt_ns
  bool detached = false;       ///< mounted nowhere (open_tree, fsmount): the path is that in its file system
  bool path_truncated = false;
  bool secret_shaped = false;  ///< small, and only its owner may read it or it lies on a tmpfs
  bool over_budget = false;    ///< no file: the process opened more secret-shaped files than its cgroup may report
  bool is_pipe = false;        ///< a named pipe: its inode's low bits are the number that an exec has of it

  /// The mount namespace in which the file has its path.
  [[nodiscard]] std::uint32_t namespace_of_path() const { return place_ns != 0 ? place_ns : mnt_ns; }
};

/// Another process's environment or memory was opened for reading (/proc/PID/environ, /proc/PID/mem), or a call got at
/// its memory (process_vm_readv, ptrace).
struct PeekEvent {
  /// kTrace: its memory, also what it takes from now on.
  enum class What : std::uint8_t { kEnvironment, kMemory, kTrace };
  InstanceId of;
  What what = What::kEnvironment;
};

struct ConnectEvent {
  std::uint64_t cookie = 0;  ///< socket cookie: the identity of the connection
  SocketAddress remote;
  std::uint32_t net_ns = 0;
  bool udp = false;
};

enum class SocketState : std::uint8_t { kEstablished, kFailed, kClosed, kSample };

/// A change, or a 60 s sample, of a socket. It comes in any task's context: join by cookie.
struct SocketEvent {
  std::uint64_t cookie = 0;
  SocketState state = SocketState::kEstablished;
  std::int32_t error = 0;        ///< errno of a failed connect
  std::uint64_t bytes_sent = 0;  ///< payload acknowledged by the peer
  std::uint64_t bytes_received = 0;
  std::uint32_t idle_ms = 0;  ///< samples: since the last payload sent
};

/// The first payload that left a connection, or what came of it. `head.who` is the task that wrote it.
struct PayloadEvent {
  /// kTlsData: the first bytes beyond the handshake that a kTls began. kStatus: a metadata service has answered.
  /// kHttpConnect, kSocks: a tunnel is asked for; what leaves next goes through it. kQuic: the ClientHello of an
  /// Initial.
  enum class Protocol : std::uint8_t { kOther, kTls, kHttp, kHttpConnect, kSsh, kTlsData, kStatus, kSocks, kQuic };
  /// Why it names nobody, beyond that its protocol has no names.
  enum class Unread : std::uint8_t { kNot, kTooLong, kTooMany, kCut, kNoName, kUnreadable };
  std::uint64_t cookie = 0;
  Protocol protocol = Protocol::kOther;
  std::string name;          ///< SNI, Host header or a tunnel's target, lower case; claimed by the client
  std::uint16_t port = 0;    ///< port in Host or of the target, 0 when absent
  std::string method, path;  ///< plain HTTP only; the path without its query
  bool ech = false;          ///< the name is the outer one of an encrypted ClientHello
  std::uint64_t length = 0;  ///< bytes of the segment, or of all pieces
  bool beyond = false;       ///< kTls: bytes beyond the handshake are in the same segment
  std::uint16_t status = 0;  ///< kStatus: of HTTP
  bool truncated = false;    ///< it ended before the name was complete
  Unread unread = Unread::kNot;
};

struct DnsAnswer {
  std::string name;       ///< the name that was asked for, CNAMEs followed
  SocketAddress address;  ///< port 0
  std::uint32_t ttl_s = 0;
};

/// An answer to a query that was seen. `head.who` is the task that asked.
struct DnsEvent {
  std::uint32_t net_ns = 0;
  std::vector<DnsAnswer> answers;
};

struct UnixConnectEvent {
  std::string path;  ///< abstract names start with '@'; claimed where the fallback hook read it from user memory
};

/// A cgroup seen for the first time.
struct CgroupEvent {
  std::uint64_t cgroup_id = 0;
  std::string path;
  /// How many of its last components lie below a directory in which others than root may make some: their names say
  /// what these want them to.
  std::uint32_t claimed = 0;
  std::uint32_t owner = 0;  ///< uid of the topmost directory that is not root's; 0: none
};

/// A process found by the sweep at start. Environment comes later, from the examiner.
struct TaskEvent {
  ExecEvent exec;
};

/// All that the sweep at start found has been sent.
struct BaselineDoneEvent {
  std::uint64_t armed_ns = 0;
};

/// A heartbeat went through the hooks of this family.
struct HeartbeatEvent {
  Family family = Family::kExec;
};

/// The kernel's counters say that events were lost between two looks at them; head.cgroup_id: of that cgroup, 0 = of
/// anybody.
struct LossEvent {
  Family family = Family::kExec;
  std::string cause;  ///< "ring_full", "budget", "read_fault", …
  std::uint64_t count = 0;
  std::uint64_t from_ns = 0;  ///< ns since boot; the loss lies in [from_ns, head.time_ns]
  std::string workload;       ///< name of that cgroup's; empty: not known, or anybody's
  std::uint64_t owner = 0;    ///< as Process::cgroup_owner; 0: the same
};

struct EventHead {
  std::uint64_t time_ns = 0;  ///< ns since boot
  InstanceId who;             ///< the task's process; tgid 0 where it has none
  Family family = Family::kExec;
  std::uint64_t cgroup_id = 0;
  bool baseline = false;   ///< found by the sweep at start, not by a hook
  bool from_ring = false;  ///< came through a ring: it needs one fate in the accounting
  /// Of `who` at that moment; none where no task was looked at.
  std::optional<Credentials> users;
};

struct Event {
  EventHead head;
  std::variant<ForkEvent, ExecEvent, ExitEvent, OpenEvent, PeekEvent, ConnectEvent, SocketEvent, PayloadEvent, DnsEvent,
               UnixConnectEvent, CgroupEvent, TaskEvent, BaselineDoneEvent, HeartbeatEvent, LossEvent>
      body;
};

}  // namespace keytrail
