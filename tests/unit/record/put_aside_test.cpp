// SPDX-License-Identifier: Apache-2.0
// A damaged history is put aside under a name that is said, and a new one begins.
#include "agent/record/put_aside.h"

#include <sys/stat.h>

#include <fstream>

#include "tests/unit/record/fixture.h"

namespace keytrail::record {
namespace {

class PutAsideTest : public HistoryTest {
 protected:
  /// These bytes are the history, without a log.
  void write(const std::string& bytes) const {
    for (const char* log : {"-wal", "-shm"})
      std::filesystem::remove(options.path + log);
    std::ofstream(options.path, std::ios::binary | std::ios::trunc) << bytes;
    chmod(options.path.c_str(), 0600);
  }
  static std::string bytes(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  /// The gaps of that cause.
  std::vector<GapRow> gaps(const std::string& cause) {
    std::vector<GapRow> out;
    for (const Row& row : all_rows()) {
      const auto* gap = std::get_if<GapRow>(&row.body);
      if (gap != nullptr && gap->cause == cause) out.push_back(*gap);
    }
    return out;
  }
  Batch acquisitions(int count) const {
    Batch out;
    for (int i = 0; i < count; ++i)
      out.rows.push_back(make_acquisition(make_actor(1), make_key("AKIA" + std::to_string(i)), clock.now));
    return out;
  }
};

TEST_F(PutAsideTest, GarbageIsPutAsideAndANewHistorySaysSo) {
  const std::string garbage(8192, 'x');
  write(garbage);
  start();
  ASSERT_TRUE(history->drain(std::chrono::seconds(5)));
  const auto aside = all_put_aside(options.path);
  ASSERT_EQ(aside.size(), 1U);
  EXPECT_EQ(aside[0], options.path + ".damaged-20260528T202640Z");
  EXPECT_EQ(bytes(aside[0]), garbage);
  const auto told = gaps("history_damaged");
  ASSERT_EQ(told.size(), 1U);
  EXPECT_NE(told[0].text.find(aside[0]), std::string::npos) << told[0].text;
  EXPECT_EQ(told[0].to_ns, FakeClock::kStart);
  EXPECT_FALSE(told[0].lost);
  record_use(make_use(make_actor(1), make_key("AKIA1"), clock.now));
  restart();
  EXPECT_EQ(all_put_aside(options.path).size(), 1U) << "it is said once";
  EXPECT_EQ(gaps("history_damaged").size(), 1U);
}

TEST_F(PutAsideTest, ATornFileIsPutAsideWithItsLog) {
  start();
  record(acquisitions(500));
  history.reset();
  const std::string good = bytes(options.path);
  write(good.substr(0, 100) + std::string(good.size() - 100, '\x7f'));
  std::ofstream(options.path + "-wal") << "what is left of a log";
  chmod((options.path + "-wal").c_str(), 0600);
  start();
  const auto aside = all_put_aside(options.path);
  ASSERT_EQ(aside.size(), 1U);
  EXPECT_EQ(bytes(aside[0]).size(), good.size());
  EXPECT_TRUE(std::filesystem::exists(aside[0] + "-wal"));
  record_use(make_use(make_actor(1), make_key("AKIA1"), clock.now));
  EXPECT_EQ(gaps("history_damaged").size(), 1U);
}

TEST_F(PutAsideTest, TheNewestTwoStay) {
  for (int i = 0; i < 5; ++i) {
    write(std::string(8192, static_cast<char>('a' + i)));
    start();
    history.reset();
    clock.now += kMinute;
  }
  const auto aside = all_put_aside(options.path);
  ASSERT_EQ(aside.size(), kMostPutAside);
  EXPECT_EQ(bytes(aside[0]), std::string(8192, 'd'));
  EXPECT_EQ(bytes(aside[1]), std::string(8192, 'e'));
  for (const auto& entry : std::filesystem::directory_iterator(directory.path()))
    EXPECT_FALSE(entry.path().string().ends_with("20260528T202640Z-wal")) << entry.path();
}

TEST_F(PutAsideTest, TwoOfOneSecondHaveTwoNames) {
  for (int i = 0; i < 2; ++i) {
    write(std::string(8192, 'x'));
    start();
    history.reset();
  }
  EXPECT_EQ(all_put_aside(options.path).size(), 2U);
}

TEST_F(PutAsideTest, DamageThatIsFoundInUseEndsItsOwnerAndTheNextOpeningPutsItAside) {
  std::atomic<int> told = 0;
  options.on_damage = [&told] { ++told; };
  start();
  record(acquisitions(3000));
  restart();  // all of it is in the file, nothing in a cache
  const std::string good = bytes(options.path);
  {
    std::fstream file(options.path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(4096);
    file << std::string(good.size() - 4096, '\x7f');
  }
  HistoryFilter filter;
  filter.limit = 1000;
  EXPECT_FALSE(history->rows(filter, {}));
  EXPECT_EQ(told, 1);
  EXPECT_TRUE(is_marked_damaged(options.path));
  EXPECT_FALSE(history->rows(filter, {}));
  EXPECT_EQ(told, 1) << "once";
  history.reset();
  start();
  EXPECT_EQ(all_put_aside(options.path).size(), 1U);
  EXPECT_FALSE(is_marked_damaged(options.path));
  ASSERT_TRUE(history->drain(std::chrono::seconds(5)));
  EXPECT_EQ(gaps("history_damaged").size(), 1U);
}

TEST_F(PutAsideTest, AFileThatWasEmptiedIsNoNewHistory) {
  start();
  EXPECT_TRUE(all_put_aside(options.path).empty());
  record(acquisitions(10));
  history.reset();
  std::filesystem::resize_file(options.path, 0);
  start();
  ASSERT_TRUE(history->drain(std::chrono::seconds(5)));
  EXPECT_EQ(all_put_aside(options.path).size(), 1U);
  EXPECT_EQ(gaps("history_damaged").size(), 1U);
}

TEST_F(PutAsideTest, AFileThatLostItsEndIsPutAside) {
  start();
  record(acquisitions(3000));
  history.reset();
  std::filesystem::resize_file(options.path, std::filesystem::file_size(options.path) / 2);
  auto opened = History::open(options, clock);
  ASSERT_TRUE(opened) << opened.error().message;
  HistoryFilter filter;
  filter.limit = 10'000;
  const bool whole = (*opened)->rows(filter, {}).has_value();
  EXPECT_TRUE(!whole || all_put_aside(options.path).size() == 1) << "never a part of it as if it were all";
}

TEST_F(PutAsideTest, OnlyWhatIsNamedLikeThatCounts) {
  for (const char* name : {"history.db.damaged", "history.db.damaged-x", "other.db.damaged-20260528T202640Z",
                           "history.db.damaged-20260528T202640Z-wal"})
    std::ofstream(directory.file(name)) << "x";
  EXPECT_TRUE(all_put_aside(options.path).empty());
}

}  // namespace
}  // namespace keytrail::record
