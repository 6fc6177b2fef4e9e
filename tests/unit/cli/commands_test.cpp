// SPDX-License-Identifier: Apache-2.0
// Commands against a real server on a temporary socket: questions, exit codes, messages.
#include "agent/cli/commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <sstream>
#include <tuple>

#include "agent/serve/answer.h"
#include "tests/unit/cli/command_line.h"

namespace keytrail::cli {
namespace {

using namespace serve::testing;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
namespace json = boost::json;

TEST_F(CommandsTest, AnEmptyPeriodIsRefusedAndNotAnsweredNoneSeen) {
  start();
  options_.since = "2025-11-21 12:02";
  EXPECT_EQ(run_uses(options_, world_), kCannotTell);
  EXPECT_THAT(err(), HasSubstr("--since 2025-11-21 12:02:00Z is in the future: it is 2025-11-21 12:01:40Z"));
  options_.since = "1m";
  options_.until = "2m";
  EXPECT_EQ(run_uses(options_, world_), kCannotTell);
  EXPECT_THAT(err(), HasSubstr("of an empty period nothing can be told\n"));
  EXPECT_THAT(err(), HasSubstr("--until 2025-11-21 11:59:40Z is not after --since 2025-11-21 12:00:40Z"));
  options_.since = "11:00";
  options_.until = "13:00";  // of the same day, although that is still to come
  options_.output = "json";
  EXPECT_EQ(run_uses(options_, world_), kOk);
  EXPECT_THAT(out(), HasSubstr("\"until\": \"2025-11-21T13:00:00.000000000Z\""));
}

TEST_F(CommandsTest, APeriodBeforeTheHistoryCannotBeTold) {
  start();
  options_.since = "2025-11-21 10:00";
  options_.until = "2025-11-21 11:00";
  for (auto* run : {run_uses, run_findings}) {
    out_.str("");
    EXPECT_EQ(run(options_, world_), kCannotTell);
    EXPECT_THAT(out(), HasSubstr("CANNOT TELL: the period ends 2025-11-21 11:00:00Z, before what node-1 has recorded "
                                 "begins: 2025-11-21 12:00:00Z.\n"));
    EXPECT_THAT(out(), AllOf(Not(HasSubstr("No use")), Not(HasSubstr("No open")), HasSubstr("INCOMPLETE")));
  }
  options_.since = "";
  options_.output = "json";
  EXPECT_EQ(run_uses(options_, world_), kCannotTell);
  EXPECT_THAT(err(), HasSubstr("keytrail: CANNOT TELL: the period ends"));
}

TEST_F(CommandsTest, APeriodInWhichNobodyWatchedCannotBeTold) {
  history_.edge_list.clear();
  history_.spans = FakeHistory::watched_since(kNoon, kNoon + 10 * kSecond);
  for (const WatchedSpan& span : FakeHistory::watched_since(kNoon + 90 * kSecond))
    history_.spans.push_back(span);
  start();
  options_.since = "2025-11-21 12:00:20";
  options_.until = "2025-11-21 12:00:40";
  EXPECT_EQ(run_uses(options_, world_), kCannotTell);
  EXPECT_THAT(out(), HasSubstr("CANNOT TELL: nothing of that period was watched on node-1.\n"));
  options_.since = "2025-11-21 12:00:05";
  EXPECT_EQ(run_uses(options_, world_), kOk) << "a part of it was";
  EXPECT_THAT(out(), HasSubstr("No use seen 2025-11-21 12:00:05Z to 2025-11-21 12:00:40Z on node-1.\n"));
}

TEST_F(CommandsTest, AKeyThatWasNeverSeenIsExit3WhateverIsAsked) {
  start();
  options_.key = "AKIAQQQQQQQQQEXAMPLE";
  const auto asks = [&](int (*run)(const Options&, World&)) {
    out_.str("");
    EXPECT_EQ(run(options_, world_), kCannotTell);
    EXPECT_THAT(out(), HasSubstr("Never seen on node-1: no process held or used AKIAQQQQQQQQQEXAMPLE"));
    EXPECT_THAT(out(), AllOf(Not(HasSubstr("No use")), Not(HasSubstr("· complete"))));
  };
  for (auto* run : {run_uses, run_keys, run_key, run_findings})
    asks(run);
  options_.copies = true;
  asks(run_key);
  options_.copies = false;
  options_.readers = true;
  asks(run_key);
  options_.output = "jsonl";
  EXPECT_EQ(run_uses(options_, world_), kCannotTell);
  EXPECT_THAT(err(), HasSubstr("keytrail: Never seen on node-1"));
}

TEST_F(CommandsTest, HoldersTakeNoPeriod) {
  start();
  options_.key = kKeyId;
  options_.holders = true;
  for (std::string* when : {&options_.since, &options_.until}) {
    *when = "1m";
    EXPECT_EQ(run_key(options_, world_), kUsage);
    when->clear();
  }
  EXPECT_THAT(err(), HasSubstr("--holders is a question about now: it takes no --since and no --until."));
  options_.holders = false;
  options_.since = "50s";
  EXPECT_EQ(run_key(options_, world_), kOk);
  EXPECT_THAT(out(), HasSubstr("NOT CLEAR: 1 process holds it")) << "who has it is a question about now here, too";
}

TEST_F(CommandsTest, HoldersSayWhyTheyCannotTell) {
  history_.holding_list.clear();
  start();
  options_.key = kKeyId;
  options_.holders = true;
  status_.now.families[1].silent = true;
  history_.state_now.error = "disk full";
  EXPECT_EQ(run_key(options_, world_), kCannotTell);
  EXPECT_THAT(out(), HasSubstr("CANNOT TELL: no process was seen that holds AKIAIOSFODNN7EXAMPLE, but not armed: open; "
                               "the history has an error (see status).\n"));
  out_.str("");
  status_.now.families[1].silent = false;
  history_.state_now.error.clear();
  UnseenLives lives;
  lives.quiet = {{"sshd", "ssh.service", {}, 3}};
  status_.lives = std::make_shared<UnseenLives>(lives);
  options_.filter["quiet"] = "false";
  EXPECT_EQ(run_key(options_, world_), kOk);
  EXPECT_THAT(out(), HasSubstr("CLEAR, but for 3 processes left out: "));
}

TEST_F(CommandsTest, HoldersWaitForKeyFilesThatAreBeingExamined) {
  history_.holding_list.clear();
  status_.now.tracking["examinations"] = 2;
  start();
  options_.key = kKeyId;
  options_.holders = true;
  int pauses = 0;
  world_.sleep = [&](std::int64_t) { ++pauses; };
  EXPECT_EQ(run_key(options_, world_), kCannotTell);
  EXPECT_THAT(out(), HasSubstr("but 2 key files are being examined or stored right now (ask again).\n"));
  EXPECT_GT(pauses, 3);
  world_.sleep = [&](std::int64_t) { status_.now.tracking["examinations"] = 0; };
  EXPECT_EQ(run_key(options_, world_), kOk);
}

TEST_F(CommandsTest, WhereTooManyAskItIsTriedAgain) {
  start();
  int busy = 2, pauses = 0;
  const auto real = world_.get;
  world_.get = [&](const std::string& socket, const std::string& target) -> Result<Answer> {
    if (busy-- > 0) return Answer{503, serve::error_body(503, "too many", serve::kBusy)};
    return real(socket, target);
  };
  world_.sleep = [&](std::int64_t) { ++pauses; };
  EXPECT_EQ(run_status(options_, world_), kOk);
  EXPECT_EQ(pauses, 2);
  busy = 1000;
  EXPECT_EQ(run_status(options_, world_), kCannotTell);
  EXPECT_THAT(err(), HasSubstr("keytrail: too many\n"));
}

TEST_F(CommandsTest, StatusSaysNoWhereItIsArmedInPart) {
  history_.state_now.queue = 7;
  start();
  EXPECT_EQ(run_status(options_, world_), kOk);
  EXPECT_THAT(out(), AllOf(StartsWith("armed "), HasSubstr("! 7 rows wait unsaved: no answer has them yet\n")));
  status_.now.remarks = {"PARTLY ARMED: no host PID namespace. Fix: hostPID: true"};
  status_.now.families[1].hook.chosen = "";
  status_.now.families[1].hook.missing = "no tracefs: mount it";
  out_.str("");
  EXPECT_EQ(run_status(options_, world_), kNo);
  EXPECT_THAT(out(), StartsWith("PARTLY ARMED "));
  EXPECT_THAT(out(), HasSubstr("! Key files that are opened: not armed; no tracefs: mount it\n"));
  EXPECT_THAT(out(), HasSubstr("! PARTLY ARMED: no host PID namespace. Fix: hostPID: true\n"));
}

TEST_F(CommandsTest, StatusAnswersAnOrchestratorsProbes) {
  start();
  options_.probe = "ready";
  status_.now.remarks = {"PARTLY ARMED: no host PID namespace. Fix: hostPID: true"};
  EXPECT_EQ(run_status(options_, world_), kOk);
  options_.probe = "live";
  EXPECT_EQ(run_status(options_, world_), kOk);
  status_.now.families[0].silent = true;
  out_.str("");
  EXPECT_EQ(run_status(options_, world_), kNo);
  EXPECT_THAT(out(), HasSubstr(": its heartbeat does not come through\n"));
  options_.probe = "ready";
  EXPECT_EQ(run_status(options_, world_), kOk);
  status_.now.armed_since_ns = 0;
  EXPECT_EQ(run_status(options_, world_), kNo);
}

TEST_F(CommandsTest, UsesOfAKeyHaveAHeadline) {
  start();
  options_.key = kKeyId;
  EXPECT_EQ(run_uses(options_, world_), kOk);
  EXPECT_THAT(out(), HasSubstr("first seen 2025-11-21 12:00:00 · 0 uses confirmed, 1,234 inferred, 0 possible, by 1 "
                               "workload · last 40 s ago · held by 1 process\n"));
  EXPECT_THAT(out(), HasSubstr("python3[8121]"));
  EXPECT_THAT(out(), HasSubstr("Coverage: node node-1"));
}

TEST_F(CommandsTest, RelativeTimesAreEchoedAbsolute) {
  start();
  options_.since = "50s";
  options_.filter["workload"] = "payments/*";
  EXPECT_EQ(run_uses(options_, world_), kOk);
  EXPECT_THAT(out(), StartsWith("2025-11-21 12:00:50Z to now\n"));
}

TEST_F(CommandsTest, JsonIsTheAgentsAnswer) {
  start();
  options_.output = "json";
  EXPECT_EQ(run_uses(options_, world_), kOk);
  const json::value answer = json::parse(out());
  EXPECT_EQ(answer.at("schema").as_string(), "1.0");
  EXPECT_EQ(answer.at("rows").as_array().size(), 1U);
  out_.str("");
  options_.output = "yaml";
  EXPECT_EQ(run_keys(options_, world_), kOk);
  EXPECT_THAT(out(), HasSubstr("id: \"AKIAIOSFODNN7EXAMPLE\""));
}

TEST_F(CommandsTest, NoAgentIsExit4WithWhatToTry) {
  options_.socket = "/nonexistent/api.sock";
  EXPECT_EQ(run_status(options_, world_), kNoAgent);
  EXPECT_EQ(
      err(),
      "keytrail: no agent at /nonexistent/api.sock. Try: systemctl status keytrail; journalctl -u keytrail -n 20\n");
}

TEST_F(CommandsTest, DoctorWithoutAnAgentStillLooksAtTheMachine) {
  options_.socket = "/nonexistent/api.sock";
  EXPECT_EQ(run_doctor(options_, world_), kNoAgent);
  EXPECT_THAT(out(), HasSubstr("Kernel types (BTF)"));
  EXPECT_THAT(out(), HasSubstr("The agent is not running"));
}

TEST_F(CommandsTest, RefusedIsExit5AndNamesUserAndGroup) {
  serve_.peer_of = [](int) -> Result<serve::Peer> { return serve::Peer{1, 65534, 65534, {}, serve::PeerPlace::kOurs}; };
  start();
  EXPECT_EQ(run_uses(options_, world_), kRefused);
  EXPECT_THAT(err(), HasSubstr(options_.socket + " refused uid 65534"));
  EXPECT_THAT(err(), HasSubstr("needs root or group"));
}

TEST_F(CommandsTest, ASecretIsNotSent) {
  start();
  options_.key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
  world_.get = [](const std::string&, const std::string&) -> Result<Answer> {
    ADD_FAILURE() << "it was sent";
    return Answer{};
  };
  for (auto* run : {run_uses, run_keys, run_key, run_watch})
    EXPECT_EQ(run(options_, world_), kUsage);
  EXPECT_THAT(err(),
              HasSubstr("that is a secret, not a key ID. It was not sent or stored, but it is in your shell history."));
  EXPECT_THAT(err(), Not(HasSubstr("wJal")));
}

TEST_F(CommandsTest, HoldersIsACheck) {
  start();
  options_.key = kKeyId;
  options_.holders = true;
  EXPECT_EQ(run_key(options_, world_), kNo);
  EXPECT_THAT(out(), HasSubstr("NOT CLEAR: 1 process holds it (never seen used)"));
  history_.holding_list.clear();
  EXPECT_EQ(run_key(options_, world_), kOk);
  status_.now.families[0].hook.chosen = "";
  EXPECT_EQ(run_key(options_, world_), kCannotTell);
}

TEST_F(CommandsTest, ReadersAreAListAndNoCheck) {
  history_.reader_list = {{.actor = make_actor(), .key = make_key(), .slot = make_slot(), .count = 2}};
  start();
  options_.key = kKeyId;
  options_.readers = true;
  EXPECT_EQ(run_key(options_, world_), kOk);
  EXPECT_THAT(out(), HasSubstr("1 reader, taken 2 times"));
  options_.output = "json";
  EXPECT_EQ(run_key(options_, world_), kOk);
  EXPECT_THAT(out(), HasSubstr("\"type\": \"reader\""));
}

TEST_F(CommandsTest, AKeyThatWasNeverSeenIsNotClear) {
  history_.holding_list.clear();
  start();
  options_.key = "AKIAQQQQQQQQQEXAMPLE";
  options_.holders = true;
  EXPECT_EQ(run_key(options_, world_), kCannotTell);
  EXPECT_THAT(out(), HasSubstr("CANNOT TELL: AKIAQQQQQQQQQEXAMPLE was never seen on this node"));
}

TEST_F(CommandsTest, AWordThatNothingKnowsIsASlipWithOrWithoutAnAgent) {
  start();
  options_.filter = {{"service", "S4"}};
  EXPECT_EQ(run_uses(options_, world_), kUsage);
  EXPECT_THAT(err(), HasSubstr("--service: no such service is known or was seen; did you mean s3"));
  options_.socket = "/nonexistent/api.sock";
  EXPECT_EQ(run_uses(options_, world_), kUsage);
  EXPECT_THAT(err(), HasSubstr("--service: no such service is known; did you mean s3"));
  for (const auto& [name, value, said] : {std::tuple("provider", "asw", "--provider: no such provider is known"),
                                          std::tuple("kind", "aws.acess_key", "did you mean aws.access_key"),
                                          std::tuple("finding_type", "old_key", "--type: no such type of finding"),
                                          std::tuple("evidence", "sure", "--evidence: must be confirmed, inferred"),
                                          std::tuple("pid", "0", "--pid: must be a whole number"),
                                          std::tuple("kinds", "uses", "--kinds: a list of acquisition")}) {
    options_.filter = {{name, value}};
    EXPECT_EQ(run_findings(options_, world_), kUsage) << name;
    EXPECT_THAT(err(), HasSubstr(said));
  }
  options_.filter = {{"service", "s3"}};
  EXPECT_EQ(run_uses(options_, world_), kNoAgent);
  options_.key = "akia";
  EXPECT_EQ(run_uses(options_, world_), kUsage);
  EXPECT_THAT(err(), HasSubstr("an ID that begins with AKIA has 20 characters, and this has 4"));
}

TEST_F(CommandsTest, AKeyIdWithALineBreakIsRefused) {
  start();
  options_.key = "AKIAIOSFODNN7EXAMPLE\nGET";
  EXPECT_EQ(run_uses(options_, world_), kUsage);
  EXPECT_THAT(err(), HasSubstr("a key ID has no line breaks or control characters\n")) << "it is not repeated";
}

TEST_F(CommandsTest, WhatIsNoSocketIsSaidToBeNone) {
  options_.socket = "/etc/passwd";
  EXPECT_EQ(run_status(options_, world_), kNoAgent);
  EXPECT_THAT(err(), HasSubstr("/etc/passwd is no socket"));
}

TEST_F(CommandsTest, KeyWordsForCompletionsHaveNothingForAShell) {
  for (const char* id : {"db.password:$(reboot)@host #1", "db.password:`x`@h", "jwt/k;id"})
    history_.key_list.push_back({.key = make_key(id)});
  start();
  EXPECT_EQ(run_key_words(options_, world_), kOk);
  EXPECT_EQ(out(), std::string(kKeyId) + "\n");
  options_.socket = "/nonexistent/api.sock";
  EXPECT_EQ(run_key_words(options_, world_), kOk);
  EXPECT_EQ(err(), "");
}

TEST_F(CommandsTest, WorkloadWordsForCompletionsAreNamesElseIds) {
  for (const auto& [name, id] : {std::pair("payments/deploy/api", "pod:1/2"),
                                 {"person: alice", "user:1000"},
                                 {"host: $(reboot)", "cgroup:/a b:$(reboot)"},
                                 {"--help", "unit:--help"}}) {
    auto& one = history_.workload_list.emplace_back().workload;
    one.name = name;
    one.id = id;
  }
  start();
  EXPECT_EQ(run_workload_words(options_, world_), kOk);
  EXPECT_EQ(out(), "payments/deploy/api\nuser:1000\nunit:--help\n");
}

TEST_F(CommandsTest, StrictTellsEmptyAndIncompleteApart) {
  start();
  history_.edge_list.clear();
  EXPECT_EQ(run_uses(options_, world_), kOk);
  options_.strict = true;
  EXPECT_EQ(run_uses(options_, world_), kNo);
  status_.now.families[0].hook.chosen = "";
  EXPECT_EQ(run_uses(options_, world_), kCannotTell);
}

TEST_F(CommandsTest, DoctorSaysNoWhenAFamilyIsNotArmed) {
  start();
  EXPECT_EQ(run_doctor(options_, world_), kOk);
  status_.now.families[2].hook.chosen = "";
  EXPECT_EQ(run_doctor(options_, world_), kNo);
}

TEST_F(CommandsTest, ExplainTakesBothForms) {
  start();
  options_.words = {"use", "2"};
  EXPECT_EQ(run_explain(options_, world_), kOk);
  EXPECT_THAT(out(), HasSubstr("inferred: python3[8121]"));
  options_.words = {"99"};
  EXPECT_EQ(run_explain(options_, world_), kNo);
  EXPECT_THAT(err(), HasSubstr("there is no row 99"));
  options_.words = {"x"};
  EXPECT_EQ(run_explain(options_, world_), kUsage);
}

TEST_F(CommandsTest, WrongParametersAreUsage) {
  start();
  options_.filter["pid"] = "x";
  EXPECT_EQ(run_uses(options_, world_), kUsage);
  EXPECT_EQ(run_watch(options_, world_), kUsage);
  EXPECT_THAT(err(), HasSubstr("pid: must be a whole number"));
  options_.filter.clear();
  options_.since = "whenever";
  EXPECT_EQ(run_uses(options_, world_), kUsage);
  EXPECT_THAT(err(), HasSubstr("--since: a time is"));
}

TEST_F(CommandsTest, PagesAreFollowedUpToTheLimit) {
  start();
  history_.stored.clear();
  FindingRow finding;
  finding.type = "old_key_in_use";
  for (std::uint64_t seq = 1; seq <= 2500; ++seq)
    history_.stored.push_back(make_row(seq, finding));
  options_.output = "json";
  EXPECT_EQ(run_findings(options_, world_), kOk);
  EXPECT_EQ(json::parse(out()).at("rows").as_array().size(), 2500U);
  out_.str("");
  options_.limit = 10;
  EXPECT_EQ(run_findings(options_, world_), kOk);
  EXPECT_EQ(json::parse(out()).at("rows").as_array().size(), 10U);
}

TEST_F(CommandsTest, AnAnswerOfAnotherProgramIsNotBelieved) {
  world_.get = [](const std::string&, const std::string&) -> Result<Answer> { return Answer{200, "<html>"}; };
  EXPECT_EQ(run_uses(options_, world_), kCannotTell);
  EXPECT_THAT(err(), HasSubstr("not understood"));
}

TEST_F(CommandsTest, AMistypedWordIsUsageAndNotNoneSeen) {
  start();
  history_.edge_list.clear();
  options_.filter["service"] = "S4";
  EXPECT_EQ(run_uses(options_, world_), kUsage);
  EXPECT_THAT(err(), HasSubstr("service: no such service is known or was seen; did you mean"));
  EXPECT_THAT(err(), HasSubstr("s3"));
  options_.filter.clear();
  options_.key = " akiaiosf ";
  EXPECT_EQ(run_uses(options_, world_), kUsage);
  EXPECT_THAT(err(), HasSubstr("beginning of a key ID; did you mean AKIAIOSFODNN7EXAMPLE?"));
}

TEST_F(CommandsTest, AKeyIdIsFoldedToTheLettersOfItsKind) {
  start();
  options_.key = " akiaiosfodnn7example\n";
  EXPECT_EQ(run_uses(options_, world_), kOk);
  EXPECT_THAT(out(), HasSubstr("first seen 2025-11-21 12:00:00"));
}

}  // namespace
}  // namespace keytrail::cli
