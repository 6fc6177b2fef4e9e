// SPDX-License-Identifier: Apache-2.0
// Known key files: what is a rotation, what is another file, what a restart keeps.
#include "agent/link/slots.h"

#include <gtest/gtest.h>

#include "scene.h"

namespace keytrail::link {
namespace {

KnownFile& file_on(Slots& slots, std::string_view container, std::uint32_t dev) {
  KnownFile& file = slots.file(container, "/p");
  Slots::follow(file, 1, dev);
  return file;
}

TEST(Slots, AnotherDeviceUnderTheSamePathIsAnotherFile) {
  Slots slots(8);
  KnownFile& file = file_on(slots, "", 1);
  EXPECT_TRUE(slots.update(file, {}, {aws_fact("A")}, 100).empty());
  EXPECT_TRUE(slots.update(file_on(slots, "", 2), {}, {aws_fact("B")}, 100).empty());
  EXPECT_EQ(slots.update(file_on(slots, "", 2), {}, {aws_fact("C")}, 100).size(), 1U);
  EXPECT_TRUE(slots.update(file_on(slots, "0123456789abcdef", 2), {}, {aws_fact("A")}, 100).empty());
}

TEST(Slots, TheChangeTimeOfTheFileIsTheTimeOfTheRotation) {
  Slots slots(8);
  KnownFile& file = file_on(slots, "", 1);
  (void)slots.update(file, {}, {aws_fact("A")}, 100);
  FileIdentity later;
  later.ctime_s = 5;
  EXPECT_EQ(slots.update(file, later, {aws_fact("B")}, 9'000'000'000).at(0).time_ns, 5'000'000'000);
  later.ctime_s = 50;
  EXPECT_EQ(slots.update(file, later, {aws_fact("C")}, 9'000'000'000).at(0).time_ns, 9'000'000'000)
      << "a clock set back";
  later.ctime_s = INT64_MAX / 8;
  EXPECT_EQ(slots.update(file, later, {aws_fact("D")}, 9'000'000'000).at(0).time_ns, 9'000'000'000)
      << "no number of ns";
}

TEST(Slots, SurviveARestart) {
  Slots before(8);
  (void)before.update(file_on(before, "", 1), {}, {aws_fact("A", "x")}, 100);
  Slots after(8);
  after.load(before.take_changes());
  EXPECT_EQ(after.update(file_on(after, "", 7), {}, {aws_fact("B", "x")}, 200).size(), 1U);
}

TEST(Slots, WhatIsForgottenStaysForgottenAfterARestart) {
  Slots before(1);
  (void)before.update(file_on(before, "", 1), {}, {aws_fact("A", "x")}, 100);
  (void)before.update(file_on(before, "0123456789abcdef", 1), {}, {aws_fact("C", "x")}, 100);
  const auto changes = before.take_changes();
  ASSERT_EQ(changes.size(), 3U);
  Slots after(8);
  after.load(changes);
  EXPECT_TRUE(after.update(file_on(after, "", 7), {}, {aws_fact("B", "x")}, 200).empty());
  EXPECT_EQ(after.update(file_on(after, "0123456789abcdef", 7), {}, {aws_fact("D", "x")}, 200).size(), 1U);
}

TEST(Slots, GenerationsOfAProjectedVolumeAreOnePlace) {
  EXPECT_EQ(Slots::place_of("/run/secrets/kubernetes.io/serviceaccount/..2026_11_21_04_00_00.17/token"),
            "/run/secrets/kubernetes.io/serviceaccount/token");
  EXPECT_EQ(Slots::place_of("/root/.aws/credentials"), "/root/.aws/credentials");
  EXPECT_EQ(Slots::place_of("/a/../b/..data"), "/a/../b");
  EXPECT_EQ(Slots::place_of(""), "");
}

}  // namespace
}  // namespace keytrail::link
