// SPDX-License-Identifier: Apache-2.0
// Questions and answers without a socket: rows and pages, coverage, accounting.
#include "agent/serve/api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <utility>

#include "agent/serve/watch_hub.h"
#include "tests/unit/serve/api_fixture.h"

namespace keytrail::serve {
namespace {

using namespace testing;
using ::testing::HasSubstr;
using ::testing::Not;

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

TEST_F(ApiTest, NothingIsCompleteAboutAKeyThatWasNeverSeen) {
  history_.append(make_row(3, GapRow{}));
  for (const char* path : {"uses", "rows", "keys", "findings", "places", "readers", "holders"}) {
    const json::object answer = get(std::string("/v1/") + path + "?key=AKIAQQQQQQQQQEXAMPLE");
    EXPECT_FALSE(answer.at("key_known").as_bool()) << path;
    EXPECT_FALSE(answer.at("complete").as_bool()) << path;
    EXPECT_THAT(json::serialize(answer.at("coverage").at("why")), HasSubstr("unknown_key")) << path;
  }
  EXPECT_TRUE(get("/v1/uses?key=AKIAIOSFODNN7EXAMPLE").at("key_known").as_bool());
}

TEST_F(ApiTest, WhoHasAKeyIsAQuestionAboutNow) {
  for (const char* target :
       {"/v1/holders?key=AKIAIOSFODNN7EXAMPLE&since=2025-11-21T12:00:00Z",
        "/v1/holders?key=AKIAIOSFODNN7EXAMPLE&until=2025-11-21T12:00:00Z",
        "/v1/rotation?old=AKIAIOSFODNN7EXAMPLE&new=AKIAI44QH8DHBEXAMPLE&since=2025-11-21T12:00:00Z"}) {
    EXPECT_EQ(get(target, 400).at("error").at("code").as_string(), "now_only") << target;
    EXPECT_THAT(refused(target, 400), HasSubstr("a question about now"));
  }
}

TEST_F(ApiTest, NobodyIsToldClearWhileTheAgentDoesNotSee) {
  history_.key_list = {{.key = make_key()}};
  const auto complete = [&] { return get("/v1/holders?key=AKIAIOSFODNN7EXAMPLE").at("complete").as_bool(); };
  EXPECT_TRUE(complete());
  status_.now.families[1].silent = true;
  EXPECT_FALSE(complete()) << "a hook gives no sign";
  status_.now.families[1].silent = false;
  const auto lives = std::exchange(status_.lives, nullptr);
  EXPECT_FALSE(complete()) << "the worker has just begun";
  status_.lives = lives;
  status_.now.tracking["examinations"] = 1;
  EXPECT_FALSE(complete()) << "a key file is being examined";
  EXPECT_EQ(get("/v1/holders?key=AKIAIOSFODNN7EXAMPLE").at("cannot_tell").at("under_way").to_number<int>(), 1);
  status_.now.tracking["examinations"] = 0;
  history_.spans = FakeHistory::watched_since(kNoon, now_ns() - 30 * kSecond);
  EXPECT_FALSE(complete()) << "rows wait unsaved";
  history_.spans = FakeHistory::watched_since(kNoon);
  history_.state_now.error = "disk full";
  EXPECT_FALSE(complete()) << "rows cannot be saved";
  history_.state_now.error.clear();
  EXPECT_TRUE(complete());
}

TEST_F(ApiTest, StatusSaysWhetherAllIsArmed) {
  const auto state = [&] { return std::string(get("/v1/status").at("rows").at(0).at("state").as_string()); };
  EXPECT_EQ(state(), "armed") << "the request family is optional";
  status_.now.remarks = {"PARTLY ARMED: no host PID namespace"};
  EXPECT_EQ(state(), "partly_armed");
  status_.now.remarks.clear();
  status_.now.families[2].silent = true;
  EXPECT_EQ(state(), "partly_armed");
  status_.now.armed_since_ns = 0;
  EXPECT_EQ(state(), "not_armed");
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
