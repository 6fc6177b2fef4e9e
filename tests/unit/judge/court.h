// SPDX-License-Identifier: Apache-2.0
// What the tests of rules share: a judge that is fed batches made of a few words, and what it said.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "agent/judge/judge.h"

namespace keytrail::judge {

inline constexpr std::int64_t kMinute = 60'000'000'000;

struct FakeClock : Clock {
  std::int64_t now = 5'000;
  [[nodiscard]] std::uint64_t boot_ns() const override { return 5; }
  [[nodiscard]] std::int64_t wall_ns() const override { return now; }
};

inline UseRow use_of(const std::string& id, std::int64_t time, Evidence evidence = Evidence::kInferred) {
  UseRow use;
  use.actor.id = {7, 1, 1};
  use.actor.program = "restic";
  use.actor.exe = "/usr/bin/restic";
  use.actor.workload.kind = WorkloadKind::kSystemdUnit;
  use.actor.workload.id = "unit:backup.service";
  use.actor.workload.name = "backup.service";
  Candidate candidate;
  candidate.key.id = id;
  candidate.slot = {From::kFile, "/f", "p"};
  use.keys.push_back(candidate);
  use.evidence = evidence;
  use.first_ns = use.last_ns = time;
  return use;
}
inline Row row_of(AcquisitionRow acquisition, std::int64_t time) {
  Row row;
  row.time_ns = time;
  row.body = std::move(acquisition);
  return row;
}
inline Row row_of(GapRow gap, std::int64_t time) {
  Row row;
  row.time_ns = time;
  row.body = std::move(gap);
  return row;
}
inline HoldingChange holds(const UseRow& use, const std::string& key) {
  HoldingChange change;
  change.holding.actor = use.actor;
  change.holding.key.id = key;
  change.holding.slot = use.keys.front().slot;
  return change;
}
inline HoldingChange ended(const UseRow& use) {
  HoldingChange change{HoldingChange::Kind::kEnd, {}};
  change.holding.actor = use.actor;
  return change;
}

class Court : public ::testing::Test {
 protected:
  void make(const std::map<std::string, base::FindingConfig>& findings = {}, std::size_t limit = 4'096) {
    judge = std::make_unique<Judge>(clock, catalog::Catalog::builtin(), findings, limit);
  }
  void SetUp() override { make(); }

  /// The findings of a batch; what became of earlier ones goes to `changes`.
  std::vector<FindingRow> look(Batch batch = {}) {
    const std::size_t before = batch.rows.size();
    judge->on_batch(batch);
    std::vector<FindingRow> out;
    for (std::size_t i = before; i < batch.rows.size(); ++i) {
      EXPECT_EQ(batch.rows[i].observed_ns, clock.now);
      out.push_back(std::get<FindingRow>(batch.rows[i].body));
    }
    changes = batch.findings;
    return out;
  }
  /// "resolved TYPE" of each change of the last batch.
  [[nodiscard]] std::vector<std::string> became() const {
    std::vector<std::string> out;
    for (const FindingChange& one : changes)
      out.push_back(std::string(to_string(one.state)) + " " + one.type);
    return out;
  }
  using Words = std::vector<std::string>;

  FakeClock clock;
  std::unique_ptr<Judge> judge;
  std::vector<FindingChange> changes;
};

}  // namespace keytrail::judge
