// SPDX-License-Identifier: Apache-2.0
// Disks that are full, that fail, and readers that take their time.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <cstring>
#include <fstream>
#include <thread>

#include "tests/unit/record/fixture.h"

namespace keytrail::record {
namespace {

/// A VFS over SQLite's own that fails or holds up writes, or fails syncs, on demand.
class FaultyDisk {
 public:
  static inline std::atomic<int> fail_write{0};  ///< extended result code, 0 = write
  static inline std::atomic<int> fail_sync{0};
  static inline std::atomic<bool> hold_write{false};
  static inline std::atomic<bool> held{false};  ///< a write waits, or did

  FaultyDisk() {
    fail_write = fail_sync = 0;
    hold_write = held = false;
    real_ = sqlite3_vfs_find(nullptr);
    vfs_ = *real_;
    vfs_.zName = "faulty";
    vfs_.szOsFile = static_cast<int>(sizeof(File)) + real_->szOsFile;
    vfs_.xOpen = &open;
    sqlite3_vfs_register(&vfs_, 1);
  }
  ~FaultyDisk() {
    hold_write = false;
    sqlite3_vfs_unregister(&vfs_);
    sqlite3_vfs_register(real_, 1);
  }
  FaultyDisk(const FaultyDisk&) = delete;
  FaultyDisk& operator=(const FaultyDisk&) = delete;

