// SPDX-License-Identifier: Apache-2.0
// What processes that live together have of each other: forks of one program, a program that is fed, what was open at
// its start; and what a process takes out of another one.
#include "scene.h"

namespace keytrail::link {
namespace {

const std::string kA = "AKIAAAAAAAAAAAAAAAA2", kB = "AKIABBBBBBBBBBBBBBB2";
const std::vector<std::string> kHandedOver{"possible from_helper: " + kA};

const Program kShell{.exe = "/usr/bin/bash", .filename = "/bin/bash"};

class Relatives : public Scene {
 protected:
  void SetUp() override {
    Scene::SetUp();
    examiner.files[kCredentials] = file_of({aws_fact(kA)});
  }
};

TEST_F(Relatives, AWorkerThatWasForkedBeforeTheKeyWasReadMayBeGivenIt) {
  start(10);
  fork(10, 11);
  open(10);
  call(11);
  EXPECT_EQ(told(), kHandedOver);
}

TEST_F(Relatives, AWorkersOwnKeyIsNotTheOnlyOneThen) {
  start(10, {.env = aws_env(kB)});
  fork(10, 11);
  open(10);
  call(11);
  EXPECT_EQ(told(), Lines{"possible several_keys: " + kB + " " + kA}) << "its own first";
}

TEST_F(Relatives, AForkMayHaveWrittenItToItsParentOrToAnotherFork) {
  start(10);
  fork(10, 11);
  fork(10, 12);
  open(11);
  call(12);
  call(10);
  EXPECT_EQ(told(), (Lines{kHandedOver[0], kHandedOver[0]}));
}

TEST_F(Relatives, WorkersThatReadWhatTheyCallWithKeepItForThemselves) {
  examiner.files["/srv/other"] = file_of({aws_fact(kB)});
  start(10);
  fork(10, 11);
  fork(10, 12);
  open(11);
  call(11);
  open(12, "/root/.aws/credentials");
  call(12);
  EXPECT_EQ(told(), (Lines{"inferred only_key_held: " + kA, "inferred only_key_held: " + kA}));
}

TEST_F(Relatives, AProgramThatIsFedMayBeGivenWhatItsCallerReadsLater) {
  start(10);
  fork(10, 11);
  exec(11, {.env = aws_env(kB), .stdin_pipe = 7});
  open(10);
  call(11);
  EXPECT_EQ(told(), Lines{"possible several_keys: " + kB + " " + kA});
}

TEST_F(Relatives, SoMayAProgramWithAnotherChannel) {
  start(10);
  fork(10, 11);
  exec(11, {.env = aws_env(kB), .channel = true});
  fork(10, 12);
  exec(12, {.env = aws_env(kB)});
  open(10);
  call(11);
  call(12);
  EXPECT_EQ(told(), (Lines{"possible several_keys: " + kB + " " + kA, "inferred only_key_held: " + kB}))
      << "without a channel nothing is handed over";
}

TEST_F(Relatives, WhatTheSweepFoundOpenInItsCallerToo) {
  make_process({10, clock.now, 0}, {}, {}, Origin::kBaseline);
  fork(10, 11);
  exec(11, {.env = aws_env(kB), .stdin_pipe = 7});
  open(10, kCredentials, true);
  call(11);
  ASSERT_FALSE(told().empty());
  EXPECT_NE(told().back().find(kA), std::string::npos) << told().back();
}

TEST_F(Relatives, AFileThatAForkOpenedForItsProgramIsItsOwnThoughTheShellReadItBefore) {
  const auto run = [&](std::uint32_t pid, bool read_before) {
    start(pid, kShell);
    if (read_before) open(pid);
    fork(pid, pid + 1);
    open(pid + 1);  // `program < key`
    exec(pid + 1, {.env = aws_env(kB)});
    call(pid + 1);
    return told().back();
  };
  const std::string alone = run(10, false);
  EXPECT_NE(alone, "inferred only_key_held: " + kB);
  EXPECT_EQ(run(20, true), alone);
  restart(21);
  call(21);
  EXPECT_NE(told().back().find(kA), std::string::npos) << "nor is it surer after a restart";
}

TEST_F(Relatives, SoIsOneThatWasNotRead) {
  FileAnswer unread;
  unread.unread = "gone";
  examiner.files["/root/.vault-token"] = unread;
  const auto run = [&](std::uint32_t pid, bool opened_again) {
    start(pid, kShell);
    open(pid, "/root/.vault-token");
    fork(pid, pid + 1);
    if (opened_again) open(pid + 1, "/root/.vault-token");
    exec(pid + 1, {.env = aws_env(kB)});
    call(pid + 1);
    return told().back();
  };
  EXPECT_EQ(run(10, true), "possible unidentified_file: " + kB);
  EXPECT_EQ(run(20, false), "inferred only_key_held: " + kB);
}

TEST_F(Relatives, BeyondItsServiceNothingIsHandedOver) {
  start(10);
  fork(10, 11);
  exec(11, {.env = aws_env(kB), .stdin_pipe = 7});
  unshare(11, 1, "app.service");
  open(10);
  call(11);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kB});
}

TEST_F(Relatives, WhoLooksAtAnEnvironmentTakesItsKeys) {
  examiner.files[kCredentials] = file_of({aws_fact(kB)});
  start(10, {.env = aws_env(kA)});
  open(10);
  start(20);
  peek(20, 10);
  EXPECT_EQ(acquired().back(), "memory environment of python3.11 [AWS_ACCESS_KEY_ID] " + kA + " by 20");
  call(20);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kA}) << "what the other read is not in its environment";
}

TEST_F(Relatives, WhoLooksAtAMemoryTakesAllThatIsInIt) {
  start(10);
  open(10);
  start(20);
  peek(20, 10);
  EXPECT_EQ(acquired().size(), 1U) << "its environment had none";
  peek(20, 10, PeekEvent::What::kMemory);
  EXPECT_EQ(acquired().back(), "memory memory of python3.11 [" + kCredentials + "] " + kA + " by 20");
}

TEST_F(Relatives, WhoTracesAProcessTakesItsKeysAndMayTakeWhatComes) {
  start(10);
  open(10);
  start(20);
  peek(20, 10, PeekEvent::What::kTrace);
  EXPECT_EQ(acquired().back(), "memory memory of python3.11 [" + kCredentials + "] " + kA + " by 20");
  call(20);
  ASSERT_EQ(told().size(), 1U);
  EXPECT_TRUE(told()[0].starts_with("possible ")) << told()[0];
  EXPECT_TRUE(told()[0].ends_with(" " + kA)) << told()[0];
}

}  // namespace
}  // namespace keytrail::link
