// SPDX-License-Identifier: Apache-2.0
// Windows of one edge.
#include "agent/record/coalescer.h"

#include <gtest/gtest.h>

#include "agent/record/options.h"

namespace keytrail::record {
namespace {

constexpr Coalescer::Windows kWindows{kMinute, 5 * kMinute, 15 * kMinute, 60 * kMinute};

Amount one(std::int64_t at_ns) {
  Amount amount;
  amount.first_ns = amount.last_ns = at_ns;
  amount.connections = 1;
  amount.bytes_sent = 5;
  return amount;
}

/// Uses an edge every `every` ns for a day and counts its rows.
std::uint64_t rows_of_a_day(std::int64_t every) {
  Coalescer coalescer(kWindows);
  EdgeState* edge = &coalescer.adopt({.id = 1});
  std::uint64_t rows = 0;
  std::uint64_t counted = 0;
  auto note = [&](const std::optional<Amount>& amount) {
    if (!amount) return;
    ++rows;
    counted += amount->connections;
  };
  const std::int64_t start = 1000 * kMinute;
  for (std::int64_t now = start; now < start + 24 * 60 * kMinute; now += kSecond) {
    for (EdgeState* due : coalescer.due(now))
      note(coalescer.close(*due, now));
    if ((now - start) % every == 0) note(coalescer.use(*edge, one(now), now));
  }
  EXPECT_EQ(edge->total.connections, counted + edge->pending.connections);
  return rows;
}

TEST(Coalescer, a_busy_edge_makes_some_27_rows_a_day) {
  EXPECT_LE(rows_of_a_day(kSecond), 28U);
  EXPECT_GE(rows_of_a_day(kSecond), 25U);
}

TEST(Coalescer, an_edge_used_every_few_minutes_gets_longer_windows_too) {
  EXPECT_LE(rows_of_a_day(2 * kMinute), 30U);
  EXPECT_LE(rows_of_a_day(10 * kMinute), 40U);
}

TEST(Coalescer, a_rare_use_is_always_shown_at_once) { EXPECT_EQ(rows_of_a_day(120 * kMinute), 12U); }

TEST(Coalescer, the_first_row_carries_the_use_and_the_window_the_rest) {
  Coalescer coalescer(kWindows);
  EdgeState& edge = coalescer.adopt({.id = 1});
  auto first = coalescer.use(edge, one(100 * kMinute), 100 * kMinute);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->connections, 1U);
  EXPECT_FALSE(coalescer.use(edge, one(100 * kMinute + 1), 100 * kMinute + 1));
  EXPECT_FALSE(coalescer.use(edge, one(100 * kMinute + 9), 100 * kMinute + 9));
  EXPECT_TRUE(coalescer.due(101 * kMinute - 1).empty());
  ASSERT_EQ(coalescer.due(101 * kMinute).size(), 1U);
  auto window = coalescer.close(edge, 101 * kMinute);
  ASSERT_TRUE(window);
  EXPECT_EQ(window->connections, 2U);
  EXPECT_EQ(window->first_ns, 100 * kMinute + 1);
  EXPECT_EQ(window->last_ns, 100 * kMinute + 9);
  EXPECT_EQ(window->bytes_sent, 10U);
  EXPECT_EQ(coalescer.next_end_ns(), 106 * kMinute);
}

TEST(Coalescer, requests_are_known_only_when_every_use_showed_them) {
  Amount sum = one(1);
  sum.requests = 2;
  Amount more = one(2);
  more.requests = 3;
  sum.add(more);
  EXPECT_EQ(sum.requests, 5U);
  sum.add(one(3));
  EXPECT_FALSE(sum.requests);
}

TEST(Coalescer, a_clock_set_back_closes_windows_that_lie_too_far_ahead) {
  Coalescer coalescer(kWindows);
  EdgeState& edge = coalescer.adopt({.id = 1});
  (void)coalescer.use(edge, one(500 * kMinute), 500 * kMinute);
  EXPECT_EQ(coalescer.due(100 * kMinute).size(), 1U);
}

TEST(Coalescer, touches_alone_make_one_row_an_hour_without_connections) {
  Coalescer coalescer(kWindows);
  EdgeState& edge = coalescer.adopt({.id = 1});
  coalescer.touch(edge, one(100 * kMinute), 100 * kMinute);
  EXPECT_EQ(coalescer.next_end_ns(), 160 * kMinute);
  auto row = coalescer.close(edge, 160 * kMinute);
  ASSERT_TRUE(row);
  EXPECT_EQ(row->connections, 0U);
  EXPECT_EQ(row->bytes_sent, 5U);
}

}  // namespace
}  // namespace keytrail::record
