// SPDX-License-Identifier: Apache-2.0
// A history that the build before format 2 wrote (data/history_v1.sql, real traffic) opens, and nothing of it is lost.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <map>
#include <thread>

#include "agent/record/schema.h"
#include "tests/unit/record/fixture.h"

namespace keytrail::record {
namespace {

constexpr char kBootId[] = "c45520ba-9ad7-475f-a3af-eb6ccc2bb778";

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class MigrateTest : public HistoryTest {
 protected:
  void SetUp() override {
    HistoryTest::SetUp();
    options.boot_id = kBootId;
    make_old();
  }
  /// The file as that build left it.
  void make_old() {
    for (const char* suffix : {"", "-wal", "-shm"})
      unlink((options.path + suffix).c_str());
    const std::string dump = read_file(KEYTRAIL_RECORD_DATA "/history_v1.sql");
    ASSERT_FALSE(dump.empty());
    run_sql(dump);
    run_sql("PRAGMA journal_mode = WAL");  // a dump does not say it
  }
  void run_sql(const std::string& sql) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(options.path.c_str(), &db), SQLITE_OK);
    char* error = nullptr;
    EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, &error), SQLITE_OK) << (error != nullptr ? error : "");
    sqlite3_close(db);
    chmod(options.path.c_str(), 0600);
  }
  /// All rows of an answer, one a line, columns separated by '|'.
  std::string ask_file(const std::string& sql) {
    sqlite3* db = nullptr;
    EXPECT_EQ(sqlite3_open_v2(options.path.c_str(), &db, SQLITE_OPEN_READWRITE, nullptr), SQLITE_OK);
    std::string out;
    const auto line = [](void* to, int columns, char** values, char**) {
      for (int i = 0; i < columns; ++i)
        *static_cast<std::string*>(to) += (i == 0 ? "" : "|") + std::string(values[i] != nullptr ? values[i] : "NULL");
      *static_cast<std::string*>(to) += "\n";
      return 0;
    };
    char* error = nullptr;
    EXPECT_EQ(sqlite3_exec(db, sql.c_str(), line, &out, &error), SQLITE_OK)
        << sql << ": " << (error != nullptr ? error : "");
    sqlite3_close(db);
    return out;
  }
  /// What both formats keep, word for word; workloads, programs and users by what they are called, since their numbers
  /// change.
  std::string kept() {
    const bool old = ask_file("PRAGMA user_version") == "1\n";
    const std::string ran = "(SELECT exe || ' ' || program || ' ' || comm FROM program WHERE id = t.program)";
    const std::string who =
        old ? "(SELECT name || ' ' || user || ' ' || login_user FROM workload WHERE id = t.workload)"
            : "(SELECT w.name || ' ' || p.user || ' ' || p.login_user FROM workload w, program p WHERE w.id = "
              "t.workload "
              "AND p.id = t.program)";
    const std::string subject =
        old ? "t.subject"
            : "coalesce((SELECT replace(t.subject, '|' || wid || '|', '|' || name || '|') FROM workload WHERE id = "
              "t.workload), t.subject)";
    std::string out;
    for (const char* table : {"totals", "\"key\"", "slot", "keyset", "candidate", "exporter",
                              "sqlite_sequence WHERE name IN ('rows', 'edge')"})
      out += std::string(table) + "\n" + ask_file(std::string("SELECT * FROM ") + table + " ORDER BY 1, 2");
    out += ask_file(
        "SELECT id, provider, service, region, host, address, port, action, name_source, ambiguous, used_seq FROM "
        "destination ORDER BY 1");
    out += ask_file("SELECT * FROM meta WHERE name IN ('history_id', 'created_ns') ORDER BY 1");
    out += ask_file(
        "SELECT seq, kind, time_ns, observed_ns, first_ns, last_ns, keyset, destination, edge, pid, start_ns, exec, "
        "uid, outcome, "
        "evidence, reason, amount, requests, bytes_sent, bytes_received, flags, label, note, tags, " +
        subject + ", " + who + ", " + ran + " FROM rows t ORDER BY seq");
    out += ask_file(
        "SELECT id, id_keyset, id_destination, outcome, evidence, reason, keyset, destination, pid, start_ns, exec, "
        "uid, detail, "
        "via, first_ns, last_ns, connections, requests, bytes_sent, bytes_received, pending_first_ns, "
        "pending_connections, level, "
        "window_end_ns, last_seq, hex(instances), truncated, " +
        who + ", " + ran + " FROM edge t ORDER BY id");
    out += ask_file(
        "SELECT id_key, slot, name, first_ns, last_ns FROM sighting JOIN workload w ON w.id = id_workload ORDER BY 1, "
        "2, 3");
    out +=
        ask_file("SELECT pid, start_ns, exec, id_key, slot, key, uid, since_ns, last_use_ns, slot_changed, boot_id, " +
                 who + ", " + ran + " FROM holding t ORDER BY 1, 2, 3, 4, 5");
    out += ask_file(
        "SELECT type, first_ns, last_ns, count, last_seq, (SELECT name FROM workload WHERE id = t.workload), " +
        subject + " FROM finding t ORDER BY 1, 7");
    return out;
  }
  /// Brings the file to the new format and nothing else: opening a history flushes windows and ends holdings of another
  /// boot.
  Result<void> migrate() {
    auto db = Database::open(options.path, Database::Mode::kWrite);
    if (!db) return std::unexpected(db.error());
    return prepare_schema(**db, options.path, clock);
  }
  int migrate_on_a_full_disk(bool reserve);
};

