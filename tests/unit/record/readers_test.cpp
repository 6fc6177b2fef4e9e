// SPDX-License-Identifier: Apache-2.0
// Who took a key: readers are sums, no rows; what makes two readers different; how many sessions are told apart.
#include <algorithm>

#include "tests/unit/record/fixture.h"

namespace keytrail::record {
namespace {

class ReadersTest : public HistoryTest {
 protected:
  static Actor cat(std::uint32_t pid, const std::string& session = {}) {
    Actor actor = make_actor(pid, "web.service");
    actor.exe = "/usr/bin/cat";
    actor.program = actor.comm = "cat";
    actor.session = session;
    return actor;
  }
  KeyReader reader(const Actor& actor, std::uint64_t count = 1) {
    return {.actor = actor,
            .key = make_key("AKIA1"),
            .slot = make_slot(),
            .first_ns = clock.now,
            .last_ns = clock.now,
            .count = count,
            .instances = {actor.id}};
  }
  void take(const Actor& actor) {
    clock.now += kSecond;
    Batch batch;
    batch.readers.push_back(reader(actor));
    ASSERT_NO_FATAL_FAILURE(record(std::move(batch)));
  }
  std::vector<KeyReader> readers(HistoryFilter filter = {.key = "AKIA1"}) {
    auto page = history->readers(filter);
    EXPECT_TRUE(page) << page.error().message;
    return page ? page->items : std::vector<KeyReader>{};
  }
};

TEST_F(ReadersTest, a_reader_is_one_sum_with_its_processes_however_often_it_reads) {
  start();
  const std::int64_t first = clock.now + kSecond;
  for (std::uint32_t pid = 1; pid <= 40; ++pid)
    take(cat(pid));
  const auto found = readers();
  ASSERT_EQ(found.size(), 1U);
  const KeyReader& one = found.front();
  EXPECT_EQ(one.count, 40U);
  EXPECT_EQ(one.first_ns, first);
  EXPECT_EQ(one.last_ns, clock.now);
  EXPECT_EQ(one.actor.id, cat(40).id);
  EXPECT_EQ(one.actor.program, "cat");
  EXPECT_EQ(one.actor.workload.name, "web.service");
  EXPECT_EQ(one.slot, make_slot());
  EXPECT_EQ(one.instances.size(), 16U);
  EXPECT_EQ(one.instances.back(), cat(40).id);
  EXPECT_TRUE(one.instances_truncated);
  EXPECT_TRUE(all_rows().empty()) << "a read each second is a count, no rows";
  restart();
  take(cat(41));
  EXPECT_EQ(readers().at(0).count, 41U);
}

TEST_F(ReadersTest, it_is_no_use_and_a_use_is_no_reader) {
  start();
  take(cat(1));
  record_use(make_use(make_actor(2), make_key("AKIA1"), clock.now));
  EXPECT_EQ(readers().size(), 1U);
  const auto uses = history->edges({.key = "AKIA1"});
  ASSERT_EQ(uses->items.size(), 1U);
  EXPECT_EQ(uses->items[0].use.actor.program, "restic");
  const auto keys = history->keys({.key = "AKIA1"});
  ASSERT_EQ(keys->size(), 1U);
  EXPECT_EQ(keys->at(0).used_for, std::vector<std::string>{"aws / s3 / eu-west-1"});
}

TEST_F(ReadersTest, another_program_user_session_workload_or_place_is_another_reader) {
  start();
  take(cat(1));
  take(cat(2, "login 7"));
  Actor other = cat(3);
  other.login_user = "alice";
  take(other);
  take(make_actor(4, "web.service"));
  take(make_actor(5, "cron.service"));
  KeyReader copy = reader(cat(6));
  copy.slot.place = "/tmp/.x";
  Batch batch;
  batch.readers.push_back(copy);
  record(std::move(batch));
  EXPECT_EQ(readers().size(), 6U);
  EXPECT_EQ(readers({.key = "AKIA1", .workload = "cron.service"}).size(), 1U);
  EXPECT_EQ(readers({.key = "AKIA1", .pid = 3}).size(), 1U);
  EXPECT_EQ(readers({.key = "AKIA1", .from_ns = clock.now}).size(), 2U) << "the last two";
  EXPECT_TRUE(readers({.key = "AKIA2"}).empty());
  EXPECT_TRUE(readers({.key = "AKIA1", .provider = "aws"}).empty()) << "a reader goes nowhere";
}

TEST_F(ReadersTest, a_label_that_the_process_changes_makes_no_other_reader) {
  start();
  take(cat(1));
  Actor renamed = cat(2);
  renamed.comm = "kworker";
  take(renamed);
  ASSERT_EQ(readers().size(), 1U);
  EXPECT_EQ(readers()[0].actor.comm, "kworker") << "of the newest";
}

TEST_F(ReadersTest, of_many_sessions_the_newest_are_told_apart_and_nothing_is_lost_of_the_others) {
  start();
  const std::int64_t first = clock.now + kSecond;
  for (std::uint32_t session = 1; session <= 20; ++session)
    take(cat(session, "login " + std::to_string(session)));
  take(cat(100, "login 19"));
  auto found = readers();
  ASSERT_EQ(found.size(), 8U);
  std::ranges::sort(found, {}, &KeyReader::last_ns);
  std::uint64_t count = 0;
  for (const KeyReader& one : found)
    count += one.count;
  EXPECT_EQ(count, 21U);
  EXPECT_EQ(found.front().actor.session, "login 13");
  EXPECT_EQ(found.front().count, 13U);
  EXPECT_EQ(found.front().first_ns, first);
  EXPECT_TRUE(found.front().earlier_sessions);
  EXPECT_EQ(found.back().actor.session, "login 19");
  EXPECT_EQ(found.back().count, 2U);
  EXPECT_FALSE(found.back().earlier_sessions);
  take(cat(101, "login 13"));
  found = readers();
  const auto summed = std::ranges::find(found, "login 13", [](const KeyReader& one) { return one.actor.session; });
  ASSERT_NE(summed, found.end());
  EXPECT_TRUE(summed->earlier_sessions) << "also after another read in that session";
}

TEST_F(ReadersTest, sessions_within_one_batch_are_bounded_too) {
  start();
  Batch batch;
  for (std::uint32_t session = 1; session <= 30; ++session)
    batch.readers.push_back(reader(cat(session, "login " + std::to_string(session))));
  record(std::move(batch));
  const auto found = readers();
  EXPECT_EQ(found.size(), 8U);
  std::uint64_t count = 0;
  for (const KeyReader& one : found)
    count += one.count;
  EXPECT_EQ(count, 30U);
}

TEST_F(ReadersTest, a_session_does_not_split_uses) {
  start();
  for (std::uint32_t session = 1; session <= 3; ++session)
    record_use(make_use(cat(session, "login " + std::to_string(session)), make_key("AKIA1"), clock.now));
  const auto uses = history->edges({.key = "AKIA1"});
  ASSERT_EQ(uses->items.size(), 1U);
  EXPECT_EQ(uses->items[0].use.connections, 3U);
  EXPECT_EQ(uses->items[0].use.actor.session, "login 3") << "of the newest";
}

TEST_F(ReadersTest, a_place_was_read_last_by_the_last_reader) {
  start();
  Batch batch;
  batch.rows.push_back(make_acquisition(make_actor(1), make_key("AKIA1"), clock.now));
  record(std::move(batch));
  take(cat(2));
  const auto places = history->places({.key = "AKIA1"});
  ASSERT_EQ(places->size(), 1U);
  EXPECT_EQ(places->at(0).last_ns, clock.now);
  EXPECT_EQ(places->at(0).by.program, "cat");
}

TEST_F(ReadersTest, a_place_names_its_reader_when_the_holding_is_some_ns_younger_and_over) {
  start();
  take(cat(2));
  Batch batch;
  batch.holdings.push_back(make_holding(make_actor(2), make_key("AKIA1"), clock.now + 3));
  batch.holdings.push_back(batch.holdings[0]);
  batch.holdings[1].kind = HoldingChange::Kind::kEnd;
  record(std::move(batch));
  const auto places = history->places({.key = "AKIA1"});
  ASSERT_EQ(places->size(), 1U);
  EXPECT_EQ(places->at(0).last_ns, clock.now);
  EXPECT_EQ(places->at(0).by.program, "cat");
}

TEST_F(ReadersTest, what_the_sweep_found_is_said_of_the_first_only) {
  start();
  Batch batch;
  batch.readers.push_back(reader(cat(1)));
  batch.readers[0].baseline = true;
  record(std::move(batch));
  take(cat(2));
  EXPECT_TRUE(readers().at(0).baseline);
  take(cat(3, "exec"));
  const auto found = readers();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_FALSE(found[1].baseline);
}

TEST_F(ReadersTest, pages_go_on_where_the_last_one_ended) {
  start();
  for (std::uint32_t pid = 1; pid <= 5; ++pid)
    take(make_actor(pid, "w" + std::to_string(pid)));
  HistoryFilter filter{.key = "AKIA1"};
  filter.limit = 2;
  std::size_t seen = 0;
  for (int pages = 0; pages < 5; ++pages) {
    const auto page = history->readers(filter);
    ASSERT_TRUE(page);
    seen += page->items.size();
    filter.after_seq = page->next;
    if (page->next == 0) break;
  }
  EXPECT_EQ(seen, 5U);
}

TEST_F(ReadersTest, a_key_without_an_id_has_no_reader) {
  start();
  Batch batch;
  batch.readers.push_back(reader(cat(1)));
  batch.readers[0].key.id.clear();
  record(std::move(batch));
  EXPECT_TRUE(readers({}).empty());
}

}  // namespace
}  // namespace keytrail::record
