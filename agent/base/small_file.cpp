// SPDX-License-Identifier: Apache-2.0
#include "agent/base/small_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "agent/base/fd.h"
#include "agent/base/log.h"

namespace keytrail::base {

Result<std::string> read_small_file(const std::string& path, std::size_t max, bool trusted) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) return fail(Error::Code::kRefused, fmt::format("cannot open {}: {}", printable(path), std::strerror(errno)));
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode))
    return fail(Error::Code::kRefused, printable(path) + " is not a regular file");
  if (trusted && (info.st_mode & S_IWOTH) != 0) {
    return fail(
        Error::Code::kRefused,
        fmt::format("{0}: everybody may write to it, so it is not trusted. Try: chmod o-w {0}", printable(path)));
  }
  std::string out(max + 1, '\0');
  std::size_t have = 0;
  while (have < out.size()) {
    const ssize_t got = ::read(fd.get(), out.data() + have, out.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      return fail(Error::Code::kSystem, fmt::format("cannot read {}: {}", printable(path), std::strerror(errno)));
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  if (have > max) return fail(Error::Code::kTooLarge, fmt::format("{} is larger than {} bytes", printable(path), max));
  out.resize(have);
  return out;
}

}  // namespace keytrail::base
