// SPDX-License-Identifier: Apache-2.0
// What people read: golden texts of the answers.
#include "agent/cli/render.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <sstream>

#include "agent/cli/names.h"
#include "agent/cli/table.h"
#include "agent/cli/terminal.h"
#include "agent/cli/words.h"
#include "agent/serve/api.h"
#include "agent/serve/row_json.h"
#include "tests/unit/cli/rendered.h"

namespace keytrail::cli {
namespace {

using namespace serve::testing;
using ::testing::HasSubstr;
using ::testing::Not;
namespace json = boost::json;

/// Is there a property of this name anywhere below?
bool has_property(const json::value& value, std::string_view name) {
  if (const json::array* list = value.if_array())
    return std::ranges::any_of(*list, [&](const json::value& item) { return has_property(item, name); });
  if (!value.is_object()) return false;
  const json::value* properties = value.get_object().if_contains("properties");
  if (properties != nullptr && properties->is_object() && properties->get_object().contains(name)) return true;
  return std::ranges::any_of(value.get_object(), [&](const auto& part) { return has_property(part.value(), name); });
}

TEST(Names, ThoseOfTheEnvelopeAndTheStateAreInTheDescriptionOfTheApi) {
  const json::value description = json::parse(serve::openapi_json());
  for (const std::string_view name : kOtherNames) {
    if (name != "missed") EXPECT_TRUE(has_property(description, name)) << name;  // of the stream, which has no schema
  }
}

TEST_F(RenderTest, UsesAsATable) {
  history_.edge_list.push_back({make_use(), 2, {{8121, 5000, 2}, {8200, 6000, 2}}, false});
  UseRow other = make_use();
  other.keys.clear();
  other.evidence = Evidence::kUnattributed;
  other.reason = Reason::kNoKeySeen;
  other.reason_detail = "";
  other.destination = {"", "", "", "api.example.com", "10.0.0.9", 443, "", NameSource::kSni, false};
  other.outcome = Outcome::kRefused;
  other.first_ns = other.last_ns = kNoon + kSecond;
  other.connections = 1;
  other.requests = 3;
  history_.edge_list.push_back({other, 3, {{8121, 5000, 2}}, false});
  EXPECT_EQ(render_uses(ask("/v1/uses"), quiet()),
            "In all rows: WORKLOAD payments/api\n"
            "FIRST (UTC)          LAST (UTC)           COUNT  PROCESS           KEY                   CALLED           "
            "    RESULT   EVIDENCE      WHY\n"
            "2025-11-21 12:00:01  2025-11-21 12:00:01      3  python3[8121]     ?                     "
            "api.example.com:443  refused  unattributed  no key was seen crossing into it\n"
            "2025-11-21 12:00:00  2025-11-21 12:01:00  1,234  python3[8200] +1  AKIAIOSFODNN7EXAMPLE  s3:? eu-west-1   "
            "    ?        inferred      profile prod\n"
            "? = not visible: the request was not readable, or the key did not cross a watched boundary.\n"
            "COUNT = connections where requests are not visible.\n");
}

TEST_F(RenderTest, AUseOfWhichOnlyEarlierCallsWentOnHasNoCount) {
  history_.edge_list.push_back({make_use(), 2, {{8121, 5000, 2}}, false});
  UseRow later = make_use();
  later.connections = 0;
  history_.edge_list.push_back({later, 3, {{8121, 5000, 2}}, false});
  const std::string out = render_uses(ask("/v1/uses"), quiet());
  EXPECT_THAT(out, HasSubstr("\n    -\n")) << out;
  EXPECT_THAT(out, HasSubstr("COUNT - = no call of this time: what earlier ones still sent or received.\n"));
  history_.edge_list.erase(history_.edge_list.begin());
  EXPECT_THAT(render_uses(ask("/v1/uses"), quiet()), Not(HasSubstr("COUNT = connections")));
}

TEST_F(RenderTest, CandidatesAreCountedAndTheOneAskedForIsShown) {
  UseRow use = make_use();
  for (int i = 0; i < 30; ++i)
    use.keys.push_back({make_key("AKIAOTHER" + std::to_string(i)), make_slot(), Reason::kSeveralKeys});
  const json::object row = serve::to_json(make_row(1, use));
  EXPECT_EQ(key_words(row), "AKIAIOSFODNN7EXAMPLE +30");
  EXPECT_EQ(key_words(row, "AKIAOTHER7"), "AKIAOTHER7 +30");
}

TEST_F(RenderTest, AnswersFitTheTerminalAndKeepKeysWhole) {
  UseRow use = make_use();
  use.reason_detail = "the program was told to take another entry of the file than the one that fits";
  history_.edge_list.push_back({use, 2, {{8121, 5000, 2}}, false});
  use.actor.workload.name = "a-namespace/with-a-long-name-that-goes-on";
  use.destination.region = "us-east-1";
  history_.edge_list.push_back({use, 3, {{8122, 5000, 2}}, false});
  for (const std::size_t width : {80U, 120U, 160U}) {
    View view = quiet();
    view.width = width;
    const std::string text = render_uses(ask("/v1/uses"), view);
    EXPECT_THAT(text, HasSubstr("AKIAIOSFODNN7EXAMPLE"));
    std::istringstream lines(for_terminal(text, width, false));
    for (std::string line; std::getline(lines, line);)
      EXPECT_LE(display_width(line), width) << line;
  }
}

TEST_F(RenderTest, ADestinationWithoutARegionReadsByProviderAndHost) {
  UseRow use = make_use();
  use.destination = {"github", "vcs", "global", "api.github.com", "140.82.121.6", 443, "", NameSource::kSni, false};
  EXPECT_EQ(called_words(serve::to_json(make_row(1, use)).at("destination").as_object()), "github api.github.com");
  use.destination.action = "GET /user";
  EXPECT_EQ(called_words(serve::to_json(make_row(1, use)).at("destination").as_object()),
            "vcs:GET /user api.github.com");
}

TEST_F(RenderTest, AClaimedNameIsShownWithItsAddress) {
  UseRow use = make_use();
  const auto words = [&] { return called_words(serve::to_json(make_row(1, use)).at("destination").as_object()); };
  use.destination = {"github", "vcs", "global", "api.github.com", "203.0.113.9", 443, "", NameSource::kSni, true, true};
  EXPECT_EQ(words(), "github api.github.com (claimed at 203.0.113.9)");
  use.destination.name_source = NameSource::kConnectProxy;
  EXPECT_EQ(words(), "github api.github.com (claimed to the proxy 203.0.113.9)");
  use.destination = {"", "", "", "nobody.test", "203.0.113.9", 443, "", NameSource::kSni, false, true};
  EXPECT_EQ(words(), "nobody.test:443 (claimed at 203.0.113.9)");
  use.destination.claimed = false;
  EXPECT_EQ(words(), "nobody.test:443");
}

TEST_F(RenderTest, CopiesSayWhereSinceWhenAndWhoReadThem) {
  KeyPlace env{make_key(), {From::kEnvironment, "AWS_ACCESS_KEY_ID", ""}, kNoon, kNoon, make_actor()};
  KeyPlace file{make_key(),          make_slot(), kNoon, kNoon + 60 * kSecond, make_actor(977), "AKIAI44QH8DHBEXAMPLE",
                kNoon + 90 * kSecond};
  history_.place_list = {env, file};
  view_.key = kKeyId;
  const std::string text = render_copies(ask(std::string("/v1/places?key=") + kKeyId), view_);
  EXPECT_THAT(text, HasSubstr("2 places: 1 as last read, 1 overwritten\nIn all rows: NODE node-1 · "));
  EXPECT_THAT(text, HasSubstr("env AWS_ACCESS_KEY_ID"));
  EXPECT_THAT(text, HasSubstr("at start             python3[8121] payments/api"));
  EXPECT_THAT(text, HasSubstr("2025-11-21 12:01:00  python3[977] payments/api"));
  EXPECT_THAT(text, HasSubstr("AKIAI44QH8DHBEXAMPLE since 2025-11-21 12:01:30"));
}

TEST_F(RenderTest, ReadersSayWhoTookItWhereFromWhenAndHowOften) {
  KeyReader app{.actor = make_actor(),
                .key = make_key(),
                .slot = make_slot(),
                .baseline = true,
                .first_ns = kNoon,
                .last_ns = kNoon + 90 * kSecond,
                .count = 1234,
                .instances = {make_actor(7).id, make_actor().id}};
  KeyReader person = app;
  person.actor = make_actor(31337);
  person.actor.exe = "/usr/bin/cat";
  person.actor.program = "cat";
  person.actor.login_user = "alice";
  person.actor.session = "login 17";
  person.actor.workload.name = "person: alice";
  person.baseline = false;
  person.first_ns = person.last_ns = kNoon + 60 * kSecond;
  person.count = 1;
  person.instances = {person.actor.id};
  person.earlier_sessions = true;
  history_.reader_list = {app, person};
  view_.key = kKeyId;
  const std::string target = std::string("/v1/readers?key=") + kKeyId;
  const std::string text = render_readers(ask(target), view_);
  EXPECT_THAT(text, HasSubstr("2 readers, taken 1,235 times"));
  EXPECT_THAT(text, HasSubstr("FIRST (UTC)"));
  EXPECT_THAT(text, HasSubstr("≤ 2025-11-21 12:00:00  2025-11-21 12:01:30  1,234  payments/api   python3[8121] +1"));
  EXPECT_THAT(text, HasSubstr("2025-11-21 12:01:00      1  person: alice  cat[31337]        alice→root  "
                              "login 17 and earlier"));
  EXPECT_LT(text.find("alice"), text.find("payments/api")) << "the newest is next to the prompt";
  EXPECT_THAT(text, HasSubstr("FROM file /root/.aws/credentials [prod]"));
  EXPECT_THAT(text, Not(HasSubstr("audit log")));
  view_.wide = true;
  EXPECT_THAT(render_readers(ask(target), view_), HasSubstr("/usr/bin/cat"));
  history_.reader_list[1].actor.session = "exec";
  EXPECT_THAT(render_readers(ask(target), view_),
              HasSubstr("person not visible on the node; the API server's audit log at "));
  history_.reader_list.clear();
  EXPECT_THAT(render_readers(ask(target), view_),
              HasSubstr(std::string("Never seen on node-1: no process held or used ") + kKeyId));
  history_.key_list = {{.key = make_key()}};
  EXPECT_THAT(render_readers(ask(target), view_), HasSubstr(std::string("No acquisition of ") + kKeyId + " seen "));
}

TEST_F(RenderTest, EncryptionKeysHaveTheirOwnLists) {
  KeySummary access{
      make_key(), kNoon, {make_slot()}, {"payments/api"}, 2, kNoon + 60 * kSecond, {"aws / s3 / eu-west-1"}, "", 0};
  KeySummary tls = access;
  tls.key.id = "fp:91be03aa5c7742d0a1b2c3d4e5f60718";
  tls.key.key_class = KeyClass::kEncryptionKey;
  tls.last_use_ns = 0;
  tls.used_for.clear();
  tls.slots = {{From::kFile, "/tls/tls.key", ""}};
  history_.key_list = {tls, access};
  const std::string text = render_keys(ask("/v1/keys"), quiet());
  EXPECT_LT(text.find("ACCESS KEYS"), text.find("AKIAIOSFODNN7EXAMPLE"));
  EXPECT_LT(text.find("AKIAIOSFODNN7EXAMPLE"), text.find("ENCRYPTION KEYS"));
  EXPECT_LT(text.find("ENCRYPTION KEYS"), text.find("fp:91be03aa5c7742d0a1b2c3d4e5f60718"));
  EXPECT_THAT(text, HasSubstr("long-lived  ≥ 2 min"));
  EXPECT_THAT(text, HasSubstr("never"));
}

TEST_F(RenderTest, AnEmptyAnswerSaysWhatWasLookedAt) {
  EXPECT_THAT(render_uses(ask("/v1/uses"), view_), HasSubstr("No use seen 2025-11-21 12:00:00Z to "));
  view_.key = kKeyId;
  EXPECT_THAT(render_keys(ask("/v1/keys"), view_), HasSubstr("no process held or used AKIAIOSFODNN7EXAMPLE"));
  EXPECT_THAT(render_findings(ask("/v1/findings"), view_), HasSubstr("No open findings"));
  EXPECT_THAT(render_workloads(ask("/v1/workloads"), view_), HasSubstr("No workload"));
}

TEST_F(RenderTest, WideShowsServiceAccountAndCiJobBesideTheName) {
  history_.workload_list.push_back({.workload = make_actor().workload, .ids = {"pod:u/c"}, .ids_total = 1});
  view_.wide = true;
  const std::string text = render_workloads(ask("/v1/workloads"), view_);
  for (const char* part : {"payments/api", "token", "SERVICE ACCOUNT", "acme/shop #1", "pod:u/c"})
    EXPECT_THAT(text, HasSubstr(part));
}

TEST_F(RenderTest, PlacesOfUseReadByServiceAndRegion) {
  EXPECT_EQ(used_for_words("aws / s3 / eu-west-1"), "s3 eu-west-1");
  EXPECT_EQ(used_for_words("github / vcs / global"), "github vcs");
  EXPECT_EQ(used_for_words("stripe / stripe / global"), "stripe");
  EXPECT_EQ(used_for_words("api.example.com"), "api.example.com");
}

TEST_F(RenderTest, FindingsAreCounted) {
  FindingRow finding;
  finding.type = "old_key_in_use";
  finding.text = "an old key is in use";
  finding.actor = make_actor();
  finding.key = make_key();
  finding.attack = {"T1552.001", "T1078.004"};
  history_.stored = {make_row(1, finding)};
  finding.state = FindingState::kResolved;
  history_.stored.push_back(make_row(2, finding, kNoon + kSecond));
  EXPECT_EQ(render_findings(ask("/v1/findings"), quiet()),
            "LAST (UTC)           SEV  TYPE            KEY                   WORKLOAD      COUNT  ATT&CK               "
            " STATE     WHAT\n"
            "2025-11-21 12:00:01  med  old_key_in_use  AKIAIOSFODNN7EXAMPLE  payments/api      2  T1552.001, T1078.004 "
            " resolved  an old "
            "key is in use\n");
}

TEST_F(RenderTest, FindingsOfEncryptionKeysStandApart) {
  FindingRow finding;
  finding.type = "old_key_in_use";
  finding.actor = make_actor();
  finding.key = make_key("fp:tls");
  finding.key.key_class = KeyClass::kEncryptionKey;
  FindingRow access = finding;
  access.key = make_key();
  history_.stored = {make_row(1, finding), make_row(2, access, kNoon + kSecond)};
  const std::string text = render_findings(ask("/v1/findings"), quiet());
  EXPECT_THAT(text,
              ::testing::MatchesRegex("LAST[^!]*AKIAIOSFODNN7EXAMPLE[^!]*\nENCRYPTION KEYS\nLAST[^!]*fp:tls[^!]*"));
  history_.stored = {make_row(1, finding)};
  EXPECT_THAT(render_findings(ask("/v1/findings"), quiet()), ::testing::StartsWith("ENCRYPTION KEYS\n"));
}

TEST_F(RenderTest, UnreadFilesAreNeverPartOfWhatWasLost) {
  json::object answer = ask("/v1/uses");
  answer["coverage"].as_object() = {{"scope", "node-1"},
                                    {"gaps", json::array()},
                                    {"gaps_total", 12},
                                    {"lost", 105},
                                    {"files_unread", {{"gone", 100}}}};
  EXPECT_THAT(coverage_text(answer, view_), HasSubstr("100 key files not read (gone) · 12 gaps, 5 lost"));
}

TEST_F(RenderTest, CoverageLineNamesGapsAndIsHonest) {
  GapRow gap;
  gap.cause = "ring_full";
  gap.family = "open";
  gap.from_ns = kNoon;
  gap.to_ns = kNoon + 38 * kSecond;
  gap.text = "The ring was full.";
  history_.stored = {make_row(1, gap)};
  const std::string text = coverage_text(ask("/v1/uses"), view_);
  EXPECT_THAT(text, HasSubstr("! GAP 2025-11-21 12:00:00 to 2025-11-21 12:00:38 ring_full (open): an unknown number "
                              "lost. The ring was full.\n"));
  EXPECT_THAT(text, HasSubstr("Coverage: node node-1 · 2025-11-21 12:00:00Z to "));
  EXPECT_THAT(text, HasSubstr("not armed: request"));
  EXPECT_THAT(text, HasSubstr(" · 1 gap, an unknown number lost · INCOMPLETE\n"));
}

TEST_F(RenderTest, StatusShowsThreeLinesOfAccounting) {
  history_.state_now.exporters["siem"] = {10, 5, 1, 2, 2};
  status_.now.exporters.push_back({.name = "siem",
                                   .endpoint = "http://collector:4318",
                                   .state = "retrying: 503",
                                   .last_error = "/v1/logs will be tried again: 503",
                                   .last_error_ns = kNoon + 118 * kSecond,
                                   .retries = 4,
                                   .lag_ns = 3'200'000'000});
  status_.now.roles.push_back({"examiner", 77, 1, "killed by signal 9"});
  status_.now.remarks.push_back("no seccomp");
  const std::string text = render_status(ask("/v1/status"), view_);
  EXPECT_THAT(text, HasSubstr("kernel: hits 500 = filtered 450 + sent 40 + lost 10 · difference 0\n"));
  EXPECT_THAT(text, HasSubstr("worker: sent 40 = recorded 30 + absorbed 9 + dropped 1 + in flight 0 · "
                              "difference 0\n"));
  EXPECT_THAT(text, HasSubstr("export siem http://collector:4318: retrying: 503 · lag 4 s · rows 10 = "
                              "acknowledged 5 + "
                              "rejected 1 + expired 2 + waiting 2 · difference 0\n"));
  EXPECT_THAT(text, HasSubstr("  last error 2 s ago: /v1/logs will be tried again: 503 · 4 sent again · last "
                              "accepted never since start\n"));
  EXPECT_THAT(text, HasSubstr("examiner[77] 1 restart (killed by signal 9)"));
  EXPECT_THAT(text, HasSubstr("! no seccomp"));
  EXPECT_THAT(text, HasSubstr("following: 1,312 processes · 120 workloads · 45 connections · "));
  EXPECT_THAT(text, Not(HasSubstr("limits met")));
}

TEST_F(RenderTest, StatusSaysWhatWasTurnedAwayAndWhatThatCosts) {
  status_.now.tracking["files_forgotten"] = 12;
  status_.now.tracking["entries_unparsed"] = 3;
  EXPECT_THAT(
      render_status(ask("/v1/status"), view_),
      HasSubstr(
          "limits met since the worker started:\n  3 entries of key files not understood: their keys are unknown\n"
          "  12 known key files forgotten: their next rotation is not noticed\n"));
}

TEST_F(RenderTest, AFilesUsualReaderIsSaid) {
  AcquisitionRow row = make_acquisition();
  EXPECT_THAT(watch_line(serve::to_json(make_row(1, row)), view_), HasSubstr("  read             AKIA"));
  row.slot = {From::kFile, "/etc/shadow", ""};
  row.actor.exe = "/usr/bin/perl";
  row.actor.program = "adduser";
  EXPECT_THAT(watch_line(serve::to_json(make_row(1, row)), view_), HasSubstr("  read (usual)     AKIA"));
  row.actor.program = "x.pl";
  EXPECT_THAT(watch_line(serve::to_json(make_row(1, row)), view_), HasSubstr("  read             AKIA"));
}

TEST_F(RenderTest, ExplainListsKeysAndAcquisitions) {
  history_.stored = {make_row(1, make_acquisition()), make_row(2, make_use())};
  const std::string text = render_explain(ask("/v1/explain/2"), view_);
  EXPECT_THAT(text, HasSubstr("inferred: python3[8121] called s3:? eu-west-1 1,234×; profile prod\n"));
  EXPECT_THAT(text, HasSubstr("key AKIAIOSFODNN7EXAMPLE"));
  EXPECT_THAT(text, HasSubstr("host: s3.eu-west-1.amazonaws.com 10.9.0.5, name by sni"));
  EXPECT_THAT(text, HasSubstr("address: a private address: a private endpoint of aws, a proxy, or somebody else "
                              "(a hint, no proof)\n"));
  EXPECT_THAT(text, HasSubstr("read             AKIAIOSFODNN7EXAMPLE  from file /root/.aws/credentials [prod]"));
}

TEST_F(RenderTest, WatchLinesUseTheVerbOfTheEvidence) {
  UseRow use = make_use();
  EXPECT_EQ(watch_line(serve::to_json(make_row(1, use)), view_),
            "2025-11-21 12:00:00  payments/api              python3[8121]       used (inferred)  AKIAIOSFODNN7EXAMPLE  "
            "→ s3:? eu-west-1 "
            "×1,234  (profile prod)");
  use.evidence = Evidence::kPossible;
  use.keys.push_back({make_key("AKIAI44QH8DHBEXAMPLE"), make_slot(), Reason::kSeveralKeys});
  use.reason = Reason::kSeveralKeys;
  use.reason_detail = "";
  EXPECT_THAT(watch_line(serve::to_json(make_row(1, use)), view_),
              HasSubstr("may have used    AKIAIOSFODNN7EXAMPLE +1  →"));
  AcquisitionRow unread = make_acquisition();
  unread.key = {};
  unread.unread = "gone";
  EXPECT_THAT(watch_line(serve::to_json(make_row(1, unread)), view_),
              HasSubstr("read             ? (gone)  from file"));
  GapRow gap;
  gap.cause = "ring_full";
  gap.lost = 1234;
  EXPECT_EQ(watch_line(serve::to_json(make_row(1, gap)), view_), "2025-11-21 12:00:00  ! GAP ring_full: 1,234 lost. ");
}

TEST_F(RenderTest, TextFromOutsideCannotDriveTheTerminal) {
  UseRow use = make_use();
  use.actor.program = "x\x1b[2J";
  use.actor.workload.name = "pay\nments";
  use.destination.service = "";
  use.destination.host = "\x1b]0;owned\a";
  history_.edge_list.push_back({use, 2, {{1, 2, 3}}, false});
  json::object answer = ask("/v1/uses");
  // An agent that is not ours might send raw bytes.
  json::object& row = answer.at("rows").as_array().at(0).as_object();
  row["reason_detail"] = "\x1b[31m";
  const std::string table = render_uses(answer, view_);
  row["type"] = "use";
  for (const std::string& text : {table, watch_line(row, view_)}) {
    EXPECT_THAT(text, Not(HasSubstr("\x1b")));
    EXPECT_THAT(text, Not(HasSubstr("\a")));
    EXPECT_THAT(text, HasSubstr("pay\\x0aments"));
  }
}

}  // namespace
}  // namespace keytrail::cli
