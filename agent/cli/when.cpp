// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/when.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <ctime>

#include "agent/base/times.h"

namespace keytrail::cli {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kDay = 86'400;

constexpr char kUnderstood[] =
    "a time is 2h, 30m, 3d, yesterday, 14:02, 2026-03-09, '2026-03-09 14:02' or 2026-03-09T14:02:00Z";

std::tm broken_down(std::int64_t unix_s, bool local) {
  const auto time = static_cast<std::time_t>(unix_s);
  std::tm out{};
  if (local)
    ::localtime_r(&time, &out);
  else
    ::gmtime_r(&time, &out);
  return out;
}

std::int64_t floor_seconds(std::int64_t ns) { return ns >= 0 ? ns / kSecond : -((-ns + kSecond - 1) / kSecond); }

std::int64_t to_unix(std::tm time, bool local) {
  time.tm_isdst = -1;
  return static_cast<std::int64_t>(local ? ::mktime(&time) : ::timegm(&time));
}

/// Midnight `days` before the day of now.
std::int64_t midnight(std::int64_t now_ns, int days, bool local) {
  std::tm day = broken_down(floor_seconds(now_ns), local);
  day.tm_hour = day.tm_min = day.tm_sec = 0;
  day.tm_mday -= days;
  return to_unix(day, local);
}

std::int64_t relative(std::string_view text) {
  std::int64_t count = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (code != std::errc{} || end != text.data() + text.size() - 1 || count < 0 || count > 1'000'000) return -1;
  switch (text.back()) {
    case 's':
      return count;
    case 'm':
      return count * 60;
    case 'h':
      return count * 3600;
    case 'd':
      return count * kDay;
    case 'w':
      return count * 7 * kDay;
    default:
      return -1;
  }
}

}  // namespace

Result<std::int64_t> parse_duration(std::string_view text) {
  const std::int64_t seconds = text.size() < 2 ? -1 : relative(text);
  if (seconds <= 0) return fail(Error::Code::kInvalid, "a duration is 45s, 30m, 2h or 1d");
  return seconds * kSecond;
}

bool is_time_of_day(std::string_view text) { return (text.size() == 5 || text.size() == 8) && text[2] == ':'; }

Result<std::int64_t> parse_when(std::string_view text, std::int64_t now_ns, bool local) {
  if (text == "now") return now_ns;
  if (text == "today") return midnight(now_ns, 0, local) * kSecond;
  if (text == "yesterday") return midnight(now_ns, 1, local) * kSecond;
  if (const std::int64_t ago = text.size() < 2 ? -1 : relative(text); ago >= 0) return now_ns - ago * kSecond;
  if (const auto exact = base::parse_rfc3339(text)) return *exact;
  std::string full(text);
  if (is_time_of_day(text)) {  // the last one: at 03:00 "14:02" is yesterday's
    for (int days = 0; days < 2; ++days) {
      const std::tm day = broken_down(midnight(now_ns, days, local), local);
      const auto at = parse_when(
          fmt::format("{:04}-{:02}-{:02} {}", day.tm_year + 1900, day.tm_mon + 1, day.tm_mday, text), now_ns, local);
      if (!at || *at <= now_ns || days == 1) return at;
    }
  }
  if (full.size() == 10) full += " 00:00:00";
  if (full.size() == 16) full += ":00";
  const auto as_utc = base::parse_rfc3339(full + "Z");
  if (!as_utc) return fail(Error::Code::kInvalid, kUnderstood);
  if (!local) return *as_utc;
  const std::tm clock = broken_down(floor_seconds(*as_utc), false);
  return to_unix(clock, true) * kSecond;
}

std::string format_when(std::int64_t unix_ns, bool local) {
  const std::tm t = broken_down(floor_seconds(unix_ns), local);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour,
                     t.tm_min, t.tm_sec);
}

std::string format_when(std::string_view rfc3339, bool local) {
  const auto time = base::parse_rfc3339(rfc3339);
  return time ? format_when(*time, local) : std::string(rfc3339);
}

std::string format_when_zone(std::int64_t unix_ns, bool local) {
  if (!local) return format_when(unix_ns) + "Z";
  const long offset = broken_down(floor_seconds(unix_ns), true).tm_gmtoff;
  const long minutes = (offset < 0 ? -offset : offset) / 60;
  return fmt::format("{}{}{:02}:{:02}", format_when(unix_ns, true), offset < 0 ? '-' : '+', minutes / 60, minutes % 60);
}

std::string format_age(std::int64_t ns) {
  const std::int64_t s = ns < 0 ? 0 : ns / kSecond;
  if (s < 120) return fmt::format("{} s", s);
  if (s < 7200) return fmt::format("{} min", s / 60);
  if (s < 2 * kDay) return fmt::format("{} h", s / 3600);
  return fmt::format("{} d", s / kDay);
}

}  // namespace keytrail::cli
