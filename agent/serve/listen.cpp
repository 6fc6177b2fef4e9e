// SPDX-License-Identifier: Apache-2.0
#include "agent/serve/listen.h"

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "agent/base/log.h"

namespace keytrail::serve {

Result<base::UniqueFd> listen_at(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return fail(Error::Code::kInvalid, "the socket's path must have 1 to 107 bytes");
  std::memcpy(address.sun_path, path.data(), path.size());
  base::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail(Error::Code::kSystem, std::string("socket: ") + std::strerror(errno));
  const mode_t before = ::umask(0117);
  const int bound = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int error = errno;
  ::umask(before);
  if (bound != 0) return fail(Error::Code::kSystem, "bind " + base::printable(path) + ": " + std::strerror(error));
  if (::listen(fd.get(), 64) != 0) return fail(Error::Code::kSystem, std::string("listen: ") + std::strerror(errno));
  return fd;
}

bool hung_up(int fd) {
  pollfd end{fd, 0, 0};
  return ::poll(&end, 1, 0) > 0 && (end.revents & (POLLHUP | POLLERR)) != 0;
}

int Taking::waiting() const {
  int bytes = 0;
  return ::ioctl(fd_, SIOCOUTQ, &bytes) == 0 ? bytes : 0;
}

std::chrono::steady_clock::duration Taking::idle_for() {
  const int now_waiting = waiting();
  const auto now = std::chrono::steady_clock::now();
  if (now_waiting == 0 || now_waiting < sent_) last_ = now;
  return now - last_;
}

}  // namespace keytrail::serve
