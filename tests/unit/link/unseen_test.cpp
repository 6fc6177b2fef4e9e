// SPDX-License-Identifier: Apache-2.0
// Of which live processes it cannot be told what they hold.
#include "agent/link/unseen.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scene.h"
#include "small_world.h"

namespace keytrail::link {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class UnseenTest : public ::testing::Test {
 protected:
  Instance& process(std::uint32_t pid) {
    auto made = std::make_shared<Instance>(instance_of({.exe = "/usr/bin/curl"}));
    made->id.tgid = pid;
    made->called = true;
    return *(live_[pid] = made);
  }
  UnseenLives look() { return unseen_lives(live_, gaps_, kUsed); }

  std::unordered_map<std::uint32_t, InstanceRef> live_;
  std::vector<Gap> gaps_;
};

TEST_F(UnseenTest, a_life_that_was_seen_whole_is_no_question) {
  process(7);
  EXPECT_THAT(look().callers, IsEmpty());
  EXPECT_THAT(look().quiet, IsEmpty());
}

TEST_F(UnseenTest, each_way_to_miss_a_key_is_named) {
  process(3).doubts.exec_seen = false;
  process(5).doubts.mark_cut(kRead);
  process(4).doubts.mark_unidentified({.time_ns = kRead, .kind = "npm.token"});
  process(9).doubts.mark_unidentified({.time_ns = kRead});
  process(10).doubts.broker_ns = kRead;
  process(11).doubts.local_talks = {{{.port = 9999}, kRead}};
  process(12).doubts.gap_ns = kRead;
  std::vector<std::pair<std::uint32_t, Reason>> got;
  for (const UnseenLife& one : look().callers)
    got.emplace_back(one.actor.id.tgid, one.reason);
  EXPECT_THAT(got, ElementsAre(std::pair(3U, Reason::kExecNotSeen), std::pair(4U, Reason::kUnidentifiedFile),
                               std::pair(5U, Reason::kNotSeenWhole), std::pair(9U, Reason::kUnidentifiedFile),
                               std::pair(10U, Reason::kLocalBroker), std::pair(11U, Reason::kLocalBroker),
                               std::pair(12U, Reason::kGapInLife)));
  EXPECT_THAT(look().callers[1].kinds, ElementsAre("npm.token"));
  EXPECT_THAT(look().callers[3].kinds, IsEmpty());
}

TEST_F(UnseenTest, a_gap_concerns_whoever_lived_through_it) {
  process(3);
  gaps_ = {{kStarted - 50, kStarted - 10, std::nullopt, ""}};
  EXPECT_THAT(look().callers, IsEmpty()) << "it began later";
  gaps_ = {{kRead, kRead + 1, 0, ""}};
  EXPECT_THAT(look().callers, IsEmpty()) << "proven empty";
  gaps_ = {{kRead, kRead + 1, 2, "open"}};
  ASSERT_EQ(look().callers.size(), 1U);
  EXPECT_EQ(look().callers[0].reason, Reason::kGapInLife);
}

TEST_F(UnseenTest, whoever_called_nobody_is_counted_by_program) {
  Instance& quiet = process(3);
  quiet.called = false;
  quiet.doubts.exec_seen = false;
  Instance& kernel = process(4);
  kernel.called = false;
  kernel.doubts.exec_seen = false;
  Process thread;
  thread.origin = Origin::kBaseline;
  kernel.process = std::make_shared<Process>(thread);
  EXPECT_THAT(look().callers, IsEmpty());
  Instance& other = process(5);
  other.called = false;
  other.doubts.exec_seen = false;
  Instance& narrow = process(6);
  narrow.called = false;
  narrow.doubts.mark_unidentified({.time_ns = kRead, .kind = "npm.token"});
  const UnseenLives lives = look();
  ASSERT_EQ(lives.quiet.size(), 2U) << "a thread of the kernel has no program";
  EXPECT_EQ(lives.quiet[0].program, "curl");
  EXPECT_EQ(lives.quiet[0].processes, 2U);
  EXPECT_THAT(lives.quiet[1].kinds, ElementsAre("npm.token"));
}

TEST_F(UnseenTest, who_was_named_by_an_event_alone_is_no_thread_of_the_kernel) {
  Instance& bare = process(3);
  bare.called = false;
  bare.doubts.exec_seen = false;
  Process lost;
  lost.origin = Origin::kInferred;
  lost.comm = "thief";
  bare.process = std::make_shared<Process>(lost);
  ASSERT_EQ(look().quiet.size(), 1U);
  EXPECT_EQ(look().quiet[0].program, "thief");
}

TEST_F(UnseenTest, a_caller_that_nobody_identified_is_named_by_its_number) {
  Instance& unknown = process(3);
  unknown.doubts.exec_seen = false;
  unknown.process = nullptr;
  ASSERT_EQ(look().callers.size(), 1U);
  EXPECT_EQ(look().callers[0].actor.id.tgid, 3U);
}

TEST_F(UnseenTest, the_list_is_bounded) {
  for (std::uint32_t pid = 1; pid <= 300; ++pid)
    process(pid).doubts.exec_seen = false;
  EXPECT_EQ(look().callers.size(), 200U);
  EXPECT_EQ(look().callers_not_listed, 100U);
}

// The same through link.
class UnseenLivesOfLink : public Scene {
 protected:
  [[nodiscard]] std::optional<UnseenLives> look() const { return link->unseen(clock.now); }
};

TEST_F(UnseenLivesOfLink, nothing_is_told_before_all_that_live_were_looked_at) {
  start(10);
  EXPECT_FALSE(look());
  send({}, BaselineDoneEvent{.armed_ns = 1}, {});
  EXPECT_TRUE(look());
}

TEST_F(UnseenLivesOfLink, who_is_over_the_bound_is_counted_until_it_ends) {
  make({.max_processes = 3});
  send({}, BaselineDoneEvent{.armed_ns = 1}, {});
  for (const std::uint32_t pid : {10U, 11U, 12U})
    start(pid);
  ASSERT_TRUE(look());
  EXPECT_EQ(look()->not_followed, 1U);
  exit(12);
  EXPECT_EQ(look()->not_followed, 0U);
}

TEST_F(UnseenLivesOfLink, nobody_who_lived_when_records_were_lost_was_seen_whole) {
  const std::string key = "AKIAAAAAAAAAAAAAAAA2";
  send({}, BaselineDoneEvent{.armed_ns = 1}, {});
  start(10, {.env = aws_env(key)});
  start(11);
  call(10);
  EXPECT_EQ(told().back(), "inferred only_key_held: " + key);
  link->lose("ring_damaged", 0, clock.now - kMs, clock.now);
  EXPECT_THAT(look()->callers, IsEmpty()) << "none was lost";
  link->lose("ring_damaged", 5, clock.now - kMs, clock.now);
  tick(1);
  start(12, {.env = aws_env(key)});
  const auto lives = look();
  ASSERT_TRUE(lives);
  ASSERT_EQ(lives->callers.size(), 1U);
  EXPECT_EQ(lives->callers[0].actor.id.tgid, 10U);
  EXPECT_EQ(lives->callers[0].reason, Reason::kGapInLife);
  std::uint64_t quiet = 0;
  for (const UnseenProgram& one : lives->quiet)
    quiet += one.processes;
  EXPECT_EQ(quiet, 2U) << "11 and the shell; 12 began later";
  call(10);
  EXPECT_EQ(told().back(), "possible gap_in_life: " + key);
  call(12);
  EXPECT_EQ(told().back(), "inferred only_key_held: " + key);
  ASSERT_FALSE(gaps.empty());
  EXPECT_EQ(gaps.back().cause, "ring_damaged");
  EXPECT_EQ(gaps.back().lost, 5U);
}

}  // namespace
}  // namespace keytrail::link