TEST_F(MigrateTest, every_row_edge_holding_finding_cursor_and_total_is_what_it_was) {
  const std::string before = kept();
  ASSERT_GT(before.size(), 10'000U);
  const std::string how = ask_file("SELECT pid, id_key, slot, how FROM holding ORDER BY 1, 2, 3");
  ASSERT_TRUE(migrate());
  EXPECT_EQ(kept(), before);
  EXPECT_EQ(ask_file("SELECT h.pid, h.id_key, h.slot, w.column2 FROM holding h JOIN (VALUES(0, 'direct'), (1, 'fork'), "
                     "(2, 'exec')) w ON "
                     "w.column1 = h.how ORDER BY 1, 2, 3"),
            how);
  EXPECT_EQ(ask_file("PRAGMA user_version; PRAGMA application_id; PRAGMA integrity_check"), "4\n1263817265\nok\n");
}

TEST_F(MigrateTest, slots_rotations_lives_and_the_session_are_taken_over) {
  const std::string place = "/root/.aws/credentials";
  const std::string time = ask_file("SELECT json_extract(value, '$.time') FROM state WHERE name GLOB 'rotation:*'");
  const std::string old_id = ask_file("SELECT substr(name, 10) FROM state WHERE name GLOB 'rotation:*'");
  const std::string session = ask_file("SELECT json_extract(value, '$.id') FROM state WHERE name = 'session'");
  clock.now = 1795897700 * kSecond;
  start();
  EXPECT_FALSE(history->last_batch().clean_stop) << "it was copied while its agent ran";
  EXPECT_EQ(history->last_batch().wall_ns,
            std::stoll(ask_file("SELECT value FROM totals WHERE name = 'last_batch_ns'")));
  const auto earlier = history->earlier();
  ASSERT_TRUE(earlier) << earlier.error().message;
  EXPECT_EQ(earlier->session.id + "\n", session);
  EXPECT_EQ(earlier->slots.size(), 3U);
  ASSERT_EQ(earlier->replaced.size(), 1U);
  const SlotChange& change = earlier->replaced[0];
  EXPECT_EQ(change.old_id + "\n", old_id);
  EXPECT_EQ(change.place, place);
  EXPECT_EQ(change.selector, "default");
  EXPECT_EQ(std::to_string(change.time_ns) + "\n", time);
  ASSERT_EQ(earlier->lives.size(), 3U);
  EXPECT_NE(earlier->lives[0].text.find("exec_seen"), std::string::npos);
  EXPECT_EQ(earlier->findings.size(), 2U);
  const auto held = history->all_holdings();
  ASSERT_TRUE(held);
  for (const Life& life : earlier->lives)
    EXPECT_TRUE(std::ranges::any_of(*held, [&](const Holding& one) { return one.actor.id == life.id; }))
        << life.id.tgid;
  const auto keys = history->keys({.key = change.old_id, .chain = false});
  ASSERT_EQ(keys->size(), 1U);
  EXPECT_EQ(keys->at(0).replaced_by, change.new_id);
  EXPECT_EQ(keys->at(0).replaced_ns, change.time_ns);
}

// Kinds of workloads that the recorded traffic does not have, as that build stored them: a full entry, and one for the
// identity.
constexpr char kOldWorkloads[] = R"sql(
CREATE TEMP TABLE w(id, name, kind, known_by, container_id, pod_uid, unit, user, login_user, cgroup);
INSERT INTO w VALUES
  (101, 'pod: 0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0/cccccccccccc', 3, 0, 'cccccccccccc4444',
    '0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0', '', '1000', '',
    '/kubepods/pod0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0/cccccccccccc4444'),
  (103, 'ci: acme/shop deploy #1', 5, 4, 'cccccccccccc4444', '0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0', '', '0', '',
    '/kubepods/pod0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0/cccccccccccc4444'),
  (105, 'person: alice', 4, 0, '', '', 'session-3.scope', 'alice', 'alice',
    '/user.slice/user-1000.slice/session-3.scope'),
  (107, 'person: alice', 4, 0, '', '', 'session-4.scope', 'alice', 'alice',
    '/user.slice/user-1000.slice/session-4.scope'),
  (109, 'alice/sync.service', 1, 4, '', '', 'sync.service', 'alice', '',
    '/user.slice/user-1000.slice/user@1000.service/app.slice/sync.service'),
  (111, 'container: web1', 2, 0, '', '', '', '0', '', '/default/web1'),
  (113, 'ci: g/p #7', 5, 4, '', '', 'runner.service', 'ci', '', '/system.slice/runner.service'),
  (115, 'backup.service', 1, 0, '', '', 'backup.service', 'postgres', 'root', '/system.slice/backup.service');
INSERT INTO workload SELECT id, name, kind, known_by, container_id, pod_uid, unit, user, login_user, cgroup, 1 FROM w;
INSERT INTO workload SELECT id + 1, name, kind, 0, container_id, pod_uid, unit, user, login_user, '', 1 FROM w;
INSERT INTO program VALUES(900, '/usr/bin/aws', 'aws', 'aws', 1), (901, '/usr/bin/aws', 'aws', '', 1);
INSERT INTO edge SELECT 400 + w.id, w.id + 1, 901, e.id_keyset, e.id_destination, 1, 1, 1, w.id, 900, e.keyset,
  e.destination, 1, 1, 1, 1000, '', '', w.id, 2 * w.id, 5, 3, 7, 9, 0, 0, 0, -1, 0, 0, 0, 0, 1, x'', 0
  FROM w, (SELECT * FROM edge LIMIT 1) e;
INSERT INTO rows SELECT NULL, 2, 1, 1, 1, 1, w.id, 900, r.keyset, r.destination, 400 + w.id, 1, 1, 1, 1000,
  1, 1, 1, 5, 3, 7, 9, 0, '', '', '', '' FROM w, (SELECT * FROM rows WHERE kind = 2 LIMIT 1) r ORDER BY w.id;
INSERT INTO sighting SELECT s.id_key, s.slot, w.id + 1, w.id, w.id FROM w, (SELECT * FROM sighting LIMIT 1) s;
)sql";

