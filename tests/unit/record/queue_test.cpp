// SPDX-License-Identifier: Apache-2.0
// Exporters: cursors, counters, retention in between.
#include "tests/unit/record/fixture.h"

namespace keytrail::record {
namespace {

class QueueTest : public HistoryTest {
 protected:
  void append(int rows) {
    Batch batch;
    for (int i = 0; i < rows; ++i)
      batch.rows.push_back(make_acquisition(make_actor(1), make_key("AKIA1"), clock.now));
    ASSERT_NO_FATAL_FAILURE(record(std::move(batch)));
  }
  ExportCounters count(const std::string& name) {
    auto counters = history->counters(name);
    EXPECT_TRUE(counters) << counters.error().message;
    if (!counters) return {};
    EXPECT_EQ(counters->rows, counters->acknowledged + counters->rejected + counters->expired + counters->waiting);
    return *counters;
  }
};

TEST_F(QueueTest, a_cursor_survives_restarts_and_settles_rows) {
  start();
  ASSERT_TRUE(history->open("otlp", true));
  append(10);
  auto rows = history->read("otlp", 0, 4);
  ASSERT_TRUE(rows);
  ASSERT_EQ(rows->size(), 4U);
  EXPECT_EQ(rows->at(0).seq, 1U);
  auto more = history->read("otlp", rows->back().seq, 100);
  EXPECT_EQ(more->size(), 6U);
  ASSERT_TRUE(history->settle("otlp", 4, 1));
  restart();
  ASSERT_TRUE(history->open("otlp", true));
  EXPECT_EQ(history->read("otlp", 0, 100)->front().seq, 5U);
  const ExportCounters counters = count("otlp");
  EXPECT_EQ(counters.acknowledged, 3U);
  EXPECT_EQ(counters.rejected, 1U);
  EXPECT_EQ(counters.waiting, 6U);
}

TEST_F(QueueTest, a_late_exporter_starts_at_the_end_or_at_the_start) {
  start();
  append(5);
  ASSERT_TRUE(history->open("late", false));
  ASSERT_TRUE(history->open("whole", true));
  append(2);
  EXPECT_EQ(count("late").rows, 2U);
  EXPECT_EQ(count("whole").rows, 7U);
  EXPECT_EQ(history->read("late", 0, 100)->size(), 2U);
}

TEST_F(QueueTest, settling_twice_counts_once_and_the_future_is_refused) {
  start();
  ASSERT_TRUE(history->open("otlp", true));
  append(5);
  ASSERT_TRUE(history->settle("otlp", 5, 0));
  ASSERT_TRUE(history->settle("otlp", 5, 0));
  ASSERT_TRUE(history->settle("otlp", 3, 0));
  EXPECT_FALSE(history->settle("otlp", 6, 0));
  EXPECT_FALSE(history->settle("nobody", 1, 0));
  EXPECT_FALSE(history->open("Bad name", false));
  EXPECT_EQ(count("otlp").acknowledged, 5U);
}

TEST_F(QueueTest, rows_removed_before_delivery_are_expired) {
  options.retention_ns = 60 * kMinute;
  start();
  ASSERT_TRUE(history->open("slow", true));
  append(20);
  ASSERT_TRUE(history->settle("slow", 5, 0));
  clock.now += 61 * kMinute;
  restart();  // retention looks at once
  for (int i = 0; i < 50 && count("slow").expired == 0; ++i)
    usleep(50'000);
  EXPECT_EQ(count("slow").expired, 15U);
  EXPECT_EQ(count("slow").acknowledged, 5U);
  EXPECT_TRUE(all_rows().empty());
  // The sequence goes on although the table is empty: a cursor must never wait for numbers that come again.
  append(1);
  EXPECT_EQ(all_rows().at(0).seq, 21U);
  EXPECT_EQ(history->read("slow", 0, 10)->size(), 1U);
  EXPECT_EQ(count("slow").waiting, 1U);
}

TEST_F(QueueTest, wakes_after_rows_and_not_after_state) {
  start();
  std::atomic<int> woken{0};
  history->on_append([&woken] { ++woken; });
  Batch batch;
  batch.slot_changes.push_back({"", "/f", "", clock.now, "", "AKIA1"});
  record(std::move(batch));
  EXPECT_EQ(woken, 0);
  append(1);
  for (int i = 0; i < 50 && woken == 0; ++i)
    usleep(10'000);
  EXPECT_EQ(woken, 1);
}

TEST_F(QueueTest, size_bound_holds_under_a_flood_and_every_row_is_accounted_for) {
  options.max_bytes = 2U << 20U;
  start();
  ASSERT_TRUE(history->open("none", true));
  for (int i = 0; i < 60; ++i) {
    Batch batch;
    for (int j = 0; j < 500; ++j) {
      // Each row brings a new key, workload and slot: dictionaries grow as fast as rows.
      const std::string number = std::to_string(i * 500 + j);
      Row row = make_acquisition(make_actor(1, "w" + number), make_key("AKIA" + number), clock.now);
      std::get<AcquisitionRow>(row.body).slot.selector = number;
      batch.rows.push_back(std::move(row));
    }
    ASSERT_NO_FATAL_FAILURE(record(std::move(batch)));
    clock.now += kSecond;
  }
  const auto status = history->status();
  ASSERT_TRUE(status);
  EXPECT_LE(status->bytes, options.max_bytes);
  EXPECT_GE(status->rows + status->queue_dropped, 30'000U);
  EXPECT_EQ(status->queue_dropped, 0U);
  const ExportCounters counters = count("none");
  EXPECT_EQ(counters.rows, status->rows);
  EXPECT_GT(counters.expired, 0U);
  EXPECT_GT(all_rows().size(), 200U);
  EXPECT_EQ(status->error, "");
  // What went is one gap that grows, not one for each chunk.
  std::vector<GapRow> gaps;
  for (const Row& row : all_rows()) {
    if (const auto* gap = std::get_if<GapRow>(&row.body)) gaps.push_back(*gap);
  }
  EXPECT_LE(status->rows - 30'000U, 2U);
  for (const GapRow& gap : gaps) {
    EXPECT_EQ(gap.cause, "evicted");
    EXPECT_EQ(gap.from_ns, FakeClock::kStart);
    EXPECT_LE(gap.from_ns, gap.to_ns);
    EXPECT_GT(gap.lost.value_or(0), 0U);
  }
}

TEST_F(QueueTest, what_was_evicted_is_told_in_full_and_what_was_too_old_is_not) {
  options.max_bytes = 2U << 20U;
  options.retention_ns = 60 * kMinute;
  start();
  for (int i = 0; i < 40; ++i) {
    Batch batch;
    for (int j = 0; j < 500; ++j) {
      const std::string number = std::to_string(i * 500 + j);
      batch.rows.push_back(make_acquisition(make_actor(1), make_key("AKIA" + number), clock.now));
    }
    ASSERT_NO_FATAL_FAILURE(record(std::move(batch)));
    clock.now += kSecond;
  }
  clock.now += 2 * kMinute;
  restart();  // what is left untold is told
  const auto told = [this] {
    std::uint64_t lost = 0;
    for (const Row& row : all_rows()) {
      if (const auto* gap = std::get_if<GapRow>(&row.body)) lost += gap->lost.value_or(0);
    }
    return lost;
  };
  // The first gap may itself be gone: then the later ones tell less, but their time covers it.
  for (int i = 0; i < 50 && told() == 0; ++i)
    usleep(50'000);
  const std::uint64_t lost = told();
  EXPECT_GT(lost, 0U);
  const std::uint64_t first = all_rows().front().seq;
  EXPECT_LE(lost, first - 1);
  clock.now += 61 * kMinute;
  restart();
  const auto acquisitions = [this] {
    return history->rows({.limit = 1}, {.uses = false, .findings = false, .gaps = false, .revisions = false})->items;
  };
  for (int i = 0; i < 50 && !acquisitions().empty(); ++i)
    usleep(50'000);
  EXPECT_TRUE(acquisitions().empty());
  EXPECT_LE(told(), first - 1) << "by age: no gap";
}

TEST_F(QueueTest, a_wrong_clock_for_a_moment_deletes_nothing) {
  options.retention_ns = 60 * kMinute;
  start();
  append(20);
  usleep(200'000);  // it has looked once by now
  clock.wrong += 40 * 24 * 60 * kMinute;
  restart();
  Batch batch;
  for (int i = 0; i < 5; ++i)
    batch.rows.push_back(make_acquisition(make_actor(1), make_key("AKIA1"), clock.wall_ns()));
  ASSERT_NO_FATAL_FAILURE(record(std::move(batch)));
  usleep(300'000);
  EXPECT_EQ(all_rows().size(), 25U);
  clock.wrong -= 40 * 24 * 60 * kMinute;
  restart();
  append(1);
  usleep(300'000);
  EXPECT_EQ(all_rows().size(), 26U);
  clock.now += 61 * kMinute;
  restart();
  for (int i = 0; i < 50 && !all_rows().empty(); ++i)
    usleep(50'000);
  EXPECT_TRUE(all_rows().empty()) << "what was written in that moment keeps nothing that is too old";
}

TEST_F(QueueTest, reads_any_row_whatever_the_cursor_says) {
  start();
  ASSERT_TRUE(history->open("otlp", true));
  append(10);
  ASSERT_TRUE(history->settle("otlp", 10, 0));
  EXPECT_TRUE(history->read("otlp", 0, 10)->empty());
  const auto rows = history->read_any(4, 3);
  ASSERT_TRUE(rows);
  ASSERT_EQ(rows->size(), 3U);
  EXPECT_EQ(rows->front().seq, 5U);
}

TEST_F(QueueTest, an_opening_has_an_epoch_of_its_own) {
  start();
  append(3);
  const auto first = history->epochs();
  ASSERT_EQ(first.size(), 1U);
  restart();
  const auto second = history->epochs();
  ASSERT_EQ(second.size(), 2U);
  EXPECT_EQ(second[0].id, first[0].id);
  EXPECT_EQ(second[1].first_seq, 4U);
  EXPECT_NE(second[1].id, second[0].id);
}

}  // namespace
}  // namespace keytrail::record
