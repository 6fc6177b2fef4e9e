// SPDX-License-Identifier: Apache-2.0
// A history and an agent made of constants, for the tests of serve and of the command line.
#pragma once

#include <filesystem>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/workload_pattern.h"
#include "agent/serve/query.h"
#include "keytrail/agent_status.h"
#include "keytrail/history_reader.h"

namespace keytrail::serve::testing {

inline constexpr std::int64_t kSecond = 1'000'000'000;
inline constexpr std::int64_t kNoon = 1'763'726'400 * kSecond;  // 2025-11-21T12:00:00Z
inline constexpr char kKeyId[] = "AKIAIOSFODNN7EXAMPLE";

inline Actor make_actor(std::uint32_t pid = 8121) {
  Actor actor;
  actor.id = {pid, 5000, 2};
  actor.exe = "/usr/bin/python3.11";
  actor.program = "python3";
  actor.comm = "python3";
  actor.user = "root";
  actor.workload = {.id = "pod:u/c",
                    .kind = WorkloadKind::kPod,
                    .name = "payments/api",
                    .known_by = KnownBy::kToken,
                    .facts = {{fact::kCiJob, "acme/shop #1", KnownBy::kClaimed, kNoon},
                              {fact::kNamespace, "payments", KnownBy::kToken, kNoon},
                              {fact::kPodName, "api", KnownBy::kToken, kNoon},
                              {fact::kPodUid, "u", KnownBy::kKernel, kNoon},
                              {fact::kServiceAccount, "api", KnownBy::kToken, kNoon}}};
  return actor;
}

inline Key make_key(std::string id = kKeyId) {
  Key key;
  key.id = std::move(id);
  key.kind = "aws.access_key";
  key.lifetime = Lifetime::kLongLived;
  return key;
}

inline Slot make_slot() { return {From::kFile, "/root/.aws/credentials", "prod"}; }

inline UseRow make_use() {
  UseRow use;
  use.actor = make_actor();
  use.keys = {{make_key(), make_slot(), Reason::kSelector}};
  use.destination = {"aws", "s3", "eu-west-1", "s3.eu-west-1.amazonaws.com", "10.9.0.5", 443, "", NameSource::kSni,
                     false};
  use.evidence = Evidence::kInferred;
  use.reason = Reason::kSelector;
  use.reason_detail = "profile prod";
  use.first_ns = kNoon;
  use.last_ns = kNoon + 60 * kSecond;
  use.connections = 1234;
  return use;
}

template <typename Body>
Row make_row(std::uint64_t seq, Body body, std::int64_t at = kNoon) {
  Row row;
  row.seq = seq;
  row.time_ns = at;
  row.observed_ns = at + 1;
  row.body = std::move(body);
  return row;
}

inline AcquisitionRow make_acquisition() {
  AcquisitionRow row;
  row.actor = make_actor();
  row.key = make_key();
  row.slot = make_slot();
  return row;
}

class FakeHistory final : public HistoryReader {
 public:
  std::vector<Row> stored;
  std::vector<Edge> edge_list;
  std::vector<Holding> holding_list;
  std::vector<KeySummary> key_list;
  std::vector<KeyPlace> place_list;
  std::vector<KeyReader> reader_list;
  std::vector<WorkloadSummary> workload_list;
  HistoryStatus state_now;
  std::vector<WatchedSpan> spans = watched_since(kNoon);  ///< without an end

  static std::vector<WatchedSpan> watched_since(std::int64_t from_ns, std::int64_t to_ns = INT64_MAX) {
    std::vector<WatchedSpan> out;
    for (const FamilyEntry& one : kFamilyTable)
      out.push_back({one.family, from_ns, to_ns});
    return out;
  }
  std::optional<Error> broken;

  /// While a server reads it.
  void append(Row row) {
    const std::lock_guard lock(mutex_);
    stored.push_back(std::move(row));
  }