TEST_F(MigrateTest, workloads_of_every_kind_become_ids_with_their_names_and_users) {
  run_sql(kOldWorkloads);
  const std::string sums = ask_file("SELECT sum(connections), sum(bytes_sent) FROM edge");
  ASSERT_TRUE(migrate());
  const std::string pod =
      "pod:0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0/cccccccccccc4444|pod: "
      "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0/cccccccccccc";
  EXPECT_EQ(ask_file("SELECT w.wid, w.name, p.user, p.login_user FROM rows r JOIN workload w ON w.id = r.workload JOIN "
                     "program p ON p.id = "
                     "r.program WHERE r.time_ns = 1 ORDER BY seq"),
            pod + "|1000|\n" + pod +
                "|0|\n"  // the job is a fact of the pod
                "user:1000|person: alice|alice|alice\nuser:1000|person: alice|alice|alice\n"
                "unit:1000/sync.service|alice/sync.service|alice|\ncontainer:web1|container: web1|0|\n"
                "ci:unit:runner.service#g/p #7|ci: g/p #7|ci|\nunit:backup.service|backup.service|postgres|root\n");
  EXPECT_EQ(ask_file("SELECT value, known_by FROM workload_fact WHERE name = 'keytrail.ci.job' ORDER BY 1"),
            "acme/shop deploy #1|4\ng/p #7|4\n");
  EXPECT_EQ(ask_file("SELECT sum(connections), sum(bytes_sent) FROM edge"), sums);
  EXPECT_EQ(ask_file("SELECT id, connections, first_ns, last_ns, (SELECT count(*) FROM rows WHERE edge = edge.id) FROM "
                     "edge WHERE workload = "
                     "(SELECT id FROM workload WHERE wid = 'user:1000')"),
            "507|10|105|214|2\n")
      << "two sessions of one person are one edge";
  EXPECT_EQ(
      ask_file("SELECT first_ns, last_ns FROM sighting JOIN workload w ON w.id = id_workload WHERE wid = 'user:1000'"),
      "105|107\n");
  EXPECT_EQ(ask_file("PRAGMA integrity_check"), "ok\n");
  clock.now = 1795897700 * kSecond;
  start();
  EXPECT_EQ(history->rows({.workload = "ci: acme/shop deploy #1"}, {})->items.size(), 2U)
      << "by the name it was known by";
}

