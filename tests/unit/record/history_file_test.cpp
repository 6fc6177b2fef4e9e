// SPDX-License-Identifier: Apache-2.0
// Which files are taken as a history and which are refused, with a sentence that says what to do.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <fstream>

#include "agent/record/schema.h"
#include "tests/unit/record/fixture.h"

namespace keytrail::record {
namespace {

using testing::Test;

class HistoryFileTest : public HistoryTest {
 protected:
  std::string refusal() {
    auto opened = History::open(options, clock);
    return opened ? "" : opened.error().message;
  }
  std::string bytes(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void run_sql(const std::string& sql) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(options.path.c_str(), &db), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK);
    sqlite3_close(db);
    chmod(options.path.c_str(), 0600);
  }
};

TEST_F(HistoryFileTest, files_are_for_their_owner_only) {
  umask(0);
  start();
  record_use(make_use(make_actor(1), make_key("AKIA1"), clock.now));
  for (const auto& entry : std::filesystem::directory_iterator(directory.path())) {
    struct stat st{};
    ASSERT_EQ(stat(entry.path().c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 0777U, 0600U) << entry.path();
  }
  umask(022);
}

TEST_F(HistoryFileTest, a_link_a_fifo_and_a_directory_are_refused) {
  const std::string target = directory.file("target");
  std::ofstream(target) << "";
  ASSERT_EQ(symlink(target.c_str(), options.path.c_str()), 0);
  EXPECT_NE(refusal().find("symbolic link"), std::string::npos);
  unlink(options.path.c_str());
  ASSERT_EQ(mkfifo(options.path.c_str(), 0600), 0);
  EXPECT_NE(refusal().find("not a regular file"), std::string::npos);
  unlink(options.path.c_str());
  ASSERT_EQ(mkdir(options.path.c_str(), 0700), 0);
  EXPECT_NE(refusal(), "");
  rmdir(options.path.c_str());
  chmod(target.c_str(), 0600);
  ASSERT_EQ(link(target.c_str(), options.path.c_str()), 0);
  EXPECT_NE(refusal().find("hard links"), std::string::npos);
}

TEST_F(HistoryFileTest, an_open_directory_or_file_is_refused) {
  chmod(directory.path().c_str(), 0755);
  EXPECT_NE(refusal().find("chmod 0700"), std::string::npos);
  chmod(directory.path().c_str(), 0770);
  EXPECT_NE(refusal().find("1770"), std::string::npos);
  chmod(directory.path().c_str(), 01770);
  EXPECT_EQ(refusal(), "");
  chmod(directory.path().c_str(), 0700);
  unlink(options.path.c_str());
  std::ofstream(options.path) << "";
  chmod(options.path.c_str(), 0644);
  EXPECT_NE(refusal().find("chmod 0600"), std::string::npos);
  options.path = directory.path() + "/missing/history.db";
  EXPECT_NE(refusal().find("No such file"), std::string::npos);
}

TEST_F(HistoryFileTest, a_file_of_somebody_else_is_refused) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to give a file away";
  std::ofstream(options.path) << "";
  chmod(options.path.c_str(), 0600);
  ASSERT_EQ(chown(options.path.c_str(), 65534, 65534), 0);
  EXPECT_NE(refusal().find("belongs to user 65534"), std::string::npos);
}

TEST_F(HistoryFileTest, a_log_that_somebody_else_put_there_is_refused) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to give a file away";
  for (const char* suffix : {"-wal", "-shm"}) {
    std::ofstream(options.path + suffix) << "";
    chmod((options.path + suffix).c_str(), 0600);
    ASSERT_EQ(chown((options.path + suffix).c_str(), 65534, 65534), 0);
    EXPECT_NE(refusal().find("belongs to user 65534"), std::string::npos);
    unlink((options.path + suffix).c_str());
  }
  EXPECT_EQ(refusal(), "");
  EXPECT_TRUE(std::filesystem::exists(options.path + "-wal"));
}

TEST_F(HistoryFileTest, a_second_process_is_refused) {
  start();
  EXPECT_NE(refusal().find("another process"), std::string::npos);
  history.reset();
  EXPECT_EQ(refusal(), "");
}

TEST_F(HistoryFileTest, a_newer_version_is_refused_and_stays_as_it_is) {
  start();
  record_use(make_use(make_actor(1), make_key("AKIA1"), clock.now));
  history.reset();
  run_sql("PRAGMA user_version = 99");
  const std::string before = bytes(options.path);
  EXPECT_NE(refusal().find("newer version"), std::string::npos);
  EXPECT_EQ(bytes(options.path), before);
  run_sql("PRAGMA user_version = " + std::to_string(kSchemaVersion));
  start();
  EXPECT_EQ(all_rows().size(), 1U);
}

