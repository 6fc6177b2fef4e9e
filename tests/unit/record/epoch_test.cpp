// SPDX-License-Identifier: Apache-2.0
// A number of a row may come again, never in the same epoch.
#include "agent/record/epoch.h"

#include <fcntl.h>

#include "agent/record/schema.h"
#include "tests/unit/record/fixture.h"

namespace keytrail::record {
namespace {

class EpochTest : public testing::Test {
 protected:
  void SetUp() override {
    const int fd = ::open(directory.file().c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    ::close(fd);
    open();
  }
  void open() {
    db.reset();
    auto opened = Database::open(directory.file(), Database::Mode::kWrite);
    ASSERT_TRUE(opened) << opened.error().message;
    db = std::move(*opened);
    ASSERT_TRUE(db->script("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL"));
    ASSERT_TRUE(prepare_schema(*db, directory.file(), clock));
  }
  std::vector<RowEpoch> begin() {
    auto epochs = begin_epoch(*db);
    EXPECT_TRUE(epochs) << (epochs ? "" : epochs.error().message);
    return epochs.value_or(std::vector<RowEpoch>());
  }
  void append(int rows) {
    static constexpr char kSql[] =
        "INSERT INTO rows(kind, time_ns, observed_ns, first_ns, last_ns, workload, program, keyset, destination, edge, "
        "pid, start_ns, exec, uid, outcome, evidence, reason, amount, requests, bytes_sent, bytes_received, flags, "
        "label, note, subject, tags) VALUES(4, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -1, -1, 0, 0, 0, "
        "'', '', '', '')";
    for (int i = 0; i < rows; ++i)
      ASSERT_TRUE(db->run(kSql));
  }

  TemporaryDirectory directory;
  FakeClock clock;
  std::unique_ptr<Database> db;
};

TEST_F(EpochTest, each_opening_begins_one_behind_the_last_row) {
  const auto first = begin();
  ASSERT_EQ(first.size(), 1U);
  EXPECT_EQ(first[0].first_seq, 1U);
  EXPECT_NE(first[0].id, 0U);
  append(10);
  open();
  const auto second = begin();
  ASSERT_EQ(second.size(), 2U);
  EXPECT_EQ(second[0].id, first[0].id);
  EXPECT_EQ(second[1].first_seq, 11U);
  EXPECT_NE(second[1].id, first[0].id);
  EXPECT_EQ(*db->number("PRAGMA synchronous", -1), 1) << "only the epoch is waited for";
}

TEST_F(EpochTest, one_whose_rows_were_lost_is_never_used_again) {
  append(5);
  const auto lost = begin();
  ASSERT_EQ(lost.size(), 1U);
  EXPECT_EQ(lost[0].first_seq, 6U) << "what stood there before has epoch 0";
  open();  // its rows never reached the disk: their numbers come again
  const auto next = begin();
  ASSERT_EQ(next.size(), 1U);
  EXPECT_EQ(next[0].first_seq, 6U);
  EXPECT_NE(next[0].id, lost[0].id);
}

TEST_F(EpochTest, those_whose_rows_are_gone_are_forgotten) {
  for (int i = 0; i < 20; ++i) {
    begin();
    append(10);
    open();
  }
  EXPECT_EQ(begin().size(), 21U);
  ASSERT_TRUE(db->run("DELETE FROM rows WHERE seq <= 155"));
  open();
  const auto left = begin();
  ASSERT_EQ(left.size(), 6U);
  EXPECT_EQ(left[0].first_seq, 151U);
  ASSERT_TRUE(db->run("DELETE FROM rows"));
  open();
  EXPECT_EQ(begin().size(), 1U);
}

}  // namespace
}  // namespace keytrail::record
