// SPDX-License-Identifier: Apache-2.0
// A history in a directory of its own, a clock that is set by hand, and short ways to make rows.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>

#include "agent/record/history.h"

namespace keytrail::record {

/// What a test only repeats to be surer is repeated less where the thread sanitizer makes it ten times slower.
#if defined(__has_feature) && __has_feature(thread_sanitizer)
inline constexpr int kLess = 5;
#else
inline constexpr int kLess = 1;
#endif

class FakeClock final : public Clock {
 public:
  [[nodiscard]] std::uint64_t boot_ns() const override { return static_cast<std::uint64_t>(now.load() - kStart); }
  [[nodiscard]] std::int64_t wall_ns() const override { return now.load() + wrong.load(); }
  static constexpr std::int64_t kStart = 1'780'000'000 * kSecond;
  std::atomic<std::int64_t> now{kStart};
  std::atomic<std::int64_t> wrong{0};  ///< by which the wall clock is ahead of the time that passes
};

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = "/tmp/keytrail-record-XXXXXX";
    if (mkdtemp(name.data()) != nullptr) path_ = name;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] std::string file(const std::string& name = "history.db") const { return path_ + "/" + name; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline Actor make_actor(std::uint32_t pid, const std::string& workload = "backup.service") {
  Actor actor;
  actor.id = {pid, 1000U + pid, 1};
  actor.exe = "/usr/bin/restic";
  actor.program = "restic";
  actor.comm = "restic";
  actor.user = "root";
  actor.workload.id = "unit:" + workload;
  actor.workload.kind = WorkloadKind::kSystemdUnit;
  actor.workload.name = workload;
  actor.workload.facts = {{fact::kCgroup, "/system.slice/" + workload}, {fact::kUnit, workload}};
  return actor;
}

inline Key make_key(const std::string& id, const std::string& parent = {}) {
  Key key;
  key.id = id;
  key.kind = "aws.access_key";
  key.lifetime = Lifetime::kLongLived;
  key.parent = parent;
  return key;
}

inline Slot make_slot(const std::string& selector = "default") {
  return {From::kFile, "/root/.aws/credentials", selector};
}

inline Destination make_destination(const std::string& service = "s3") {
  Destination destination;
  destination.provider = "aws";
  destination.service = service;
  destination.region = "eu-west-1";
  destination.host = service + ".eu-west-1.amazonaws.com";
  destination.address = "192.0.2.7";
  destination.port = 443;
  destination.name_source = NameSource::kSni;
  return destination;
}

inline UseRow make_use(const Actor& actor, const Key& key, std::int64_t at_ns,
                       const Destination& destination = make_destination()) {
  UseRow use;
  use.actor = actor;
  use.keys.push_back({key, make_slot(), Reason::kOnlyKeyHeld});
  use.destination = destination;
  use.outcome = Outcome::kOk;
  use.evidence = Evidence::kInferred;
  use.reason = Reason::kOnlyKeyHeld;
  use.reason_detail = "only AWS key";
  use.first_ns = use.last_ns = at_ns;
  use.bytes_sent = 10;
  use.bytes_received = 20;
  return use;
}

inline Row make_acquisition(const Actor& actor, const Key& key, std::int64_t at_ns) {
  Row row;
  row.time_ns = row.observed_ns = at_ns;
  row.body = AcquisitionRow{actor, key, make_slot(), "", false, false};
  return row;
}

inline HoldingChange make_holding(const Actor& actor, const Key& key, std::int64_t at_ns) {
  return {HoldingChange::Kind::kSet, {actor, key, make_slot(), at_ns, 0, How::kDirect, false}};
}

class HistoryTest : public testing::Test {
 protected:
  void SetUp() override {
    options.path = directory.file();
    options.reserve_bytes = 65536;
    options.merge_for = std::chrono::milliseconds(1);
    options.boot_id = "boot-1";
  }
  void TearDown() override { history.reset(); }
  void start() {
    auto opened = History::open(options, clock);
    ASSERT_TRUE(opened) << opened.error().message;
    history = std::move(*opened);
  }
  void restart() {
    history.reset();
    start();
  }
  void record(Batch batch) {
    history->submit(std::move(batch));
    ASSERT_TRUE(history->drain(std::chrono::seconds(5)));
  }
  void record_use(const UseRow& use) {
    Batch batch;
    batch.uses.push_back(use);
    ASSERT_NO_FATAL_FAILURE(record(std::move(batch)));
  }
  std::vector<Row> all_rows() {
    HistoryFilter filter;
    std::vector<Row> out;
    do {
      auto page = history->rows(filter, {});
      EXPECT_TRUE(page) << page.error().message;
      if (!page) return out;
      out.insert(out.end(), page->items.begin(), page->items.end());
      filter.after_seq = page->next;
    } while (filter.after_seq != 0);
    return out;
  }

  TemporaryDirectory directory;
  FakeClock clock;
  HistoryOptions options;
  std::unique_ptr<History> history;
};

}  // namespace keytrail::record