 private:
  struct File {
    sqlite3_file base;
    sqlite3_io_methods methods;
    sqlite3_file* real;
  };
  static File* of(sqlite3_file* file) { return reinterpret_cast<File*>(file); }
  static int open(sqlite3_vfs*, sqlite3_filename name, sqlite3_file* file, int flags, int* out_flags) {
    File* self = of(file);
    self->base.pMethods = nullptr;
    self->real = reinterpret_cast<sqlite3_file*>(self + 1);
    const int code = real_->xOpen(real_, name, self->real, flags, out_flags);
    if (self->real->pMethods == nullptr) return code;
    self->methods = *self->real->pMethods;
    self->methods.iVersion = 2;
    self->methods.xClose = [](sqlite3_file* f) { return of(f)->real->pMethods->xClose(of(f)->real); };
    self->methods.xRead = [](sqlite3_file* f, void* p, int n, sqlite3_int64 at) {
      return of(f)->real->pMethods->xRead(of(f)->real, p, n, at);
    };
    self->methods.xWrite = [](sqlite3_file* f, const void* p, int n, sqlite3_int64 at) {
      while (hold_write) {
        held = true;
        usleep(1000);
      }
      return fail_write != 0 ? fail_write.load() : of(f)->real->pMethods->xWrite(of(f)->real, p, n, at);
    };
    self->methods.xTruncate = [](sqlite3_file* f, sqlite3_int64 n) {
      return of(f)->real->pMethods->xTruncate(of(f)->real, n);
    };
    self->methods.xSync = [](sqlite3_file* f, int how) {
      return fail_sync != 0 ? fail_sync.load() : of(f)->real->pMethods->xSync(of(f)->real, how);
    };
    self->methods.xFileSize = [](sqlite3_file* f, sqlite3_int64* n) {
      return of(f)->real->pMethods->xFileSize(of(f)->real, n);
    };
    self->methods.xLock = [](sqlite3_file* f, int how) { return of(f)->real->pMethods->xLock(of(f)->real, how); };
    self->methods.xUnlock = [](sqlite3_file* f, int how) { return of(f)->real->pMethods->xUnlock(of(f)->real, how); };
    self->methods.xCheckReservedLock = [](sqlite3_file* f, int* out) {
      return of(f)->real->pMethods->xCheckReservedLock(of(f)->real, out);
    };
    self->methods.xFileControl = [](sqlite3_file* f, int what, void* p) {
      return of(f)->real->pMethods->xFileControl(of(f)->real, what, p);
    };
    self->methods.xSectorSize = [](sqlite3_file* f) { return of(f)->real->pMethods->xSectorSize(of(f)->real); };
    self->methods.xDeviceCharacteristics = [](sqlite3_file* f) {
      return of(f)->real->pMethods->xDeviceCharacteristics(of(f)->real);
    };
    self->methods.xShmMap = [](sqlite3_file* f, int region, int size, int extend, void volatile** out) {
      return of(f)->real->pMethods->xShmMap(of(f)->real, region, size, extend, out);
    };
    self->methods.xShmLock = [](sqlite3_file* f, int at, int n, int how) {
      return of(f)->real->pMethods->xShmLock(of(f)->real, at, n, how);
    };
    self->methods.xShmBarrier = [](sqlite3_file* f) { of(f)->real->pMethods->xShmBarrier(of(f)->real); };
    self->methods.xShmUnmap = [](sqlite3_file* f, int remove) {
      return of(f)->real->pMethods->xShmUnmap(of(f)->real, remove);
    };
    self->base.pMethods = &self->methods;
    return code;
  }
  static inline sqlite3_vfs* real_ = nullptr;
  sqlite3_vfs vfs_{};
};

class TroubleTest : public HistoryTest {
 protected:
  Batch rows(int count, const std::string& prefix = "AKIA") {
    Batch batch;
    for (int i = 0; i < count; ++i)
      batch.rows.push_back(make_acquisition(make_actor(1), make_key(prefix + std::to_string(i)), clock.now));
    batch.counters.recorded = given += static_cast<std::uint64_t>(count);
    return batch;
  }
  template <typename Condition>
  bool within(int tenths, Condition condition) {
    for (int i = 0; i < tenths; ++i) {
      if (condition()) return true;
      usleep(100'000);
    }
    return condition();
  }
  std::uint64_t given = 0;
};

TEST_F(TroubleTest, failing_writes_are_said_tried_again_and_nothing_is_lost) {
  const FaultyDisk disk;
  start();
  ASSERT_NO_FATAL_FAILURE(record(rows(10)));
  FaultyDisk::fail_write = SQLITE_IOERR_WRITE;
  history->submit(rows(10));
  EXPECT_TRUE(within(50, [this] { return !history->status()->error.empty(); }));
  EXPECT_FALSE(history->drain(std::chrono::milliseconds(100)));
  EXPECT_EQ(history->status()->queue, 10U) << "what the writer has in its hands waits, too";
  EXPECT_NE(history->status()->unsaved_since_ns, 0);
  FaultyDisk::fail_write = 0;
  EXPECT_TRUE(history->drain(std::chrono::seconds(10)));
  EXPECT_EQ(history->status()->queue, 0U);
  EXPECT_EQ(history->status()->unsaved_since_ns, 0);
  EXPECT_EQ(all_rows().size(), 20U);
  EXPECT_EQ(history->status()->error, "");
  history.reset();
}

TEST_F(TroubleTest, a_long_failure_fills_the_queue_and_the_gap_has_the_exact_count) {
  const FaultyDisk disk;
  options.queue_rows = 50;
  start();
  ASSERT_NO_FATAL_FAILURE(record(rows(10)));
  FaultyDisk::fail_write = SQLITE_IOERR_WRITE;
  for (int i = 0; i < 40; ++i) {
    history->submit(rows(5));
    usleep(2000);
  }
  FaultyDisk::fail_write = 0;
  ASSERT_TRUE(history->drain(std::chrono::seconds(10)));
  std::uint64_t stored = 0, lost = 0;
  for (const Row& row : all_rows()) {
    const auto* gap = std::get_if<GapRow>(&row.body);
    gap != nullptr ? lost += gap->lost.value_or(0) : ++stored;
  }
  EXPECT_GT(lost, 0U);
  EXPECT_EQ(stored + lost, given);
  EXPECT_EQ(history->status()->worker.recorded, given);
  history.reset();
}

TEST_F(TroubleTest, a_batch_counts_as_stored_only_when_all_before_it_are_though_the_queue_is_full) {
  const FaultyDisk disk;
  options.queue_batches = 2;
  start();
  EXPECT_EQ(history->batches()->submitted, 0U);
  ASSERT_NO_FATAL_FAILURE(record(rows(10)));
  EXPECT_EQ(history->batches()->submitted, 1U);
  EXPECT_EQ(history->batches()->stored, 1U);
  FaultyDisk::hold_write = true;
  history->submit(rows(10));
  EXPECT_TRUE(within(50, [] { return FaultyDisk::held.load(); }));
  for (int i = 0; i < 4; ++i)  // two wait, the rows of two do not fit
    history->submit(rows(10));
  Batch last;
  last.counters.recorded = given;
  last.holdings.push_back(make_holding(make_actor(1), make_key("AKIA0"), clock.now));
  history->submit(std::move(last));
  usleep(50'000);
  EXPECT_EQ(history->batches()->submitted, 7U);
  EXPECT_EQ(history->batches()->stored, 1U) << "while the disk takes its time, nobody waits for it who asks";
  EXPECT_EQ(history->status()->queue, 30U);
  EXPECT_EQ(history->status()->queue_dropped, 20U);
  FaultyDisk::hold_write = false;
  ASSERT_TRUE(history->drain(std::chrono::seconds(10)));
  EXPECT_EQ(history->batches()->submitted, 7U);
  EXPECT_EQ(history->batches()->stored, 7U) << "what was kept of those that did not fit is stored, too";
  EXPECT_EQ(history->holders({})->size(), 1U);
  std::uint64_t stored = 0, lost = 0;
  for (const Row& row : all_rows()) {
    const auto* gap = std::get_if<GapRow>(&row.body);
    gap != nullptr ? lost += gap->lost.value_or(0) : ++stored;
  }
  EXPECT_EQ(stored, 40U);
  EXPECT_EQ(lost, 20U);
  ASSERT_NO_FATAL_FAILURE(record(rows(1)));
  EXPECT_EQ(history->batches()->stored, 8U);
  history.reset();
}

TEST_F(TroubleTest, a_failed_sync_is_never_taken_for_success) {
  const FaultyDisk disk;
  start();
  FaultyDisk::fail_sync = SQLITE_IOERR_FSYNC;
  for (int i = 0; i < 40; ++i)
    ASSERT_NO_FATAL_FAILURE(record(rows(1500, std::to_string(i) + "-")));
  EXPECT_NE(history->status()->error, "");
  FaultyDisk::fail_sync = 0;
  for (int i = 0; i < 40; ++i)
    ASSERT_NO_FATAL_FAILURE(record(rows(1500, std::to_string(i) + "+")));
  EXPECT_EQ(history->status()->error, "");
  int gaps = 0;
  for (const Row& row : history->rows({.limit = 1000}, {.acquisitions = false})->items) {
    const auto& gap = std::get<GapRow>(row.body);
    EXPECT_EQ(gap.cause, "storage_error");
    EXPECT_FALSE(gap.lost);
    ++gaps;
  }
  EXPECT_EQ(gaps, 1);
  history.reset();
}

TEST_F(TroubleTest, readers_that_never_pause_do_not_let_the_log_grow) {
  start();
  std::atomic<bool> stop{false};
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([this, &stop] {
      while (!stop)
        (void)history->rows({.kind = "nothing"}, {});
    });
  }
  std::uint64_t most = 0;
  for (int i = 0; i < 100 / kLess; ++i) {
    ASSERT_NO_FATAL_FAILURE(record(rows(1000, std::to_string(i) + "-")));
    most = std::max(most, history->status()->wal_bytes);
  }
  stop = true;
  for (std::thread& reader : readers)
    reader.join();
  EXPECT_LT(most, 64U << 20U);
}

/// Runs in a child with a mount namespace of its own: an 8 MiB file system that somebody else fills.
struct FullDisk {
  std::uint64_t passed = 0;   ///< how many of the first 5,000 rows the only exporter has; 0: there is no exporter
  bool at_its_bound = false;  ///< the history has as much as it may, too
};
int fill_the_disk(const std::string& directory, HistoryOptions options, const Clock& clock, const FullDisk& how) {
  const std::uint64_t passed = how.passed;
  if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount("tmpfs", directory.c_str(), "tmpfs", 0, "size=16m,mode=0700") != 0) {
    return 77;
  }
  options.reserve_bytes = 2U << 20U;
  if (how.at_its_bound) options.max_bytes = 1U << 20U;
  auto opened = History::open(options, clock);
  if (!opened) return 1;
  History& history = **opened;
  std::uint64_t given = 0;
  auto submit = [&](int rows) {
    Batch batch;
    for (int i = 0; i < rows; ++i)
      batch.rows.push_back(
          make_acquisition(make_actor(1), make_key("AKIA" + std::to_string(given++ % 500)), clock.wall_ns()));
    history.submit(std::move(batch));
  };
  for (int i = 0; i < 10; ++i)
    submit(500);
  if (!history.drain(std::chrono::seconds(10))) return 2;
  const auto is_at_its_bound = [&] { return history.status()->bytes > options.max_bytes / 10 * 8; };
  for (int i = 0; how.at_its_bound && i < 60 && !is_at_its_bound(); ++i) {
    submit(500);
    if (!history.drain(std::chrono::seconds(10))) return 2;
  }
  if (how.at_its_bound && !is_at_its_bound()) return 13;
  if (passed != 0 && (!history.open("otlp", true) || !history.settle("otlp", passed, 0))) return 10;
  const std::string filler = directory + "/filler";
  {
    const int fd = ::open(filler.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    const std::string block(65536, 'x');
    while (write(fd, block.data(), block.size()) > 0) {
    }
    ::close(fd);
  }
  bool said = false;
  for (int i = 0; i < 400; ++i) {
    submit(500);
    (void)history.drain(std::chrono::milliseconds(300));
    said = said || !history.status()->error.empty();
    if (i > 20 && said) break;
  }
  if (!said) return 3;
  unlink(filler.c_str());
  for (int i = 0; i < 100; ++i) {
    submit(10);
    usleep(100'000);
    if (history.status()->error.empty()) break;
  }
  if (!history.status()->error.empty()) return 4;
  if (!history.drain(std::chrono::seconds(10))) return 5;
  if (!std::filesystem::exists(options.path + ".reserve")) return 6;
  const auto status = history.status();
  // Every row given was appended or is counted as dropped; gap rows come on top.
  if (status->rows + status->queue_dropped < given) return 7;
  // At its own bound rows go all the time, and are told once a minute.
  if (how.at_its_bound) return status->bytes > options.max_bytes ? 14 : 0;
  // What was removed for want of room is a gap with the exact count.
  auto oldest = history.rows({.limit = 1}, {});
  auto gaps = history.rows({}, {.acquisitions = false, .uses = false, .findings = false, .revisions = false});
  if (!oldest || oldest->items.empty() || !gaps) return 8;
  std::uint64_t evicted = 0;
  for (const Row& row : gaps->items) {
    const auto& gap = std::get<GapRow>(row.body);
    if (gap.cause == "disk_full") evicted += gap.lost.value_or(0);
  }
  if (evicted != oldest->items.front().seq - 1) return 9;
  // Nothing went for the bytes of others that nobody had.
  if (evicted > passed) return 11;
  if (passed != 0 && history.counters("otlp")->expired != 0) return 12;
  return 0;
}

class FullDiskTest : public TroubleTest, public testing::WithParamInterface<FullDisk> {};

TEST_P(FullDiskTest, is_survived_with_the_reserve_and_left_again_and_nothing_goes_that_nobody_had) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root for a file system of its own";
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) _exit(fill_the_disk(directory.path(), options, clock, GetParam()));
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "no mount namespace here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

INSTANTIATE_TEST_SUITE_P(Passed, FullDiskTest,
                         testing::Values(FullDisk{}, FullDisk{.passed = 2000}, FullDisk{.at_its_bound = true}));

}  // namespace
}  // namespace keytrail::record
