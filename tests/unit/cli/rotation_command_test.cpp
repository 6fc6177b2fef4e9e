// SPDX-License-Identifier: Apache-2.0
// keytrail rotation: what it says, its exit status, and how long it waits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/cli/command_line.h"

namespace keytrail::cli {
namespace {

using ::testing::HasSubstr;

class RotationCommandTest : public CommandsTest {
 protected:
  RotationCommandTest() {
    history_.key_list.push_back({.key = make_key("AKIAI44QH8DHBEXAMPLE")});
    options_.words = {kKeyId, "AKIAI44QH8DHBEXAMPLE"};
    world_.now_ns = [this] { return now_; };
    world_.sleep = [this](std::int64_t ns) {
      now_ += ns;
      if (now_ >= ends_) history_.holding_list.clear();
    };
    start();
  }
  std::int64_t now_ = kNoon, ends_ = INT64_MAX;
};

TEST_F(RotationCommandTest, SaysWhoIsLeftAndIsACheck) {
  EXPECT_EQ(run_rotation(options_, world_), kNo);
  EXPECT_THAT(out(), HasSubstr("old AKIAIOSFODNN7EXAMPLE          1 "));
  EXPECT_THAT(out(), HasSubstr("NOT DONE: 0 % of processes, "));
  EXPECT_THAT(out(), HasSubstr("1 process to go\n"));
  EXPECT_THAT(out(), HasSubstr("the file still has this key"));
  EXPECT_THAT(out(), HasSubstr("then restart the pod payments/api"));
  history_.holding_list.clear();
  out_.str("");
  EXPECT_EQ(run_rotation(options_, world_), kOk);
  EXPECT_THAT(out(),
              HasSubstr("DONE: no process on this node holds AKIAIOSFODNN7EXAMPLE. Other machines were not asked.\n"));
  EXPECT_THAT(out(), HasSubstr("Coverage: node node-1"));
}

TEST_F(RotationCommandTest, WaitsUntilItIsDoneOrTheTimeIsOver) {
  options_.wait = "30m";
  ends_ = kNoon + 60 * kSecond;
  EXPECT_EQ(run_rotation(options_, world_), kOk);
  EXPECT_EQ(now_, ends_);
  EXPECT_THAT(err(), HasSubstr("Waiting until 2025-11-21 12:30:00Z at most"));
  EXPECT_THAT(err(), HasSubstr("12:00:00Z 1 with the old key, 0 with the new\n"));
  history_.holding_list.push_back({make_actor(), make_key(), make_slot(), kNoon, 0, How::kDirect, false});
  now_ = kNoon;
  ends_ = INT64_MAX;
  EXPECT_EQ(run_rotation(options_, world_), kTimeOver);
  EXPECT_EQ(now_, kNoon + 1800 * kSecond);
  options_.wait = "soon";
  EXPECT_EQ(run_rotation(options_, world_), kUsage);
  EXPECT_THAT(err(), HasSubstr("--wait: a duration is 45s, 30m, 2h or 1d"));
}

TEST_F(RotationCommandTest, WhatCannotBeToldIsNotWaitedFor) {
  options_.wait = "30m";
  history_.holding_list.clear();
  status_.now.families[0].hook.chosen = "";
  EXPECT_EQ(run_rotation(options_, world_), kCannotTell);
  EXPECT_EQ(now_, kNoon);
  EXPECT_THAT(out(), HasSubstr("CANNOT TELL"));
}

TEST_F(RotationCommandTest, AProcessThatCannotBeToldIsWaitedFor) {
  options_.wait = "30m";
  history_.holding_list.clear();
  UnseenLives lives;
  lives.callers = {{make_actor(412), Reason::kExecNotSeen, {}}};
  status_.lives = std::make_shared<UnseenLives>(lives);
  EXPECT_EQ(run_rotation(options_, world_), kTimeOver);
  EXPECT_EQ(now_, kNoon + 1800 * kSecond);
  EXPECT_THAT(out(), HasSubstr("python3[412]"));
  EXPECT_THAT(err(), HasSubstr("0 with the old key, 0 with the new, 1 cannot be checked\n"));
}

TEST_F(RotationCommandTest, WhoConnectsToNobodyIsNotWaitedForAndCanBeLeftOut) {
  options_.wait = "30m";
  history_.holding_list.clear();
  UnseenLives lives;
  lives.quiet = {{"sleeper", "batch.service", {}, 2}};
  status_.lives = std::make_shared<UnseenLives>(lives);
  EXPECT_EQ(run_rotation(options_, world_), kCannotTell);
  EXPECT_EQ(now_, kNoon);
  EXPECT_THAT(out(), HasSubstr("sleeper ×2"));
  options_.filter["quiet"] = "false";
  EXPECT_EQ(run_rotation(options_, world_), kOk);
  EXPECT_THAT(out(), HasSubstr("They were left out"));
}

TEST_F(RotationCommandTest, AnAgentThatHasNotLookedAtAllProcessesYetIsWaitedFor) {
  options_.wait = "30m";
  history_.holding_list.clear();
  status_.lives = nullptr;
  EXPECT_EQ(run_rotation(options_, world_), kTimeOver);
}

TEST_F(RotationCommandTest, AKeyThatWasNeverSeenIsNamed) {
  options_.words[1] = "AKIAXXXXXXXXXEXAMPLE";
  EXPECT_EQ(run_rotation(options_, world_), kNo);
  EXPECT_THAT(out(), HasSubstr("! AKIAXXXXXXXXXEXAMPLE was never seen on this node. Is the ID right?"));
  history_.holding_list.clear();
  EXPECT_EQ(run_rotation(options_, world_), kCannotTell);
  EXPECT_THAT(out(), HasSubstr("never seen on this node: AKIAXXXXXXXXXEXAMPLE. Is the ID right?"));
}

TEST_F(RotationCommandTest, OneKeyIsNoRotation) {
  options_.words[1] = " akiaiosfodnn7example";
  options_.socket = "/nonexistent/api.sock";
  EXPECT_EQ(run_rotation(options_, world_), kUsage);
  EXPECT_THAT(err(), HasSubstr("the old and the new key are the same"));
}

TEST_F(RotationCommandTest, ASecretIsNotSent) {
  options_.words[1] = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
  EXPECT_EQ(run_rotation(options_, world_), kUsage);
  EXPECT_THAT(err(), HasSubstr("that is a secret"));
}

}  // namespace
}  // namespace keytrail::cli
