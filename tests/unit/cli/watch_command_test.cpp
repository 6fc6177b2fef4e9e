// SPDX-License-Identifier: Apache-2.0
// `keytrail watch` against a real server on a temporary socket: replay, end, what it says meanwhile.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/cli/commands.h"
#include "tests/unit/cli/command_line.h"

namespace keytrail::cli {
namespace {

using namespace serve::testing;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST_F(CommandsTest, WatchReplaysAndEndsAfterCount) {
  start();
  options_.since = "2025-11-21T00:00:00Z";
  options_.count = 2;
  EXPECT_EQ(run_watch(options_, world_), kOk);
  EXPECT_THAT(out(), HasSubstr("read             AKIAIOSFODNN7EXAMPLE"));
  EXPECT_THAT(out(), HasSubstr("used (inferred)  AKIAIOSFODNN7EXAMPLE"));
  EXPECT_THAT(err(), ::testing::StartsWith("Watching;"));
}

TEST_F(CommandsTest, AWatchEndsWithItsTime) {
  start();
  options_.since = "2025-11-21T00:00:00Z";
  options_.until = "30s";  // from now on: of the test's clock
  EXPECT_EQ(run_watch(options_, world_), kOk);
  EXPECT_THAT(out(), HasSubstr("read             AKIAIOSFODNN7EXAMPLE"));
  EXPECT_THAT(err(), StartsWith("Watching until 2025-11-21 12:02:10Z; Ctrl-C"));
  options_.since = "";
  options_.until = "2025-11-20";
  EXPECT_EQ(run_watch(options_, world_), kOk) << "its time is over";
  options_.until = "11:00";
  EXPECT_EQ(run_watch(options_, world_), kOk);
  EXPECT_THAT(err(), HasSubstr("Watching until 2025-11-22 11:00:00Z;")) << "the next one";
  options_.until = "soon";
  EXPECT_EQ(run_watch(options_, world_), kUsage);
  EXPECT_THAT(err(), HasSubstr("--until: a time is "));
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

}  // namespace
}  // namespace keytrail::cli
