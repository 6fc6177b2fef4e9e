// SPDX-License-Identifier: Apache-2.0
// Opens of one file in one state are asked once by each way: whom an answer serves, whose question goes out, and whose
// turn it is then.
#include <algorithm>
#include <utility>

#include "scene.h"

namespace keytrail::link {
namespace {

const std::string kA = "AKIAAAAAAAAAAAAAAAA2";
const std::string kOne = "/home/one/.aws/credentials", kOther = "/home/other/.aws/credentials";

class Joined : public Scene {
 protected:
  void SetUp() override {
    make({.max_examinations = 1});
    examiner.hold = true;
  }
  void start_and_open(std::uint32_t pid, const std::string& path) {
    start(pid);
    open(pid, path);
  }
  void answer_one() {
    FakeExaminer::Waiting one = std::move(examiner.waiting.front());
    examiner.waiting.pop_front();
    one.done(examiner.answer_for(one.request));
  }
  [[nodiscard]] Lines asked() const {
    Lines out;
    for (const ExamineRequest& request : examiner.asked) {
      if (const auto* file = std::get_if<FileQuestion>(&request.question)) out.push_back(file->path);
    }
    return out;
  }
  [[nodiscard]] std::uint64_t may_hold_anything() {
    send({}, BaselineDoneEvent{.armed_ns = 1}, {});
    std::uint64_t total = 0;
    for (const UnseenProgram& program : link->unseen(clock.now).value_or(UnseenLives()).quiet)
      total += program.processes;
    return total;
  }
};

TEST_F(Joined, WhatTimedOutByOneWayIsAskedForByTheOther) {
  examiner.files[kOne] = file_of({}, 7);
  examiner.files[kOne].unread = "timeout";
  examiner.files[kOther] = file_of({aws_fact(kA)}, 7);
  start_and_open(10, kOne);
  start_and_open(11, kOther);
  EXPECT_EQ(asked(), Lines{kOne}) << "one at once";
  examiner.answer_all();
  EXPECT_EQ(asked(), (Lines{kOne, kOther}));
  EXPECT_EQ(acquired(),
            (Lines{"file " + kOne + " [] unread timeout by 10", "file " + kOther + " [default] " + kA + " by 11"}));
  EXPECT_TRUE(holders[11].contains(kA));
  EXPECT_EQ(may_hold_anything(), 1U) << "who got no answer, and nobody else";
}

TEST_F(Joined, ATimeoutIsOfAllWhoCameThatWay) {
  examiner.files[kOne] = file_of({}, 7);
  examiner.files[kOne].unread = "timeout";
  start_and_open(10, kOne);
  start_and_open(11, kOne);
  examiner.answer_all();
  EXPECT_EQ(asked(), Lines{kOne});
  EXPECT_EQ(may_hold_anything(), 2U);
}

TEST_F(Joined, WhatOneWayFoundIsNotAskedForByTheOther) {
  examiner.files[kOne] = examiner.files[kOther] = file_of({aws_fact(kA)}, 7);
  start_and_open(10, kOne);
  start_and_open(11, kOther);
  examiner.answer_all();
  EXPECT_EQ(asked(), Lines{kOne});
  EXPECT_EQ(acquired(),
            (Lines{"file " + kOne + " [default] " + kA + " by 10", "file " + kOther + " [default] " + kA + " by 11"}));
  EXPECT_EQ(link->counters().at("examinations"), 0U);
}

// What waits for its turn may be answered meanwhile, and asked for anew by somebody else.
TEST_F(Joined, AQuestionOfAnEarlierRoundIsNoneOfALaterOne) {
  const std::string between = "/home/third/.aws/credentials";
  examiner.files[kOne] = examiner.files[kOther] = file_of({aws_fact(kA)}, 7);
  start_and_open(9, kCredentials);
  start_and_open(10, kOne);
  start_and_open(11, between);
  start_and_open(12, kOther);
  answer_one();
  answer_one();
  EXPECT_EQ(asked(), (Lines{kCredentials, kOne, between})) << "12 has its answer, and a question that waits";
  start_and_open(13, kOther);
  examiner.answer_all();
  EXPECT_EQ(asked(), (Lines{kCredentials, kOne, between, kOther}));
  EXPECT_EQ(examiner.asked.back().reach.who.tgid, 13U);
  collect();
  EXPECT_TRUE(holders[12].contains(kA));
  EXPECT_TRUE(holders[13].contains(kA));
  EXPECT_EQ(link->counters().at("examinations"), 0U);
}

TEST_F(Joined, WhoJoinsBehindAnothersFloodHasATurnOfHisOwn) {
  make({.max_examinations = 4});
  examiner.files[kCredentials] = file_of({aws_fact(kA)});
  start(10);
  unshare(10, 1, "flood.service");
  for (int i = 0; i < 200; ++i)
    open(10, "/home/u" + std::to_string(i) + "/.aws/credentials");
  open(10);
  start(20);
  unshare(20, 1, "app.service");
  open(20);
  examiner.answer_all();
  const Lines all = asked();
  EXPECT_LE(std::ranges::find(all, kCredentials) - all.begin(), 6) << "not behind what the other one asked for before";
  EXPECT_EQ(std::ranges::count(all, kCredentials), 1) << "nor a second time, when it is the other one's turn";
  EXPECT_EQ(acquired(), (Lines{"file " + kCredentials + " [default] " + kA + " by 10",
                               "file " + kCredentials + " [default] " + kA + " by 20"}));
}

}  // namespace
}  // namespace keytrail::link
