// SPDX-License-Identifier: Apache-2.0
// Whether a key is out of use: who holds the old and the new one, and when that cannot be told.
#include "agent/serve/api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <memory>
#include <string>
#include <utility>

#include "tests/unit/serve/api_fixture.h"

namespace keytrail::serve {
namespace {

using namespace testing;
using ::testing::HasSubstr;

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

}  // namespace
}  // namespace keytrail::serve
