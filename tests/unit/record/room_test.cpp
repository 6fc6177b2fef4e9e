// SPDX-License-Identifier: Apache-2.0
// Room for new rows: what may go, and that what went is told once and in full.
#include <fcntl.h>

#include <vector>

#include "agent/record/schema.h"
#include "tests/unit/record/fixture.h"

namespace keytrail::record {
namespace {

class RoomTest : public HistoryTest {
 protected:
  void open() {
    store.reset();
    ::close(::open(options.path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    auto db = Database::open(options.path, Database::Mode::kWrite);
    ASSERT_TRUE(db);
    ASSERT_TRUE((*db)->script("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF"));
    ASSERT_TRUE(prepare_schema(**db, options.path, clock));
    auto opened = Store::open(std::move(*db), options, clock);
    ASSERT_TRUE(opened) << opened.error().message;
    store = std::move(*opened);
  }
  void fill(int rows) {
    std::vector<Batch> batches(1);
    for (int i = 0; i < rows; ++i)
      batches[0].rows.push_back(make_acquisition(make_actor(1), make_key("AKIA" + std::to_string(i)), clock.now));
    ASSERT_TRUE(store->apply(batches, std::nullopt));
  }
  std::uint64_t rows_there() {
    return static_cast<std::uint64_t>(*store->db().number("SELECT count(*) FROM rows WHERE kind = 1", -1));
  }
  /// How many rows each gap tells of.
  std::vector<std::uint64_t> told() {
    auto reader = Reader::open(options.path, std::chrono::seconds(3), clock);
    EXPECT_TRUE(reader) << reader.error().message;
    std::vector<std::uint64_t> out;
    for (const Row& row : (*reader)->rows({}, {false, false, false, true, false})->items) {
      const auto& gap = std::get<GapRow>(row.body);
      EXPECT_EQ(gap.cause, "evicted");
      out.push_back(gap.lost.value_or(0));
    }
    return out;
  }

  std::unique_ptr<Store> store;
};

TEST_F(RoomTest, what_goes_for_the_own_bound_is_told_by_one_gap_once_a_minute) {
  ASSERT_NO_FATAL_FAILURE(open());
  ASSERT_NO_FATAL_FAILURE(fill(1000));
  const auto first = store->make_room();
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(first->rows, 100U);
  EXPECT_TRUE(first->told) << "nobody else needs to";
  EXPECT_EQ(told(), std::vector<std::uint64_t>{100});
  const auto second = store->make_room();
  ASSERT_TRUE(second);
  EXPECT_TRUE(second->told) << "it will be";
  EXPECT_EQ(told().size(), 1U);
  clock.now += 61 * kSecond;
  const auto third = store->make_room();
  ASSERT_TRUE(third);
  EXPECT_EQ(told(), (std::vector<std::uint64_t>{100, second->rows + third->rows}));
  EXPECT_EQ(rows_there(), 1000 - first->rows - second->rows - third->rows);
}

TEST_F(RoomTest, a_quiet_minute_gives_back_the_memory_that_a_burst_filled) {
  ASSERT_NO_FATAL_FAILURE(open());
  ASSERT_NO_FATAL_FAILURE(fill(0));  // the minute begins
  ASSERT_NO_FATAL_FAILURE(fill(3000));
  const auto cached = [&] {
    int now = 0, most = 0;
    sqlite3_db_status(store->db().handle(), SQLITE_DBSTATUS_CACHE_USED, &now, &most, 0);
    return now;
  };
  const int full = cached();
  clock.now += 61 * kSecond;
  ASSERT_NO_FATAL_FAILURE(fill(10));
  EXPECT_GE(cached(), full) << "the minute of the burst";
  clock.now += 61 * kSecond;
  ASSERT_NO_FATAL_FAILURE(fill(10));
  EXPECT_LT(cached(), full / 4);
  ASSERT_NO_FATAL_FAILURE(fill(10));
  EXPECT_EQ(rows_there(), 3030U);
}

TEST_F(RoomTest, on_a_disk_full_of_others_only_what_exporters_have_goes_until_it_is_crowded) {
  ASSERT_NO_FATAL_FAILURE(open());
  ASSERT_NO_FATAL_FAILURE(fill(3000));
  const auto pages = store->db().number("PRAGMA page_count", 0);
  const auto page_size = store->db().number("PRAGMA page_size", 0);
  ASSERT_TRUE(pages && page_size);
  ASSERT_GT(*pages, 70);
  ASSERT_TRUE(store->remove_oldest(200));
  ASSERT_TRUE(store->hold_size(true));
  EXPECT_FALSE(store->make_room()) << "the bound is far away: nothing goes that no exporter has";
  // The same file, nearly at its bound.
  options.max_bytes = static_cast<std::uint64_t>(*pages * *page_size) / 100 * 102;
  ASSERT_NO_FATAL_FAILURE(open());
  ASSERT_TRUE(store->crowded().value_or(false));
  ASSERT_TRUE(store->open_exporter("otlp", true));
  ASSERT_TRUE(store->settle("otlp", 250, 0));
  ASSERT_TRUE(store->hold_size(true));
  const auto passed = store->make_room(true);
  ASSERT_TRUE(passed) << passed.error().message;
  EXPECT_EQ(passed->rows, 50U);
  EXPECT_FALSE(passed->told) << "whoever asked for the room has to";
  EXPECT_TRUE(told().empty());
  EXPECT_FALSE(store->make_room(true)) << "no exporter has more";
  const auto bound = store->make_room();
  ASSERT_TRUE(bound) << bound.error().message;
  EXPECT_GE(bound->rows, 100U);
  EXPECT_TRUE(bound->told);
  EXPECT_EQ(told(), std::vector<std::uint64_t>{bound->rows}) << "once, and not what went before";
}

}  // namespace
}  // namespace keytrail::record