  Result<Page<Row>> rows(const HistoryFilter& filter, RowKinds kinds) override {
    const std::lock_guard lock(mutex_);
    if (broken) return std::unexpected(*broken);
    Page<Row> page;
    const Query query{filter, kinds, false};
    for (const Row& row : stored) {
      if (!matches(row, query)) continue;
      if (page.items.size() == filter.limit) {
        page.next = page.items.back().seq;
        break;
      }
      page.items.push_back(row);
    }
    return page;
  }
  Result<Page<Edge>> edges(const HistoryFilter& filter) override {
    if (broken) return std::unexpected(*broken);
    Page<Edge> page;
    for (const Edge& edge : edge_list) {
      const Query query{filter, RowKinds{}, false};
      if (matches(make_row(edge.last_seq, edge.use, edge.use.last_ns), query)) page.items.push_back(edge);
    }
    return page;
  }
  Result<std::vector<WatchedSpan>> watched() override { return spans; }
  Result<std::vector<Holding>> holders(const HistoryFilter& filter) override {
    std::vector<Holding> out;
    for (const Holding& holding : holding_list) {
      if (filter.key.empty() || holding.key.id == filter.key) out.push_back(holding);
    }
    return out;
  }
  Result<std::vector<KeySummary>> keys(const HistoryFilter& filter) override {
    std::vector<KeySummary> out;
    for (const KeySummary& summary : key_list) {
      if ((filter.key.empty() || summary.key.id == filter.key) &&
          (!filter.lifetime || summary.key.lifetime == *filter.lifetime || summary.key.lifetime == Lifetime::kUnknown))
        out.push_back(summary);
    }
    return out;
  }
  Result<std::vector<KeyPlace>> places(const HistoryFilter& filter) override {
    std::vector<KeyPlace> out;
    for (const KeyPlace& place : place_list) {
      if (filter.key.empty() || place.key.id == filter.key) out.push_back(place);
    }
    return out;
  }
  Result<Page<KeyReader>> readers(const HistoryFilter& filter) override {
    if (broken) return std::unexpected(*broken);
    Page<KeyReader> page;
    for (const KeyReader& reader : reader_list) {
      if (reader.key.id == filter.key) page.items.push_back(reader);
    }
    return page;
  }
  int workloads_asked = 0;  ///< each a summary of all of them
  Result<std::vector<WorkloadSummary>> workloads(const HistoryFilter& filter) override {
    ++workloads_asked;
    std::vector<WorkloadSummary> out;
    for (const WorkloadSummary& one : workload_list) {
      const auto asked = base::WorkloadPattern::parse(filter.workload);
      if (filter.workload.empty() || (asked && asked->matches(one.workload))) out.push_back(one);
    }
    return out;
  }
  Result<std::optional<Row>> row(std::uint64_t seq) override {
    for (const Row& row : stored) {
      if (row.seq == seq) return row;
    }
    return std::nullopt;
  }
  Result<HistoryStatus> status() override {
    const std::lock_guard lock(mutex_);
    HistoryStatus out = state_now;
    out.rows = stored.empty() ? 0 : stored.back().seq;
    return out;
  }

 private:
  std::mutex mutex_;
};

class FakeStatus final : public AgentStatusSource {
 public:
  AgentStatus now;
  FakeStatus() {
    now.version = "0.1.0";
    now.host = "node-1";
    now.kernel = "6.18.0";
    now.armed_since_ns = kNoon - 3600 * kSecond;
    now.armed_in_ms = 310;
    for (const Family family : {Family::kExec, Family::kOpen, Family::kConnect, Family::kName, Family::kLifetime}) {
      FamilyStatus status;
      status.hook.family = family;
      status.hook.chosen = "tracepoint";
      status.counters = {100, 90, 8, {{"ring_full", 2}}};
      now.families.push_back(status);
    }
    FamilyStatus request;
    request.hook.family = Family::kRequest;
    now.families.push_back(request);
    now.tracking = {{"connections", 45}, {"files_forgotten", 0}, {"processes", 1312}, {"workloads", 120}};
    now.worker = {40, 30, 9, {{"malformed", 1}}};
  }
  AgentStatus status() override { return now; }
  std::shared_ptr<const UnseenLives> unseen() override { return lives; }
  std::shared_ptr<const UnseenLives> lives = std::make_shared<UnseenLives>();
};

/// A temporary directory, removed at the end.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    char name[] = "/tmp/keytrail-test-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace keytrail::serve::testing
