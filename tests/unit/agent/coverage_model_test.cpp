// SPDX-License-Identifier: Apache-2.0
// Random histories (batches, families that fall silent, losses, restarts, reboots, clocks that are set) in the real
// history, beside a model that keeps a flag for each second. What coverage says of any period must be what it says.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "agent/serve/coverage.h"
#include "tests/unit/record/fixture.h"
#include "tests/unit/serve/fake_agent.h"

namespace keytrail {
namespace {

using record::kSecond;

/// Both clocks by hand, whole seconds.
class TwoClocks final : public Clock {
 public:
  static constexpr std::int64_t kBegin = 1'700'000'000;  // long past: no answer is about the present
  [[nodiscard]] std::uint64_t boot_ns() const override { return static_cast<std::uint64_t>(boot_s * kSecond); }
  [[nodiscard]] std::int64_t wall_ns() const override { return wall_s * kSecond; }
  std::int64_t boot_s = 1000, wall_s = kBegin;
};

class World {
 public:
  explicit World(unsigned seed) : random_(seed) {
    options_.path = directory_.file();
    options_.reserve_bytes = 0;
    options_.merge_for = std::chrono::milliseconds(0);
    options_.boot_id = "boot-0";
    open();
  }

  void step() {
    switch (below(12)) {
      case 0:
        return loss();
      case 1:
        return restart(false);
      case 2:
        return restart(true);
      case 3:
        return set_clock();
      case 4:
        silent_ = below(2) == 0 ? 0 : 1U << below(kFamilies);
        return;
      default:
        return batch();
    }
  }

  void ask() {
    history_->drain(std::chrono::seconds(5));
    serve::CoverageSource source(*history_, status_, catalog::Catalog::builtin(), 1000);
    for (int i = 0; i < 60; ++i) {
      HistoryFilter filter;
      const std::int64_t from = first_ + below(static_cast<int>(last_ - first_) + 20) - 10;
      const std::int64_t to = from + 1 + below(30);
      filter.from_ns = from * kSecond;
      filter.to_ns = to * kSecond;
      bool expected = true;
      for (std::int64_t second = from; second < to; ++second)
        expected = expected && watched_.contains(second) && !lost_.contains(second);
      const serve::Coverage said = source.of(filter);
      EXPECT_EQ(said.complete, expected) << from - TwoClocks::kBegin << " to " << to - TwoClocks::kBegin << ": "
                                         << boost::json::serialize(said.json);
      complete_ += said.complete ? 1 : 0;
    }
  }
  [[nodiscard]] int complete() const { return complete_; }

 private:
  int below(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }

  void open() {
    auto opened = record::History::open(options_, clock_);
    ASSERT_TRUE(opened) << opened.error().message;
    history_ = std::move(*opened);
  }

  void go(std::int64_t seconds) {
    clock_.boot_s += seconds;
    clock_.wall_s += seconds;
    last_ = std::max(last_, clock_.wall_s);
  }

  // As the pipeline makes them: each goes on where the one before it ended.
  void batch() {
    go(1 + below(5));
    Batch batch;
    batch.watched = watched();
    const std::uint32_t needed = 0b11111;
    if ((batch.watched->families & needed) == needed) {
      for (std::int64_t second = batch.watched->from_ns / kSecond; second < clock_.wall_s; ++second)
        watched_.insert(second);
    }
    watched_boot_s_ = clock_.boot_s;
    history_->submit(std::move(batch));
  }

  Watched watched() {
    return {.from_boot_ns = static_cast<std::uint64_t>(watched_boot_s_ * kSecond),
            .to_boot_ns = clock_.boot_ns(),
            .from_ns = clock_.to_wall(static_cast<std::uint64_t>(watched_boot_s_ * kSecond)),
            .to_ns = clock_.wall_ns(),
            .families = 0b111111U & ~silent_};
  }

  void loss() {
    const std::int64_t from = clock_.wall_s - 1 - below(4), to = clock_.wall_s;
    const bool any = below(3) != 0;
    Batch batch;
    GapRow gap{.cause = "ring_full", .from_ns = from * kSecond, .to_ns = to * kSecond};
    if (below(2) == 0 || !any) gap.lost = any ? 7 : 0;
    batch.rows.push_back({.time_ns = gap.to_ns, .body = gap});
    history_->submit(std::move(batch));
    for (std::int64_t second = from; any && second < to; ++second)
      lost_.insert(second);
  }

  // The worker alone: its session goes on from where it was settled. The whole agent, or the machine: nobody watched.
  void restart(bool whole) {
    history_->drain(std::chrono::seconds(5));
    history_.reset();
    go(1 + below(6));
    if (whole && below(2) == 0) {
      options_.boot_id = "boot-" + std::to_string(++boots_);
      clock_.boot_s = 5;
    }
    open();
    watched_boot_s_ = clock_.boot_s;
    const std::uint64_t settled = history_->last_batch().settled.boot_ns;
    if (!whole && settled != 0) watched_boot_s_ = static_cast<std::int64_t>(settled) / kSecond;
  }

  // Between two batches: the pipeline settles what was, and goes on with the clock that is set.
  void set_clock() {
    batch();
    clock_.wall_s += below(2) == 0 ? 20 + below(40) : -(5 + below(20));
    first_ = std::min(first_, clock_.wall_s);
    last_ = std::max(last_, clock_.wall_s);
  }

  std::mt19937 random_;
  record::TemporaryDirectory directory_;
  record::HistoryOptions options_;
  TwoClocks clock_;
  serve::testing::FakeStatus status_;
  std::unique_ptr<record::History> history_;
  std::int64_t watched_boot_s_ = 1000;
  std::uint32_t silent_ = 0;
  int boots_ = 0, complete_ = 0;
  std::int64_t first_ = TwoClocks::kBegin, last_ = TwoClocks::kBegin;
  std::set<std::int64_t> watched_, lost_;  ///< seconds of the wall clock
};

TEST(CoverageModel, SaysCompleteExactlyWhereEachSecondWasWatchedAndNothingWasLost) {
  int complete = 0;
  for (unsigned seed = 1; seed <= 25; ++seed) {
    SCOPED_TRACE(seed);
    World world(seed);
    for (int i = 0; i < 40; ++i)
      world.step();
    world.ask();
    complete += world.complete();
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_GT(complete, 100) << "the histories hold hardly anything that is complete: the test shows little";
}

}  // namespace
}  // namespace keytrail
