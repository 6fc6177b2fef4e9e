// SPDX-License-Identifier: Apache-2.0
// Identify when there is too much: who has many processes or cgroups loses its own, and each loss is told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/identify/identify.h"
#include "tests/unit/identify/identify_fixture.h"

namespace keytrail::identify {
namespace {

using testing::IsEmpty;

TEST_F(IdentifyTest, FloodOfUnknownProcessesReadsProcSeldom) {
  for (std::uint32_t tgid = 20; tgid < 26; ++tgid) {
    proc.add(tgid, 5 * kSecond, "x");
    send({tgid, 5 * kSecond, 1}, ConnectEvent{});
  }
  EXPECT_EQ(table.stats().inferred, 6U);
  EXPECT_EQ(table.stats().inferred_bare, 3U);
  proc.add(26, 5 * kSecond, "victim");
  EXPECT_EQ(send({26, 5 * kSecond, 1}, ConnectEvent{}, 2).who->comm, "victim") << "another cgroup has its own share";
  const auto refused = table.take_given_up();
  ASSERT_EQ(refused.size(), 1U);
  EXPECT_EQ(refused.begin()->first.first, "processes_unread");
  EXPECT_EQ(refused.begin()->second, 3U);
  EXPECT_THAT(table.take_given_up(), IsEmpty());
}

TEST_F(IdentifyTest, WhoHasTooManyGivesUpTheOldestExitedOfItsOwn) {
  send({90, 5 * kSecond, 1}, program("/bin/other"), 2);
  send({90, 5 * kSecond, 1}, ExitEvent{}, 2);
  for (std::uint32_t tgid = 20; tgid < 30; ++tgid)
    send({tgid, 5 * kSecond, 1}, program("/bin/x"));
  send({22, 5 * kSecond, 1}, ExitEvent{});
  send({21, 5 * kSecond, 1}, ExitEvent{});
  send(kOne, program("/bin/a"));
  EXPECT_FALSE(table.find({22, 5 * kSecond, 1}));
  EXPECT_TRUE(table.find({21, 5 * kSecond, 1}));
  EXPECT_TRUE(table.find({90, 5 * kSecond, 1})) << "it exited first, but it is another cgroup's";
  EXPECT_EQ(table.stats().evicted, 1U);
}

TEST_F(IdentifyTest, AForkStormIsTurnedAwayAndLeavesRoomForOthers) {
  for (std::uint32_t tgid = 20; tgid < 120; ++tgid)
    send({tgid, 5 * kSecond, 1}, program("/bin/storm"));
  EXPECT_EQ(send(kOne, program("/bin/storm")).who->exe, "/bin/storm") << "it is answered all the same";
  EXPECT_FALSE(table.find(kOne));
  EXPECT_EQ(table.stats().live, 10U);
  EXPECT_EQ(table.stats().not_stored, 91U);
  const auto given_up = table.take_given_up();
  ASSERT_EQ(given_up.size(), 1U);
  EXPECT_EQ(given_up.begin()->first, (std::pair<std::string, std::string>("processes_not_kept", "host: storm")));
  EXPECT_EQ(given_up.begin()->second, 91U);
  for (std::uint32_t tgid = 200; tgid < 205; ++tgid)
    send({tgid, 5 * kSecond, 1}, program("/bin/victim"), 2);
  EXPECT_TRUE(table.find({200, 5 * kSecond, 1}));
  EXPECT_TRUE(table.find({204, 5 * kSecond, 1}));
  EXPECT_THAT(table.take_given_up(), IsEmpty());
}

TEST_F(IdentifyTest, NobodyGainsRoomByMakingManyCgroups) {
  for (std::uint32_t i = 0; i < 10; ++i)
    send({}, CgroupEvent{.cgroup_id = 100 + i, .path = "/docker/a/b/" + std::to_string(i)});
  for (std::uint32_t i = 0; i < 100; ++i)
    send({300 + i, 5 * kSecond, 1}, program("/bin/storm"), 100 + i % 10);
  EXPECT_LE(table.stats().live, 20U) << "the directory has at most half";
  send(kOne, program("/bin/victim"), 2);
  EXPECT_TRUE(table.find(kOne));
}

TEST_F(IdentifyTest, WhatRootGaveAwayIsOneDirectoryHoweverShortItsPath) {
  for (std::uint32_t i = 0; i < 10; ++i)
    send({}, CgroupEvent{.cgroup_id = 100 + i,
                         .path = "/system.slice/own.service/" + std::to_string(i),
                         .claimed = 1,
                         .owner = 1000});
  for (std::uint32_t i = 0; i < 100; ++i)
    send({300 + i, 5 * kSecond, 1}, program("/bin/storm"), 100 + i % 10);
  EXPECT_LE(table.stats().live, 20U);
}

TEST_F(IdentifyTest, ManyCgroupsThatAreGoneDoNotHideTheNameOfANewOne) {
  // Their names were lost: each is awaited, until there is no room for more.
  for (std::uint32_t i = 0; i < 10'050; ++i) {
    send({1000 + i, 5 * kSecond, 1}, program("/bin/x"), 5000 + i);
    send({1000 + i, 5 * kSecond, 1}, ExitEvent{}, 5000 + i);
    now += 40 * kSecond;
    table.expire(now);
  }
  send(kOne, program("/bin/a"), 77);
  send({}, CgroupEvent{.cgroup_id = 77, .path = "/system.slice/a.service"});
  EXPECT_EQ(table.find(kOne)->workload->name, "a.service");
}

TEST_F(IdentifyTest, AProcessThatMovesTakesItsRoomAlong) {
  for (std::uint32_t tgid = 20; tgid < 30; ++tgid) {
    send({tgid, 5 * kSecond, 1}, program("/bin/x"));
    send({tgid, 5 * kSecond, 1}, ConnectEvent{}, 2);
  }
  send(kOne, program("/bin/a"));
  EXPECT_TRUE(table.find(kOne)) << "none of the others is in this cgroup any more";
  send({40, 5 * kSecond, 1}, program("/bin/b"), 2);
  EXPECT_FALSE(table.find({40, 5 * kSecond, 1}));
}

TEST_F(IdentifyTest, NamesOfCgroupsInUseAreKeptAndWhatIsTooMuchIsTold) {
  send({}, CgroupEvent{.cgroup_id = 1, .path = "/system.slice/a.service"});
  send(kOne, program("/bin/a"));
  for (std::uint64_t id = 2; id < 40; ++id)
    send({}, CgroupEvent{.cgroup_id = id, .path = "/jobs/" + std::to_string(id)});
  EXPECT_EQ(table.workload_in(1), "a.service") << "a process is in it";
  EXPECT_EQ(table.workload_in(39), "cgroup /jobs/39");
  EXPECT_EQ(table.workload_in(2), "") << "empty ones went";
  EXPECT_GT(table.stats().cgroups_forgotten, 20U);
  EXPECT_THAT(table.take_given_up(), IsEmpty()) << "nobody is in them: nothing is lost";
  send({499, 5 * kSecond, 1}, program("/bin/x"), 2);
  EXPECT_EQ((table.take_given_up()[{"cgroups_not_kept", "host: x"}]), 1U) << "who comes back is told without its name";
  std::uint32_t tgid = 500;
  for (std::uint64_t id = 50; id < 70; ++id) {
    send({}, CgroupEvent{.cgroup_id = id, .path = "/jobs/" + std::to_string(id)});
    send({++tgid, 5 * kSecond, 1}, program("/bin/x"), id);
  }
  const auto given_up = table.take_given_up();
  ASSERT_FALSE(given_up.empty());
  EXPECT_EQ(given_up.begin()->first.first, "cgroups_not_kept");
  EXPECT_EQ(table.workload_in(1), "a.service");
}

TEST_F(IdentifyTest, ManyExecsOfOneProcessAreBounded) {
  for (std::uint32_t exec = 1; exec < 1000; ++exec)
    send({10, 5 * kSecond, exec}, program("/bin/x"));
  EXPECT_FALSE(table.find({10, 5 * kSecond, 1}));
  EXPECT_TRUE(table.find({10, 5 * kSecond, 998}));
  EXPECT_EQ(table.stats().live, 1U);
}

}  // namespace
}  // namespace keytrail::identify
