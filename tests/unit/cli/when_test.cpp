// SPDX-License-Identifier: Apache-2.0
// Times as people type and read them.
#include "agent/cli/when.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

#include "tests/unit/serve/fake_agent.h"

namespace keytrail::cli {
namespace {

using serve::testing::kNoon;
using serve::testing::kSecond;

std::string understood(std::string_view text, bool local = false) {
  const Result<std::int64_t> time = parse_when(text, kNoon + 7 * kSecond, local);
  return time ? format_when(*time) : "not understood";
}

TEST(When, RelativeAndAbsoluteForms) {
  EXPECT_EQ(understood("2h"), "2025-11-21 10:00:07");
  EXPECT_EQ(understood("30m"), "2025-11-21 11:30:07");
  EXPECT_EQ(understood("7s"), "2025-11-21 12:00:00");
  EXPECT_EQ(understood("3d"), "2025-11-18 12:00:07");
  EXPECT_EQ(understood("1w"), "2025-11-14 12:00:07");
  EXPECT_EQ(understood("now"), "2025-11-21 12:00:07");
  EXPECT_EQ(understood("today"), "2025-11-21 00:00:00");
  EXPECT_EQ(understood("yesterday"), "2025-11-20 00:00:00");
  EXPECT_EQ(understood("09:30"), "2025-11-21 09:30:00");
  EXPECT_EQ(understood("14:02"), "2025-11-20 14:02:00") << "today's is still to come";
  EXPECT_EQ(understood("12:00:08"), "2025-11-20 12:00:08");
  EXPECT_EQ(understood("2025-03-09"), "2025-03-09 00:00:00");
  EXPECT_EQ(understood("2025-03-09 14:02"), "2025-03-09 14:02:00");
  EXPECT_EQ(understood("2025-03-09T14:02:33"), "2025-03-09 14:02:33");
  EXPECT_EQ(understood("2025-03-09T14:02:33+02:00"), "2025-03-09 12:02:33");
}

TEST(When, NonsenseIsRefusedWithWhatIsUnderstood) {
  for (const char* text : {"", "h", "-2h", "2x", "2 h", "25:00", "2025-02-30", "99999999999999999999h", "tomorrowish",
                           "2025-03-09 14:02 and more"}) {
    EXPECT_EQ(understood(text), "not understood") << text;
  }
  EXPECT_NE(parse_when("x", kNoon).error().message.find("yesterday"), std::string::npos);
}

TEST(When, LocalTimeIsReadAndWrittenInTheZone) {
  ::setenv("TZ", "XXX-2", 1);  // two hours east
  ::tzset();
  EXPECT_EQ(understood("14:00", true), "2025-11-21 12:00:00");
  EXPECT_EQ(understood("14:01", true), "2025-11-20 12:01:00");
  EXPECT_EQ(format_when(kNoon, true), "2025-11-21 14:00:00");
  EXPECT_EQ(format_when_zone(kNoon, true), "2025-11-21 14:00:00+02:00");
  ::unsetenv("TZ");
  ::tzset();
  EXPECT_EQ(format_when_zone(kNoon), "2025-11-21 12:00:00Z");
}

TEST(When, Ages) {
  EXPECT_EQ(format_age(38 * kSecond), "38 s");
  EXPECT_EQ(format_age(9 * 60 * kSecond), "9 min");
  EXPECT_EQ(format_age(3 * 3600 * kSecond), "3 h");
  EXPECT_EQ(format_age(12 * 86'400 * kSecond), "12 d");
  EXPECT_EQ(format_age(-5), "0 s");
}

}  // namespace
}  // namespace keytrail::cli
