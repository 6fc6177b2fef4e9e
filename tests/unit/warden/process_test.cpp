// SPDX-License-Identifier: Apache-2.0
// Whose doing it is when a file hangs: users that one user may map are that user.
#include "agent/warden/process.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <string>

namespace keytrail::warden {
namespace {

/// A process of user 100'000, which is user 1 of a namespace that `maker` made.
class Mapped {
 public:
  explicit Mapped(uid_t maker) {
    std::array<int, 2> to_child{}, from_child{};
    if (pipe(to_child.data()) != 0 || pipe(from_child.data()) != 0) return;
    pid_ = fork();
    if (pid_ == 0) run(maker, to_child[0], from_child[1]);
    char made = 'n';
    if (read(from_child[0], &made, 1) == 1 && made == 'y') {
      const std::string map = "0 " + std::to_string(maker) + " 1\n1 100000 10\n";
      std::ofstream("/proc/" + std::to_string(pid_) + "/uid_map") << map;
      (void)!write(to_child[1], "y", 1);
      ready_ = read(from_child[0], &made, 1) == 1 && made == 'y';
    }
    for (const int fd : {to_child[0], to_child[1], from_child[0], from_child[1]})
      close(fd);
  }
  ~Mapped() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Mapped(const Mapped&) = delete;
  Mapped& operator=(const Mapped&) = delete;
  [[nodiscard]] bool ready() const { return ready_; }
  [[nodiscard]] std::uint32_t pid() const { return static_cast<std::uint32_t>(pid_); }

 private:
  [[noreturn]] static void run(uid_t maker, int from_parent, int to_parent) {
    char go = 'n';
    const bool made = setresuid(maker, maker, maker) == 0 && unshare(CLONE_NEWUSER) == 0;
    (void)!write(to_parent, made ? "y" : "n", 1);
    const bool mapped = read(from_parent, &go, 1) == 1 && setresuid(1, 1, 1) == 0;
    (void)!write(to_parent, mapped ? "y" : "n", 1);
    while (true)
      pause();
  }
  pid_t pid_ = -1;
  bool ready_ = false;
};

TEST(UserOfNamespace, UsersThatOneUserMapsAreThatUser) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to map users";
  const Mapped of_a_user(12345);
  if (!of_a_user.ready()) GTEST_SKIP() << "users may not make user namespaces here";
  EXPECT_EQ(user_of(of_a_user.pid(), 0), 12345U);
}

TEST(UserOfNamespace, UsersThatRootMapsAreTheirOwn) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to map users";
  const Mapped of_root(0);
  if (!of_root.ready()) GTEST_SKIP() << "there are no user namespaces here";
  EXPECT_EQ(user_of(of_root.pid(), 0), 100000U);
}

}  // namespace
}  // namespace keytrail::warden
