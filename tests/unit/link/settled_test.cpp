// SPDX-License-Identifier: Apache-2.0
// Up to when all that was seen has left link: what waits ends it, and nothing does for longer than it may.
#include "scene.h"

namespace keytrail::link {
namespace {

const std::string kA = "AKIAAAAAAAAAAAAAAAA2";
const std::string kRole = "/latest/meta-data/iam/security-credentials/web";

class Settled : public Scene {
 protected:
  void SetUp() override {
    Scene::SetUp();
    examiner.files[kCredentials] = file_of({aws_fact(kA)});
  }
  /// Up to the moment before `waits_ns`, whatever the time is; 0: up to now.
  void expect(std::uint64_t waits_ns, const std::string& when) {
    const std::uint64_t now_ns = clock.now;
    EXPECT_EQ(link->settled_ns(now_ns), waits_ns == 0 ? now_ns : waits_ns - 1) << when;
  }
  /// Asks a metadata service for a key; when.
  std::uint64_t ask_for_role(std::uint32_t pid, std::uint64_t cookie) {
    connect(pid, cookie, metadata_service());
    http(pid, cookie, "169.254.169.254", kRole);
    return clock.now;
  }
};

TEST_F(Settled, WhereNothingWaitsItIsNow) {
  start(10);
  open(10);
  call(10);
  tick();
  expect(0, "all is told");
}

TEST_F(Settled, AnExaminationEndsItUntilItIsAnswered) {
  examiner.hold = true;
  start(10);
  open(10);
  const std::uint64_t opened_ns = clock.now;
  open(10, "/home/me/.aws/credentials");
  expect(opened_ns, "the older of the two");
  tick(60'000);
  expect(opened_ns, "however long it takes");
  examiner.answer_all();
  expect(0, "answered");
}

TEST_F(Settled, SoDoesAUseThatIsHeldBack) {
  KeyFact fact;
  fact.key.id = "SHA256:one";
  fact.key.kind = "ssh.private_key";
  examiner.files["/root/.ssh/id_ed25519"] = file_of({fact});
  start(10, {"/usr/bin/ssh", "/usr/bin/ssh"});
  connect(10, 1, ip(3, 22));
  payload(10, 1, "");
  const std::uint64_t called_ns = clock.now;
  expect(called_ns, "it reads its key after it connected");
  open(10, "/root/.ssh/id_ed25519");
  tick(2'000);
  expect(called_ns, "still");
  tick(1'100);
  expect(0, "weighed as it stands");
  EXPECT_FALSE(told().empty());
}

TEST_F(Settled, SoDoesAForkOfAHolderUntilItHasLivedLongEnoughToBeStored) {
  start(10);
  open(10);
  tick();
  collect();
  fork(10, 11);
  fork(10, 12);
  const std::uint64_t born_ns = process(11)->id.start_ns;
  tick();
  collect();
  EXPECT_FALSE(holders.contains(11));
  expect(born_ns, "its key is not in the table yet");
  exit(12);
  tick(200);
  collect();
  EXPECT_TRUE(holders.contains(11));
  EXPECT_FALSE(holders.contains(12)) << "most end before that, and never reach it";
  expect(0, "stored");
  fork(10, 13);
  link->finish(clock.now);
  collect();
  EXPECT_TRUE(holders.contains(13)) << "at the end nothing waits";
}

TEST_F(Settled, WhoHasItFromOneThatEndsIsStoredWithThatEnd) {
  start(10);
  open(10);
  tick();
  collect();
  fork(10, 11);
  exit(10);
  tick();
  collect();
  EXPECT_FALSE(holders.contains(10));
  EXPECT_TRUE(holders.contains(11)) << "else nobody has the key, it seems";
  exec(11, Program{});
  tick();
  collect();
  ASSERT_TRUE(holders.contains(11)) << "the same at an exec";
  EXPECT_EQ(holders[11][kA].how, How::kLostAtExec);
  expect(0, "stored");
}

TEST_F(Settled, NobodyGainsAMomentByHandingItOn) {
  start(10);
  open(10);
  tick();
  collect();
  fork(10, 11);
  const std::uint64_t since_ns = process(11)->id.start_ns;
  tick(60);
  collect();
  expect(since_ns, "one hop");
  fork(11, 12);
  exit(11);
  tick();
  collect();
  expect(since_ns, "what waited goes on waiting");
  EXPECT_FALSE(holders.contains(12)) << "10 is known to have it";
  tick(50);
  collect();
  EXPECT_TRUE(holders.contains(12));
  expect(0, "stored");
}

TEST_F(Settled, WhatItsParentHasNoMoreOrNeverHadIsStored) {
  start(10);
  open(10);
  tick();
  collect();
  fork(10, 11);
  examiner.files[kCredentials] = file_of({aws_fact("AKIAAAAAAAAAAAAAAAA3")});
  open(10);
  tick();
  collect();
  EXPECT_FALSE(holders[10].contains(kA)) << "it has read another one";
  EXPECT_TRUE(holders[11].contains(kA));
  fork(10, 12);
  examiner.files["/root/.aws/config"] = file_of({aws_fact("AKIAAAAAAAAAAAAAAAA4")});
  open(12, "/root/.aws/config");
  fork(12, 13);
  exit(12);
  tick();
  collect();
  EXPECT_TRUE(holders[13].contains("AKIAAAAAAAAAAAAAAAA4")) << "10 has none of it";
}

TEST_F(Settled, SoDoesWhatWasGivenUpAndIsNoRowYet) {
  link->give_up("queue_full", "open", "api", 1, clock.now);
  expect(clock.now, "it is told by the next tick");
  tick();
  expect(0, "told");
  const std::uint64_t second_ns = clock.now += kMs;
  link->give_up("queue_full", "open", "api", 2, second_ns);
  tick(1'000);
  expect(second_ns, "those that follow are told together");
  tick(5'000);
  expect(0, "told");
  collect();
  ASSERT_EQ(gaps.size(), 2U);
  EXPECT_EQ(gaps[1].lost, 2U);
}

TEST_F(Settled, SoDoesARequestToAMetadataServiceForItsAnswer) {
  start(10);
  const std::uint64_t asked_ns = ask_for_role(10, 1);
  tick();
  expect(asked_ns, "its key may come");
  answer(10, 1, 200);
  tick();
  expect(0, "it came");
}

TEST_F(Settled, ButForFiveSecondsOnly) {
  start(10);
  const std::uint64_t first_ns = ask_for_role(10, 1);
  tick(3'000);
  const std::uint64_t second_ns = ask_for_role(10, 2);
  expect(first_ns, "the first of the two");
  tick(1'900);
  expect(first_ns, "4.9 s");
  tick(200);
  expect(second_ns, "the first is over");
  tick(5'000);
  expect(0, "so is the second");
  EXPECT_TRUE(acquired().empty());
  answer(10, 1, 200);
  EXPECT_EQ(acquired().size(), 1U) << "an answer that comes later counts nevertheless";
}

TEST_F(Settled, AndNotWhenItsConnectionIsClosed) {
  start(10);
  expect(ask_for_role(10, 1), "it waits");
  socket(1, SocketState::kClosed);
  tick();
  expect(0, "no answer will come");
}

}  // namespace
}  // namespace keytrail::link
