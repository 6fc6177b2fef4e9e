// SPDX-License-Identifier: Apache-2.0
#include "agent/base/times.h"

#include <fmt/format.h>

#include <chrono>

namespace keytrail::base {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

/// Takes exactly `digits` digits off the front.
std::optional<int> take_number(std::string_view& text, std::size_t digits) {
  if (text.size() < digits) return std::nullopt;
  int value = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(digits);
  return value;
}

bool take(std::string_view& text, std::string_view any_of) {
  if (text.empty() || !any_of.contains(text[0])) return false;
  text.remove_prefix(1);
  return true;
}

std::optional<std::int64_t> take_fraction(std::string_view& text) {
  if (!take(text, ".")) return 0;
  std::int64_t value = 0;
  std::int64_t unit = kSecond;
  std::size_t digits = 0;
  for (; !text.empty() && text[0] >= '0' && text[0] <= '9'; text.remove_prefix(1), ++digits) {
    unit /= 10;  // digits after the ninth weigh nothing
    value += (text[0] - '0') * unit;
  }
  if (digits == 0) return std::nullopt;
  return value;
}

std::optional<std::int64_t> take_offset_s(std::string_view& text) {
  if (take(text, "Zz")) return 0;
  const bool minus = text.starts_with('-');
  if (!take(text, "+-")) return std::nullopt;
  const auto hours = take_number(text, 2);
  if (!hours || !take(text, ":")) return std::nullopt;
  const auto minutes = take_number(text, 2);
  if (!minutes || *hours > 23 || *minutes > 59) return std::nullopt;
  return (*hours * 3600 + *minutes * 60) * (minus ? -1 : 1);
}

std::string format(std::chrono::seconds whole, std::chrono::nanoseconds fraction) {
  using namespace std::chrono;
  const sys_time<seconds> time{whole};
  const auto day = floor<days>(time);
  const year_month_day date{day};
  const hh_mm_ss clock{time - day};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z", int{date.year()}, unsigned{date.month()},
                     unsigned{date.day()}, clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     fraction.count());
}

}  // namespace

std::string format_rfc3339(std::int64_t unix_ns) {
  using namespace std::chrono;
  const auto whole = floor<seconds>(nanoseconds{unix_ns});
  return format(whole, nanoseconds{unix_ns} - whole);
}

std::optional<std::string> format_rfc3339_s(std::int64_t unix_s) {
  constexpr std::int64_t kYear1 = -62'135'596'800;
  constexpr std::int64_t kYear10000 = 253'402'300'800;
  if (unix_s < kYear1 || unix_s >= kYear10000) return std::nullopt;
  return format(std::chrono::seconds{unix_s}, {});
}

std::optional<std::int64_t> parse_rfc3339(std::string_view text) {
  using namespace std::chrono;
  const auto y = take_number(text, 4);
  if (!y || !take(text, "-")) return std::nullopt;
  const auto mo = take_number(text, 2);
  if (!mo || !take(text, "-")) return std::nullopt;
  const auto d = take_number(text, 2);
  if (!d || !take(text, "Tt ")) return std::nullopt;
  const auto h = take_number(text, 2);
  if (!h || !take(text, ":")) return std::nullopt;
  const auto mi = take_number(text, 2);
  if (!mi || !take(text, ":")) return std::nullopt;
  const auto s = take_number(text, 2);
  const auto fraction = s ? take_fraction(text) : std::nullopt;
  const auto offset = fraction ? take_offset_s(text) : std::nullopt;
  const year_month_day date{year{*y}, month{static_cast<unsigned>(*mo)}, day{static_cast<unsigned>(*d)}};
  if (!offset || !text.empty() || !date.ok() || *y < 1678 || *y > 2261 || *h > 23 || *mi > 59 || *s > 60)
    return std::nullopt;
  const std::int64_t whole = sys_days{date}.time_since_epoch().count() * std::int64_t{86'400} +
                             std::int64_t{*h} * 3600 + std::int64_t{*mi} * 60 + *s - *offset;
  return whole * kSecond + *fraction;
}

}  // namespace keytrail::base
