// SPDX-License-Identifier: Apache-2.0
// How fast the history takes rows. Uses are spread over 30,000 edges, each with its holder; every use that opens an
// edge is a row.
//   record_bench [--benchmark_repetitions=5]      (the directory is $TMPDIR or /tmp: name a real disk)
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "agent/base/system_clock.h"
#include "agent/record/history.h"

namespace keytrail::record {
namespace {

class Place {
 public:
  Place() {
    const char* base = getenv("TMPDIR");
    std::string name = std::string(base != nullptr ? base : "/tmp") + "/keytrail-bench-XXXXXX";
    if (mkdtemp(name.data()) != nullptr) path = name;
  }
  ~Place() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::string path;
};

Actor actor_of(std::uint32_t n) {
  Actor actor;
  actor.id = {1000 + n % 4000, 5000 + n % 4000, 1};
  actor.exe = "/usr/bin/python3.11";
  actor.program = "api.py";
  actor.comm = "python3";
  actor.workload.kind = WorkloadKind::kPod;
  actor.workload.name = "payments/api-" + std::to_string(n % 100);
  actor.workload.id = "pod:" + std::to_string(n % 100) + "/" + std::to_string(n % 6);
  actor.workload.facts = {{fact::kContainerId, std::string(64, static_cast<char>('a' + n % 6))},
                          {fact::kCgroup, "/kubepods.slice/pod" + std::to_string(n % 100)}};
  return actor;
}

Candidate candidate_of(std::uint32_t n) {
  Candidate out;
  out.key.id = "AKIAEXAMPLE" + std::to_string(n % 300);
  out.key.kind = "aws.access_key";
  out.slot = {From::kFile, "/root/.aws/credentials", std::to_string(n % 3)};
  return out;
}

UseRow use_of(std::uint32_t n, std::int64_t at_ns) {
  UseRow use;
  use.actor = actor_of(n);
  use.keys.push_back(candidate_of(n));
  use.destination = {"aws",       "s3", "eu-west-1", "b" + std::to_string(n % 30'000) + ".s3.eu-west-1.amazonaws.com",
                     "192.0.2.1", 443,  "",          NameSource::kSni,
                     false};
  use.evidence = Evidence::kInferred;
  use.reason = Reason::kOnlyKeyHeld;
  use.first_ns = use.last_ns = at_ns;
  return use;
}

std::unique_ptr<History> open_history(const Place& place, const Clock& clock) {
  HistoryOptions options;
  options.path = place.path + "/history.db";
  options.queue_rows = 1U << 20U;
  options.queue_batches = 1U << 16U;
  auto opened = History::open(options, clock);
  return opened ? std::move(*opened) : nullptr;
}

/// `acquisitions`: every observation is a row. Otherwise uses of 30,000 edges.
void burst(benchmark::State& state, bool acquisitions) {
  const base::SystemClock clock;
  constexpr std::uint32_t kRows = 200'000;
  std::uint64_t rows = 0;
  double cpu = 0;
  for (auto _ : state) {
    state.PauseTiming();
    const Place place;
    auto history = open_history(place, clock);
    if (!history) return state.SkipWithError("the history cannot be opened");
    std::vector<Batch> batches(kRows / 200);
    for (std::uint32_t n = 0; n < kRows; ++n) {
      Batch& batch = batches[n / 200];
      if (acquisitions) {
        Row row;
        row.time_ns = clock.wall_ns();
        const Candidate candidate = candidate_of(n);
        row.body = AcquisitionRow{actor_of(n), candidate.key, candidate.slot, "", false, false};
        batch.rows.push_back(std::move(row));
      } else {
        batch.uses.push_back(use_of(n, clock.wall_ns()));
      }
    }
    state.ResumeTiming();
    for (Batch& batch : batches)
      history->submit(std::move(batch));
    if (!history->drain(std::chrono::minutes(2))) return state.SkipWithError("not stored in time");
    state.PauseTiming();
    rows += kRows;
    cpu = static_cast<double>(history->status()->bytes) /
          static_cast<double>(std::max<std::uint64_t>(history->status()->rows, 1));
    history.reset();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(rows));
  state.counters["bytes_per_row"] = cpu;
}

void burst_of_uses(benchmark::State& state) { burst(state, false); }
void burst_of_acquisitions(benchmark::State& state) { burst(state, true); }
BENCHMARK(burst_of_uses)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(burst_of_acquisitions)->Unit(benchmark::kMillisecond)->UseRealTime();

/// From submit to the exporters' wake-up, one batch of one use at a time.
void single_batch(benchmark::State& state) {
  const base::SystemClock clock;
  const Place place;
  auto history = open_history(place, clock);
  if (!history) return state.SkipWithError("the history cannot be opened");
  std::atomic<std::uint64_t> woken{0};
  history->on_append([&woken] { ++woken; });
  std::vector<double> times;
  std::uint32_t n = 0;
  for (auto _ : state) {
    Batch batch;
    batch.uses.push_back(use_of(n++, clock.wall_ns()));
    const std::uint64_t before = woken;
    const auto start = std::chrono::steady_clock::now();
    history->submit(std::move(batch));
    while (woken == before)
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    times.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(times.begin(), times.end());
  state.counters["p50_ms"] = times[times.size() / 2];
  state.counters["p99_ms"] = times[times.size() * 99 / 100];
}
BENCHMARK(single_batch)->Iterations(300)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace keytrail::record

BENCHMARK_MAIN();
