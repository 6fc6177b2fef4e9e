// SPDX-License-Identifier: Apache-2.0
// Rows in, the same rows out; edges; holdings; state; what a restart finds.
#include <algorithm>

#include "tests/unit/record/fixture.h"

namespace keytrail::record {
namespace {

TEST_F(HistoryTest, gives_back_every_kind_of_row_as_it_was_stored) {
  start();
  Actor actor = make_actor(77);
  actor.uid = 1001;
  actor.user = "alice";
  actor.login_user = "bob";
  Key key = make_key("AKIAIOSFODNN7EXAMPLE");
  key.fingerprint.bytes = {1, 2, 3, 0xFF};
  key.principal = "arn:aws:iam::123456789012:user/backup";
  key.issued_s = 5;
  key.expires_s = 6;
  Batch batch;
  Row acquisition = make_acquisition(actor, key, clock.now);
  std::get<AcquisitionRow>(acquisition.body).bulk = true;
  std::get<AcquisitionRow>(acquisition.body).unread = "gone";
  batch.rows.push_back(acquisition);
  Row finding;
  finding.time_ns = clock.now;
  finding.body = FindingRow{"key_in_arguments",
                            Severity::kHigh,
                            "A key is in the arguments.",
                            {"T1552.001", "T1078.004"},
                            actor,
                            key,
                            make_slot(),
                            "s1"};
  batch.rows.push_back(finding);
  Row gap;
  gap.time_ns = clock.now;
  gap.body = GapRow{"ring_full", "open", clock.now - 9, clock.now - 1, 12, "12 events were lost."};
  batch.rows.push_back(gap);
  std::get<GapRow>(gap.body).lost.reset();
  batch.rows.push_back(gap);
  Row revision;
  revision.time_ns = clock.now;
  revision.body = RevisionRow{1, Revised::kEvidence, "confirmed"};
  batch.rows.push_back(revision);
  UseRow use = make_use(actor, key, clock.now);
  use.keys.push_back({make_key("AKIAI44QH8DHBEXAMPLE"), make_slot("prod"), Reason::kSeveralKeys});
  use.requests = 3;
  use.via = "envoy";
  batch.uses.push_back(use);
  record(std::move(batch));

  auto rows = all_rows();
  ASSERT_EQ(rows.size(), 6U);
  const auto& a = std::get<AcquisitionRow>(rows[0].body);
  EXPECT_EQ(rows[0].seq, 1U);
  EXPECT_EQ(rows[0].time_ns, clock.now);
  EXPECT_EQ(a.actor.id, actor.id);
  EXPECT_EQ(a.actor.uid, 1001U);
  EXPECT_EQ(a.actor.user, "alice");
  EXPECT_EQ(a.actor.login_user, "bob");
  EXPECT_EQ(a.actor.workload.id, actor.workload.id);
  EXPECT_TRUE(std::ranges::equal(a.actor.workload.facts, actor.workload.facts));
  EXPECT_EQ(a.key.fingerprint, key.fingerprint);
  EXPECT_EQ(a.key.principal, key.principal);
  EXPECT_EQ(a.key.expires_s, 6);
  EXPECT_EQ(a.slot, make_slot());
  EXPECT_TRUE(a.bulk);
  EXPECT_FALSE(a.baseline);
  EXPECT_EQ(a.unread, "gone");
  const auto& f = std::get<FindingRow>(rows[1].body);
  EXPECT_EQ(f.attack, (std::vector<std::string>{"T1552.001", "T1078.004"}));
  EXPECT_EQ(f.severity, Severity::kHigh);
  EXPECT_EQ(f.subject, "s1");
  const auto& g = std::get<GapRow>(rows[2].body);
  EXPECT_EQ(g.lost, 12U);
  EXPECT_EQ(g.from_ns, clock.now - 9);
  EXPECT_EQ(g.family, "open");
  EXPECT_FALSE(std::get<GapRow>(rows[3].body).lost.has_value());
  EXPECT_EQ(std::get<RevisionRow>(rows[4].body).value, "confirmed");
  const auto& u = std::get<UseRow>(rows[5].body);
  ASSERT_EQ(u.keys.size(), 2U);
  EXPECT_EQ(u.keys[1].key.id, "AKIAI44QH8DHBEXAMPLE");
  EXPECT_EQ(u.keys[1].reason, Reason::kSeveralKeys);
  EXPECT_EQ(u.keys[1].slot.selector, "prod");
  EXPECT_EQ(u.destination.address, "192.0.2.7");
  EXPECT_EQ(u.destination.name_source, NameSource::kSni);
  EXPECT_EQ(u.requests, 3U);
  EXPECT_EQ(u.via, "envoy");
  EXPECT_EQ(u.reason_detail, "only AWS key");
}

TEST_F(HistoryTest, rows_of_one_edge_say_which_file_the_program_was) {
  start();
  Actor before = make_actor(1), after = make_actor(2);
  before.file = {.dev = 0x800001, .inode = 77};
  after.file = {.dev = 0x800001, .inode = 78, .deleted = true};
  Batch batch;
  for (const Actor& actor : {before, after}) {
    batch.rows.push_back(make_acquisition(actor, make_key("AKIA1"), clock.now));
    batch.holdings.push_back(make_holding(actor, make_key("AKIA1"), clock.now));
  }
  record(std::move(batch));
  record_use(make_use(before, make_key("AKIA1"), clock.now));
  record_use(make_use(after, make_key("AKIA1"), clock.now + 1));
  const auto rows = all_rows();
  ASSERT_GE(rows.size(), 3U);
  EXPECT_EQ(std::get<AcquisitionRow>(rows[0].body).actor.file, before.file);
  EXPECT_EQ(std::get<AcquisitionRow>(rows[1].body).actor.file, after.file);
  EXPECT_EQ(std::get<UseRow>(rows[2].body).actor.file, before.file);
  const auto edges = history->edges({});
  ASSERT_TRUE(edges);
  ASSERT_EQ(edges->items.size(), 1U);
  EXPECT_EQ(edges->items[0].use.connections, 2U);
  EXPECT_EQ(edges->items[0].use.actor.file, after.file) << "that of the newest process";
  const auto held = history->holders({});
  ASSERT_TRUE(held);
  ASSERT_EQ(held->size(), 2U);
  EXPECT_NE((*held)[0].actor.file, (*held)[1].actor.file);
}

TEST_F(HistoryTest, first_use_makes_a_row_and_repeats_wait_in_the_edge) {
  start();
  const Actor actor = make_actor(1);
  for (std::uint32_t i = 0; i < 20; ++i) {
    UseRow use = make_use(make_actor(100 + i), make_key("AKIA1"), clock.now + i);
    record_use(use);
  }
  EXPECT_EQ(all_rows().size(), 1U);
  auto edges = history->edges({});
  ASSERT_TRUE(edges);
  ASSERT_EQ(edges->items.size(), 1U);
  const Edge& edge = edges->items[0];
  EXPECT_EQ(edge.use.connections, 20U);
  EXPECT_EQ(edge.use.bytes_sent, 200U);
  EXPECT_EQ(edge.use.first_ns, clock.now);
  EXPECT_EQ(edge.use.last_ns, clock.now + 19);
  EXPECT_EQ(edge.last_seq, 1U);
  EXPECT_EQ(edge.instances.size(), 16U);
  EXPECT_EQ(edge.instances.back().tgid, 119U);
  EXPECT_TRUE(edge.instances_truncated);
}

TEST_F(HistoryTest, start_flushes_what_was_pending) {
  start();
  for (int i = 0; i < 5; ++i)
    record_use(make_use(make_actor(1), make_key("AKIA1"), clock.now + i));
  restart();
  auto rows = all_rows();
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(std::get<UseRow>(rows[1].body).connections, 4U);
}

TEST_F(HistoryTest, windows_close_by_themselves) {
  start();
  for (int i = 0; i < 3; ++i)
    record_use(make_use(make_actor(1), make_key("AKIA1"), clock.now + i));
  clock.now += kMinute + kSecond;
  for (int i = 0; i < 50 && all_rows().size() < 2; ++i)
    usleep(100'000);
  ASSERT_EQ(all_rows().size(), 2U);
}

TEST_F(HistoryTest, a_touch_moves_the_edge_without_a_row) {
  start();
  UseRow use = make_use(make_actor(1), make_key("AKIA1"), clock.now);
  record_use(use);
  Batch batch;
  use.first_ns = use.last_ns = clock.now + 60 * kSecond;
  batch.touches.push_back({use});
  record(std::move(batch));
  EXPECT_EQ(all_rows().size(), 1U);
  auto edges = history->edges({});
  ASSERT_TRUE(edges);
  EXPECT_EQ(edges->items.at(0).use.last_ns, clock.now + 60 * kSecond);
  EXPECT_EQ(edges->items.at(0).use.connections, 1U);
  EXPECT_EQ(edges->items.at(0).use.bytes_sent, 20U);
}

TEST_F(HistoryTest, the_bytes_of_a_lone_call_are_a_revision_of_its_row) {
  start();
  UseRow use = make_use(make_actor(1), make_key("AKIA1"), clock.now);
  record_use(use);
  Batch batch;
  use.connections = 0;
  use.first_ns = use.last_ns = clock.now + kSecond;
  use.bytes_sent = 4000;
  use.bytes_received = 0;
  batch.touches.push_back({use});
  record(std::move(batch));
  clock.now += kMinute + kSecond;
  for (int i = 0; i < 50 && all_rows().size() < 2; ++i)
    usleep(100'000);
  const std::vector<Row> rows = all_rows();
  ASSERT_EQ(rows.size(), 2U);
  const auto& later = std::get<RevisionRow>(rows[1].body);
  EXPECT_EQ(rows[1].time_ns, use.last_ns);
  EXPECT_EQ(later.of_seq, rows[0].seq);
  EXPECT_EQ(later.what, Revised::kBytes);
  EXPECT_EQ(later.bytes_sent, 4000U);
  EXPECT_EQ(later.bytes_received, 0U);
  const auto edges = history->edges({});
  ASSERT_EQ(edges->items.size(), 1U);
  EXPECT_EQ(edges->items[0].last_seq, rows[0].seq) << "explain asks for a use";
  EXPECT_EQ(edges->items[0].use.bytes_sent, 4010U);
  HistoryFilter part;
  part.to_ns = clock.now;
  part.from_ns = std::get<UseRow>(rows[0].body).first_ns + 1;
  const auto inside = history->edges(part);
  ASSERT_EQ(inside->items.size(), 1U);
  EXPECT_EQ(inside->items[0].use.bytes_sent, 4000U);
  EXPECT_EQ(inside->items[0].use.connections, 0U) << "of that time only its bytes are";
  EXPECT_FALSE(inside->items[0].use.requests) << "nobody saw that there was none";
}

TEST_F(HistoryTest, a_connection_kept_open_makes_no_row_at_a_stop_and_its_bytes_ride_on_the_next_call) {
  start();
  UseRow use = make_use(make_actor(1), make_key("AKIA1"), clock.now);
  record_use(use);
  clock.now += 2 * kMinute;
  Batch batch;
  use.first_ns = use.last_ns = clock.now;
  use.connections = 0;
  batch.touches.push_back({use});
  record(std::move(batch));
  restart();
  restart();
  ASSERT_EQ(all_rows().size(), 1U);
  use.connections = 1;
  use.first_ns = use.last_ns = clock.now += 120 * kMinute;
  record_use(use);
  const std::vector<Row> rows = all_rows();
  ASSERT_EQ(rows.size(), 2U);
  const auto& second = std::get<UseRow>(rows[1].body);
  EXPECT_EQ(second.connections, 1U);
  EXPECT_EQ(second.bytes_sent, 20U);
  EXPECT_EQ(second.first_ns, use.first_ns);
}

TEST_F(HistoryTest, an_edge_says_how_many_of_its_processes_it_does_not_list) {
  start();
  Batch batch;
  for (std::uint32_t pid = 1; pid <= 20; ++pid)
    batch.uses.push_back(make_use(make_actor(pid), make_key("AKIA1"), clock.now));
  record(std::move(batch));
  restart();
  record_use(make_use(make_actor(21), make_key("AKIA1"), clock.now));
  const auto edges = history->edges({});
  ASSERT_EQ(edges->items.size(), 1U);
  EXPECT_EQ(edges->items[0].instances.size(), 16U);
  EXPECT_EQ(edges->items[0].instances.back().tgid, 21U);
  EXPECT_TRUE(edges->items[0].instances_truncated);
  EXPECT_EQ(edges->items[0].instances_cut, 5U);
}

TEST_F(HistoryTest, address_and_name_source_do_not_split_an_edge_and_outcome_does) {
  start();
  UseRow use = make_use(make_actor(1), make_key("AKIA1"), clock.now);
  record_use(use);
  use.destination.address = "192.0.2.8";
  use.destination.name_source = NameSource::kDns;
  use.actor.comm = "other";
  record_use(use);
  EXPECT_EQ(history->edges({})->items.size(), 1U);
  use.outcome = Outcome::kRefused;
  record_use(use);
  EXPECT_EQ(history->edges({})->items.size(), 2U);
}

TEST_F(HistoryTest, a_name_that_is_only_claimed_is_an_edge_of_its_own) {
  start();
  UseRow use = make_use(make_actor(1), make_key("AKIA1"), clock.now);
  record_use(use);
  use.destination.address = "203.0.113.9";
  use.destination.claimed = true;
  record_use(use);
  const auto edges = history->edges({});
  ASSERT_EQ(edges->items.size(), 2U);
  EXPECT_FALSE(edges->items[0].use.destination.claimed);
  EXPECT_TRUE(edges->items[1].use.destination.claimed);
  EXPECT_EQ(edges->items[1].use.destination.address, "203.0.113.9");
}

TEST_F(HistoryTest, holdings_survive_a_restart_and_end_with_process_or_boot) {
  start();
  Batch batch;
  for (std::uint32_t pid : {1U, 2U, 3U})
    batch.holdings.push_back(make_holding(make_actor(pid), make_key("AKIA1"), clock.now));
  batch.holdings.push_back({HoldingChange::Kind::kEnd, {.actor = make_actor(3)}});
  record(std::move(batch));
  restart();
  auto held = history->all_holdings();
  ASSERT_TRUE(held);
  ASSERT_EQ(held->size(), 2U);
  EXPECT_EQ(held->at(0).how, How::kDirect);
  EXPECT_EQ(held->at(0).slot, make_slot());
  EXPECT_EQ(*history->retain_holdings([](const InstanceId& id) { return id.tgid == 2; }), 1U);
  EXPECT_EQ(history->all_holdings()->size(), 1U);
  options.boot_id = "boot-2";
  restart();
  EXPECT_TRUE(history->all_holdings()->empty());
}

TEST_F(HistoryTest, a_use_moves_the_last_use_of_the_holding) {
  start();
  Batch batch;
  batch.holdings.push_back(make_holding(make_actor(1), make_key("AKIA1"), clock.now));
  batch.uses.push_back(make_use(make_actor(1), make_key("AKIA1"), clock.now + 5));
  record(std::move(batch));
  EXPECT_EQ(history->all_holdings()->at(0).last_use_ns, clock.now + 5);
}

TEST_F(HistoryTest, counters_are_stored_with_the_batch) {
  start();
  Batch batch;
  batch.counters.received = 10;
  batch.counters.recorded = 7;
  batch.counters.absorbed = 2;
  batch.counters.dropped["decode"] = 1;
  batch.counters.told["open/ring_full"] = 6;
  batch.counters.untold = 5;
  record(std::move(batch));
  Batch second;
  second.counters.received = 11;
  second.counters.untold = 3;
  record(std::move(second));
  const auto id = history->history_id();
  restart();
  EXPECT_EQ(history->last_batch().wall_ns, clock.now);
  EXPECT_EQ(history->last_batch().counters.received, 11U);
  EXPECT_EQ(history->last_batch().counters.dropped.at("decode"), 1U);
  EXPECT_EQ(history->last_batch().counters.told.at("open/ring_full"), 6U);
  EXPECT_EQ(history->last_batch().counters.untold, 3U) << "what is told by now is told";
  EXPECT_TRUE(history->last_batch().clean_stop);
  EXPECT_EQ(history->status()->worker.dropped.at("decode"), 1U);
  EXPECT_EQ(history->history_id(), id);
}

TEST_F(HistoryTest, what_is_opened_and_stores_nothing_does_not_move_the_end_of_the_history) {
  start();
  record(Batch{});
  const std::int64_t end = clock.now;
  clock.now += 1'000'000'000;
  restart();
  ASSERT_TRUE(history->drain(std::chrono::seconds(5)));
  EXPECT_EQ(history->last_batch().wall_ns, end);
  restart();
  EXPECT_EQ(history->last_batch().wall_ns, end);
}

TEST_F(HistoryTest, a_full_queue_drops_rows_counts_them_and_keeps_the_rest) {
  options.queue_rows = 10;
  options.merge_for = std::chrono::milliseconds(300);
  start();
  ASSERT_TRUE(history->drain(std::chrono::seconds(5)));
  std::uint64_t given = 0;
  for (int i = 0; i < 30; ++i) {
    Batch batch;
    batch.rows.push_back(make_acquisition(make_actor(1), make_key("AKIA1"), clock.now));
    batch.holdings.push_back(
        make_holding(make_actor(static_cast<std::uint32_t>(1000 + i)), make_key("AKIA1"), clock.now));
    batch.counters.received = ++given;
    history->submit(std::move(batch));
  }
  ASSERT_TRUE(history->drain(std::chrono::seconds(10)));
  std::uint64_t stored = 0, lost = 0;
  for (const Row& row : all_rows()) {
    if (const auto* gap = std::get_if<GapRow>(&row.body)) {
      EXPECT_EQ(gap->cause, "record_queue_full");
      lost += *gap->lost;
    } else {
      ++stored;
    }
  }
  EXPECT_GT(lost, 0U);
  EXPECT_EQ(stored + lost, 30U);
  EXPECT_EQ(history->status()->queue_dropped, lost);
  EXPECT_EQ(history->all_holdings()->size(), 30U);
  EXPECT_EQ(history->status()->worker.received, 30U);
}

}  // namespace
}  // namespace keytrail::record
