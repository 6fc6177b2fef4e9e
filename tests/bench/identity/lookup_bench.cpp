// SPDX-License-Identifier: Apache-2.0
// Which workload a process belongs to, by its cgroup: 10,000 containers in 5,000 pods, of which runtime and cluster
// have told, in random order.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <random>
#include <string>
#include <vector>

#include "agent/identify/workload_resolver.h"
#include "agent/identify/workload_table.h"

namespace {

using namespace keytrail;

constexpr std::size_t kContainers = 10'000;

std::string pod_of(std::size_t n) { return fmt::format("0b1c2d3e-4f50-6172-8394-{:012d}", n / 2); }
std::string container_of(std::size_t n) { return fmt::format("{:064x}", n + 1); }

void look_ups(benchmark::State& state) {
  identify::WorkloadTable table(20'000, [] { return 1'000; });
  identify::WorkloadResolver resolver("/etc/passwd", table);
  std::vector<std::string> paths;
  for (std::size_t n = 0; n < kContainers; ++n) {
    paths.push_back(fmt::format("/kubepods/burstable/pod{}/{}", pod_of(n), container_of(n)));
    Process process{.exe = "/bin/app", .uid = 1000};
    resolver.resolve(process, paths.back());
    table.learn({"pod:" + pod_of(n),
                 {{fact::kNamespace, "payments", KnownBy::kCluster},
                  {fact::kPodName, fmt::format("api-{}", n), KnownBy::kCluster},
                  {fact::kDeployment, "api", KnownBy::kCluster},
                  {fact::kServiceAccount, "api", KnownBy::kCluster}}});
    table.learn({"pod:" + pod_of(n) + "/" + container_of(n), {{fact::kK8sContainer, "app", KnownBy::kRuntime}}});
  }
  if (table.size() != kContainers) state.SkipWithError("not all of them are kept");
  std::minstd_rand random(1);
  for (auto _ : state) {
    Process process{.exe = "/bin/app", .uid = 1000};
    resolver.resolve(process, paths[random() % kContainers]);
    benchmark::DoNotOptimize(process.workload->name);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(look_ups);

}  // namespace

BENCHMARK_MAIN();
