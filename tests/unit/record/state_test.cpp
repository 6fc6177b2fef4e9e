// SPDX-License-Identifier: Apache-2.0
// What is stored beside rows and edges: slots and their history, lives of holders, where findings stand, the session.
#include "tests/unit/record/fixture.h"

namespace keytrail::record {
namespace {

class StateTest : public HistoryTest {
 protected:
  Earlier earlier() {
    auto out = history->earlier();
    EXPECT_TRUE(out) << out.error().message;
    return out ? *out : Earlier{};
  }
  void change(const std::string& place, const std::string& old_id, const std::string& new_id,
              const std::string& container = {}) {
    Batch batch;
    batch.slot_changes.push_back({container, place, "default", ++at, old_id, new_id});
    record(std::move(batch));
  }
  KeySummary key(const std::string& id) {
    auto keys = history->keys({.key = id, .chain = false});
    EXPECT_TRUE(keys);
    return keys && keys->size() == 1 ? keys->front() : KeySummary{};
  }
  void see(const std::string& id) {
    Batch batch;
    batch.rows.push_back(make_acquisition(make_actor(1), make_key(id), clock.now));
    record(std::move(batch));
  }
  Row finding(const std::string& subject) {
    Row row;
    row.time_ns = clock.now;
    row.body = FindingRow{"old_key_in_use", Severity::kMedium, "It is old.", {},
                          make_actor(1),    make_key("AKIA1"), make_slot(),  subject};
    return row;
  }
  FindingState state_of(const Row& row) { return std::get<FindingRow>(row.body).state; }
  static constexpr std::int64_t kBegin = FakeClock::kStart;
  std::int64_t at = kBegin;
};

TEST_F(StateTest, a_rotation_is_an_interval) {
  start();
  see("A");
  Batch batch;
  batch.slot_changes.push_back({"", "/f", "default", kBegin + 20, "A", "B", kBegin + 10});
  record(std::move(batch));
  restart();
  ASSERT_EQ(earlier().replaced.size(), 1U);
  EXPECT_EQ(earlier().replaced[0].after_ns, kBegin + 10);
  EXPECT_EQ(key("A").replaced_by, "B");
  EXPECT_EQ(key("A").replaced_ns, kBegin + 20);
  EXPECT_EQ(key("A").replaced_after_ns, kBegin + 10);
}

TEST_F(StateTest, a_key_that_was_read_over_is_not_held) {
  start();
  Batch batch;
  for (const char* id : {"A", "B"})
    batch.holdings.push_back(make_holding(make_actor(1), make_key(id), clock.now));
  HoldingChange dropped = batch.holdings[0];
  dropped.kind = HoldingChange::Kind::kDrop;
  batch.holdings.push_back(dropped);
  record(std::move(batch));
  const auto held = history->holders({});
  ASSERT_TRUE(held);
  ASSERT_EQ(held->size(), 1U);
  EXPECT_EQ(held->front().key.id, "B");
}

TEST_F(StateTest, a_place_says_since_when_who_read_it_last_and_what_it_holds_now) {
  start();
  see("A");
  clock.now += 100;
  Batch later;
  later.rows.push_back(make_acquisition(make_actor(2), make_key("A"), clock.now));
  later.slot_changes.push_back({"", make_slot().place, make_slot().selector, clock.now + 5, "A", "B"});
  record(std::move(later));
  const auto places = history->places({.key = "A"});
  ASSERT_TRUE(places) << places.error().message;
  ASSERT_EQ(places->size(), 1U);
  const KeyPlace& place = places->front();
  EXPECT_EQ(place.key.id, "A");
  EXPECT_EQ(place.slot, make_slot());
  EXPECT_EQ(place.first_ns, clock.now - 100);
  EXPECT_EQ(place.last_ns, clock.now);
  EXPECT_EQ(place.by.id, make_actor(2).id);
  EXPECT_EQ(place.replaced_by, "B");
  EXPECT_EQ(place.replaced_ns, clock.now + 5);
  EXPECT_TRUE(history->places({.key = "nobody's"})->empty());
}

TEST_F(StateTest, a_password_that_stands_for_several_logins_has_copies_by_its_tag) {
  const std::string secret = " #5a0c3f1e2d4b6978", other = " #000c3f1e2d4b6978";
  start();
  see("postgres.password:app@db1" + secret);
  see("mysql.password:root@db2" + secret);
  see("postgres.password:app@db1" + other);
  const auto places = history->places({.key = "mysql.password:root@db2" + secret});
  ASSERT_TRUE(places) << places.error().message;
  ASSERT_EQ(places->size(), 2U);
  for (const KeyPlace& place : *places)
    EXPECT_TRUE(place.key.id.ends_with(secret)) << place.key.id;
}

TEST_F(StateTest, a_slot_has_its_key_and_its_history) {
  start();
  change("/f", "", "A");
  change("/f", "A", "B");
  change("/g", "", "A");
  restart();
  const Earlier found = earlier();
  ASSERT_EQ(found.slots.size(), 2U);
  EXPECT_EQ(found.slots[0].place, "/f");
  EXPECT_EQ(found.slots[0].new_id, "B");
  EXPECT_EQ(found.slots[0].old_id, "");
  EXPECT_EQ(found.slots[0].time_ns, kBegin + 2);
  ASSERT_EQ(found.replaced.size(), 1U);
  EXPECT_EQ(found.replaced[0].old_id, "A");
  EXPECT_EQ(found.replaced[0].new_id, "B");
  EXPECT_EQ(found.replaced[0].selector, "default");
  EXPECT_EQ(found.replaced[0].time_ns, kBegin + 2);
}

TEST_F(StateTest, who_had_which_key_is_known_after_a_restart) {
  start();
  see("AKIA1");
  restart();
  const Earlier found = earlier();
  ASSERT_EQ(found.sightings.size(), 1U);
  EXPECT_EQ(found.sightings[0].key, "AKIA1");
  EXPECT_EQ(found.sightings[0].slot.place, make_slot().place);
  EXPECT_EQ(found.sightings[0].workload.kind, WorkloadKind::kSystemdUnit);
  EXPECT_EQ(found.sightings[0].workload.name, "backup.service");
  EXPECT_EQ(found.sightings[0].first_ns, clock.now);
  EXPECT_TRUE(found.sightings[0].kept);
}

TEST_F(StateTest, how_the_first_who_had_a_key_came_in_is_known_after_a_restart) {
  start();
  Actor terraform = make_actor(1);
  terraform.session = "exec on pts/0, distributor Terraform";
  terraform.login_user = "alice";
  Batch batch;
  batch.rows.push_back(make_acquisition(terraform, make_key("AKIA1"), clock.now));
  batch.holdings.push_back(make_holding(make_actor(2), make_key("AKIA1"), clock.now));
  record(std::move(batch));
  restart();
  Earlier found = earlier();
  ASSERT_EQ(found.sightings.size(), 1U);
  EXPECT_EQ(found.sightings[0].kind, make_key("AKIA1").kind);
  EXPECT_EQ(found.sightings[0].session, terraform.session);
  EXPECT_EQ(found.sightings[0].login_user, "alice");
  EXPECT_FALSE(found.sightings[0].kept) << "a child of it has it, too, and did not take it";
  see("AKIA1");
  restart();
  found = earlier();
  ASSERT_EQ(found.sightings.size(), 1U);
  EXPECT_EQ(found.sightings[0].session, terraform.session);
  EXPECT_TRUE(found.sightings[0].kept) << "by another program of the workload";
}

TEST_F(StateTest, one_key_may_be_replaced_in_two_files_and_in_two_containers) {
  start();
  for (const char* container : {"", "0123456789abcdef"}) {
    change("/f", "A", "B", container);
    change("/g", "A", "B", container);
  }
  EXPECT_EQ(earlier().replaced.size(), 4U);
}

TEST_F(StateTest, a_key_that_came_back_is_not_replaced_there) {
  start();
  see("A");
  change("/f", "A", "B");
  change("/g", "A", "C");
  EXPECT_EQ(key("A").replaced_by, "C");
  change("/g", "C", "A");
  EXPECT_EQ(key("A").replaced_by, "B");
  EXPECT_EQ(key("A").replaced_ns, kBegin + 1);
  const Earlier found = earlier();
  ASSERT_EQ(found.replaced.size(), 2U);
  EXPECT_EQ(found.replaced[0].place, "/f");
  EXPECT_EQ(found.replaced[1].old_id, "C");
  change("/f", "B", "A");
  EXPECT_EQ(key("A").replaced_by, "");
}

TEST_F(StateTest, a_slot_that_is_not_followed_any_more_stays_replaced) {
  start();
  change("/f", "A", "B");
  change("/f", "B", "");
  EXPECT_TRUE(earlier().slots.empty());
  EXPECT_EQ(earlier().replaced.size(), 1U);
}

TEST_F(StateTest, a_file_that_changes_all_the_time_takes_no_room_of_others) {
  start();
  change("/quiet", "A", "B");
  Batch batch;
  for (int i = 0; i < 2000; ++i)
    batch.slot_changes.push_back({"", "/busy", "", at, "K" + std::to_string(i), "K" + std::to_string(i + 1)});
  record(std::move(batch));
  const Earlier found = earlier();
  EXPECT_EQ(found.replaced.size(), 33U);
  EXPECT_EQ(found.replaced.front().place, "/quiet");
  EXPECT_EQ(found.replaced.back().new_id, "K2000");
}

TEST_F(StateTest, what_replaced_a_key_is_kept_as_long_as_the_key_is_known) {
  at = kBegin - 2 * options.retention_ns;
  start();
  see("A");
  change("/f", "A", "B");
  change("/g", "nobody knows it", "C");
  restart();
  for (int i = 0; i < 50 && earlier().replaced.size() != 1; ++i)
    usleep(20'000);  // the writer looks for what is old at its start
  ASSERT_EQ(earlier().replaced.size(), 1U);
  EXPECT_EQ(earlier().replaced[0].old_id, "A");
}

TEST_F(StateTest, a_life_ends_with_its_holdings) {
  start();
  Batch batch;
  for (std::uint32_t pid : {1U, 2U, 3U}) {
    batch.holdings.push_back(make_holding(make_actor(pid), make_key("AKIA1"), clock.now));
    batch.lives.push_back({make_actor(pid).id, "life of " + std::to_string(pid)});
  }
  record(std::move(batch));
  Batch next;
  next.holdings.push_back({HoldingChange::Kind::kEnd, {.actor = make_actor(3)}});
  next.lives.push_back({make_actor(1).id, "later"});
  record(std::move(next));
  restart();
  ASSERT_EQ(earlier().lives.size(), 2U);
  EXPECT_EQ(earlier().lives[0].text, "later");
  ASSERT_TRUE(history->retain_holdings([](const InstanceId& id) { return id.tgid == 2; }));
  ASSERT_EQ(earlier().lives.size(), 1U) << "who ended while nobody looked leaves nothing";
  EXPECT_EQ(earlier().lives[0].id, make_actor(2).id);
  EXPECT_EQ(earlier().lives[0].text, "life of 2");
  options.boot_id = "boot-2";
  restart();
  EXPECT_TRUE(earlier().lives.empty());
}

TEST_F(StateTest, a_session_comes_back_with_the_totals_of_its_beginning) {
  start();
  EXPECT_EQ(earlier().session.id, "");
  Batch batch;
  batch.session = SessionBase{"one",
                              {.received = 10,
                               .recorded = 4,
                               .absorbed = 3,
                               .dropped = {{"decode", 2}, {"worker_restart", 1}},
                               .told = {{"open/budget", 5}}}};
  record(std::move(batch));
  record({});
  restart();
  const SessionBase found = earlier().session;
  EXPECT_EQ(found.id, "one");
  EXPECT_EQ(found.counters.received, 10U);
  EXPECT_EQ(found.counters.recorded, 4U);
  EXPECT_EQ(found.counters.absorbed, 3U);
  EXPECT_EQ(found.counters.dropped, (std::map<std::string, std::uint64_t>{{"decode", 2}, {"worker_restart", 1}}));
  EXPECT_EQ(found.counters.told, (std::map<std::string, std::uint64_t>{{"open/budget", 5}}));
  Batch next;
  next.session = SessionBase{"two", {.received = 20}};
  record(std::move(next));
  EXPECT_EQ(earlier().session.id, "two");
  EXPECT_TRUE(earlier().session.counters.dropped.empty());
}

TEST_F(StateTest, a_finding_that_changes_its_state_gets_a_revision_and_is_shown_so) {
  start();
  Batch batch;
  batch.rows = {finding("one"), finding("two")};
  batch.findings.push_back({"old_key_in_use", "one", FindingState::kResolved, clock.now + 7});
  batch.findings.push_back({"old_key_in_use", "nobody told it", FindingState::kResolved, clock.now});
  record(std::move(batch));
  auto rows = all_rows();
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(state_of(rows[0]), FindingState::kResolved);
  EXPECT_EQ(state_of(rows[1]), FindingState::kOpen);
  const auto& revision = std::get<RevisionRow>(rows[2].body);
  EXPECT_EQ(revision.of_seq, rows[0].seq);
  EXPECT_EQ(revision.what, Revised::kState);
  EXPECT_EQ(revision.value, "resolved");
  EXPECT_EQ(rows[2].time_ns, clock.now + 7);
  EXPECT_EQ(history->workloads({})->at(0).open_findings, 1U);
  ASSERT_EQ(earlier().findings.size(), 2U);
  Batch again;
  again.findings.push_back({"old_key_in_use", "one", FindingState::kResolved, clock.now});
  record(std::move(again));
  EXPECT_EQ(all_rows().size(), 3U) << "it stands there already";
}

TEST_F(StateTest, a_resolved_finding_that_is_told_again_is_open_and_an_accepted_one_stays_accepted) {
  start();
  Batch batch;
  batch.rows = {finding("one"), finding("two")};
  batch.findings.push_back({"old_key_in_use", "one", FindingState::kResolved, clock.now});
  batch.findings.push_back({"old_key_in_use", "two", FindingState::kAccepted, clock.now});
  record(std::move(batch));
  Batch next;
  next.rows = {finding("one"), finding("two")};
  record(std::move(next));
  const auto rows = all_rows();
  EXPECT_EQ(state_of(rows.at(0)), FindingState::kOpen);
  EXPECT_EQ(state_of(rows.at(1)), FindingState::kAccepted);
}

}  // namespace
}  // namespace keytrail::record
