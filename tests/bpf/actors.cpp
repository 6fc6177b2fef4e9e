// SPDX-License-Identifier: Apache-2.0
// Children, namespaces and folders for the tests.
#include <linux/magic.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/bpf/kernel_side.h"

namespace keytrail::tests {

std::uint32_t in_child(const std::function<int()>& work) {
  const pid_t child = fork();
  if (child == 0) _exit(work());
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "the actor failed: " << status;
  return static_cast<std::uint32_t>(child);
}

std::uint32_t in_namespaces(const std::function<int()>& work) {
  return in_child([&] {
    if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
      return 90;
    ifreq request{};
    strcpy(request.ifr_name, "lo");
    request.ifr_flags = IFF_UP;
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (ioctl(fd, SIOCSIFFLAGS, &request) != 0) return 91;
    close(fd);
    return work();
  });
}

Folder::Folder() {
  std::string pattern = "/tmp/keytrail-bpf-XXXXXX";
  path_ = mkdtemp(pattern.data());
}

bool Folder::is_in_memory() const {
  struct statfs status{};
  return statfs(path_.c_str(), &status) != 0 || status.f_type == TMPFS_MAGIC;
}

Folder::~Folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string Folder::file(const std::string& name, const std::string& content) const {
  std::filesystem::create_directories(std::filesystem::path(at(name)).parent_path());
  std::ofstream(at(name)) << content;
  return at(name);
}

}  // namespace keytrail::tests
