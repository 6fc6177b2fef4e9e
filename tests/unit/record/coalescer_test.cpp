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

TEST(Coalescer, requests_on_counted_connections_are_calls) {
  Amount sum;
  Amount request;
  request.requests = 1;
  sum.add(request);
  sum.add(request);
  EXPECT_TRUE(sum.has_calls());
  EXPECT_EQ(sum.requests, 2U);
  EXPECT_EQ(sum.connections, 0U);
}

TEST(Coalescer, bytes_of_a_call_that_was_told_come_when_its_window_closes) {
  Coalescer coalescer(kWindows);
  EdgeState& edge = coalescer.adopt({.id = 1});
  ASSERT_TRUE(coalescer.use(edge, one(100 * kMinute), 100 * kMinute));
  edge.last_seq = 7;
  Coalescer::touch(edge, one(100 * kMinute + 30 * kSecond));
  const auto later = coalescer.close(edge, 101 * kMinute);
  ASSERT_TRUE(later);
  EXPECT_FALSE(later->has_calls());
  EXPECT_EQ(later->bytes_sent, 5U);
  EXPECT_EQ(later->last_ns, 100 * kMinute + 30 * kSecond);
  EXPECT_EQ(coalescer.next_end_ns(), 0) << "no window opens: the next call is shown at once";
  EXPECT_TRUE(coalescer.use(edge, one(101 * kMinute + 1), 101 * kMinute + 1));
  EXPECT_FALSE(coalescer.close(edge, 102 * kMinute)) << "nothing came";
}

TEST(Coalescer, bytes_without_a_window_make_no_row_and_ride_on_the_next_call) {
  Coalescer coalescer(kWindows);
  EdgeState& edge = coalescer.adopt({.id = 1});
  ASSERT_TRUE(coalescer.use(edge, one(100 * kMinute), 100 * kMinute));
  Coalescer::touch(edge, one(100 * kMinute + 30 * kSecond));
  EXPECT_FALSE(coalescer.close(edge, 101 * kMinute)) << "no row that they could belong to";
  edge.last_seq = 7;
  EXPECT_EQ(coalescer.next_end_ns(), 0) << "no window opens after one in which only bytes came";
  Coalescer::touch(edge, one(102 * kMinute));
  EXPECT_EQ(coalescer.next_end_ns(), 0);
  EXPECT_FALSE(coalescer.flush(edge)) << "nor at a stop";
  EXPECT_EQ(edge.pending.bytes_sent, 10U);
  EXPECT_EQ(edge.total.last_ns, 102 * kMinute);
  const auto row = coalescer.use(edge, one(130 * kMinute), 130 * kMinute);
  ASSERT_TRUE(row);
  EXPECT_EQ(row->connections, 1U);
  EXPECT_EQ(row->bytes_sent, 15U);
  EXPECT_EQ(row->first_ns, 130 * kMinute) << "it begins with its call";
  EXPECT_EQ(edge.total.bytes_sent, 20U);
  EXPECT_EQ(edge.total.first_ns, 100 * kMinute);
}

TEST(Coalescer, bytes_in_a_window_with_calls_are_part_of_its_row) {
  Coalescer coalescer(kWindows);
  EdgeState& edge = coalescer.adopt({.id = 1});
  ASSERT_TRUE(coalescer.use(edge, one(100 * kMinute), 100 * kMinute));
  EXPECT_FALSE(coalescer.use(edge, one(100 * kMinute + 9), 100 * kMinute + 9));
  Coalescer::touch(edge, one(100 * kMinute + 40 * kSecond));
  const auto row = coalescer.close(edge, 101 * kMinute);
  ASSERT_TRUE(row);
  EXPECT_EQ(row->connections, 1U);
  EXPECT_EQ(row->first_ns, 100 * kMinute + 9);
  EXPECT_EQ(row->last_ns, 100 * kMinute + 40 * kSecond);
  EXPECT_EQ(row->bytes_sent, 10U);
}

TEST(Coalescer, how_many_processes_left_the_list_is_counted) {
  EdgeState edge;
  for (std::uint32_t pid = 1; pid <= kMaxInstances + 5; ++pid)
    edge.saw({pid, 1, 1});
  EXPECT_EQ(edge.instances.size(), kMaxInstances);
  EXPECT_EQ(edge.cut, 5U);
  edge.saw({kMaxInstances, 1, 1});
  EXPECT_EQ(edge.cut, 5U) << "it is in the list";
}

}  // namespace
}  // namespace keytrail::record