TEST_F(MigrateTest, it_goes_on_where_it_was) {
  const std::size_t rows = std::stoul(ask_file("SELECT count(*) FROM rows"));
  const std::size_t last = std::stoul(ask_file("SELECT seq FROM sqlite_sequence WHERE name = 'rows'"));
  start();
  const auto all = all_rows();
  EXPECT_GE(all.size(), rows);
  for (const Row& row : all) {
    if (const auto* use = std::get_if<UseRow>(&row.body)) EXPECT_STRNE(to_string(use->reason), "unknown");
  }
  record_use(make_use(make_actor(1), make_key("AKIA1"), clock.now));
  EXPECT_GT(all_rows().back().seq, last);
  EXPECT_EQ(history->read("sink", 0, 100)->size(), all_rows().size() - rows) << "the exporter's cursor";
}

TEST_F(MigrateTest, who_took_keys_before_there_were_readers_is_known_from_the_rows) {
  clock.now = 1795897700 * kSecond;
  start();
  std::map<std::string, std::uint64_t> told;  // acquisitions of each key
  for (const Row& row : all_rows()) {
    const auto* one = std::get_if<AcquisitionRow>(&row.body);
    if (one != nullptr && !one->key.id.empty()) ++told[one->key.id];
  }
  ASSERT_GT(told.size(), 3U);
  const auto count_of = [&](const std::string& key) {
    std::uint64_t count = 0;
    const auto readers = history->readers({.key = key, .chain = false});
    EXPECT_TRUE(readers) << readers.error().message;
    for (const KeyReader& one : readers->items) {
      EXPECT_EQ(one.key.id, key);
      EXPECT_NE(one.actor.exe, "");
      EXPECT_EQ(one.instances.back(), one.actor.id);
      count += one.count;
    }
    return count;
  };
  for (const auto& [key, count] : told)
    EXPECT_EQ(count_of(key), count) << key;
  restart();
  for (const auto& [key, count] : told)
    EXPECT_EQ(count_of(key), count) << key << " is not summed twice";
}

TEST_F(MigrateTest, a_state_that_cannot_be_read_is_left_behind) {
  run_sql(
      R"sql(INSERT INTO state VALUES('slot:x', '{'), ('slot:y', '[]'), ('slot:z', '{"key":"A"}'), ('rotation:x', '7'),
      ('rotation:y', '{"place":"/f"}'), ('life:1', '{}'), ('life:a-b-c', '{}'), ('other', ''), ('finding:', '1');
      UPDATE state SET value = '{"id":7,"dropped":[1,{"a":2}],"received":"x"}' WHERE name = 'session';)sql");
  const auto done = migrate();
  EXPECT_TRUE(done) << done.error().message;
  EXPECT_EQ(ask_file("SELECT count(*) FROM slot_now; SELECT count(*) FROM slot_history"), "3\n1\n");
  start();
  EXPECT_TRUE(history->earlier());
}