TEST_F(HistoryFileTest, numbers_that_nobody_knows_are_read_as_unknown) {
  start();
  Batch batch;
  batch.rows.push_back(make_acquisition(make_actor(1), make_key("AKIA1"), clock.now));
  batch.uses.push_back(make_use(make_actor(1), make_key("AKIA1"), clock.now));
  batch.holdings.push_back(make_holding(make_actor(1), make_key("AKIA1"), clock.now));
  record(std::move(batch));
  history.reset();
  run_sql(
      "UPDATE rows SET evidence = 77, reason = -3, outcome = 256 WHERE kind = 2; UPDATE rows SET kind = 99 WHERE kind "
      "= 1;"
      "UPDATE workload SET kind = 77; UPDATE key SET class = 77; UPDATE holding SET how = 77; UPDATE slot SET origin = "
      "1000");
  start();
  const auto use = history->row(2);
  ASSERT_TRUE(use && *use) << use.error().message;
  const auto& body = std::get<UseRow>((*use)->body);
  for (const char* word :
       {to_string(body.evidence), to_string(body.reason), to_string(body.outcome), to_string(body.actor.workload.kind),
        to_string(body.keys.at(0).key.key_class), to_string(body.keys.at(0).slot.from)})
    EXPECT_STREQ(word, "unknown");
  EXPECT_STREQ(to_string(history->all_holdings()->at(0).how), "unknown");
  const auto row = history->row(1);
  ASSERT_TRUE(row && *row) << row.error().message;
  EXPECT_EQ(std::get<GapRow>((*row)->body).text, "Row 1 of the history is of a kind that this version does not know.");
}

TEST_F(HistoryFileTest, another_database_is_refused_and_stays_as_it_is) {
  run_sql("CREATE TABLE t(a); INSERT INTO t VALUES(1)");
  const std::string before = bytes(options.path);
  EXPECT_NE(refusal().find("not a history"), std::string::npos);
  EXPECT_EQ(bytes(options.path), before);
}

TEST_F(HistoryFileTest, flipped_bytes_never_crash_and_never_pass_silently_as_an_empty_answer) {
  start();
  Batch batch;
  for (int i = 0; i < 500; ++i)
    batch.rows.push_back(make_acquisition(make_actor(1), make_key("AKIA" + std::to_string(i)), clock.now));
  record(std::move(batch));
  history.reset();
  const std::string good = bytes(options.path);
  for (std::size_t at = 0; at < good.size(); at += 1501 * kLess) {
    std::string bad = good;
    bad[at] = static_cast<char>(~bad[at]);
    bad[(at * 7) % bad.size()] = static_cast<char>(~bad[(at * 7) % bad.size()]);
    {
      std::ofstream file(options.path, std::ios::binary | std::ios::trunc);
      file << bad;
    }
    auto opened = History::open(options, clock);
    if (!opened) continue;
    HistoryFilter filter;
    filter.limit = 1000;
    (void)(*opened)->rows(filter, {});
    (void)(*opened)->edges(filter);
    (void)(*opened)->keys(filter);
    Batch more;
    more.rows.push_back(make_acquisition(make_actor(1), make_key("AKIA1"), clock.now));
    (*opened)->submit(std::move(more));
  }
}

TEST_F(HistoryFileTest, killing_the_writer_at_any_moment_leaves_whole_batches) {
  // Each batch appends three rows and says so in its counters: a torn batch would break the equation.
  start();
  history.reset();  // the file is there: on a busy machine making it takes longer than a writer lives here
  for (int round = 0; round < 40; ++round) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto opened = History::open(options, clock);
      if (!opened) _exit(1);
      std::uint64_t recorded = (*opened)->last_batch().counters.recorded;
      for (std::uint32_t i = 0;; ++i) {
        Batch batch;
        for (int j = 0; j < 3; ++j)
          batch.rows.push_back(make_acquisition(make_actor(i), make_key("AKIA" + std::to_string(i % 50)), clock.now));
        batch.uses.push_back(make_use(make_actor(i), make_key("AKIA" + std::to_string(i % 50)), clock.now));
        batch.counters.recorded = recorded += 3;
        (*opened)->submit(std::move(batch));
        usleep(200);
      }
    }
    usleep(static_cast<useconds_t>(10'000 + (round * 7919) % 60'000));
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself";
  }
  start();
  EXPECT_FALSE(history->last_batch().clean_stop);
  std::uint64_t acquisitions = 0, uses = 0, rows = 0, last = 0;
  for (const Row& row : all_rows()) {
    EXPECT_EQ(row.seq, last + 1);
    last = row.seq;
    ++rows;
    if (std::holds_alternative<AcquisitionRow>(row.body)) ++acquisitions;
    if (const auto* use = std::get_if<UseRow>(&row.body)) uses += use->connections;
  }
  EXPECT_GT(acquisitions, 0U);
  EXPECT_EQ(acquisitions, history->last_batch().counters.recorded);
  EXPECT_EQ(uses, acquisitions / 3);
  EXPECT_EQ(rows, history->status()->rows);
}

}  // namespace
}  // namespace keytrail::record
