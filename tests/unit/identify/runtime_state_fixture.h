// SPDX-License-Identifier: Apache-2.0
// The runtime's state as a source of identity, against an examiner played by the test.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "agent/identify/fact_queue.h"
#include "agent/identify/sources.h"

namespace keytrail::identify {

inline constexpr std::uint64_t kMs = 1'000'000;
inline const std::string kId = "1666cc3e917499cd90092759eda287f1c54b59272aeccd24f721478b28431101";
inline const std::string kPod = "b0658d9e-60b7-4a25-8e49-84b4290349dd";
inline const std::string kDirectory = "/kubepods/besteffort/pod" + kPod + "/" + kId;
inline const std::string kRunc = "kubepods-besteffort-podb0658d9e.slice:cri-containerd:" + kId;

struct Asked final : Examiner {
  std::deque<std::pair<ExamineRequest, std::function<void(ExamineAnswer)>>> waiting;
  void examine(ExamineRequest request, std::function<void(ExamineAnswer)> done) override {
    waiting.emplace_back(std::move(request), std::move(done));
  }
  /// The question that waits the longest.
  [[nodiscard]] BundleQuestion question() const { return std::get<BundleQuestion>(waiting.at(0).first.question); }
  void answer(std::string unread, std::vector<std::pair<std::string, std::string>> facts = {}) {
    BundleAnswer out{.unread = std::move(unread), .facts = {}, .skipped = 0};
    for (auto& [name, value] : facts) {
      const auto what = std::ranges::find(kBundleFacts, name) - kBundleFacts.begin();
      out.facts.push_back({static_cast<std::uint8_t>(what), std::move(value)});
    }
    auto done = std::move(waiting.at(0).second);
    waiting.pop_front();
    done(std::move(out));
  }
};

struct RuntimeStateTest : testing::Test {
  FactQueue queue;
  Asked examiner;
  base::IdentityConfig config;
  std::unique_ptr<IdentitySource> source = runtime_state({.config = config, .examiner = examiner});
  std::uint64_t now = 1;

  void SetUp() override { source->start(queue); }

  static WorkloadSeen seen(WorkloadKind kind, const std::string& id, std::vector<Fact> facts) {
    auto workload = std::make_shared<Workload>();
    workload->id = id;
    workload->kind = kind;
    workload->facts = std::move(facts);
    return {workload, {}};
  }
  static WorkloadSeen pod(const std::string& cgroup = kDirectory, KnownBy known_by = KnownBy::kKernel) {
    return seen(WorkloadKind::kPod, "pod:" + kPod + "/" + kId,
                {{fact::kContainerId, kId, known_by}, {fact::kPodUid, kPod, known_by}, {fact::kCgroup, cgroup}});
  }
  static WorkloadSeen container(const std::string& id, const std::string& cgroup) {
    return seen(WorkloadKind::kContainer, "container:" + id, {{fact::kContainerId, id}, {fact::kCgroup, cgroup}});
  }
  /// What was posted: "ID NAME" → "VALUE known by".
  std::map<std::string, std::string> posted() {
    std::map<std::string, std::string> out;
    for (const WorkloadFacts& one : queue.take()) {
      for (const Fact& fact : one.facts)
        out[one.id + " " + fact.name] = fact.value + " " + to_string(fact.known_by);
    }
    return out;
  }
  std::uint64_t count(const std::string& name) { return source->counters().at(name); }
};

using Posted = std::map<std::string, std::string>;
inline constexpr char kShop[] = "shop";

}  // namespace keytrail::identify
