// SPDX-License-Identifier: Apache-2.0
// Random operations against a plain model, with reopening in the middle: total = sum of rows + pending, and no row is
// lost or made up.
#include <fcntl.h>

#include <map>
#include <random>

#include "agent/record/schema.h"
#include "tests/unit/record/fixture.h"

namespace keytrail::record {
namespace {

struct Sum {
  std::uint64_t connections = 0, bytes = 0;
  auto operator<=>(const Sum&) const = default;
};

class ModelTest : public testing::TestWithParam<unsigned> {
 protected:
  void SetUp() override {
    options.path = directory.file();
    options.max_open_windows = 64;
    options.boot_id = "boot-1";
    std::filesystem::permissions(directory.path(), std::filesystem::perms::owner_all);
    fd_ = ::open(options.path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    ::close(fd_);
    open();
  }
  void open() {
    store.reset();
    auto db = Database::open(options.path, Database::Mode::kWrite);
    ASSERT_TRUE(db);
    ASSERT_TRUE((*db)->script("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF"));
    ASSERT_TRUE(prepare_schema(**db, options.path, clock));
    auto opened = Store::open(std::move(*db), options, clock);
    ASSERT_TRUE(opened) << opened.error().message;
    store = std::move(*opened);
  }
  UseRow random_use() {
    UseRow use = make_use(make_actor(pick(1, 40), "w" + std::to_string(pick(1, 6))),
                          make_key("AKIA" + std::to_string(pick(1, 5))), clock.now,
                          make_destination(pick(0, 1) == 0 ? "s3" : "sts"));
    use.connections = pick(1, 3);
    use.bytes_sent = pick(0, 100);
    use.bytes_received = 0;
    return use;
  }
  unsigned pick(unsigned from, unsigned to) { return std::uniform_int_distribution<unsigned>(from, to)(random); }
  std::map<std::int64_t, Sum> sums(const char* sql) {
    std::map<std::int64_t, Sum> out;
    Cursor cursor = store->db().query(sql);
    while (true) {
      auto more = cursor.next();
      EXPECT_TRUE(more);
      if (!more || !*more) return out;
      Sum& sum = out[cursor.integer(0)];
      sum.connections += cursor.natural(1);
      sum.bytes += cursor.natural(2);
    }
  }
  void check() {
    auto total = sums("SELECT id, connections, bytes_sent FROM edge WHERE id_destination != 0");
    auto told = sums(
        "SELECT edge, iif(kind = 2, amount, 0), bytes_sent FROM rows WHERE kind IN (2, 5) UNION ALL "
        "SELECT id, pending_connections, pending_bytes_sent FROM edge WHERE id_destination != 0");
    ASSERT_EQ(total, told);
    Sum all;
    for (const auto& [id, sum] : total) {
      all.connections += sum.connections;
      all.bytes += sum.bytes;
    }
    ASSERT_EQ(all, given);
    ASSERT_EQ(*store->db().number("SELECT count(*) FROM rows", -1),
              *store->db().number("SELECT value FROM totals WHERE name = 'rows'", 0));
    ASSERT_EQ(*store->db().number("SELECT count(*) FROM rows WHERE kind = 1", -1),
              static_cast<std::int64_t>(acquisitions));
  }

  TemporaryDirectory directory;
  FakeClock clock;
  HistoryOptions options;
  std::unique_ptr<Store> store;
  std::mt19937 random{GetParam()};
  Sum given;
  std::uint64_t acquisitions = 0;
  int fd_ = -1;
};

TEST_P(ModelTest, total_is_rows_plus_pending_whatever_happens) {
  std::uint64_t operations = 0;
  while (operations < 30'000) {
    Batch batch;
    Sum offered = given;
    std::uint64_t offered_acquisitions = acquisitions;
    for (unsigned i = pick(1, 60); i > 0; --i, ++operations) {
      const unsigned what = pick(0, 9);
      UseRow use = random_use();
      offered.bytes += what == 9 ? 0 : use.bytes_sent;
      if (what < 7) {
        offered.connections += use.connections;
        batch.uses.push_back(std::move(use));
      } else if (what < 9) {
        use.connections = 0;
        batch.touches.push_back({std::move(use)});
      } else {
        batch.rows.push_back(make_acquisition(use.actor, use.keys[0].key, clock.now));
        ++offered_acquisitions;
      }
    }
    const unsigned fate = pick(0, 19);
    if (fate == 0) {
      // A poisoned row fails the transaction half way: nothing of the batch may stay, in the file or in memory.
      Row bad;
      bad.body = UseRow{};
      Batch poisoned;
      poisoned.rows.push_back(bad);
      const Batch both[] = {batch, poisoned};
      ASSERT_FALSE(store->apply(both, std::nullopt));
      store->forget();
    } else {
      ASSERT_TRUE(store->apply(std::span(&batch, 1), std::nullopt));
      given = offered;
      acquisitions = offered_acquisitions;
    }
    clock.now += static_cast<std::int64_t>(pick(0, 100)) * kSecond;
    if (fate == 1) clock.now += 90 * kMinute;
    if (fate == 2) ASSERT_TRUE(store->tick());
    if (fate == 3) open();  // as after a crash: nothing was flushed
    if (fate == 4) {
      open();
      ASSERT_TRUE(store->flush_all());
      ASSERT_EQ(*store->db().number("SELECT count(*) FROM edge WHERE pending_connections != 0", -1), 0);
    }
    if (fate < 5) {
      ASSERT_NO_FATAL_FAILURE(check());
    }
  }
  ASSERT_NO_FATAL_FAILURE(check());
}

INSTANTIATE_TEST_SUITE_P(Seeds, ModelTest, testing::Values(1U, 2U, 3U, 4U));

}  // namespace
}  // namespace keytrail::record
