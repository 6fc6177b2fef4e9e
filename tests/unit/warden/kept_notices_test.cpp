// SPDX-License-Identifier: Apache-2.0
#include "agent/warden/kept_notices.h"

#include <gtest/gtest.h>

#include <string>

namespace keytrail::warden {
namespace {

role::Notice notice(const std::string& cause, std::uint64_t from_ns, const std::string& family = "open") {
  auto out = role::make<role::Notice>(role::Type::kNotice);
  out.cause.assign(cause);
  out.family.assign(family);
  out.from_ns = from_ns;
  out.to_ns = from_ns + 1;
  return out;
}

/// "CAUSE FROM-TO (FAMILY)" of all that the worker is told now.
std::string told(KeptNotices& kept) {
  std::string out;
  while (const auto one = kept.next())
    out += std::string(one->cause.view()) + " " + std::to_string(one->from_ns) + "-" + std::to_string(one->to_ns) +
           " (" + std::string(one->family.view()) + ")\n";
  return out;
}

TEST(KeptNotices, EachIsToldOnceInALife) {
  KeptNotices kept;
  kept.keep(notice("hook_detached", 1));
  kept.keep(notice("map_changed", 2));
  EXPECT_EQ(told(kept), "hook_detached 1-2 (open)\nmap_changed 2-3 (open)\n");
  kept.keep(notice("map_changed", 3));
  EXPECT_EQ(told(kept), "map_changed 3-4 (open)\n");
  EXPECT_EQ(told(kept), "");
}

TEST(KeptNotices, ANewWorkerLearnsWhatThoseBeforeItDidNotStore) {
  KeptNotices kept;
  for (std::uint64_t at = 1; at <= 3; ++at)
    kept.keep(notice("map_changed", at));
  const auto first = kept.next();
  ASSERT_TRUE(first);
  EXPECT_EQ(told(kept), "map_changed 2-3 (open)\nmap_changed 3-4 (open)\n");
  kept.stored(first->head.request);
  kept.keep(notice("map_changed", 4));
  kept.take_back();
  EXPECT_EQ(told(kept), "map_changed 2-3 (open)\nmap_changed 3-4 (open)\nmap_changed 4-5 (open)\n") << "oldest first";
  kept.stored(first->head.request);  // an old number settles nothing
  kept.take_back();
  auto last = kept.next();
  for (auto more = kept.next(); more; more = kept.next())
    last = more;
  ASSERT_TRUE(last);
  EXPECT_EQ(last->from_ns, 4U);
  kept.stored(last->head.request);
  kept.take_back();
  EXPECT_EQ(told(kept), "") << "all is stored";
}

TEST(KeptNotices, OverTheBoundOneOfItsCauseAndFamilyCoversBothTimes) {
  KeptNotices kept;
  kept.keep(notice("hook_detached", 5));
  for (std::uint64_t at = 1; at < KeptNotices::kMost; ++at)
    kept.keep(notice("map_changed", 10 + at));
  kept.keep(notice("hook_detached", 900'000));
  std::string all = told(kept);
  EXPECT_TRUE(all.starts_with("hook_detached 5-900001 (open)\n")) << all.substr(0, 80);
  EXPECT_EQ(std::ranges::count(all, '\n'), static_cast<std::ptrdiff_t>(KeptNotices::kMost));
}

TEST(KeptNotices, OverTheBoundWhatHasNoLikeMakesTheLastOneAnybodys) {
  KeptNotices kept;
  for (std::uint64_t at = 0; at < KeptNotices::kMost; ++at)
    kept.keep(notice("map_changed", 100 + at));
  kept.keep(notice("hook_detached", 7, "exec"));
  const std::string all = told(kept);
  EXPECT_TRUE(all.ends_with("map_changed 7-356 (*)\n")) << all.substr(all.size() - 80);
  EXPECT_EQ(std::ranges::count(all, '\n'), static_cast<std::ptrdiff_t>(KeptNotices::kMost));
}

TEST(KeptNotices, WhoStoresNothingIsNotToldMoreThanTheBound) {
  KeptNotices kept;
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < KeptNotices::kMost; ++i) {
    kept.keep(notice("map_changed", i));
    number = kept.next()->head.request;
  }
  kept.keep(notice("hook_detached", 1));
  EXPECT_FALSE(kept.next());
  kept.stored(number);
  EXPECT_EQ(told(kept), "hook_detached 1-2 (open)\n");
}

}  // namespace
}  // namespace keytrail::warden
