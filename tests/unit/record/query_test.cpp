// SPDX-License-Identifier: Apache-2.0
// Questions: each filter, pages, chains, summaries, and text that tries to be SQL.
#include "tests/unit/record/fixture.h"

namespace keytrail::record {
namespace {

class QueryTest : public HistoryTest {
 protected:
  /// Two workloads; AKIA1 → ASIA1 → tok1; a rotation of AKIA1 to AKIA2.
  void story() {
    start();
    const Actor backup = make_actor(10, "backup.service");
    const Actor api = make_actor(20, "payments/api-1");
    Key token = make_key("tok1", "ASIA1");
    token.kind = "oauth.token";
    token.lifetime = Lifetime::kShortLived;
    token.fingerprint.bytes = {7, 7, 7};
    Batch batch;
    batch.rows.push_back(make_acquisition(backup, make_key("AKIA1"), clock.now));
    Row finding;
    finding.time_ns = clock.now;
    finding.body = FindingRow{"old_key_in_use", Severity::kMedium, "It is old.", {},
                              backup,           make_key("AKIA1"), make_slot(),  "AKIA1|backup"};
    batch.rows.push_back(finding);
    Row gap;
    gap.time_ns = clock.now;
    gap.body = GapRow{"ring_full", "open", clock.now - kSecond, clock.now, 3, "3 events were lost."};
    batch.rows.push_back(gap);
    batch.uses.push_back(make_use(backup, make_key("AKIA1"), clock.now));
    batch.uses.push_back(make_use(api, make_key("ASIA1", "AKIA1"), clock.now + kSecond, make_destination("sts")));
    batch.uses.push_back(make_use(api, token, clock.now + 2 * kSecond, make_destination("ec2")));
    batch.uses.back().evidence = Evidence::kPossible;
    batch.holdings.push_back(make_holding(backup, make_key("AKIA1"), clock.now));
    batch.holdings.push_back(make_holding(api, token, clock.now));
    batch.slot_changes.push_back({"", "/root/.aws/credentials", "default", 12345, "AKIA1", "AKIA2"});
    record(std::move(batch));
  }
  std::size_t count(const HistoryFilter& filter, RowKinds kinds = {}) {
    auto page = history->rows(filter, kinds);
    EXPECT_TRUE(page) << page.error().message;
    return page ? page->items.size() : 999;
  }
  std::size_t edges(const HistoryFilter& filter) {
    auto page = history->edges(filter);
    EXPECT_TRUE(page) << page.error().message;
    return page ? page->items.size() : 999;
  }
};

TEST_F(QueryTest, a_gap_keeps_all_that_it_says) {
  start();
  Batch batch;
  GapRow gap{"files_unread", "open", clock.now - kSecond, clock.now, 3, "3 key files were not read (gone), of api."};
  gap.scope = "api";
  gap.detail = "gone";
  gap.kinds = {"aws.access_key", "aws.session"};
  batch.rows.push_back({.time_ns = clock.now, .body = gap});
  gap.kinds.clear();
  batch.rows.push_back({.time_ns = clock.now, .body = gap});
  record(std::move(batch));
  const auto page = history->rows({}, RowKinds{});
  ASSERT_TRUE(page) << page.error().message;
  ASSERT_EQ(page->items.size(), 2U);
  const auto& first = std::get<GapRow>(page->items[0].body);
  EXPECT_EQ(first.detail, "gone");
  EXPECT_EQ(first.scope, "api");
  EXPECT_EQ(first.kinds, (std::vector<std::string>{"aws.access_key", "aws.session"}));
  EXPECT_TRUE(std::get<GapRow>(page->items[1].body).kinds.empty());
}

TEST_F(QueryTest, each_filter_narrows) {
  story();
  EXPECT_EQ(count({}), 6U);
  EXPECT_EQ(count({.key = "AKIA1"}), 5U);
  EXPECT_EQ(count({.key = "AKIA1", .chain = false}), 3U);
  EXPECT_EQ(count({.key = "ASIA1"}), 2U);
  EXPECT_EQ(count({.workload = "payments/*"}), 2U);
  EXPECT_EQ(count({.workload = "payments/"}), 0U);
  EXPECT_EQ(count({.kind = "oauth.token"}), 1U);
  EXPECT_EQ(count({.service = "sts"}), 1U);
  EXPECT_EQ(count({.provider = "aws", .host = "ec2.eu-west-1.amazonaws.com"}), 1U);
  EXPECT_EQ(count({.finding_type = "old_key_in_use"}), 1U);
  EXPECT_EQ(count({.evidence = Evidence::kPossible}), 1U);
  EXPECT_EQ(count({.pid = 20}), 2U);
  EXPECT_EQ(count({.from_ns = clock.now + kSecond}), 2U);
  EXPECT_EQ(count({.to_ns = clock.now + kSecond}), 4U);
  EXPECT_EQ(count({}, {.acquisitions = false, .uses = false, .findings = false, .revisions = false}), 1U);
  EXPECT_EQ(edges({}), 3U);
  EXPECT_EQ(edges({.key = "AKIA1"}), 3U);
  EXPECT_EQ(edges({.key = "AKIA1", .chain = false}), 1U);
  EXPECT_EQ(edges({.workload = "payments/api-1"}), 2U);
  EXPECT_EQ(edges({.evidence = Evidence::kPossible}), 1U);
  EXPECT_EQ(edges({.pid = 10}), 1U);
  EXPECT_EQ(edges({.from_ns = clock.now + 2 * kSecond}), 1U);
}

TEST_F(QueryTest, holders_follow_the_chain_and_a_fingerprint_finds_its_key) {
  story();
  EXPECT_EQ(history->holders({.key = "AKIA1"})->size(), 2U);
  EXPECT_EQ(history->holders({.key = "AKIA1", .chain = false})->size(), 1U);
  EXPECT_EQ(history->holders({.workload = "payments/*"})->size(), 1U);
  Fingerprint fingerprint;
  fingerprint.bytes = {7, 7, 7};
  EXPECT_EQ(history->holders({.key = fingerprint.text()})->size(), 1U);
}

TEST_F(QueryTest, pages_cover_everything_once) {
  start();
  Batch batch;
  for (int i = 0; i < 95; ++i) {
    batch.rows.push_back(make_acquisition(make_actor(1), make_key("AKIA1"), clock.now));
    batch.uses.push_back(make_use(make_actor(1), make_key("AKIA" + std::to_string(i)), clock.now));
  }
  record(std::move(batch));
  HistoryFilter filter;
  filter.limit = 10;
  std::uint64_t rows = 0, last = 0;
  do {
    auto page = history->rows(filter, {});
    ASSERT_TRUE(page);
    for (const Row& row : page->items)
      EXPECT_EQ(row.seq, ++last);
    rows += page->items.size();
    filter.after_seq = page->next;
  } while (filter.after_seq != 0);
  EXPECT_EQ(rows, 190U);
  std::uint64_t seen = 0;
  filter.pid = 1;
  do {
    auto page = history->edges(filter);
    ASSERT_TRUE(page);
    seen += page->items.size();
    filter.after_seq = page->next;
  } while (filter.after_seq != 0);
  EXPECT_EQ(seen, 95U);
}

TEST_F(QueryTest, an_edge_asked_for_a_part_of_its_time_tells_the_count_of_that_part) {
  start();
  const std::int64_t start_ns = clock.now;
  for (int i = 0; i < 5; ++i)
    record_use(make_use(make_actor(1), make_key("AKIA1"), clock.now));
  clock.now += 2 * kMinute;
  for (int i = 0; i < 7; ++i)
    record_use(make_use(make_actor(1), make_key("AKIA1"), clock.now));
  EXPECT_EQ(history->edges({})->items.at(0).use.connections, 12U);
  auto late = history->edges({.from_ns = start_ns + kMinute});
  ASSERT_EQ(late->items.size(), 1U);
  EXPECT_EQ(late->items[0].use.connections, 7U);
  EXPECT_EQ(late->items[0].use.first_ns, start_ns + 2 * kMinute);
  auto early = history->edges({.to_ns = start_ns + kMinute});
  ASSERT_EQ(early->items.size(), 1U);
  EXPECT_EQ(early->items[0].use.connections, 5U);
  EXPECT_TRUE(history->edges({.from_ns = start_ns + 1, .to_ns = start_ns + kMinute})->items.empty());
}

TEST_F(QueryTest, keys_say_where_they_live_who_holds_them_and_what_replaced_them) {
  story();
  auto keys = history->keys({});
  ASSERT_TRUE(keys) << keys.error().message;
  ASSERT_EQ(keys->size(), 3U);
  auto one = history->keys({.key = "AKIA1", .chain = false});
  ASSERT_EQ(one->size(), 1U);
  const KeySummary& key = one->at(0);
  EXPECT_EQ(key.key.lifetime, Lifetime::kLongLived);
  EXPECT_EQ(key.slots, (std::vector<Slot>{make_slot()}));
  EXPECT_EQ(key.workloads, (std::vector<std::string>{"backup.service"}));
  EXPECT_EQ(key.holders, 1U);
  EXPECT_EQ(key.first_seen_ns, clock.now);
  EXPECT_EQ(key.last_use_ns, clock.now);
  EXPECT_EQ(key.used_for, (std::vector<std::string>{"aws / s3 / eu-west-1"}));
  EXPECT_EQ(key.replaced_by, "AKIA2");
  EXPECT_EQ(key.replaced_ns, 12345);
  EXPECT_EQ(history->keys({.workload = "payments/api-1"})->size(), 2U);
  EXPECT_EQ(history->keys({.kind = "oauth.token"})->size(), 1U);
  EXPECT_EQ(history->keys({.service = "ec2"})->size(), 1U);
  EXPECT_EQ(history->keys({.key = "never seen"})->size(), 0U);
  EXPECT_EQ(history->keys({.limit = 1})->size(), 2U) << "one more says that there are more";
}

TEST_F(QueryTest, workloads_count_processes_keys_uses_and_findings) {
  story();
  auto workloads = history->workloads({});
  ASSERT_TRUE(workloads) << workloads.error().message;
  ASSERT_EQ(workloads->size(), 2U);
  const WorkloadSummary& backup = workloads->at(0);
  EXPECT_EQ(backup.workload.name, "backup.service");
  EXPECT_EQ(backup.workload.value(fact::kCgroup), "/system.slice/backup.service");
  EXPECT_EQ(backup.processes, 1U);
  EXPECT_EQ(backup.long_lived, 1U);
  EXPECT_EQ(backup.open_findings, 1U);
  EXPECT_NEAR(backup.uses_per_minute, 0.1, 0.001);
  EXPECT_EQ(workloads->at(1).short_lived, 1U);
  Batch batch;
  Row revision;
  revision.time_ns = clock.now;
  revision.body = RevisionRow{2, Revised::kState, "accepted"};
  batch.rows.push_back(revision);
  record(std::move(batch));
  EXPECT_EQ(history->workloads({.workload = "backup.service"})->at(0).open_findings, 0U);
}

TEST_F(QueryTest, text_that_tries_to_be_sql_is_text) {
  story();
  const std::string tricks[] = {"' OR '1'='1", "'; DROP TABLE rows; --",     "\" OR 1=1 --",         "%",
                                "_%",          "*'; DELETE FROM edge; --*",  std::string("a\0b", 3), "\xFF\xFE",
                                "?1",          "); ATTACH '/tmp/x' AS x; --"};
  for (const std::string& trick : tricks) {
    for (std::string HistoryFilter::* field :
         {&HistoryFilter::key, &HistoryFilter::workload, &HistoryFilter::kind, &HistoryFilter::provider,
          &HistoryFilter::service, &HistoryFilter::host, &HistoryFilter::finding_type}) {
      HistoryFilter filter;
      filter.*field = trick;
      EXPECT_EQ(count(filter), 0U) << trick;
      if (field != &HistoryFilter::finding_type) EXPECT_EQ(edges(filter), 0U) << trick;
      EXPECT_TRUE(history->holders(filter));
      EXPECT_TRUE(history->keys(filter));
      EXPECT_TRUE(history->workloads(filter));
    }
    EXPECT_FALSE(history->open(trick, false));
    EXPECT_FALSE(history->counters(trick));
    // And as content it comes back as it went in (SQLite text may hold anything).
    record_use(make_use(make_actor(1, trick), make_key(trick), clock.now));
    auto page = history->rows({.key = trick}, {});
    ASSERT_EQ(page->items.size(), 1U);
    EXPECT_EQ(std::get<UseRow>(page->items[0].body).actor.workload.name, trick);
  }
  EXPECT_EQ(all_rows().size(), 6U + std::size(tricks));
}

TEST_F(QueryTest, limits_and_contradictions_are_refused) {
  start();
  EXPECT_FALSE(history->rows({.limit = 0}, {}));
  EXPECT_FALSE(history->rows({.limit = 10'001}, {}));
  EXPECT_FALSE(history->rows({.from_ns = 5, .to_ns = 4}, {}));
  EXPECT_FALSE(history->rows({.key = std::string(2000, 'x')}, {}));
  EXPECT_FALSE(*history->row(999));
}

TEST_F(QueryTest, a_question_that_takes_too_long_is_ended_with_advice) {
  options.query_limit = std::chrono::milliseconds(1);
  start();
  for (int round = 0; round < 10; ++round) {
    Batch batch;
    for (int i = 0; i < 2000; ++i)
      batch.rows.push_back(make_acquisition(make_actor(1), make_key("AKIA" + std::to_string(i)), clock.now));
    record(std::move(batch));
  }
  auto page = history->rows({.workload = "nobody", .limit = 10'000}, {});
  for (int i = 0; i < 20 && page; ++i)
    page = history->rows({.kind = "none", .pid = 0, .limit = 10'000}, {.uses = false});
  ASSERT_FALSE(page);
  EXPECT_EQ(page.error().code, Error::Code::kTooLarge);
  EXPECT_NE(page.error().message.find("narrow"), std::string::npos);
}

}  // namespace
}  // namespace keytrail::record
