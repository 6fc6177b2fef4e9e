// SPDX-License-Identifier: Apache-2.0
// Known key files: what is a rotation, what is another file, what a restart keeps.
#include "agent/link/slots.h"

#include <gtest/gtest.h>

#include "scene.h"

namespace keytrail::link {
namespace {

ReadTime at(std::int64_t ns) { return {ns, ns}; }

KnownFile& file_on(Slots& slots, std::string_view container, std::uint32_t dev) {
  KnownFile& file = slots.file(container, "/p");
  Slots::follow(file, 1, dev);
  return file;
}

TEST(Slots, AnotherDeviceUnderTheSamePathIsAnotherFile) {
  Slots slots(8);
  KnownFile& file = file_on(slots, "", 1);
  EXPECT_TRUE(slots.update(file, {}, {aws_fact("A")}, at(100)).empty());
  EXPECT_TRUE(slots.update(file_on(slots, "", 2), {}, {aws_fact("B")}, at(100)).empty());
  EXPECT_EQ(slots.update(file_on(slots, "", 2), {}, {aws_fact("C")}, at(100)).size(), 1U);
  EXPECT_TRUE(slots.update(file_on(slots, "0123456789abcdef", 2), {}, {aws_fact("A")}, at(100)).empty());
}

TEST(Slots, ARotationIsTheIntervalBetweenTwoReads) {
  Slots slots(8);
  KnownFile& file = file_on(slots, "", 1);
  (void)slots.update(file, {}, {aws_fact("A")}, at(100));
  (void)slots.update(file, {}, {aws_fact("A")}, {200, 210});
  FileIdentity made_earlier;
  made_earlier.ctime_s = 1;  // another file took the name: its own times say nothing
  made_earlier.ctime_ns = 5;
  const SlotChange change = slots.update(file, made_earlier, {aws_fact("B")}, {2'000'000'000, 2'000'000'300}).at(0);
  EXPECT_EQ(change.after_ns, 200);
  EXPECT_EQ(change.time_ns, 2'000'000'300);
  file.seen_ns = 3'000'000'000;  // a look found it unchanged
  EXPECT_EQ(slots.update(file, {}, {aws_fact("C")}, at(4'000'000'000)).at(0).after_ns, 3'000'000'000);
}

TEST(Slots, SurviveARestart) {
  Slots before(8);
  (void)before.update(file_on(before, "", 1), {}, {aws_fact("A", "x")}, at(100));
  Slots after(8);
  after.load(before.take_changes());
  const auto changes = after.update(file_on(after, "", 7), {}, {aws_fact("B", "x")}, at(200));
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].after_ns, 100) << "seen with it by the earlier run";
}

TEST(Slots, WhatIsForgottenStaysForgottenAfterARestart) {
  Slots before(1);
  (void)before.update(file_on(before, "", 1), {}, {aws_fact("A", "x")}, at(100));
  (void)before.update(file_on(before, "0123456789abcdef", 1), {}, {aws_fact("C", "x")}, at(100));
  const auto changes = before.take_changes();
  ASSERT_EQ(changes.size(), 3U);
  Slots after(8);
  after.load(changes);
  EXPECT_TRUE(after.update(file_on(after, "", 7), {}, {aws_fact("B", "x")}, at(200)).empty());
  EXPECT_EQ(after.update(file_on(after, "0123456789abcdef", 7), {}, {aws_fact("D", "x")}, at(200)).size(), 1U);
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
