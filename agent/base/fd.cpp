// SPDX-License-Identifier: Apache-2.0
#include "agent/base/fd.h"

#include <unistd.h>

namespace keytrail::base {

void UniqueFd::reset(int fd) {
  if (fd_ >= 0) ::close(fd_);  // an error of close cannot be acted on, and EINTR must not be repeated on Linux
  fd_ = fd;
}

}  // namespace keytrail::base
