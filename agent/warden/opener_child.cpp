// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <array>

#include "agent/warden/kept_mounts.h"
#include "agent/warden/messages.h"
#include "agent/warden/opener.h"
#include "agent/warden/privilege.h"

namespace keytrail::warden {
namespace {

std::uint64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000) + static_cast<std::uint64_t>(now.tv_nsec);
}

/// Waits for the next request; once a second while mounts are kept, busy or not, it looks which may go.
void wait_for_request(int socket, KeptMounts& kept) {
  constexpr std::uint64_t kSecond = 1'000'000'000;
  static std::uint64_t looked_ns = 0;
  pollfd request{socket, POLLIN, 0};
  for (bool waits = true; waits && kept.size() > 0;) {
    waits = poll(&request, 1, 1000) == 0;
    if (const std::uint64_t now = now_ns(); now - looked_ns >= kSecond) {
      looked_ns = now;
      kept.drop_ended(now);
    }
  }
}

/// Only a target's file goes to the warden itself: it is attached to, and nothing of it is read.
void answer(int socket, const role::Open& request, const KeptMounts& kept, const HangGuard& guard) {
  guard.begin(request.head.request);
  Opening opening = open_requested(request, kept.root_of(request.mnt_ns), guard);
  const bool is_file = request.hints.asks != static_cast<std::uint8_t>(role::Asks::kEnvironment);
  if (is_file && opening.descriptor && !guard.may_wait_for(mount_of(opening.descriptor.get()))) {
    opening.descriptor.reset();
    opening.unread = role::Unread::kTimeout;
  }
  if (opening.descriptor && (request.flags & role::kOpenAnySize) == 0) take_copy(opening, is_file);
  auto answer = role::make<role::Opened>(role::Type::kOpened, request.head.request);
  answer.unread = static_cast<std::uint16_t>(opening.unread);
  answer.unchanged = opening.unchanged ? 1 : 0;
  answer.file = opening.file;
  answer.named = opening.named ? 1 : 0;
  answer.mnt_ns = opening.mnt_ns;
  answer.owner = opening.owner;
  answer.place.assign(opening.place);
  guard.answered();
  guard.end();
  if (send_message(socket, answer, opening.descriptor.get()) < 0) _exit(0);
}

[[noreturn]] void serve(int socket, const HangGuard& guard) {
  std::array<char, role::kMaxMessage> buffer;
  KeptMounts kept;
  while (true) {
    wait_for_request(socket, kept);
    base::UniqueFd none;
    const ssize_t n = receive_bytes(socket, buffer, none, 0);
    if (n <= 0) _exit(0);
    const auto size = static_cast<std::size_t>(n);
    role::Open request;
    role::KeepMounts keep;
    const role::Type type = role::type_of(buffer.data(), size);
    if (type == role::Type::kOpen && role::decode(buffer.data(), size, request)) answer(socket, request, kept, guard);
    if (type == role::Type::kKeepMounts && role::decode(buffer.data(), size, keep)) kept.keep(keep);
  }
}

[[noreturn]] void child_main(int socket, pid_t warden, const HangGuard& guard) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != warden) _exit(0);  // it ended before it was asked for
  prctl(PR_SET_NAME, "keytrail-opener");
  constexpr int kSocket = 3;
  if (socket != kSocket && dup2(socket, kSocket) < 0) _exit(1);
  if (syscall(SYS_close_range, kSocket + 1U, ~0U, 0U) != 0) {
    for (int fd = kSocket + 1; fd < 1024; ++fd)
      close(fd);
  }
  setpgid(0, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  (void)keep_only(opener_capabilities());
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);  // what it copies passes through its memory
  serve(kSocket, guard);
}

}  // namespace

OpenerChild::~OpenerChild() { kill(); }

Result<void> OpenerChild::start(HangGuard guard) {
  std::array<int, 2> pair{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0)
    return fail(Error::Code::kSystem, std::string("socketpair: ") + strerror(errno));
  base::UniqueFd ours(pair[0]);
  base::UniqueFd theirs(pair[1]);
  const pid_t warden = getpid();
  const pid_t pid = fork();
  if (pid < 0) return fail(Error::Code::kSystem, std::string("fork: ") + strerror(errno));
  if (pid == 0) child_main(theirs.get(), warden, guard);
  pid_ = pid;
  socket_ = std::move(ours);
  return {};
}

void OpenerChild::kill() {
  if (pid_ > 0) ::kill(pid_, SIGKILL);
  pid_ = -1;
  socket_.reset();
}

bool OpenerChild::ask(const role::Open& request) { return send_message(socket_.get(), request, -1, MSG_DONTWAIT) == 1; }

bool OpenerChild::keep(const role::KeepMounts& asked) {
  return send_message(socket_.get(), asked, -1, MSG_DONTWAIT) == 1;
}

bool OpenerChild::answer(role::Opened& out, base::UniqueFd& descriptor) {
  std::array<char, role::kMaxMessage> buffer;
  const ssize_t n = receive_bytes(socket_.get(), buffer, descriptor, MSG_DONTWAIT);
  return n > 0 && role::decode(buffer.data(), static_cast<std::size_t>(n), out);
}

}  // namespace keytrail::warden
