// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "agent/warden/messages.h"
#include "agent/warden/opener.h"
#include "agent/warden/privilege.h"

namespace keytrail::warden {
namespace {

[[noreturn]] void serve(int socket) {
  std::array<char, role::kMaxMessage> buffer;
  while (true) {
    base::UniqueFd none;
    const ssize_t n = receive_bytes(socket, buffer, none, 0);
    if (n <= 0) _exit(0);
    role::Open request;
    if (!role::decode(buffer.data(), static_cast<std::size_t>(n), request)) continue;
    const Opening opening = open_requested(request);
    auto answer = role::make<role::Opened>(role::Type::kOpened, request.head.request);
    answer.unread = static_cast<std::uint16_t>(opening.unread);
    answer.unchanged = opening.unchanged ? 1 : 0;
    answer.file = opening.file;
    if (send_message(socket, answer, opening.descriptor.get()) < 0) _exit(0);
  }
}

[[noreturn]] void child_main(int socket) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
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
  (void)keep_only(opener_capabilities());
  serve(kSocket);
}

}  // namespace

OpenerChild::~OpenerChild() { kill(); }

Result<void> OpenerChild::start() {
  std::array<int, 2> pair{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()) != 0)
    return fail(Error::Code::kSystem, std::string("socketpair: ") + strerror(errno));
  base::UniqueFd ours(pair[0]);
  base::UniqueFd theirs(pair[1]);
  const pid_t pid = fork();
  if (pid < 0) return fail(Error::Code::kSystem, std::string("fork: ") + strerror(errno));
  if (pid == 0) child_main(theirs.get());
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

bool OpenerChild::answer(role::Opened& out, base::UniqueFd& descriptor) {
  std::array<char, role::kMaxMessage> buffer;
  const ssize_t n = receive_bytes(socket_.get(), buffer, descriptor, MSG_DONTWAIT);
  return n > 0 && role::decode(buffer.data(), static_cast<std::size_t>(n), out);
}

}  // namespace keytrail::warden
