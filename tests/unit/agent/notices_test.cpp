// SPDX-License-Identifier: Apache-2.0
#include "agent/notices.h"

#include <gtest/gtest.h>

namespace keytrail {
namespace {

using Texts = std::vector<std::string>;
constexpr std::uint64_t kSecond = 1'000'000'000;

TEST(NoticesTest, TheNewestOfEachCauseAndFamilyIsShownForAMinute) {
  Notices notices;
  notices.note(1 * kSecond, "hook_detached", "connect", "one.");
  notices.note(2 * kSecond, "hook_detached", "open", "two.");
  notices.note(30 * kSecond, "hook_detached", "connect", "three.");
  EXPECT_EQ(notices.shown(31 * kSecond), (Texts{"within the last minute: two.", "within the last minute: three."}));
  EXPECT_EQ(notices.shown(63 * kSecond), Texts{"within the last minute: three."});
  EXPECT_TRUE(notices.shown(91 * kSecond).empty());
}

TEST(NoticesTest, AreBounded) {
  Notices notices;
  for (int i = 0; i < 100; ++i)
    notices.note(kSecond, "cause" + std::to_string(i), "", std::to_string(i));
  const Texts shown = notices.shown(kSecond);
  ASSERT_EQ(shown.size(), Notices::kMost);
  EXPECT_EQ(shown.back(), "within the last minute: 99");
}

TEST(StoredNotices, ANumberIsGivenWhenItsBatchIsStoredAndOnce) {
  StoredNotices notices;
  EXPECT_FALSE(notices.look({.submitted = 4, .stored = 4})) << "nothing was heard";
  notices.heard(7);
  notices.heard(8);
  EXPECT_FALSE(notices.look({.submitted = 5, .stored = 4}));
  notices.heard(9);
  EXPECT_FALSE(notices.look({.submitted = 6, .stored = 4}));
  EXPECT_EQ(notices.look({.submitted = 7, .stored = 5}), 8U) << "9 is in a later batch";
  EXPECT_FALSE(notices.look({.submitted = 7, .stored = 6}));
  EXPECT_EQ(notices.look({.submitted = 7, .stored = 7}), 9U);
  EXPECT_FALSE(notices.look({.submitted = 9, .stored = 9}));
}

}  // namespace
}  // namespace keytrail
