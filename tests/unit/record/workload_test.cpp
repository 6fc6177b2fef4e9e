// SPDX-License-Identifier: Apache-2.0
// A workload is an id: what is learnt of it later is true of the rows that were written before.
#include <algorithm>

#include "tests/unit/record/fixture.h"

namespace keytrail::record {
namespace {

class WorkloadTest : public HistoryTest {
 protected:
  const std::string pod = "pod:11111111-2222-3333-4444-555555555555";
  const std::string old_name = "pod: 11111111-2222-3333-4444-555555555555/aaaaaaaaaaaa";

  [[nodiscard]] Actor in_pod(std::uint32_t pid, char container) const {
    const std::string id(64, container);
    Actor actor = make_actor(pid);
    actor.workload = {
        .id = pod + "/" + id,
        .kind = WorkloadKind::kPod,
        .name = "pod: " + pod.substr(4) + "/" + id.substr(0, 12),
        .facts = {{fact::kContainerId, id, KnownBy::kKernel, 5}, {fact::kPodUid, pod.substr(4), KnownBy::kKernel, 5}}};
    return actor;
  }
  void learn(const std::string& id, std::vector<Fact> facts) {
    Batch batch;
    batch.workloads.push_back({id, std::move(facts)});
    ASSERT_NO_FATAL_FAILURE(record(std::move(batch)));
  }
  void learn_name() {
    learn(pod, {{fact::kNamespace, "payments", KnownBy::kToken, clock.now},
                {fact::kPodName, "api-1", KnownBy::kToken, clock.now}});
  }
  std::size_t rows(const std::string& workload) { return history->rows({.workload = workload}, {})->items.size(); }
  [[nodiscard]] Workload workload_of(const Row& row) const { return std::get<UseRow>(row.body).actor.workload; }
};

TEST_F(WorkloadTest, a_name_learnt_late_is_that_of_earlier_rows_and_splits_nothing) {
  start();
  record_use(make_use(in_pod(1, 'a'), make_key("AKIA1"), clock.now));
  record_use(make_use(in_pod(2, 'b'), make_key("AKIA1"), clock.now));
  EXPECT_EQ(rows("payments/api-1"), 0U);
  learn_name();
  clock.now += 3600 * kSecond;
  record_use(make_use(in_pod(3, 'a'), make_key("AKIA1"), clock.now));  // by a process that carries what was known then
  for (const Row& row : all_rows()) {
    const Workload workload = workload_of(row);
    EXPECT_EQ(workload.name, "payments/api-1");
    EXPECT_EQ(workload.known_by, KnownBy::kToken);
    EXPECT_EQ(workload.value(fact::kNamespace), "payments");
  }
  EXPECT_EQ(history->edges({})->items.size(), 2U);  // one of each container
  EXPECT_EQ(rows("payments/api-1"), 3U);
  EXPECT_EQ(rows("payments/*"), 3U);
  EXPECT_EQ(rows(old_name), 2U);  // what an alert of that time says is still found
  EXPECT_EQ(rows(pod + "/" + std::string(64, 'b')), 1U);
  EXPECT_EQ(rows(pod + "*"), 3U);
}

TEST_F(WorkloadTest, what_is_known_of_a_pod_is_true_of_a_container_that_begins_after_a_restart) {
  start();
  record_use(make_use(in_pod(1, 'a'), make_key("AKIA1"), clock.now));
  learn_name();
  restart();
  record_use(make_use(in_pod(2, 'c'), make_key("AKIA1"), clock.now));
  EXPECT_EQ(rows("payments/api-1"), 2U);
}

TEST_F(WorkloadTest, facts_that_contradict_are_kept_and_the_more_trusted_is_shown) {
  start();
  record_use(make_use(in_pod(1, 'a'), make_key("AKIA1"), clock.now));
  learn_name();
  learn(pod, {{fact::kPodName, "forged", KnownBy::kClaimed, clock.now + 1},
              {fact::kPodName, "api-2", KnownBy::kCluster, clock.now + 1}});
  const Workload workload = workload_of(all_rows().at(0));
  EXPECT_EQ(workload.name, "payments/api-2");
  EXPECT_EQ(std::ranges::count(workload.facts, fact::kPodName, &Fact::name), 3);
}

TEST_F(WorkloadTest, a_fact_keeps_the_time_since_when_its_value_is_known) {
  start();
  record_use(make_use(in_pod(1, 'a'), make_key("AKIA1"), clock.now));
  const std::string id = in_pod(1, 'a').workload.id;
  const auto since = [&] { return workload_of(all_rows().at(0)).find("x")->since_ns; };
  const auto value = [&] { return std::string(workload_of(all_rows().at(0)).value("x")); };
  learn(id, {{"x", "1", KnownBy::kRuntime, 100}});
  learn(id, {{"x", "1", KnownBy::kRuntime, 200}});
  EXPECT_EQ(since(), 100);
  learn(id, {{"x", "2", KnownBy::kRuntime, 300}});
  learn(id, {{"x", "1", KnownBy::kRuntime, 200}});  // older than what is known
  EXPECT_EQ(value(), "2");
  EXPECT_EQ(since(), 300);
}

TEST_F(WorkloadTest, workloads_that_have_one_name_are_listed_apart) {
  start();
  for (const char container : {'a', 'b'})
    record_use(make_use(in_pod(1, container), make_key("AKIA1"), clock.now));
  learn_name();
  auto list = history->workloads({.workload = "payments/api-1"});
  ASSERT_EQ(list->size(), 2U);
  EXPECT_NE(list->at(0).workload.id, list->at(1).workload.id);
  EXPECT_GT(list->at(1).uses_per_minute, 0);
}

TEST_F(WorkloadTest, uses_of_two_users_are_two_edges) {
  start();
  Actor actor = make_actor(1);
  record_use(make_use(actor, make_key("AKIA1"), clock.now));
  actor.user = "postgres";
  record_use(make_use(actor, make_key("AKIA1"), clock.now));
  auto edges = history->edges({});
  ASSERT_EQ(edges->items.size(), 2U);
  EXPECT_EQ(edges->items[0].use.actor.user, "root");
  EXPECT_EQ(edges->items[1].use.actor.user, "postgres");
}

}  // namespace
}  // namespace keytrail::record
