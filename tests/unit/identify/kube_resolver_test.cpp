// SPDX-License-Identifier: Apache-2.0
// A name service that does not answer must hold up nobody's end.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "agent/base/fd.h"
#include "tests/unit/identify/kube_source_fixture.h"

namespace keytrail::identify {
namespace {

/// A network of our own in which whatever is asked of the name server at 127.0.0.1 is never answered.
bool enter_black_hole(const std::string& folder, base::UniqueFd& server) {
  if (::unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) return false;
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
  server = base::UniqueFd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq loopback{};
  std::string("lo").copy(loopback.ifr_name, sizeof loopback.ifr_name - 1);
  loopback.ifr_flags = IFF_UP | IFF_RUNNING;
  if (::ioctl(server.get(), SIOCSIFFLAGS, &loopback) != 0) return false;
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(53);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(server.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) != 0) return false;
  for (const auto& [name, text] : {std::pair("resolv.conf", "nameserver 127.0.0.1\noptions timeout:30\n"),
                                   {"nsswitch.conf", "hosts: files dns\n"}}) {
    std::ofstream(folder + "/" + name) << text;
    if (::mount((folder + "/" + name).c_str(), (std::string("/etc/") + name).c_str(), nullptr, MS_BIND, nullptr) != 0)
      return false;
  }
  return true;
}

enum Exit { kEnded = 0, kNoNamespace = 3, kSlow = 4 };

/// In a process of its own: the source asks by name, and is to end while nobody answers.
int end_while_asking(const std::string& folder) {
  base::UniqueFd server;
  if (!enter_black_hole(folder, server)) return kNoNamespace;
  Posts posts;
  auto source = make_kube_source(
      KubeAccess{.endpoint = {.url = "https://kubernetes.test:443", .token_file = {}, .ca_file = {}}, .node = "node-1"},
      {});
  source->start(posts);
  std::this_thread::sleep_for(milliseconds(300));  // it waits for the name now
  const auto begin = Clock::now();
  source.reset();
  return Clock::now() - begin < seconds(1) ? kEnded : kSlow;
}

TEST(KubeResolver, ANameServerThatDoesNotAnswerHoldsUpNoEnd) {
  const std::string folder = testing::TempDir() + "/resolver." + std::to_string(::getpid());
  std::filesystem::create_directory(folder);
  const auto begin = Clock::now();
  const pid_t child = ::fork();
  if (child == 0) std::exit(end_while_asking(folder));  // with all that ends a process: the thread still asks
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  const auto took = Clock::now() - begin;
  std::filesystem::remove_all(folder);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == kNoNamespace) GTEST_SKIP() << "no network namespace here: it needs root";
  EXPECT_EQ(WEXITSTATUS(status), kEnded);
  EXPECT_LT(took, seconds(2));
}

}  // namespace
}  // namespace keytrail::identify
