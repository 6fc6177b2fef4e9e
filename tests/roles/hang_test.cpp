// SPDX-License-Identifier: Apache-2.0
// Files that do not answer, behind an overlay, which looks honest: what they hold up. As root.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "agent/warden/openers.h"
#include "agent/warden/process.h"
#include "tests/roles/fuse_server.h"
#include "tests/roles/roles_fixture.h"

namespace keytrail::warden {
namespace {

/// A process in a mount namespace of its own, as `user`, that sees an overlay over a FUSE that never answers
/// `hangs`. Its server is killed with it, which ends whoever waits.
class Overlaid {
 public:
  Overlaid(const std::string& dir, std::uint32_t hangs, uid_t user) : merged_(dir + "/merged") {
    int ready[2];
    EXPECT_EQ(pipe(ready), 0);
    pid_ = fork();
    if (pid_ == 0) {
      setpgid(0, 0);
      HangingFuse fuse;
      fs::create_directories(dir);
      bool ok = unshare(CLONE_NEWNS) == 0 && mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                mount("none", dir.c_str(), "tmpfs", 0, nullptr) == 0;
      for (const char* name : {"/fuse", "/up", "/work", "/merged"})
        ok = ok && fs::create_directory(dir + name);
      ok = ok && fuse.mount_at(dir + "/fuse");
      if (ok && fork() == 0) fuse.serve(hangs);
      const std::string layers = "lowerdir=" + dir + "/fuse,upperdir=" + dir + "/up,workdir=" + dir + "/work";
      ok = ok && mount("none", merged_.c_str(), "overlay", 0, layers.c_str()) == 0 &&
           setresuid(user, user, user) == 0 &&
           prctl(PR_SET_DUMPABLE, 1) == 0;  // as after an exec: /proc shows whose it is
      (void)!write(ready[1], ok ? "y" : "n", 1);
      while (true)
        pause();
    }
    setpgid(pid_, pid_);
    char answer = 'n';
    close(ready[1]);
    ok_ = read(ready[0], &answer, 1) == 1 && answer == 'y';
    close(ready[0]);
  }
  ~Overlaid() { end(); }
  void end() {
    if (pid_ <= 0) return;
    kill(-pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  bool ok() const { return ok_; }
  std::string question() const { return "aws_credentials:" + merged_ + "/.aws/credentials@" + std::to_string(pid_); }
  role::Open request(std::uint64_t number) const {
    auto out = role::make<role::Open>(role::Type::kOpen, number);
    out.tgid = static_cast<std::uint32_t>(pid_);
    out.path.assign(merged_ + "/.aws/credentials");
    return out;
  }

 private:
  std::string merged_;
  pid_t pid_ = -1;
  bool ok_ = false;
};

char state_of(pid_t pid) {
  const std::string text = slurp("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t end = text.rfind(')');
  return end == std::string::npos || end + 2 >= text.size() ? '?' : text[end + 2];
}

TEST_F(RolesTest, AFileThatHangsBehindAnOverlayHoldsUpNobodyAndNoEnd) {
  for (const std::uint32_t hangs : {std::uint32_t{FUSE_READ}, std::uint32_t{FUSE_OPEN}}) {
    fs::remove(out());
    Overlaid actor(dir_ + "/layers" + std::to_string(hangs), hangs, 12345);
    if (!actor.ok()) GTEST_SKIP() << "no overlay over FUSE here";
    std::ofstream(dir_ + "/token") << "hvs.abcdefghijklmnop\n";
    ask_ = actor.question() + " raw_token:" + dir_ + "/token";
    run();
    EXPECT_TRUE(within(Ms(3000), [&] { return said("answer " + actor.question() + " unread=timeout"); }))
        << slurp(out());
    EXPECT_TRUE(within(Ms(1500), [&] { return said("/token unread= key=fp:", 3); })) << slurp(out());
    const std::string before = slurp(out());
    usleep(2'000'000);
    const std::string since = slurp(out()).substr(before.size());
    std::size_t answers = 0;
    for (std::size_t at = 0; (at = since.find("/token unread= key=fp:", at)) != std::string::npos; ++at)
      ++answers;
    EXPECT_GE(answers, 7U) << "it is asked five times a second: its answers do not wait for the other file";
    EXPECT_NE(since.find("unread=timeout"), std::string::npos) << "every question has its answer";
    EXPECT_NE(state_of(child("roles_examiner")), 'D');
    EXPECT_FALSE(said("notice examiner")) << slurp(out());
    const auto begun = std::chrono::steady_clock::now();
    stop();
    EXPECT_LT(std::chrono::steady_clock::now() - begun, Ms(2000)) << "nobody waits for a child that hangs";
  }
}

TEST_F(RolesTest, AnOpenersChildThatWasStoppedIsReplacedAndItsFileIsRead) {
  std::ofstream(dir_ + "/token") << "hvs.abcdefghijklmnop\n";
  ask_ = "raw_token:" + dir_ + "/token";
  run();
  ASSERT_TRUE(within(Ms(3000), [&] { return said("unread= key=fp:"); })) << slurp(out());
  std::istringstream children(
      slurp("/proc/" + std::to_string(warden_) + "/task/" + std::to_string(warden_) + "/children"));
  for (pid_t pid = 0; children >> pid;) {
    if (slurp("/proc/" + std::to_string(pid) + "/comm").starts_with("keytrail-opener")) kill(pid, SIGSTOP);
  }
  EXPECT_TRUE(within(Ms(4000), [&] { return said("notice opener_stalled"); })) << slurp(out());
  const std::string known = slurp(out());
  EXPECT_TRUE(
      within(Ms(4000), [&] { return slurp(out()).find("unread= key=fp:", known.size()) != std::string::npos; }));
}

class OpenersTest : public RolesTest {
 protected:
  /// Answers of all that was asked, by their numbers, until `until` is there or 3 s have passed.
  void wait_for(Openers& openers, std::uint64_t until) {
    within(Ms(3000), [&] {
      for (const Openers::Late& late : openers.tick(now()))
        unread_[late.job.open.head.request] = late.begun ? "timeout" : "stopped";
      for (const Openers::Answer& answer : openers.take())
        unread_[answer.job.open.head.request] = role::text_of(static_cast<role::Unread>(answer.opened.unread));
      int status = 0;
      for (pid_t pid = 0; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        openers.ended(pid);
      return unread_.contains(until);
    });
  }
  static std::uint64_t now() {
    return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  }
  std::map<std::uint64_t, std::string> unread_;
};

TEST_F(OpenersTest, WhatHungIsNotWaitedForAgainAndOneUserHasNoMoreThanHalf) {
  Overlaid bad(dir_ + "/bad", FUSE_READ, 12345);
  if (!bad.ok()) GTEST_SKIP() << "no overlay over FUSE here";
  std::ofstream(dir_ + "/key") << "x";
  auto good = role::make<role::Open>(role::Type::kOpen, 100);
  good.tgid = static_cast<std::uint32_t>(getpid());
  good.path.assign(dir_ + "/key");
  Openers openers([](std::size_t, pid_t) {});
  const auto job = [](const role::Open& open) {
    return Job{.open = open, .target = {}, .user = user_of(open.tgid, 0)};
  };
  ASSERT_TRUE(openers.ask(job(bad.request(1)), now()));
  ASSERT_TRUE(openers.ask(job(bad.request(2)), now()));
  EXPECT_FALSE(openers.room_for(job(bad.request(3)))) << "half of the children";
  Job other = job(bad.request(3));
  for (const uid_t user : {54321U, kGoneUser}) {
    other.user = user;
    EXPECT_TRUE(openers.room_for(other)) << "another user's";
  }
  other.user = 54321;
  ASSERT_TRUE(openers.ask(other, now()));
  other.user = 54322;
  EXPECT_FALSE(openers.room_for(other)) << "the last one is root's";
  ASSERT_TRUE(openers.room_for(job(good)));
  const auto begun = now();
  ASSERT_TRUE(openers.ask(job(good), now()));
  wait_for(openers, 100);
  EXPECT_EQ(unread_[100], "");
  EXPECT_LT(now() - begun, 500'000'000U);
  wait_for(openers, 1);
  wait_for(openers, 2);
  EXPECT_EQ(unread_[1], "timeout");
  EXPECT_EQ(unread_[2], "timeout");
  const auto again = now();
  ASSERT_TRUE(openers.ask(job(bad.request(4)), now()));
  wait_for(openers, 4);
  EXPECT_EQ(unread_[4], "timeout");
  other.open.head.request = 5;
  ASSERT_TRUE(openers.ask(other, now()));
  wait_for(openers, 5);
  EXPECT_EQ(unread_[5], "timeout") << "it hung for two users";
  EXPECT_LT(now() - again, 500'000'000U) << "at once";
  bad.end();
  openers.kill();
}

TEST_F(OpenersTest, AChildThatDiesByItselfIsForgottenAndReplaced) {
  std::ofstream(dir_ + "/key") << "x";
  auto good = role::make<role::Open>(role::Type::kOpen, 1);
  good.tgid = static_cast<std::uint32_t>(getpid());
  good.path.assign(dir_ + "/key");
  std::vector<pid_t> children;
  Openers openers([&](std::size_t, pid_t pid) { children.push_back(pid); });
  for (; good.head.request <= 3; ++good.head.request) {
    ASSERT_TRUE(openers.ask(Job{.open = good, .target = {}}, now()));
    wait_for(openers, good.head.request);
    EXPECT_EQ(unread_[good.head.request], "");
    ASSERT_EQ(children.size(), good.head.request);
    kill(children.back(), SIGKILL);
    ASSERT_EQ(waitpid(children.back(), nullptr, 0), children.back());
    openers.ended(children.back());
    EXPECT_EQ(openers.abandoned(), 0U);
  }
}

TEST(UserOf, IsTheRealUserAlsoOfWhatCannotBeDumped) {
  const pid_t pid = fork();
  if (pid == 0) {
    if (setresuid(12345, 0, 0) != 0) _exit(1);
    while (true)
      pause();
  }
  for (int i = 0; i < 200 && user_of(static_cast<std::uint32_t>(pid), 0) != 12345; ++i)
    usleep(10'000);
  EXPECT_EQ(user_of(static_cast<std::uint32_t>(pid), 0), 12345U);
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  EXPECT_EQ(user_of(static_cast<std::uint32_t>(pid), 0), kGoneUser);
  EXPECT_EQ(user_of(static_cast<std::uint32_t>(getpid()), 0), getuid());
}

TEST_F(OpenersTest, NoWriteLeaseIsBroken) {
  std::ofstream(dir_ + "/key") << "x";
  const int held = open((dir_ + "/key").c_str(), O_RDWR | O_CLOEXEC);
  if (fcntl(held, F_SETLEASE, F_WRLCK) != 0) GTEST_SKIP() << "no leases on this file system";
  const auto renew = [] { usleep(1'100'000); };  // has_write_lease looks no more often than this
  renew();
  signal(SIGIO, SIG_IGN);
  auto asked = role::make<role::Open>(role::Type::kOpen, 1);
  asked.tgid = static_cast<std::uint32_t>(getpid());
  asked.path.assign(dir_ + "/key");
  EXPECT_EQ(open_requested(asked).unread, role::Unread::kLeased);
  EXPECT_EQ(fcntl(held, F_GETLEASE), F_WRLCK) << "it was broken";
  ASSERT_EQ(fcntl(held, F_SETLEASE, F_UNLCK), 0);
  close(held);
  const int reader = open((dir_ + "/key").c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(fcntl(reader, F_SETLEASE, F_RDLCK), 0);
  renew();
  EXPECT_EQ(open_requested(asked).unread, role::Unread::kNone) << "reading is compatible";
  EXPECT_EQ(fcntl(reader, F_GETLEASE), F_RDLCK);
  close(reader);
}

}  // namespace
}  // namespace keytrail::warden
