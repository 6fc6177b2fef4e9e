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
  std::size_t rows(const std::string& workload) {
    return history->rows({.workload = workload}, {.revisions = false})->items.size();
  }
  /// What was told of workloads after rows that name them.
  std::vector<RevisionRow> told(const std::string& workload = {}) {
    std::vector<RevisionRow> out;
    const RowKinds only{.acquisitions = false, .uses = false, .findings = false, .gaps = false};
    for (const Row& row : history->rows({.workload = workload}, only)->items)
      out.push_back(std::get<RevisionRow>(row.body));
    return out;
  }
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
    if (std::holds_alternative<RevisionRow>(row.body)) continue;
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

TEST_F(WorkloadTest, what_a_container_calls_a_pod_is_not_found_as_that_pod) {
  start();
  record_use(make_use(in_pod(1, 'a'), make_key("AKIA1"), clock.now));
  Actor forger = in_pod(2, 'b');
  forger.workload.id = pod + "/" + std::string(64, 'd') + "/" + std::string(64, 'b');
  forger.workload.name += " in container dddddddddddd";
  forger.workload.facts.push_back({fact::kOuterContainer, std::string(64, 'd'), KnownBy::kKernel, 5});
  record_use(make_use(forger, make_key("AKIA1"), clock.now));
  learn_name();
  EXPECT_EQ(rows("payments/api-1"), 1U);
  for (const Row& row : all_rows()) {
    if (std::holds_alternative<RevisionRow>(row.body)) continue;
    const Workload workload = workload_of(row);
    EXPECT_EQ(workload.name, workload.id == forger.workload.id ? forger.workload.name : "payments/api-1");
  }
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

TEST_F(WorkloadTest, what_is_no_longer_true_is_gone_from_the_workload_and_told) {
  start();
  const auto whole = [&](std::vector<Fact> facts) {
    Batch batch;
    batch.workloads.push_back({pod, std::move(facts), WorkloadFacts::Whole{KnownBy::kCluster, clock.now}});
    ASSERT_NO_FATAL_FAILURE(record(std::move(batch)));
  };
  const auto team = [&] { return std::string(workload_of(all_rows().at(0)).value(fact::kTeam)); };
  Actor actor = in_pod(1, 'a');
  record_use(make_use(actor, make_key("AKIA1"), clock.now));
  const Fact name{fact::kPodName, "api-1", KnownBy::kCluster, clock.now};
  const Fact red{fact::kTeam, "red", KnownBy::kCluster, clock.now};
  whole({name, red});
  EXPECT_EQ(team(), "red");
  restart();  // nothing but the history knows what was true
  clock.now += kSecond;
  whole({name});
  EXPECT_EQ(team(), "");
  EXPECT_TRUE(told().back().value.contains("keytrail.team no longer red (cluster)")) << told().back().value;
  std::vector<Fact> facts(actor.workload.facts.begin(), actor.workload.facts.end());
  facts.push_back(red);
  actor.workload.facts = facts;
  record_use(make_use(actor, make_key("AKIA2"), clock.now));  // by a process that carries what was known then
  EXPECT_EQ(team(), "");
  EXPECT_EQ(workload_of(all_rows().at(0)).value(fact::kPodName), "api-1");
  clock.now += kSecond;
  whole({name, {fact::kTeam, "red", KnownBy::kCluster, clock.now}});
  EXPECT_EQ(team(), "red");
}

TEST_F(WorkloadTest, what_was_claimed_of_an_owner_is_gone_when_the_cluster_says_otherwise) {
  start();
  const auto learn_whole = [&](std::vector<Fact> facts, WorkloadFacts::Whole whole) {
    whole.since_ns = clock.now += kSecond;
    for (Fact& one : facts)
      one.since_ns = clock.now;
    Batch batch;
    batch.workloads.push_back({pod, std::move(facts), std::move(whole)});
    ASSERT_NO_FATAL_FAILURE(record(std::move(batch)));
  };
  const auto value = [&](const char* name) { return std::string(workload_of(all_rows().at(0)).value(name)); };
  record_use(make_use(in_pod(1, 'a'), make_key("AKIA1"), clock.now));
  learn_whole({{fact::kDeployment, "web", KnownBy::kClaimed},
               {fact::kServiceName, "s", KnownBy::kClaimed},
               {fact::kReplicaSet, "web-1", KnownBy::kCluster}},
              {});
  learn_whole({}, {.unsaid = {fact::kReplicaSet}});
  EXPECT_EQ(value(fact::kReplicaSet), "web-1");
  EXPECT_EQ(value(fact::kDeployment), "web");
  learn_whole({}, {.nor_claimed = {fact::kDeployment}});
  EXPECT_EQ(value(fact::kReplicaSet), "");
  EXPECT_EQ(value(fact::kDeployment), "");
  EXPECT_EQ(value(fact::kServiceName), "s");
  EXPECT_TRUE(told().back().value.contains("k8s.deployment.name no longer web (claimed)")) << told().back().value;
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

TEST_F(WorkloadTest, workloads_that_are_shown_alike_are_one_with_all_their_ids) {
  start();
  for (const char container : {'a', 'b'})
    record_use(make_use(in_pod(1, container), make_key("AKIA1"), clock.now));
  EXPECT_EQ(history->workloads({})->size(), 2U);
  learn_name();
  const auto list = history->workloads({.workload = "payments/api-1"});
  ASSERT_EQ(list->size(), 1U);
  EXPECT_EQ(list->at(0).ids.size(), 2U);
  EXPECT_EQ(list->at(0).ids_total, 2U);
  EXPECT_GT(list->at(0).uses_per_minute, 0);
  EXPECT_EQ(history->workloads({.workload = pod + "/" + std::string(64, 'b')})->at(0).ids.size(), 1U);
}

TEST_F(WorkloadTest, a_workload_is_found_by_every_name_that_is_known_of_it_today) {
  start();
  record_use(make_use(in_pod(1, 'a'), make_key("AKIA1"), clock.now));
  Batch batch;
  batch.holdings = {make_holding(in_pod(1, 'a'), make_key("AKIA1"), clock.now)};
  batch.rows = {make_acquisition(in_pod(1, 'a'), make_key("AKIA1"), clock.now)};
  record(std::move(batch));
  record_use(make_use(make_actor(2), make_key("AKIA2"), clock.now));
  learn_name();
  learn(pod, {{fact::kDeployment, "api", KnownBy::kCluster, clock.now},
              {fact::kServiceAccount, "payer", KnownBy::kCluster, clock.now}});
  learn(pod + "/" + std::string(64, 'a'), {{fact::kImageName, "reg/api:1", KnownBy::kRuntime, clock.now}});
  for (const char* asked : {"payments/api", "payments/api-1", "pod/api-1", "pod/payments/api-1", "deploy/payments/api",
                            "sa/payments/payer", "image/api", "container/aaaaaaaaaaaa", " Payments/API "}) {
    EXPECT_EQ(rows(asked), 2U) << asked;
    EXPECT_EQ(history->edges({.workload = asked})->items.size(), 1U) << asked;
    EXPECT_EQ(history->holders({.workload = asked})->size(), 1U) << asked;
    EXPECT_EQ(history->keys({.workload = asked})->size(), 1U) << asked;
    EXPECT_EQ(history->workloads({.workload = asked})->size(), 1U) << asked;
  }
  for (const char* asked : {"payments/web", "sa/other/payer", "sts/payments/api", "team/x"}) {
    EXPECT_EQ(rows(asked), 0U) << asked;
    EXPECT_TRUE(history->keys({.workload = asked})->empty()) << asked;
    EXPECT_TRUE(history->workloads({.workload = asked})->empty()) << asked;
  }
  EXPECT_FALSE(history->rows({.workload = "pod/"}, {}));
}

TEST_F(WorkloadTest, facts_learnt_late_are_rows_that_exporters_tail) {
  start();
  ASSERT_TRUE(history->open("siem", true));
  record_use(make_use(in_pod(1, 'a'), make_key("AKIA1"), clock.now));
  record_use(make_use(in_pod(2, 'b'), make_key("AKIA1"), clock.now));
  record_use(make_use(make_actor(3), make_key("AKIA1"), clock.now));
  learn("pod:nobody-knows-it", {{fact::kPodName, "x", KnownBy::kToken, clock.now}});
  EXPECT_TRUE(told().empty()) << "no row names it";
  learn_name();
  const auto rows = history->read("siem", 3, 100);
  ASSERT_EQ(rows->size(), 2U) << "one of each container";
  for (const Row& row : *rows) {
    const auto& news = std::get<RevisionRow>(row.body);
    EXPECT_EQ(news.what, Revised::kWorkload);
    EXPECT_EQ(news.value, "k8s.namespace.name=payments (token), k8s.pod.name=api-1 (token)");
    EXPECT_EQ(news.workload.name, "payments/api-1");
    EXPECT_EQ(news.workload.value(fact::kNamespace), "payments");
    EXPECT_TRUE(news.workload.id.starts_with(pod + "/"));
  }
  EXPECT_EQ(told(pod + "/" + std::string(64, 'b')).size(), 1U);
  ASSERT_TRUE(history->settle("siem", rows->back().seq, 0));
  const auto counted = history->status()->exporters.at("siem");
  EXPECT_EQ(counted.rows, 5U);
  EXPECT_EQ(counted.acknowledged, 5U);
  EXPECT_EQ(counted.waiting, 0U);
}

TEST_F(WorkloadTest, what_is_known_already_and_what_is_claimed_anew_makes_no_row) {
  start();
  record_use(make_use(in_pod(1, 'a'), make_key("AKIA1"), clock.now));
  learn_name();
  learn_name();
  EXPECT_EQ(told().size(), 1U);
  const auto claim = [&](const char* job, KnownBy how) {
    learn(pod, {{fact::kCiJob, job, how, ++clock.now}});
    return told().size();
  };
  EXPECT_EQ(claim("acme/shop build", KnownBy::kClaimed), 2U);
  EXPECT_EQ(claim("acme/shop deploy", KnownBy::kClaimed), 2U) << "whoever changes a claim makes no flood of it";
  EXPECT_EQ(claim("acme/shop test", KnownBy::kCluster), 3U);
  EXPECT_EQ(claim("acme/shop release", KnownBy::kCluster), 4U);
  EXPECT_EQ(all_rows().size(), 5U);
}

TEST_F(WorkloadTest, its_keys_are_counted_once_by_class_and_lifetime) {
  start();
  const auto take = [&](std::uint32_t pid, char container, const char* id, KeyClass of, Lifetime lifetime) {
    Key key = make_key(id);
    key.key_class = of;
    key.lifetime = lifetime;
    Batch batch;
    batch.rows = {make_acquisition(in_pod(pid, container), key, clock.now)};
    batch.holdings = {make_holding(in_pod(pid, container), key, clock.now)};
    record(std::move(batch));
  };
  learn_name();
  take(1, 'a', "AKIA1", KeyClass::kAccessKey, Lifetime::kLongLived);
  take(2, 'b', "AKIA1", KeyClass::kAccessKey, Lifetime::kLongLived);
  take(1, 'a', "ASIA1", KeyClass::kSessionToken, Lifetime::kShortLived);
  take(1, 'a', "fp:1", KeyClass::kPassword, Lifetime::kUnknown);
  take(1, 'a', "fp:2", KeyClass::kEncryptionKey, Lifetime::kLongLived);
  record_use(make_use(in_pod(1, 'a'), make_key("AKIA1"), clock.now));
  const auto list = history->workloads({});
  ASSERT_EQ(list->size(), 1U);
  const WorkloadSummary& one = list->at(0);
  EXPECT_EQ(one.processes, 2U);
  EXPECT_EQ(one.long_lived, 1U) << "one key of two pods is one";
  EXPECT_EQ(one.short_lived, 1U);
  EXPECT_EQ(one.unknown_lifetime, 1U);
  EXPECT_EQ(one.encryption, 1U);
  EXPECT_EQ(one.keys.size(), 4U);
  EXPECT_EQ(one.sources.size(), 1U);
  EXPECT_EQ(one.destinations.size(), 1U);
  EXPECT_EQ(one.last_seen_ns, clock.now);
  EXPECT_TRUE(history->workloads({.from_ns = 1, .to_ns = 2})->empty()) << "not seen then";
}

// A process that had the key before the period began and during it: whether it lives still, or ended in it.
TEST_F(WorkloadTest, a_key_is_of_every_period_in_which_it_was_held) {
  start();
  const std::int64_t begin = clock.now;
  Key key = make_key("AKIA1");
  key.lifetime = Lifetime::kLongLived;
  Batch batch;
  batch.rows = {make_acquisition(in_pod(1, 'a'), key, begin)};
  batch.holdings = {make_holding(in_pod(1, 'a'), key, begin)};
  record(std::move(batch));
  const auto held = [&](std::int64_t from_s, std::int64_t to_s, Lifetime lifetime = Lifetime::kLongLived) {
    return history
        ->keys({.workload = pod + "*",
                .lifetime = lifetime,
                .from_ns = begin + from_s * kSecond,
                .to_ns = to_s == 0 ? 0 : begin + to_s * kSecond})
        ->size();
  };
  EXPECT_EQ(held(3600, 0), 1U) << "it has it still";
  EXPECT_EQ(held(3600, 7200), 1U);
  EXPECT_EQ(held(-7200, -3600), 0U) << "before it took it";
  EXPECT_EQ(held(3600, 0, Lifetime::kShortLived), 0U);
  clock.now = begin + 1800 * kSecond;
  Batch end;
  end.holdings = {{HoldingChange::Kind::kEnd, {in_pod(1, 'a'), key, make_slot(), begin, 0, How::kDirect, false}}};
  record(std::move(end));
  EXPECT_EQ(held(1000, 1100), 1U) << "it took it before and had it then";
  EXPECT_EQ(held(1000, 0), 1U);
  EXPECT_EQ(held(1900, 0), 0U) << "it had ended";
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
