// SPDX-License-Identifier: Apache-2.0
// Commands against a real server on a temporary socket: questions, exit codes, messages.
#include "agent/cli/commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <fstream>
#include <sstream>
#include <tuple>

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
  EXPECT_EQ(run_uses(options_, world_), kUsage);
  EXPECT_THAT(err(), HasSubstr("--since 2025-11-21 12:02:00Z is in the future: it is 2025-11-21 12:01:40Z"));
  options_.since = "1m";
  options_.until = "2m";
  EXPECT_EQ(run_uses(options_, world_), kUsage);
  EXPECT_THAT(err(), HasSubstr("--until 2025-11-21 11:59:40Z is not after --since 2025-11-21 12:00:40Z"));
  options_.since = "11:00";
  options_.until = "13:00";  // of the same day, although that is still to come
  options_.output = "json";
  EXPECT_EQ(run_uses(options_, world_), kOk);
  EXPECT_THAT(out(), HasSubstr("\"until\": \"2025-11-21T13:00:00.000000000Z\""));
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
  EXPECT_THAT(err(), HasSubstr("no line breaks or control characters: AKIAIOSFODNN7EXAMPLE\\x0aGET\n"));
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

TEST_F(CommandsTest, WatchReplaysAndEndsAfterCount) {
  start();
  options_.since = "2025-11-21T00:00:00Z";
  options_.count = 2;
  EXPECT_EQ(run_watch(options_, world_), kOk);
  EXPECT_THAT(out(), HasSubstr("read             AKIAIOSFODNN7EXAMPLE"));
  EXPECT_THAT(out(), HasSubstr("used (inferred)  AKIAIOSFODNN7EXAMPLE"));
  EXPECT_THAT(err(), ::testing::StartsWith("Watching;"));
}

TEST_F(CommandsTest, WatchSaysThatItWatchesOnlyWhenItDoes) {
  EXPECT_EQ(run_watch(options_, world_), kNoAgent);
  EXPECT_THAT(err(), Not(HasSubstr("Watching")));
}

