// SPDX-License-Identifier: Apache-2.0
// The source against a scripted API server.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>

#include "agent/identify/kube_source.h"
#include "tests/unit/identify/scripted_server.h"

namespace keytrail::identify {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

class Posts final : public IdentitySink {
 public:
  void post(WorkloadFacts facts) override {
    const std::lock_guard lock(mutex_);
    for (const Fact& one : facts.facts) {
      values_[facts.id][one.name] = one.value;
      known_[facts.id][one.name] = one.known_by;
    }
    if (facts.whole) wholes_[facts.id] = *facts.whole;
    ++count_;
    changed_.notify_all();
  }
  bool offer(WorkloadFacts& facts) override {
    if (full_ > 0) return --full_, false;
    post(std::move(facts));
    return true;
  }
  /// So many offers are refused next.
  void fill(int times) { full_ = times; }
  KnownBy known_by(const std::string& id, const std::string& name) {
    const std::lock_guard lock(mutex_);
    return known_[id][name];
  }
  /// The value of a fact, waited for.
  std::string value(const std::string& id, const std::string& name) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, seconds(10), [&] { return values_.contains(id) && values_.at(id).contains(name); });
    return values_[id][name];
  }
  bool has(const std::string& id, const std::string& name) {
    const std::lock_guard lock(mutex_);
    return values_.contains(id) && values_.at(id).contains(name);
  }
  /// Of which facts the last whole spoke.
  WorkloadFacts::Whole whole(const std::string& id) {
    const std::lock_guard lock(mutex_);
    return wholes_[id];
  }
  std::size_t count() {
    const std::lock_guard lock(mutex_);
    return count_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::map<std::string, std::string>> values_;
  std::map<std::string, std::map<std::string, KnownBy>> known_;
  std::map<std::string, WorkloadFacts::Whole> wholes_;
  std::size_t count_ = 0;
  std::atomic<int> full_ = 0;
};

inline std::string uid(int n) {
  char out[37];
  std::snprintf(out, sizeof out, "00000000-0000-4000-8000-%012d", n);
  return out;
}

inline std::string pod(int n, const std::string& version, const std::string& node = "node-1",
                       const std::string& team = "a") {
  return R"({"metadata":{"name":"p)" + std::to_string(n) + R"(","namespace":"shop","uid":")" + uid(n) +
         R"(","resourceVersion":")" + version + R"(","annotations":{"keytrail/team":")" + team +
         R"("}},"spec":{"nodeName":")" + node + R"("},"status":{}})";
}
inline std::string event(const std::string& type, const std::string& object) {
  return R"({"type":")" + type + R"(","object":)" + object + "}\n";
}
inline std::string bookmark(const std::string& version, bool whole = false) {
  return event("BOOKMARK", R"({"metadata":{"resourceVersion":")" + version + R"(")" +
                               (whole ? R"(,"annotations":{"k8s.io/initial-events-end":"true"})" : "") + "}}");
}
inline std::string list(const std::string& version, const std::string& items) {
  return R"({"metadata":{"resourceVersion":")" + version + R"("},"items":[)" + items + "]}";
}
inline std::string id(int n) { return "pod:" + uid(n); }

struct KubeSourceTest : testing::Test {
  std::string token_file = testing::TempDir() + "/kube_source." + std::to_string(::getpid());
  Posts posts;
  std::unique_ptr<IdentitySource> source;

  void SetUp() override { std::ofstream(token_file) << "token"; }
  void TearDown() override {
    source.reset();
    std::filesystem::remove(token_file);
  }
  void start(const ScriptedServer& server, bool kubelet = false, milliseconds silence = seconds(20)) {
    source = make_kube_source(KubeAccess{.endpoint = {.url = server.url(), .token_file = token_file, .ca_file = {}},
                                         .node = "node-1",
                                         .kubelet = kubelet},
                              {},
                              {.silence = silence,
                               .watch = seconds(300),
                               .poll = milliseconds(20),
                               .owners_again = milliseconds(100),
                               .draw = [] { return 0.0; }});
    source->start(posts);
  }
  template <typename Ready>
  bool wait_for(const Ready& ready) const {
    const auto until = Clock::now() + seconds(10);
    while (!ready() && Clock::now() < until)
      std::this_thread::sleep_for(milliseconds(5));
    return ready();
  }
  bool counted(const char* name, std::uint64_t count) {
    return wait_for([&] { return source->counters()[name] == count; });
  }
};

}  // namespace keytrail::identify
