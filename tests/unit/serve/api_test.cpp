// SPDX-License-Identifier: Apache-2.0
// Questions and answers without a socket: parameters, refusals, coverage, accounting.
#include "agent/serve/api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <chrono>

#include "agent/serve/watch_hub.h"
#include "tests/unit/serve/fake_agent.h"

namespace keytrail::serve {
namespace {

using namespace testing;
using ::testing::HasSubstr;
using ::testing::Not;
namespace json = boost::json;

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

class ApiTest : public ::testing::Test {
 protected:
  ApiTest() : api_(history_, status_, catalog::Catalog::builtin(), 1000) {
    history_.stored = {make_row(1, make_acquisition()), make_row(2, make_use(), kNoon + kSecond)};
    history_.edge_list.push_back({make_use(), 2, {{8121, 5000, 2}}, false});
    history_.state_now.oldest_ns = kNoon;
  }
  json::object get(const std::string& target, unsigned status = 200) {
    const ApiAnswer answer = api_.handle("GET", target);
    EXPECT_EQ(answer.status, status) << target << answer.body;
    return json::parse(answer.body).as_object();
  }
  std::string refused(const std::string& target, unsigned status) {
    return std::string(get(target, status).at("error").at("message").as_string());
  }

  FakeHistory history_;
  FakeStatus status_;
  Api api_;
};

TEST_F(ApiTest, EveryAnswerHasTheEnvelope) {
  for (const char* path : {"/v1/rows", "/v1/uses", "/v1/keys", "/v1/holders", "/v1/workloads", "/v1/findings",
                           "/v1/status", "/v1/doctor", "/v1/explain/2"}) {
    const json::object answer = get(path);
    for (const char* name : {"schema", "asked", "rows", "coverage", "complete", "cursor"})
      EXPECT_TRUE(answer.contains(name)) << path << " " << name;
    EXPECT_EQ(answer.at("coverage").at("scope").as_string(), "node-1");
  }
}

TEST_F(ApiTest, RowsAreFilteredAndPaged) {
  EXPECT_EQ(get("/v1/rows").at("rows").as_array().size(), 2U);
  EXPECT_EQ(get("/v1/rows?kinds=use").at("rows").as_array().size(), 1U);
  EXPECT_EQ(get("/v1/rows?key=AKIAIOSFODNN7EXAMPLE&workload=payments/*").at("rows").as_array().size(), 2U);
  EXPECT_EQ(get("/v1/rows?pid=1").at("rows").as_array().size(), 0U);
  const json::object first = get("/v1/rows?limit=1");
  EXPECT_EQ(first.at("cursor").as_string(), "1");
  const json::object second = get("/v1/rows?limit=1&after=1");
  EXPECT_TRUE(second.at("cursor").is_null());
  EXPECT_EQ(second.at("rows").as_array().at(0).at("seq").as_int64(), 2);
}

TEST_F(ApiTest, ASecretIsRefusedWhereverItStands) {
  const std::string secret = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl";
  for (const char* name : {"workload", "host", "kind", "finding_type", "after", "nonsense"}) {
    const ApiAnswer answer = api_.handle("GET", std::string("/v1/workloads?") + name + "=" + secret);
    EXPECT_EQ(answer.status, 400U) << name;
    EXPECT_THAT(answer.body, Not(HasSubstr(secret)));
    EXPECT_THAT(answer.for_log, Not(HasSubstr(secret)));
  }
}

TEST_F(ApiTest, ALimitOverTheConfiguredPageGivesAPageAndACursor) {
  Api small(history_, status_, catalog::Catalog::builtin(), 1);
  const json::object answer = json::parse(small.handle("GET", "/v1/rows?limit=10000").body).as_object();
  EXPECT_EQ(answer.at("rows").as_array().size(), 1U);
  EXPECT_EQ(answer.at("cursor").as_string(), "1");
}

TEST_F(ApiTest, ListsWithoutPagesSayHowManyWereCutOff) {
  history_.key_list.resize(5);
  EXPECT_EQ(get("/v1/keys?limit=2").at("rows").as_array().size(), 2U);
  EXPECT_EQ(get("/v1/keys?limit=2").at("more").as_int64(), 3);
}

TEST_F(ApiTest, CompleteOnlyWhenNothingCanBeMissing) {
  EXPECT_TRUE(get("/v1/uses").at("complete").as_bool());
  EXPECT_FALSE(get("/v1/uses?since=2025-11-20T00:00:00Z").at("complete").as_bool())
      << "asked for more than the history has";
  GapRow gap;
  gap.cause = "ring_full";
  gap.from_ns = gap.to_ns = kNoon + kSecond;
  gap.lost = 0;
  history_.stored.push_back(make_row(3, gap));
  EXPECT_TRUE(get("/v1/uses").at("complete").as_bool()) << "a gap that the counters prove empty";
  gap.lost = 5;
  history_.stored.push_back(make_row(4, gap));
  const json::object answer = get("/v1/uses");
  EXPECT_FALSE(answer.at("complete").as_bool());
  EXPECT_EQ(answer.at("coverage").at("lost").as_int64(), 5);
  EXPECT_EQ(answer.at("coverage").at("gaps").as_array().size(), 2U);
  EXPECT_TRUE(get("/v1/uses?since=2025-11-21T12:10:00Z").at("complete").as_bool())
      << "the gap is before the asked period";
  gap.lost.reset();
  history_.stored.push_back(make_row(5, gap));
  EXPECT_TRUE(get("/v1/uses").at("coverage").at("lost").is_null());
}

TEST_F(ApiTest, AnUnarmedOrSilentFamilyIsNotComplete) {
  status_.now.families[1].silent = true;
  const json::object answer = get("/v1/uses");
  EXPECT_FALSE(answer.at("complete").as_bool());
  EXPECT_EQ(answer.at("coverage").at("not_armed").as_array().at(0).as_string(), "open");
}

TEST_F(ApiTest, AFallbackIsNamedWithWhatItDoesNotSee) {
  EXPECT_TRUE(get("/v1/uses").at("coverage").at("fallbacks").as_array().empty());
  status_.now.families[1].hook.refused = {{"fentry security_file_open", "trampolines are refused"}};
  status_.now.families[1].hook.missing = "opens through io_uring";
  EXPECT_TRUE(get("/v1/uses").at("coverage").at("fallbacks").as_array().empty()) << "one that sees as much is no limit";
  status_.now.families[1].hook.sees_less = true;
  const json::array fallbacks = get("/v1/uses").at("coverage").at("fallbacks").as_array();
  ASSERT_EQ(fallbacks.size(), 1U);
  EXPECT_EQ(fallbacks[0].at("family").as_string(), "open");
  EXPECT_EQ(fallbacks[0].at("missing").as_string(), "opens through io_uring");
}

TEST_F(ApiTest, StatusShowsTheAccountingWithItsDifferences) {
  const json::object status = get("/v1/status").at("rows").as_array().at(0).as_object();
  const json::object& accounting = status.at("accounting").as_object();
  EXPECT_EQ(accounting.at("kernel").at("difference").as_int64(), 0);
  EXPECT_EQ(accounting.at("worker").at("difference").as_int64(), 0);
  status_.now.worker.absorbed -= 1;  // one increment is skipped somewhere
  EXPECT_EQ(get("/v1/status").at("rows").as_array().at(0).at("accounting").at("worker").at("difference").as_int64(), 1);
  history_.state_now.exporters["siem"] = {10, 5, 1, 1, 2};
  EXPECT_EQ(get("/v1/status")
                .at("rows")
                .as_array()
                .at(0)
                .at("accounting")
                .at("exporters")
                .as_array()
                .at(0)
                .at("difference")
                .as_int64(),
            1);
}

TEST_F(ApiTest, WordsAndIdsAreTakenInAnyLetters) {
  EXPECT_EQ(get("/v1/uses?service=S3&provider=AWS").at("rows").as_array().size(), 1U);
  EXPECT_EQ(get("/v1/uses?evidence=Inferred").at("rows").as_array().size(), 1U);
  EXPECT_EQ(get("/v1/uses?key=%20akiaiosfodnn7example").at("rows").as_array().size(), 1U);
}

TEST_F(ApiTest, AWordThatNothingKnowsIsRefusedWithTheNearest) {
  for (const auto& [target, meant] : {std::pair{"/v1/uses?provider=awz", "aws"},
                                      {"/v1/uses?service=s33", "s3"},
                                      {"/v1/keys?kind=aws.acess_key", "aws.access_key"},
                                      {"/v1/watch?service=s33", "s3"}}) {
    EXPECT_THAT(refused(target, 400), HasSubstr("did you mean"));
    EXPECT_THAT(refused(target, 400), HasSubstr(meant)) << target;
  }
  const std::string_view types[] = {"old_key_in_use"};
  Api api(history_, status_, catalog::Catalog::builtin(), 1000, types);
  EXPECT_THAT(api.handle("GET", "/v1/findings?finding_type=old_key").body, HasSubstr("did you mean old_key_in_use?"));
  EXPECT_EQ(api.handle("GET", "/v1/findings?finding_type=OLD_key_in_use").status, 200U);
}

TEST_F(ApiTest, AWordThatWasSeenIsKnownWhateverTheCatalogSays) {
  history_.edge_list[0].use.destination.service = "brand-new";
  EXPECT_EQ(get("/v1/uses?service=brand-new").at("rows").as_array().size(), 1U);
  EXPECT_EQ(get("/v1/uses?service=brand-new&workload=nobody").at("rows").as_array().size(), 0U);
}

TEST_F(ApiTest, TheBeginningOfAKeyIdSuggestsAndAWrongShapeIsSaid) {
  history_.key_list = {{.key = make_key()}, {.key = make_key("AKIAIOSFAAAAAEXAMPLE")}};
  EXPECT_THAT(refused("/v1/uses?key=AKIAIOSFO", 400), HasSubstr("did you mean AKIAIOSFODNN7EXAMPLE?"));
  EXPECT_THAT(refused("/v1/holders?key=akiaiosf", 400),
              HasSubstr("did you mean AKIAIOSFODNN7EXAMPLE, AKIAIOSFAAAAAEXAMPLE?"));
  EXPECT_THAT(refused("/v1/keys?key=AKIAQQQQ", 400), HasSubstr("has 20 characters, and this has 8"));
  EXPECT_THAT(refused("/v1/keys?key=fp:12", 400), HasSubstr("32 hexadecimal digits"));
  EXPECT_TRUE(get("/v1/keys?key=AKIAQQQQQQQQQEXAMPLE").at("rows").as_array().empty()) << "whole, and never seen";
  const auto held_by_nobody = get("/v1/holders?key=AKIAIOSFAAAAAEXAMPLE");
  EXPECT_TRUE(held_by_nobody.at("rows").as_array().empty());
  EXPECT_TRUE(held_by_nobody.at("key_known").as_bool());
  for (const char* list : {"/v1/holders", "/v1/places", "/v1/readers"})
    EXPECT_FALSE(get(std::string(list) + "?key=AKIAQQQQQQQQQEXAMPLE").at("key_known").as_bool()) << list;
  EXPECT_FALSE(get("/v1/holders").contains("key_known")) << "no key was asked for";
}

constexpr char kNewKey[] = "AKIAI44QH8DHBEXAMPLE";

class RotationTest : public ApiTest {
 protected:
  RotationTest() {
    history_.edge_list.clear();
    for (const char* id : {kKeyId, kNewKey})
      history_.key_list.push_back({.key = make_key(id)});
  }
  void hold(std::uint32_t pid, const char* key, Slot slot = make_slot(), bool slot_changed = false) {
    history_.holding_list.push_back(
        {make_actor(pid), make_key(key), std::move(slot), kNoon, 0, How::kDirect, slot_changed});
  }
  void use(const char* key, std::uint64_t calls, Outcome outcome, std::int64_t last_ns) {
    UseRow row = make_use();
    row.keys[0].key = make_key(key);
    row.connections = calls;
    row.outcome = outcome;
    row.last_ns = last_ns;
    history_.edge_list.push_back({row, 1, {}, false});
  }
  json::object row() {
    return get(std::string("/v1/rotation?old=") + kKeyId + "&new=" + kNewKey).at("rows").as_array().at(0).as_object();
  }
};

TEST_F(RotationTest, IsDoneOnlyWhenNobodyHoldsTheOldKeyAndTheCoverageIsFull) {
  hold(1, kNewKey);
  EXPECT_EQ(row().at("state").as_string(), "done");
  hold(2, kKeyId);
  EXPECT_EQ(row().at("state").as_string(), "not_done");
  history_.holding_list.pop_back();
  status_.now.families[0].hook.chosen = "";
  EXPECT_EQ(row().at("state").as_string(), "cannot_tell");
}

TEST_F(RotationTest, AProcessThatWasNotSeenWholeAndCallsSomebodyLeavesItOpen) {
  hold(1, kNewKey);
  UnseenLives lives;
  lives.callers = {{make_actor(412), Reason::kExecNotSeen, {}},
                   {make_actor(413), Reason::kUnidentifiedFile, {"npm.token"}},
                   {make_actor(414), Reason::kUnidentifiedFile, {"npm.token", "aws.access_key"}}};
  status_.lives = std::make_shared<UnseenLives>(lives);
  json::object got = row();
  EXPECT_EQ(got.at("state").as_string(), "cannot_tell");
  EXPECT_FALSE(get(std::string("/v1/rotation?old=") + kKeyId + "&new=" + kNewKey).at("complete").as_bool());
  const json::object others = got.at("cannot_tell").as_object();
  ASSERT_EQ(others.at("processes").as_array().size(), 2U) << "what may be missing of 413 is no AWS key";
  EXPECT_EQ(others.at("processes").at(0).at("actor").at("pid").as_int64(), 412);
  EXPECT_EQ(others.at("processes").at(0).at("why").as_string(), "older than the agent, or its start was not seen");
  EXPECT_EQ(others.at("processes").at(0).at("to_move").as_string(), "restart the pod payments/api");
  hold(412, kKeyId);
  lives.callers.pop_back();
  status_.lives = std::make_shared<UnseenLives>(lives);
  got = row();
  EXPECT_EQ(got.at("state").as_string(), "not_done");
  EXPECT_TRUE(got.at("cannot_tell").at("processes").as_array().empty()) << "whoever is known to hold it is no question";
  lives.callers.clear();
  history_.holding_list.pop_back();
  status_.lives = std::make_shared<UnseenLives>(lives);
  EXPECT_EQ(row().at("state").as_string(), "done");
  status_.lives = nullptr;
  got = row();
  EXPECT_EQ(got.at("state").as_string(), "cannot_tell") << "the agent has not looked at all that live";
  EXPECT_TRUE(got.at("cannot_tell").at("quiet").is_null());
}

TEST_F(RotationTest, AProcessThatWasNotSeenWholeMayHoldItThoughItConnectedToNobody) {
  hold(1, kNewKey);
  UnseenLives lives;
  lives.quiet = {{"sleeper", "batch.service", {}, 2}, {"npm", "host", {"npm.token"}, 3}};
  status_.lives = std::make_shared<UnseenLives>(lives);
  json::object got = row();
  EXPECT_EQ(got.at("state").as_string(), "cannot_tell");
  EXPECT_EQ(got.at("cannot_tell").at("quiet").to_number<int>(), 2) << "what may be missing of npm is no AWS key";
  EXPECT_EQ(got.at("cannot_tell").at("quiet_programs").at(0).at("program").as_string(), "sleeper");
  const std::string holders = std::string("/v1/holders?key=") + kKeyId;
  EXPECT_FALSE(get(holders).at("complete").as_bool());
  EXPECT_TRUE(get(holders + "&quiet=false").at("complete").as_bool());
  const std::string rotation = std::string("/v1/rotation?quiet=false&old=") + kKeyId + "&new=" + kNewKey;
  got = get(rotation).at("rows").at(0).as_object();
  EXPECT_EQ(got.at("state").as_string(), "done") << "who asks so takes them for harmless";
  EXPECT_EQ(got.at("cannot_tell").at("quiet").to_number<int>(), 2) << "and is told how many they are";
}

TEST_F(RotationTest, AProcessThatIsNotFollowedMayHoldIt) {
  hold(1, kNewKey);
  UnseenLives lives;
  lives.not_followed = 1;
  status_.lives = std::make_shared<UnseenLives>(lives);
  EXPECT_EQ(row().at("state").as_string(), "cannot_tell");
}

TEST_F(RotationTest, AGapConcernsOnlyThoseThatLivedThroughIt) {
  hold(1, kNewKey);
  GapRow gap;
  gap.from_ns = kNoon;
  gap.to_ns = kNoon + kSecond;
  gap.cause = "ring_full";
  history_.append(make_row(77, gap));
  EXPECT_FALSE(get("/v1/keys").at("complete").as_bool());
  EXPECT_EQ(row().at("state").as_string(), "done");
  const auto holders = get(std::string("/v1/holders?key=") + kKeyId);
  EXPECT_TRUE(holders.at("complete").as_bool());
  UnseenLives lives;
  lives.callers = {{make_actor(412), Reason::kGapInLife, {}}};
  status_.lives = std::make_shared<UnseenLives>(lives);
  EXPECT_EQ(row().at("state").as_string(), "cannot_tell");
  const auto unsure = get(std::string("/v1/holders?key=") + kKeyId);
  EXPECT_FALSE(unsure.at("complete").as_bool());
  EXPECT_EQ(unsure.at("cannot_tell").at("processes").as_array().size(), 1U);
}

TEST_F(RotationTest, AKeyThatWasNeverSeenIsNotDone) {
  history_.key_list.pop_back();
  EXPECT_EQ(row().at("state").as_string(), "unknown_key");
  EXPECT_FALSE(row().at("new").at("known").as_bool());
  hold(2, kKeyId);
  EXPECT_EQ(row().at("state").as_string(), "not_done");
}

TEST_F(RotationTest, CountsProcessesAndWhoHasBothIsNotMoved) {
  hold(1, kKeyId);
  hold(1, kKeyId, {From::kEnvironment, "AWS_ACCESS_KEY_ID", ""});
  hold(1, kNewKey);
  for (std::uint32_t pid = 2; pid <= 4; ++pid)
    hold(pid, kNewKey);
  EXPECT_EQ(row().at("old").at("processes").as_int64(), 1);
  EXPECT_EQ(row().at("new").at("processes").as_int64(), 3);
  EXPECT_EQ(row().at("moved_processes").as_double(), 0.75);
}

TEST_F(RotationTest, CountsCallsAndTellsWhatWasRefused) {
  use(kKeyId, 10, Outcome::kOk, now_ns());
  use(kKeyId, 5, Outcome::kOk, kNoon);  // long ago
  use(kNewKey, 3, Outcome::kRefused, now_ns() - 2 * kSecond);
  use(kNewKey, 27, Outcome::kOk, now_ns() - kSecond);
  const json::object got = row();
  EXPECT_EQ(got.at("old").at("calls").as_int64(), 10);
  EXPECT_EQ(got.at("new").at("calls").as_int64(), 30);
  EXPECT_EQ(got.at("moved_calls").as_double(), 0.75);
  EXPECT_TRUE(got.at("old").at("last_refused").is_null());
  EXPECT_EQ(got.at("old").at("refused").as_int64(), 0);
  EXPECT_EQ(got.at("new").at("refused").as_int64(), 3);
}

TEST_F(RotationTest, EachHolderSaysWhyAndWhatMovesIt) {
  hold(1, kKeyId, make_slot(), true);
  hold(2, kKeyId);
  hold(3, kKeyId, {From::kEnvironment, "AWS_ACCESS_KEY_ID", ""});
  const json::array holders = row().at("holders").as_array();
  ASSERT_EQ(holders.size(), 3U);
  EXPECT_THAT(std::string(holders[0].at("why").as_string()), HasSubstr("has not read it again"));
  EXPECT_EQ(holders[0].at("to_move").as_string(), "restart the pod payments/api");
  EXPECT_THAT(std::string(holders[1].at("to_move").as_string()), HasSubstr("put the new key into the file"));
  EXPECT_THAT(std::string(holders[2].at("why").as_string()), HasSubstr("fixed at start"));
  EXPECT_EQ(get("/v1/holders").at("rows").as_array().at(0).at("why"), holders[0].at("why"));
}

TEST_F(RotationTest, WantsTwoKeys) {
  EXPECT_THAT(refused("/v1/rotation?old=AKIAIOSFODNN7EXAMPLE", 400), HasSubstr("the old and the new key ID"));
  EXPECT_THAT(refused("/v1/rotation?old=A&new=A", 400), HasSubstr("are the same"));
}

TEST_F(ApiTest, ASecretAsKeyIsRefusedAndNeverRepeated) {
  for (const char* secret :
       {"wJalrXUtnFEMI%2FK7MDENG%2FbPxRfiCYEXAMPLEKEY", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "-----BEGIN%20PRIVATE%20KEY-----abc", "ghp_0123456789abcdefghijABCDEFGHIJ012345"}) {
    const ApiAnswer answer = api_.handle("GET", std::string("/v1/uses?key=") + secret);
    EXPECT_EQ(answer.status, 400U) << secret;
    EXPECT_THAT(answer.body, HasSubstr("that is a secret, not a key ID"));
    EXPECT_THAT(answer.body, Not(HasSubstr(std::string(secret).substr(0, 6))));
    EXPECT_EQ(answer.for_log, "/v1/uses?key=(hidden)");
  }
  EXPECT_EQ(api_.handle("GET", "/v1/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl").for_log, "/v1/(hidden)");
}

TEST_F(ApiTest, KeyIdsOfEveryFormAreTaken) {
  for (const char* id :
       {"AKIAIOSFODNN7EXAMPLE", "fp:0d4417be9f2177aa04b6c1d2e3f40516", "2f1d0e3c4b5a69788796a5b4c3d2e1f00f1e2d3c",
        "login%40host%20%231", "aws.session%40role/deployer", "0d4417be-9f21-77aa-04b6-c1d2e3f40516"}) {
    get(std::string("/v1/uses?key=") + id);
  }
}

TEST_F(ApiTest, WrongParametersSayWhatIsWantedWithoutTheValue) {
  EXPECT_THAT(refused("/v1/rows?limit=0", 400), HasSubstr("from 1 to 10000"));
  EXPECT_THAT(refused("/v1/rows?limit=99999", 400), HasSubstr("from 1 to 10000"));
  EXPECT_THAT(refused("/v1/rows?pid=x", 400), HasSubstr("pid: must be"));
  EXPECT_THAT(refused("/v1/rows?since=canary", 400), Not(HasSubstr("canary")));
  EXPECT_THAT(refused("/v1/rows?since=2025-11-21T12:00:00Z&until=2025-11-21T11:00:00Z", 400),
              HasSubstr("before until"));
  EXPECT_THAT(refused("/v1/rows?evidence=sure", 400), HasSubstr("confirmed, inferred"));
  EXPECT_THAT(refused("/v1/rows?kinds=use,", 400), HasSubstr("kinds:"));
  EXPECT_THAT(refused("/v1/rows?nope=1", 400), HasSubstr("unknown parameter; known: key"));
  EXPECT_THAT(refused("/v1/rows?pid=1&pid=2", 400), HasSubstr("twice"));
  EXPECT_THAT(refused("/v1/rows?workload=" + std::string(600, '*'), 400), HasSubstr("512"));
  EXPECT_THAT(refused("/v1/explain/seven", 400), HasSubstr("sequence number"));
  EXPECT_THAT(refused("/v1/explain/99", 404), HasSubstr("no row 99"));
}

TEST_F(ApiTest, UnknownPathsMethodsAndBytes) {
  EXPECT_THAT(refused("/v2/uses", 404), HasSubstr("/v1/uses"));
  EXPECT_THAT(refused("/", 404), HasSubstr("/v1/uses"));
  EXPECT_EQ(api_.handle("POST", "/v1/uses").status, 405U);
  EXPECT_EQ(api_.handle("GET", "http://elsewhere/v1/uses").status, 400U);
  EXPECT_EQ(api_.handle("GET", "/v1/uses?key=%zz").status, 400U);
  EXPECT_EQ(api_.handle("GET", "/" + std::string(5000, 'a')).status, 400U);
  EXPECT_EQ(api_.handle("GET", "/v1/uses?workload=%00'%3B%20DROP%20TABLE%20rows--").status, 200U);
}

TEST_F(ApiTest, ABrokenHistoryIsAnErrorNotAnEmptyAnswer) {
  history_.broken = Error{Error::Code::kUnavailable, "the history is locked"};
  EXPECT_EQ(refused("/v1/rows", 503), "the history is locked");
  history_.broken->code = Error::Code::kSystem;
  EXPECT_EQ(api_.handle("GET", "/v1/uses").status, 500U);
}

TEST_F(ApiTest, ExplainGivesWhatTheProcessAcquiredBefore) {
  const json::object answer = get("/v1/explain/2");
  ASSERT_EQ(answer.at("rows").as_array().size(), 2U);
  EXPECT_EQ(answer.at("rows").as_array().at(0).at("explanation").as_string(), "selector of a known program");
  EXPECT_EQ(answer.at("rows").as_array().at(1).at("type").as_string(), "acquisition");
}

TEST_F(ApiTest, ExplainSaysWhatPublishedRangesSayOfTheAddress) {
  UseRow use = make_use();
  const auto hint = [&](const char* address) {
    use.destination.address = address;
    history_.stored = {make_row(1, use)};
    const json::object row = get("/v1/explain/1").at("rows").as_array().at(0).as_object();
    return row.contains("note") ? std::string(row.at("note").as_string()) : std::string();
  };
  EXPECT_THAT(hint("52.92.1.2"), HasSubstr("a range that aws publishes"));
  EXPECT_THAT(hint("203.0.113.9"), HasSubstr("in none of the ranges that aws publishes"));
  EXPECT_EQ(hint("unknown"), "");
  use.via = "proxy 10.0.0.9:3128";
  EXPECT_EQ(hint("10.0.0.9"), "") << "the address of a proxy says nothing of what is called through it";
}

TEST_F(ApiTest, OpenApiDescribesEveryPath) {
  const json::object description = get("/v1/openapi.json");
  for (const char* path : {"/v1/rows", "/v1/uses", "/v1/keys", "/v1/holders", "/v1/workloads", "/v1/findings",
                           "/v1/status", "/v1/doctor", "/v1/explain/{seq}", "/v1/watch", "/v1/openapi.json"}) {
    EXPECT_TRUE(description.at("paths").as_object().contains(path)) << path;
  }
}

TEST(Watcher, BoundedAndToldWhatItMissed) {
  int woken = 0;
  Watcher watcher(Query{}, 2, [&] { ++woken; });
  WatchHub hub;
  hub.add(&watcher);
  hub.deliver({make_row(1, make_use()), make_row(2, make_use()), make_row(3, make_use())});
  hub.deliver({make_row(3, make_use())});  // again: passed over
  const std::string text = watcher.take();
  EXPECT_THAT(text, HasSubstr("id: 1\nevent: row\ndata: {\"seq\":1,"));
  EXPECT_THAT(text, Not(HasSubstr("id: 3")));
  EXPECT_THAT(text, HasSubstr("event: missed\ndata: {\"missed\":1}\n\n"));
  EXPECT_EQ(watcher.take(), "");
  EXPECT_EQ(woken, 3);
  hub.remove(&watcher);
  EXPECT_EQ(hub.watchers(), 0U);
}

TEST(Watcher, GetsOnlyWhatItAskedFor) {
  Query query;
  query.kinds = {false, true, false, false, false};
  query.filter.evidence = Evidence::kConfirmed;
  Watcher watcher(query, 8, [] {});
  WatchHub hub;
  hub.add(&watcher);
  hub.deliver({make_row(1, make_acquisition()), make_row(2, make_use())});
  EXPECT_EQ(watcher.take(), "");
}

}  // namespace
}  // namespace keytrail::serve
