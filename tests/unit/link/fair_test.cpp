// SPDX-License-Identifier: Apache-2.0
// Nobody's flood costs another one his reads: room and turns are shared, what is over is a gap of its workload and
// makes its process one that may hold anything, and many opens of a file in one state are one question.
#include <algorithm>
#include <iterator>

#include "scene.h"

namespace keytrail::link {
namespace {

const std::string kA = "AKIAAAAAAAAAAAAAAAA2", kB = "AKIABBBBBBBBBBBBBBB2";

class Fair : public Scene {
 protected:
  static std::string home(int number) { return "/home/u" + std::to_string(number) + "/.aws/credentials"; }
  void start_in(const std::string& unit, std::uint32_t pid) {
    start(pid);
    unshare(pid, 1, unit);
  }
  std::vector<GapRow> gaps_of(const std::string& cause) {
    tick(5'000);
    collect();
    std::vector<GapRow> out;
    std::ranges::copy_if(gaps, std::back_inserter(out), [&](const GapRow& gap) { return gap.cause == cause; });
    return out;
  }
  [[nodiscard]] std::size_t turn_of(const std::string& path) const {
    const auto at = std::ranges::find_if(examiner.asked, [&](const ExamineRequest& request) {
      const auto* file = std::get_if<FileQuestion>(&request.question);
      return file != nullptr && file->path == path;
    });
    return static_cast<std::size_t>(at - examiner.asked.begin());
  }
};

TEST_F(Fair, AFloodCostsNobodyElseItsReads) {
  make({.max_examinations = 4, .max_questions = 64});
  examiner.hold = true;
  start_in("flood.service", 10);
  for (int i = 0; i < 200; ++i)
    open(10, home(i));
  EXPECT_EQ(fates.dropped["examine_overflow"], 200U - 16U);
  examiner.files[kCredentials] = file_of({aws_fact(kA)});
  start_in("app.service", 20);
  open(20);
  EXPECT_EQ(fates.dropped["examine_overflow"], 200U - 16U);
  examiner.answer_all();
  EXPECT_LE(turn_of(kCredentials), 6U) << "it waits for those that were asked, and one turn";
  EXPECT_EQ(acquired(), Lines{"file " + kCredentials + " [default] " + kA + " by 20"});

  const std::vector<GapRow> told = gaps_of("examine_overflow");
  ASSERT_FALSE(told.empty());
  std::uint64_t lost = 0;
  for (const GapRow& gap : told) {
    EXPECT_EQ(gap.scope, "flood.service");
    EXPECT_EQ(gap.family, "open");
    lost += gap.lost.value_or(0);
  }
  EXPECT_EQ(lost, 200U - 16U);
  send({}, BaselineDoneEvent{.armed_ns = 1}, {});
  const auto unseen = link->unseen(clock.now);
  ASSERT_TRUE(unseen);
  ASSERT_EQ(unseen->quiet.size(), 1U) << "the flooder may hold anything, the others do not";
  EXPECT_EQ(unseen->quiet[0].workload, "flood.service");
}

TEST_F(Fair, ThreeThousandKeyFilesOfOneProcessLoseNone) {
  examiner.hold = true;
  start(10);
  for (int i = 0; i < 3'000; ++i) {
    examiner.files[home(i)] = file_of({aws_fact("AKIA" + std::to_string(i))});
    open(10, home(i));
  }
  EXPECT_EQ(dropped(), 0U);
  EXPECT_EQ(examiner.waiting.size(), 256U) << "the others wait here";
  examiner.answer_all();
  EXPECT_EQ(acquired().size(), 3'000U) << "whatever it may hold";
}

TEST_F(Fair, ATheftBehindDecoysIsARow) {
  std::vector<KeyFact> decoys;
  for (int i = 0; i < 256; ++i)
    decoys.push_back(aws_fact("AKIADECOY" + std::to_string(i), "p" + std::to_string(i)));
  examiner.files[home(1)] = file_of(decoys);
  examiner.files[kCredentials] = file_of({aws_fact(kA)});
  start(10);
  send({}, BaselineDoneEvent{.armed_ns = 1}, {});
  open(10, home(1));
  open(10);
  EXPECT_EQ(acquired().back(), "file " + kCredentials + " [default] " + kA + " by 10");
  const auto unseen = link->unseen(clock.now);
  ASSERT_TRUE(unseen);
  EXPECT_EQ(unseen->quiet.size(), 1U) << "holders is not clear of it";
  EXPECT_EQ(gaps_of("holdings_over_bound").size(), 1U);
}

TEST_F(Fair, MoreKeysThanAreReadOfOneFileAreAGap) {
  std::vector<KeyFact> keys;
  for (int i = 0; i < 256; ++i)
    keys.push_back(aws_fact("AKIA" + std::to_string(i), "p" + std::to_string(i)));
  examiner.files[kCredentials] = file_of(keys);
  examiner.files[kCredentials].skipped = 9;
  start(10);
  open(10);
  const std::vector<GapRow> told = gaps_of("entries_over_bound");
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].lost, 9U);
}

TEST_F(Fair, AHundredForksOfAHolderOfMuchAreBounded) {
  make({.max_all_holdings = 64});
  std::vector<KeyFact> keys;
  for (int i = 0; i < 8; ++i)
    keys.push_back(aws_fact("AKIA" + std::to_string(i), "p" + std::to_string(i)));
  examiner.files[kCredentials] = file_of(keys);
  start(10);
  open(10);
  for (std::uint32_t pid = 100; pid < 200; ++pid)
    fork(10, pid);
  EXPECT_GT(link->counters().at("holdings_over_bound"), 0U);
  call(199);
  EXPECT_EQ(told(), Lines{"unattributed not_seen_whole:"});
}

TEST_F(Fair, OneFileInOneStateIsOneQuestion) {
  examiner.hold = true;
  examiner.files[kCredentials] = file_of({aws_fact(kA)});
  for (std::uint32_t pid = 10; pid < 15; ++pid) {
    start(pid);
    open(pid);
  }
  EXPECT_EQ(examiner.waiting.size(), 1U);
  examiner.answer_all();
  collect();
  for (std::uint32_t pid = 10; pid < 15; ++pid)
    EXPECT_TRUE(holders[pid].contains(kA)) << pid;
  open(14, home(1));
  EXPECT_EQ(examiner.waiting.size(), 1U);
}

TEST_F(Fair, WhoTakesHisNameOfAFileAwayHidesItFromNobody) {
  examiner.hold = true;
  examiner.files[home(1)] = file_of({}, 7);
  examiner.files[home(1)].unread = "gone";
  examiner.files[home(2)] = file_of({aws_fact(kA)}, 7);
  start(10);
  open(10, home(1));
  start(11);
  open(11, home(2));
  EXPECT_EQ(examiner.waiting.size(), 2U) << "one file, each asked for by his own way";
  examiner.answer_all();
  EXPECT_EQ(acquired(),
            (Lines{"file " + home(1) + " [] unread gone by 10", "file " + home(2) + " [default] " + kA + " by 11"}));
}

TEST_F(Fair, UsesThatWaitPushOutNoneOfAnother) {
  make({.max_held_uses = 16});
  examiner.hold = true;
  examiner.files[kCredentials] = file_of({aws_fact(kA)});
  examiner.files[home(1)] = file_of({aws_fact(kB)});
  start_in("app.service", 20);
  open(20);
  call(20);
  start_in("flood.service", 10);
  open(10, home(1));
  for (int i = 0; i < 50; ++i)
    call(10);
  EXPECT_GT(told().size(), 40U);
  examiner.answer_all();
  EXPECT_EQ(std::ranges::count(told(), "inferred only_key_held: " + kA), 1);
}

TEST_F(Fair, AForkOfOneThatAskedForMuchMayHoldAnything) {
  examiner.hold = true;
  start(10);
  for (int i = 0; i < 300; ++i)
    open(10, home(i));
  fork(10, 11);
  examiner.answer_all();
  send({}, BaselineDoneEvent{.armed_ns = 1}, {});
  const auto unseen = link->unseen(clock.now);
  ASSERT_TRUE(unseen);
  EXPECT_EQ(unseen->quiet.size(), 1U);
}

}  // namespace
}  // namespace keytrail::link
