// SPDX-License-Identifier: Apache-2.0
#include "agent/identify/proc_reader.h"

#include <gtest/gtest.h>

#include "tests/unit/identify/fake_proc.h"

namespace keytrail::identify {
namespace {

constexpr std::uint64_t kStart = 5'120'345'678;

TEST(ProcReaderTest, ReadsWhatAnybodyMayRead) {
  const test::FakeProc proc;
  proc.add(50, kStart, "aws", 1000, "0::/system.slice/a.service\n");
  const auto facts = ProcReader(proc.root()).read(50, kStart);
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->comm, "aws");
  EXPECT_EQ(facts->uid, 1000U);
  EXPECT_EQ(facts->gid, 1000U);
  EXPECT_EQ(facts->parent_tgid, 1U);
  EXPECT_EQ(facts->login_uid, UINT32_MAX);
  EXPECT_EQ(facts->cgroup, "/system.slice/a.service");
}

TEST(ProcReaderTest, AnotherStartIsAnotherProcess) {
  const test::FakeProc proc;
  proc.add(50, kStart, "aws");
  const ProcReader reader(proc.root());
  EXPECT_FALSE(reader.read(50, kStart + 1'000'000'000));
  EXPECT_EQ(reader.alive(50, kStart), ProcReader::Alive::kYes);
  EXPECT_EQ(reader.alive(50, kStart + 1'000'000'000), ProcReader::Alive::kNo);
  EXPECT_EQ(reader.alive(51, kStart), ProcReader::Alive::kNo);
}

TEST(ProcReaderTest, NameMayHoldParenthesesAndNumbers) {
  const test::FakeProc proc;
  proc.add(50, kStart, "x) S 1 2 3 (y");
  const auto facts = ProcReader(proc.root()).read(50, kStart);
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->comm, "x) S 1 2 3 (y");
}

TEST(ProcReaderTest, DamagedFilesAreNoProcess) {
  const test::FakeProc proc;
  proc.add(50, kStart, "aws");
  for (const char* text :
       {"", "50", "50 (", "50 (a)", "50 (a) S", ")(", "50 (a) S 1 1 1 0 -1 1 1 2 3 4 5 6 7 8 20 0 1 0 x"}) {
    proc.write("50/stat", text);
    EXPECT_FALSE(ProcReader(proc.root()).read(50, kStart)) << text;
  }
}

TEST(ProcReaderTest, ProcThatDoesNotShowTheFirstProcessProvesNoDeath) {
  const test::FakeProc proc;
  proc.remove(1);
  EXPECT_EQ(ProcReader(proc.root()).alive(51, kStart), ProcReader::Alive::kUnknown);
}

}  // namespace
}  // namespace keytrail::identify