TEST_F(MigrateTest, killed_at_any_moment_the_file_has_one_format_or_the_other) {
  const std::string before = kept();
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(migrate());
  const auto whole = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin);
  make_old();
  constexpr int kRounds = 60;
  int old = 0, done = 0;
  for (int round = 0; round < kRounds; ++round) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      (void)migrate();
      for (;;)
        pause();
    }
    std::this_thread::sleep_for(whole * round * 3 / kRounds);
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    const std::string version = ask_file("PRAGMA user_version");
    ASSERT_TRUE(version == "1\n" || version == "4\n") << version;
    ASSERT_EQ(ask_file("PRAGMA integrity_check"), "ok\n");
    ASSERT_EQ(kept(), before);
    ASSERT_EQ(ask_file("SELECT count(*) FROM sqlite_schema WHERE name = 'state'"), version == "1\n" ? "1\n" : "0\n");
    ++(version == "1\n" ? old : done);
    if (version == "4\n") make_old();
  }
  std::printf("[          ] %d times before, %d times after\n", old, done);
  EXPECT_GT(old, 0);
}

/// Runs in a child with a mount namespace of its own: a small file system without room beside the history.
int MigrateTest::migrate_on_a_full_disk(bool reserve) {
  if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount("tmpfs", directory.path().c_str(), "tmpfs", 0, "size=2m,mode=0700") != 0) {
    return 77;
  }
  make_old();
  options.reserve_bytes = 0;
  const std::string filler = directory.file("filler");
  const auto fill = [](const std::string& path, std::uint64_t most) {
    const int fd = ::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    const std::string block(4096, 'x');
    while (most > 0 && write(fd, block.data(), block.size()) > 0)
      most -= block.size();
    ::close(fd);
  };
  const std::string before = kept();
  if (reserve) fill(options.path + ".reserve", 1U << 20U);
  fill(filler, 1U << 30U);
  // Enough to look into the history, not enough to change it.
  if (truncate(filler.c_str(), static_cast<off_t>(std::filesystem::file_size(filler) - 65'536)) != 0) return 6;
  auto opened = History::open(options, clock);
  if (reserve) return opened && ask_file("PRAGMA user_version") == "4\n" ? 0 : 1;
  if (opened) return 2;
  const std::string& said = opened.error().message;
  std::printf("[          ] %s\n", said.c_str());
  if (said.find("from format 1 to 4 and stays as it was: the history has no room") == std::string::npos) return 3;
  unlink(filler.c_str());
  if (kept() != before || ask_file("PRAGMA user_version") != "1\n") return 4;
  return History::open(options, clock) ? 0 : 5;
}

TEST_F(MigrateTest, without_room_it_says_so_and_the_file_stays_as_it_was_unless_the_reserve_helps) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root for a file system of its own";
  for (const bool reserve : {false, true}) {
    std::fflush(stdout);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      const int code = migrate_on_a_full_disk(reserve);
      std::fflush(stdout);
      _exit(code);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "no mount namespace here";
    EXPECT_EQ(WEXITSTATUS(status), 0) << reserve;
  }
}

TEST_F(MigrateTest, a_new_file_and_a_migrated_one_have_the_same_tables) {
  ASSERT_TRUE(migrate());
  // Where the lines of a table's text end says nothing of the table.
  const char* schema =
      "SELECT type, name, tbl_name, replace(replace(sql, '\"', ''), char(10) || '  ', ' ') FROM sqlite_schema "
      "WHERE name NOT GLOB 'sqlite_*' ORDER BY 1, 2";
  const std::string migrated = ask_file(schema);
  options.path = directory.file("new.db");
  start();
  history.reset();
  EXPECT_EQ(ask_file(schema), migrated);
}

TEST_F(MigrateTest, which_file_a_program_was_is_known_of_new_rows_only) {
  clock.now = 1795897700 * kSecond;
  start();
  Actor actor = make_actor(1);
  actor.file = {.dev = 0x800001, .inode = 77, .deleted = true};
  Batch batch;
  batch.rows.push_back(make_acquisition(actor, make_key("AKIA1"), clock.now));
  record(std::move(batch));
  const std::vector<Row> rows = all_rows();
  ASSERT_GT(rows.size(), 1U);
  for (const Row& row : rows) {
    const auto* taken = std::get_if<AcquisitionRow>(&row.body);
    if (taken == nullptr) continue;
    EXPECT_EQ(taken->actor.file, taken->key.id == "AKIA1" ? actor.file : ExecutableFile{}) << row.seq;
  }
}

}  // namespace
}  // namespace keytrail::record