TEST_F(CommandsTest, WatchLeavesOutUsualReadersOnDemand) {
  start();
  AcquisitionRow usual = make_acquisition();
  usual.actor.exe = "/usr/bin/sudo";
  usual.actor.program = "sudo";
  usual.slot = {From::kFile, "/etc/shadow", ""};
  history_.stored = {make_row(1, usual), make_row(2, make_acquisition())};
  options_.since = "2025-11-21T00:00:00Z";
  options_.count = 1;
  EXPECT_EQ(run_watch(options_, world_), kOk);
  EXPECT_THAT(out(), HasSubstr("read (usual)"));
  out_.str("");
  options_.unusual = true;
  EXPECT_EQ(run_watch(options_, world_), kOk);
  EXPECT_THAT(out(), Not(HasSubstr("read (usual)")));
  EXPECT_THAT(out(), HasSubstr("/root/.aws/credentials"));
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

TEST_F(CommandsTest, CatalogMatchUsesTheAgentsMatcher) {
  options_.words = {"/root/.aws/credentials"};
  EXPECT_EQ(run_catalog_match(options_, world_), kOk);
  EXPECT_THAT(out(), HasSubstr("file"));
  options_.words = {"s3.eu-west-1.amazonaws.com"};
  EXPECT_EQ(run_catalog_match(options_, world_), kOk);
  EXPECT_THAT(out(), HasSubstr("aws / s3 / eu-west-1"));
  options_.words = {"/no/such/thing"};
  EXPECT_EQ(run_catalog_match(options_, world_), kNo);
  options_.words = {};
  EXPECT_EQ(run_catalog_list(options_, world_), kOk);
}

TEST_F(CommandsTest, CatalogMatchShowsTheMarkTheKindsAndTheReaders) {
  options_.output = "json";
  options_.words = {"/root/.aws/credentials"};
  EXPECT_EQ(run_catalog_match(options_, world_), kOk);
  const json::object file = json::parse(out()).at("rows").at(0).as_object();
  EXPECT_EQ(file.at("entry"), "aws.shared_credentials");
  EXPECT_EQ(file.at("verified"), "opened");
  EXPECT_EQ(file.at("kinds").at(0), "aws.access_key");
  EXPECT_EQ(file.at("readers").at(0), "rd.aws_cli");
  out_.str("");
  options_.words = {"api.github.com/app/installations/42/access_tokens"};
  EXPECT_EQ(run_catalog_match(options_, world_), kOk);
  EXPECT_EQ(json::parse(out()).at("rows").at(1).at("matches"), "request");
  out_.str("");
  options_.output = "table";
  options_.words = {"AKIASP2TPHJSQH3FJRUX"};
  EXPECT_EQ(run_catalog_match(options_, world_), kOk);
  EXPECT_THAT(out(), HasSubstr("a public key ID of account 171436882533"));
  options_.words = {"/opt/CrowdStrike/falcon"};
  EXPECT_EQ(run_catalog_match(options_, world_), kOk);
  EXPECT_THAT(out(), HasSubstr("reads in bulk, without using"));
}

TEST_F(CommandsTest, CatalogMatchHasItsFactsAsMembers) {
  options_.output = "json";
  options_.words = {"s3.eu-west-1.amazonaws.com"};
  EXPECT_EQ(run_catalog_match(options_, world_), kOk);
  const json::object host = json::parse(out()).at("rows").at(0).as_object();
  EXPECT_EQ(host.at("provider"), "aws");
  EXPECT_EQ(host.at("service"), "s3");
  EXPECT_EQ(host.at("region"), "eu-west-1");
  EXPECT_THAT(json::serialize(host.at("kinds")), HasSubstr("\"aws.access_key\""));
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

TEST_F(CommandsTest, CatalogListNamesTheNearestSectionAndSaysWhatCitedMeans) {
  options_.words = {"enpoints"};
  EXPECT_EQ(run_catalog_list(options_, world_), kUsage);
  EXPECT_THAT(err(), HasSubstr("did you mean endpoints?"));
  options_.words = {"readers"};
  EXPECT_EQ(run_catalog_list(options_, world_), kOk);
  EXPECT_THAT(out(), HasSubstr("rd.aws_cli"));
  EXPECT_THAT(out(), HasSubstr("cited = the page is the right reference and was not opened"));
}

TEST_F(CommandsTest, CatalogCheckSaysWhatIsWrongWhereAndHowToMendIt) {
  const std::string path = directory_.file("site.yaml");
  std::ofstream(path) << "kinds:\n- {id: acme.token, title: Acme token, clas: access_key, lifetime: long_lived}\n";
  options_.words = {path};
  EXPECT_EQ(run_catalog_check(options_, world_), kNo);
  EXPECT_THAT(err(), HasSubstr("site.yaml:2: unknown key `clas` (did you mean `class`?)"));
  EXPECT_THAT(err(), HasSubstr("is refused as a whole"));
  std::ofstream(path) << "kinds:\n- {id: acme.token, title: Acme token, class: access_key, lifetime: long_lived}\n"
                         "files:\n- {id: acme.file, provider: acme, kinds: [acme.token], format: opaque, paths: "
                         "[/etc/acme/*], verified: opened,"
                         " source: [us]}\n";
  EXPECT_EQ(run_catalog_check(options_, world_), kOk);
  EXPECT_THAT(out(), HasSubstr("site.yaml: correct, 1 kind, 1 file"));
  EXPECT_THAT(out(), HasSubstr("site.yaml:4: `/etc/acme/*` has a wildcard in its last part"));
  out_.str("");
  options_.output = "json";
  EXPECT_EQ(run_catalog_check(options_, world_), kOk);
  EXPECT_EQ(json::parse(out()).at("rows").at(0).at("correct"), true);
  options_.words = {directory_.file("none.yaml")};
  EXPECT_EQ(run_catalog_check(options_, world_), kUsage);
}

TEST_F(CommandsTest, ConfigCheckSaysWhereItIsWrong) {
  const std::string path = directory_.file("c.yaml");
  std::ofstream(path) << "history: {max_bm: 3}\n";
  options_.words = {path};
  EXPECT_EQ(run_config_check(options_, world_), kNo);
  EXPECT_THAT(err(), HasSubstr(":1: history.max_bm: unknown key; did you mean history.max_mb?"));
  std::ofstream(path) << "history: {max_mb: 30}\n";
  EXPECT_EQ(run_config_check(options_, world_), kOk);
  options_.config = path;
  EXPECT_EQ(run_config_show(options_, world_), kOk);
  EXPECT_THAT(out(), HasSubstr("max_mb: 30"));
  options_.config.clear();
  options_.words = {path + ".nosuch"};
  EXPECT_EQ(run_config_check(options_, world_), kUsage);
}

}  // namespace
}  // namespace keytrail::cli
