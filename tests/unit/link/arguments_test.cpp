// SPDX-License-Identifier: Apache-2.0
// Keys inside arguments: what the examiner finds in them is the process's, for the host that they name; what was not
// kept or not read leaves no certainty.
#include "scene.h"

namespace keytrail::link {
namespace {

const std::string kA = "AKIAAAAAAAAAAAAAAAA2", kApi = "api.github.com", kToken = "fp:of-the-header";

KeyFact header_fact(const std::string& host, const std::string& kind = "generic.secret") {
  KeyFact fact;
  fact.key.id = kToken;
  fact.key.kind = kind;
  fact.key.fingerprint = fingerprint_of("header");
  fact.variable = "-H";
  fact.selector = "Authorization";
  fact.host = host;
  fact.untold = true;
  return fact;
}

class Arguments : public Scene {
 protected:
  static Program curl(std::vector<EnvItem> env = {}, ArgsKept kept = ArgsKept::kWhole) {
    return {.exe = "/usr/bin/curl", .filename = "/usr/bin/curl", .env = std::move(env), .args_kept = kept};
  }
  void answers(std::uint32_t pid, std::vector<KeyFact> keys) {
    examiner.arguments[pid] = {.unread = {}, .keys = std::move(keys), .skipped = 0};
  }
};

TEST_F(Arguments, AKeyOfTheCommandLineIsUsedAtTheHostThatItNames) {
  answers(10, {header_fact(kApi)});
  start(10, curl());
  call(10, kApi);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kToken});
  EXPECT_EQ(acquired(), Lines{"argument -H [Authorization] " + kToken + " by 10"});
  const auto& question = std::get<ArgumentsQuestion>(examiner.asked.at(0).question);
  EXPECT_EQ(question.program, "curl");
}

TEST_F(Arguments, AtAnotherHostAKeyOfNoKindIsNoCandidate) {
  answers(10, {header_fact("internal.test")});
  start(10, curl());
  call(10, kApi);
  EXPECT_EQ(told(), Lines{"unattributed no_key_of_this_kind:"});
}

TEST_F(Arguments, AHostThatNobodyKnowsIsADestinationOfItsKey) {
  answers(10, {header_fact("internal.test")});
  start(10, curl());
  call(10, "internal.test");
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kToken});
}

TEST_F(Arguments, ItCountsBeforeWhatTheEnvironmentHolds) {
  answers(10, {header_fact(kApi)});
  start(10, curl({secret("GITHUB_TOKEN", "ghp_0123456789abcdefghijABCDEFGHIJ012345")}));
  call(10, kApi);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kToken});
}

TEST_F(Arguments, ASigningLoginCountsBeforeTheEnvironmentsKeys) {
  KeyFact fact = aws_fact("AKIAAAAAAAAAAAAAAAA3");
  fact.variable = "--user";
  fact.selector.clear();
  fact.host = kS3;
  answers(10, {fact});
  start(10, curl(aws_env(kA)));
  call(10);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: AKIAAAAAAAAAAAAAAAA3"});
}

TEST_F(Arguments, AProgramThatLooksForNoneInItsEnvironmentIsNeverSaidToUseOneOfThere) {
  start(10, curl(aws_env(kA)));
  call(10);
  EXPECT_EQ(told(), Lines{"possible not_tied: " + kA});
}

TEST_F(Arguments, TwoKeysForTheHostAreBothPossible) {
  KeyFact other = header_fact(kApi);
  other.key.id = "generic.password:bob@api.github.com #1";
  other.key.kind = "generic.password";
  other.key.fingerprint = {};
  other.variable = "-u";
  answers(10, {header_fact(kApi), other});
  start(10, curl());
  call(10, kApi);
  ASSERT_EQ(told().size(), 1U);
  EXPECT_TRUE(told()[0].starts_with("possible several_keys:")) << told()[0];
}

TEST_F(Arguments, AUseWaitsForTheAnswerAndTheProcessMayBeGone) {
  examiner.hold = true;
  answers(10, {header_fact(kApi)});
  start(10, curl());
  call(10, kApi);
  exit(10);
  EXPECT_EQ(told(), Lines{});
  examiner.answer_all();
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kToken});
}

TEST_F(Arguments, AForkHoldsThemToo) {
  answers(10, {header_fact(kApi)});
  start(10, curl());
  fork(10, 11);
  call(11, kApi);
  EXPECT_EQ(told(), Lines{"inferred only_key_held: " + kToken});
}

TEST_F(Arguments, WhatTheKernelSideRecognisedIsOneKeyWithWhatTheExaminerFound) {
  KeyFact fact = header_fact(kApi);
  fact.key.id = "k1/j-1";
  answers(10, {fact});
  Program program = curl();
  program.args = {{"", "fmt.github.pat_classic", {}, fingerprint_of("header"), 2},
                  {"", "fmt.github.pat_classic", {}, fingerprint_of("another"), 3}};
  start(10, program);
  EXPECT_EQ(acquired(), (Lines{"argument -H [Authorization] k1/j-1 by 10",
                               "argument argument 3 [] " + fingerprint_of("another").text() + " by 10"}));
}

TEST_F(Arguments, WhatWasNotKeptOrNotReadLeavesNoCertainty) {
  const auto said = [&](std::uint32_t pid, ArgsKept kept, const ArgumentsAnswer& answer) {
    examiner.arguments[pid] = answer;
    Program program = curl(aws_env(kA), kept);
    program.exe = program.filename = "/usr/bin/http";
    start(pid, program);
    call(pid);
    return told().back();
  };
  const ArgumentsAnswer none, gone{.unread = "gone", .keys = {}, .skipped = 0},
      cut{.unread = {}, .keys = {}, .skipped = 1};
  EXPECT_EQ(said(10, ArgsKept::kWhole, none), "inferred only_key_held: " + kA);
  for (const std::string& line :
       {said(11, ArgsKept::kPart, cut), said(12, ArgsKept::kLost, none), said(13, ArgsKept::kWhole, gone),
        said(14, ArgsKept::kWhole, cut), said(15, ArgsKept::kPart, none)})  // cut between two words
    EXPECT_EQ(line, "possible not_seen_whole: " + kA);
  EXPECT_EQ(link->counters().at("arguments_unread"), 2U);
  EXPECT_EQ(link->counters().at("arguments_cut"), 2U);
}

TEST_F(Arguments, WhatTheKernelSideRecognisedIsKeptWhereTheExaminerCameTooLate) {
  examiner.arguments[10].unread = "gone";
  Program program = curl();
  program.args = {{"--token", "fmt.github.pat_classic", {}, fingerprint_of("x"), 2}};
  start(10, program);
  EXPECT_EQ(acquired(), Lines{"argument --token [] " + fingerprint_of("x").text() + " by 10"});
}

TEST_F(Arguments, MoreThanMayBeAskedAtOnceIsADoubt) {
  make({.max_questions = 0});
  start(10, {.env = aws_env(kA), .args_kept = ArgsKept::kWhole});
  call(10);
  EXPECT_EQ(told(), Lines{"possible not_seen_whole: " + kA});
  EXPECT_EQ(link->counters().at("arguments_unread"), 1U);
}

TEST_F(Arguments, ThoseOfOtherProgramsAreNotAskedFor) {
  start(10, {.env = aws_env(kA)});
  EXPECT_TRUE(examiner.asked.empty());
}

}  // namespace
}  // namespace keytrail::link
