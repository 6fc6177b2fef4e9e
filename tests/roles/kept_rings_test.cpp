// SPDX-License-Identifier: Apache-2.0
// The test plays systemd: it keeps what the warden hands it and gives it to the next one.
#include <array>
#include <map>
#include <utility>

#include "agent/warden/kept_rings.h"
#include "tests/roles/roles_fixture.h"

namespace keytrail::warden {
namespace {

class KeptRingsTest : public RolesTest {
 protected:
  void SetUp() override {
    RolesTest::SetUp();
    if (IsSkipped()) return;
    notify_.reset(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", dir_.c_str());
    ASSERT_EQ(bind(notify_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    before_exec_ = [this] { hand_over(); };
  }

  /// In the child that becomes the warden: what is kept, from descriptor 3 on.
  void hand_over() {
    setenv("NOTIFY_SOCKET", (dir_ + "/notify").c_str(), 1);
    std::string names;
    std::vector<int> high;
    for (const auto& [name, fd] : kept_) {
      names.append(names.empty() ? "" : ":").append(name);
      high.push_back(fcntl(fd.get(), F_DUPFD, 100));
    }
    for (std::size_t i = 0; i < high.size(); ++i)
      dup2(high[i], 3 + static_cast<int>(i));
    setenv("LISTEN_PID", std::to_string(getpid()).c_str(), 1);
    setenv("LISTEN_FDS", std::to_string(high.size()).c_str(), 1);
    setenv("LISTEN_FDNAMES", names.c_str(), 1);
  }

  /// Takes in all messages that have come.
  void listen() {
    char text[512];
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    while (true) {
      iovec part{text, sizeof(text)};
      msghdr message{};
      message.msg_iov = &part;
      message.msg_iovlen = 1;
      message.msg_control = control;
      message.msg_controllen = sizeof(control);
      const ssize_t n = recvmsg(notify_.get(), &message, MSG_CMSG_CLOEXEC);
      if (n < 0) return;
      const std::string said(text, static_cast<std::size_t>(n));
      const std::size_t at = said.find("FDNAME=");
      if (at == std::string::npos) continue;
      const std::string name = said.substr(at + 7, said.find('\n', at) - at - 7);
      const cmsghdr* const head = CMSG_FIRSTHDR(&message);
      if (said.starts_with("FDSTORE=1\n") && head != nullptr) {
        EXPECT_NE(said.find("\nFDPOLL=0\n"), std::string::npos) << "else systemd drops an array of BPF";
        int fd = -1;
        memcpy(&fd, CMSG_DATA(head), sizeof(fd));
        kept_[name].reset(fd);
      }
      if (said.starts_with("FDSTOREREMOVE=1\n")) kept_.erase(name);
    }
  }
  bool keeps(std::size_t count) {
    return within(Ms(3000), [&] {
      listen();
      return kept_.size() == count;
    });
  }
  /// kill -9, and as systemd does it: nobody of the service stays.
  void kill_all() {
    const std::string own = std::to_string(warden_);
    std::istringstream children(slurp("/proc/" + own + "/task/" + own + "/children"));
    kill(warden_, SIGKILL);
    waitpid(std::exchange(warden_, -1), nullptr, 0);
    for (pid_t pid = 0; children >> pid;) {
      kill(pid, SIGKILL);
      ASSERT_TRUE(within(Ms(3000), [&] {
        const std::string state = status_line(pid, "State");
        return state.empty() || state.find('Z') != std::string::npos;
      })) << pid;
    }
  }
  void run_again(int times) {
    warden_ = start();
    ASSERT_TRUE(within(Ms(5000), [&] { return said("worker pid=", times); })) << slurp(dir_ + "/log");
  }
  /// "session=… resumed=…" of the worker that spoke last.
  std::string session() const {
    const std::string all = slurp(out());
    const std::size_t at = all.rfind("session=");
    return at == std::string::npos ? "" : all.substr(at, all.find(" dumpable", at) - at);
  }

  base::UniqueFd notify_;
  std::map<std::string, base::UniqueFd> kept_;
};

constexpr std::size_t kMaps = 5;

TEST_F(KeptRingsTest, TheNextWardenGoesOnInTheRingsOfOneThatWasKilled) {
  run();
  ASSERT_TRUE(keeps(kMaps));
  const std::string first = session();
  EXPECT_NE(first.find(" resumed=0"), std::string::npos) << first;
  kill_all();
  run_again(2);
  const std::string id = first.substr(0, first.find(' '));
  EXPECT_EQ(session(), id + " resumed=1");
  EXPECT_NE(slurp(dir_ + "/log").find("what waits in its rings is read"), std::string::npos);
  kill_all();  // and again
  ASSERT_TRUE(keeps(kMaps));
  run_again(3);
  EXPECT_EQ(session(), id + " resumed=1");
}

TEST_F(KeptRingsTest, OneThatEndsInOrderLeavesNone) {
  run();
  ASSERT_TRUE(keeps(kMaps));
  EXPECT_EQ(stop(), 0);
  EXPECT_TRUE(keeps(0));
  run_again(2);
  EXPECT_NE(session().find(" resumed=0"), std::string::npos) << session();
}

TEST_F(KeptRingsTest, WhatIsNoneOfOursIsRefusedWithASentenceAndForgotten) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
  const base::UniqueFd writing(ends[1]);
  const base::UniqueFd reading(ends[0]);
  const SessionId made_up{1, 2, 3};
  for (const char* map : {"high", "low", "counters", "cgroups_lost", "reported"})
    kept_[kept_name(map, made_up)].reset(fcntl(reading.get(), F_DUPFD_CLOEXEC, 3));
  kept_["keytrail-0.0.0-1-high-00"].reset(fcntl(reading.get(), F_DUPFD_CLOEXEC, 3));
  kept_["somebody.socket"].reset(fcntl(reading.get(), F_DUPFD_CLOEXEC, 3));
  run();
  EXPECT_NE(session().find(" resumed=0"), std::string::npos) << session();
  const std::string log = slurp(dir_ + "/log");
  EXPECT_NE(log.find("The rings that systemd kept are not used: What was kept as high is no ring."), std::string::npos)
      << log;
  EXPECT_NE(log.find("\"keytrail-0.0.0-1-high-00\""), std::string::npos) << log;
  EXPECT_NE(log.find("\"somebody.socket\""), std::string::npos) << log;
  ASSERT_TRUE(keeps(kMaps + 1)) << "the new ones, and what is somebody else's";
  EXPECT_FALSE(kept_.contains(kept_name("high", made_up)));
  EXPECT_TRUE(kept_.contains("somebody.socket"));
  const std::string pipe_name = fs::read_symlink("/proc/self/fd/" + std::to_string(reading.get())).string();
  for (const pid_t pid : {warden_, child("roles_worker"), child("roles_examiner")}) {
    std::error_code error;
    for (const auto& one : fs::directory_iterator("/proc/" + std::to_string(pid) + "/fd", error))
      EXPECT_NE(fs::read_symlink(one.path(), error).string(), pipe_name) << pid << " " << one.path();
  }
}

TEST_F(KeptRingsTest, DescriptorsMeantForAnotherProcessAreClosed) {
  kept_["somebody.socket"].reset(fcntl(notify_.get(), F_DUPFD_CLOEXEC, 3));
  before_exec_ = [this] {
    hand_over();
    setenv("LISTEN_PID", "1", 1);
  };
  run();
  EXPECT_EQ(slurp(dir_ + "/log").find("systemd handed over"), std::string::npos);
  EXPECT_NE(session().find(" resumed=0"), std::string::npos);
}

TEST_F(KeptRingsTest, WithoutSystemdItSaysThatNobodyKeepsThem) {
  before_exec_ = [] { unsetenv("NOTIFY_SOCKET"); };
  run();
  EXPECT_NE(slurp(dir_ + "/log").find("Nobody keeps the rings here"), std::string::npos);
}

}  // namespace
}  // namespace keytrail::warden
