// SPDX-License-Identifier: Apache-2.0
#include "agent/record/migrate.h"

#include "agent/record/schema_workloads.h"

namespace keytrail::record {
namespace {

// Facts are in `rows` alone, without a secondary index (five cost a factor 20). Repeated strings are in dictionaries,
// whose rows say the sequence near which they were last used (`used_seq`), so that retention can drop them. All columns
// are NOT NULL; 0 and '' mean "none".
static constexpr char kSchema1[] = R"sql(
CREATE TABLE meta(name TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE totals(name TEXT PRIMARY KEY NOT NULL, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE state(name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE workload(
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, kind INTEGER NOT NULL, known_by INTEGER NOT NULL,
  container_id TEXT NOT NULL, pod_uid TEXT NOT NULL, unit TEXT NOT NULL, user TEXT NOT NULL, login_user TEXT NOT NULL,
  cgroup TEXT NOT NULL, used_seq INTEGER NOT NULL,
  UNIQUE(name, kind, known_by, container_id, pod_uid, unit, user, login_user, cgroup));
CREATE TABLE program(
  id INTEGER PRIMARY KEY, exe TEXT NOT NULL, program TEXT NOT NULL, comm TEXT NOT NULL, used_seq INTEGER NOT NULL,
  UNIQUE(exe, program, comm));
CREATE TABLE key(
  id INTEGER PRIMARY KEY, key_id TEXT NOT NULL, kind TEXT NOT NULL, class INTEGER NOT NULL, lifetime INTEGER NOT NULL,
  fingerprint TEXT NOT NULL, principal TEXT NOT NULL, parent TEXT NOT NULL, issued_s INTEGER NOT NULL,
  expires_s INTEGER NOT NULL, used_seq INTEGER NOT NULL,
  UNIQUE(key_id, kind, class, lifetime, fingerprint, principal, parent, issued_s, expires_s));
CREATE INDEX key_parent ON key(parent);
CREATE TABLE slot(
  id INTEGER PRIMARY KEY, origin INTEGER NOT NULL, place TEXT NOT NULL, selector TEXT NOT NULL,
  used_seq INTEGER NOT NULL,
  UNIQUE(origin, place, selector));
CREATE TABLE destination(
  id INTEGER PRIMARY KEY, provider TEXT NOT NULL, service TEXT NOT NULL, region TEXT NOT NULL, host TEXT NOT NULL,
  address TEXT NOT NULL, port INTEGER NOT NULL, action TEXT NOT NULL, name_source INTEGER NOT NULL,
  ambiguous INTEGER NOT NULL, used_seq INTEGER NOT NULL,
  UNIQUE(host, address, port, action, provider, service, region, name_source, ambiguous));
CREATE TABLE keyset(id INTEGER PRIMARY KEY, members TEXT NOT NULL UNIQUE, used_seq INTEGER NOT NULL);
CREATE TABLE candidate(
  keyset INTEGER NOT NULL, position INTEGER NOT NULL, key INTEGER NOT NULL, slot INTEGER NOT NULL,
  reason INTEGER NOT NULL,
  PRIMARY KEY(keyset, position)) WITHOUT ROWID;
CREATE TABLE rows(
  seq INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL, time_ns INTEGER NOT NULL, observed_ns INTEGER NOT NULL,
  first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL, workload INTEGER NOT NULL, program INTEGER NOT NULL,
  keyset INTEGER NOT NULL, destination INTEGER NOT NULL, edge INTEGER NOT NULL, pid INTEGER NOT NULL,
  start_ns INTEGER NOT NULL, exec INTEGER NOT NULL, uid INTEGER NOT NULL, outcome INTEGER NOT NULL,
  evidence INTEGER NOT NULL, reason INTEGER NOT NULL,
  amount INTEGER NOT NULL,     -- use: connections; gap: lost or -1; revision: of_seq
  requests INTEGER NOT NULL,   -- use: -1 = not seen
  bytes_sent INTEGER NOT NULL, bytes_received INTEGER NOT NULL,
  flags INTEGER NOT NULL,      -- acquisition: 1 bulk, 2 baseline; finding: severity
  label TEXT NOT NULL,         -- acquisition: unread; use: reason_detail; finding: type; gap: cause; revision: what
  note TEXT NOT NULL,          -- use: via; finding, gap: text; revision: value
  subject TEXT NOT NULL,       -- finding: subject; gap: family
  tags TEXT NOT NULL);         -- finding: ATT&CK ids, separated by spaces
CREATE TABLE edge(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  id_workload INTEGER NOT NULL, id_program INTEGER NOT NULL, id_keyset INTEGER NOT NULL,
  id_destination INTEGER NOT NULL, outcome INTEGER NOT NULL, evidence INTEGER NOT NULL, reason INTEGER NOT NULL,
  workload INTEGER NOT NULL, program INTEGER NOT NULL, keyset INTEGER NOT NULL, destination INTEGER NOT NULL,
  pid INTEGER NOT NULL, start_ns INTEGER NOT NULL, exec INTEGER NOT NULL, uid INTEGER NOT NULL, detail TEXT NOT NULL,
  via TEXT NOT NULL, first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL, connections INTEGER NOT NULL,
  requests INTEGER NOT NULL, bytes_sent INTEGER NOT NULL, bytes_received INTEGER NOT NULL,
  pending_first_ns INTEGER NOT NULL, pending_last_ns INTEGER NOT NULL, pending_connections INTEGER NOT NULL,
  pending_requests INTEGER NOT NULL, pending_bytes_sent INTEGER NOT NULL, pending_bytes_received INTEGER NOT NULL,
  level INTEGER NOT NULL, window_end_ns INTEGER NOT NULL, last_seq INTEGER NOT NULL, instances BLOB NOT NULL,
  truncated INTEGER NOT NULL,
  UNIQUE(id_workload, id_program, id_keyset, id_destination, outcome, evidence, reason));
CREATE TABLE holding(
  pid INTEGER NOT NULL, start_ns INTEGER NOT NULL, exec INTEGER NOT NULL, id_key INTEGER NOT NULL,
  slot INTEGER NOT NULL, key INTEGER NOT NULL, workload INTEGER NOT NULL, program INTEGER NOT NULL,
  uid INTEGER NOT NULL, since_ns INTEGER NOT NULL, last_use_ns INTEGER NOT NULL, how TEXT NOT NULL,
  slot_changed INTEGER NOT NULL, boot_id TEXT NOT NULL,
  PRIMARY KEY(pid, start_ns, exec, id_key, slot)) WITHOUT ROWID;
CREATE TABLE sighting(
  id_key INTEGER NOT NULL, slot INTEGER NOT NULL, id_workload INTEGER NOT NULL, first_ns INTEGER NOT NULL,
  last_ns INTEGER NOT NULL,
  PRIMARY KEY(id_key, slot, id_workload)) WITHOUT ROWID;
CREATE TABLE finding(
  type TEXT NOT NULL, subject TEXT NOT NULL, workload INTEGER NOT NULL, first_ns INTEGER NOT NULL,
  last_ns INTEGER NOT NULL, count INTEGER NOT NULL, last_seq INTEGER NOT NULL, state TEXT NOT NULL,
  PRIMARY KEY(type, subject)) WITHOUT ROWID;
CREATE TABLE exporter(
  name TEXT PRIMARY KEY NOT NULL, cursor INTEGER NOT NULL, rows_before INTEGER NOT NULL, acknowledged INTEGER NOT NULL,
  rejected INTEGER NOT NULL, expired INTEGER NOT NULL) WITHOUT ROWID;
)sql";

// What was JSON in `state` gets tables: slots with their history, lives of holders, the session. Numbers instead of
// words in holdings and findings. `state` knew rotations by the old key only; the container is that of the slot which
// holds the new key.
static constexpr char kTypedState[] = R"sql(
CREATE TABLE slot_now(
  container TEXT NOT NULL, place TEXT NOT NULL, selector TEXT NOT NULL, key_id TEXT NOT NULL, since_ns INTEGER NOT NULL,
  PRIMARY KEY(container, place, selector)) WITHOUT ROWID;
CREATE TABLE slot_history(
  id INTEGER PRIMARY KEY AUTOINCREMENT, container TEXT NOT NULL, place TEXT NOT NULL, selector TEXT NOT NULL,
  time_ns INTEGER NOT NULL, old_id TEXT NOT NULL, new_id TEXT NOT NULL);
CREATE INDEX slot_history_slot ON slot_history(place, selector, container);
CREATE INDEX slot_history_old ON slot_history(old_id);
CREATE TABLE life(
  pid INTEGER NOT NULL, start_ns INTEGER NOT NULL, exec INTEGER NOT NULL, text TEXT NOT NULL,
  PRIMARY KEY(pid, start_ns, exec)) WITHOUT ROWID;
-- Totals when it began; its id is in meta.
CREATE TABLE session(name TEXT PRIMARY KEY NOT NULL, value INTEGER NOT NULL) WITHOUT ROWID;

CREATE TEMP TABLE old_state AS SELECT name, value FROM main.state
  WHERE CASE WHEN json_valid(value) THEN json_type(value) = 'object' END;
INSERT OR REPLACE INTO slot_now SELECT coalesce(json_extract(value, '$.container'), ''), json_extract(value, '$.place'),
  coalesce(json_extract(value, '$.selector'), ''), json_extract(value, '$.key'),
  coalesce(CAST(json_extract(value, '$.time') AS INTEGER), 0)
  FROM old_state WHERE name GLOB 'slot:*' AND json_extract(value, '$.place') != ''
    AND json_extract(value, '$.key') != '';
INSERT INTO slot_history(container, place, selector, time_ns, old_id, new_id)
  SELECT coalesce(n.container, ''), r.place, r.selector, r.time_ns, r.old_id, r.new_id
  FROM (SELECT json_extract(value, '$.place') AS place, coalesce(json_extract(value, '$.selector'), '') AS selector,
          coalesce(CAST(json_extract(value, '$.time') AS INTEGER), 0) AS time_ns, substr(name, 10) AS old_id,
          json_extract(value, '$.new') AS new_id FROM old_state WHERE name GLOB 'rotation:*') r
    LEFT JOIN slot_now n ON n.place = r.place AND n.selector = r.selector AND n.key_id = r.new_id
  WHERE r.place != '' AND r.new_id != '' GROUP BY r.old_id ORDER BY r.time_ns;
INSERT OR REPLACE INTO life SELECT CAST(name AS INTEGER), CAST(rest AS INTEGER),
  CAST(substr(rest, instr(rest, '-') + 1) AS INTEGER), value
  FROM (SELECT name, substr(name, instr(name, '-') + 1) AS rest, value
          FROM (SELECT substr(name, 6) AS name, value FROM old_state WHERE name GLOB 'life:*-*-*'));
INSERT INTO meta SELECT 'session', json_extract(value, '$.id') FROM old_state
  WHERE name = 'session' AND json_extract(value, '$.id') != '';
INSERT INTO session SELECT j.key, CAST(j.value AS INTEGER) FROM old_state s, json_each(s.value) j
  WHERE s.name = 'session' AND j.key IN ('received', 'recorded', 'absorbed');
INSERT OR REPLACE INTO session SELECT 'dropped:' || j.key, CAST(j.value AS INTEGER)
  FROM old_state s, json_each(s.value, '$.dropped') j
  WHERE s.name = 'session' AND j.key IS NOT NULL;
INSERT INTO meta SELECT 'running_since_ns', CAST(value AS INTEGER) FROM state WHERE name = 'session:running';
DROP TABLE old_state;
DROP TABLE state;

CREATE TABLE holding2(
  pid INTEGER NOT NULL, start_ns INTEGER NOT NULL, exec INTEGER NOT NULL, id_key INTEGER NOT NULL,
  slot INTEGER NOT NULL, key INTEGER NOT NULL, workload INTEGER NOT NULL, program INTEGER NOT NULL,
  uid INTEGER NOT NULL, since_ns INTEGER NOT NULL, last_use_ns INTEGER NOT NULL, how INTEGER NOT NULL,
  slot_changed INTEGER NOT NULL, boot_id TEXT NOT NULL,
  PRIMARY KEY(pid, start_ns, exec, id_key, slot)) WITHOUT ROWID;
INSERT INTO holding2 SELECT pid, start_ns, exec, id_key, slot, key, workload, program, uid, since_ns, last_use_ns,
  CASE how WHEN 'direct' THEN 0 WHEN 'fork' THEN 1 WHEN 'exec' THEN 2 WHEN 'baseline' THEN 3 WHEN 'helper' THEN 4
    WHEN 'lost_at_exec' THEN 5 ELSE 0 END, slot_changed, boot_id FROM holding;
DROP TABLE holding;
ALTER TABLE holding2 RENAME TO holding;
CREATE TABLE finding2(
  type TEXT NOT NULL, subject TEXT NOT NULL, workload INTEGER NOT NULL, first_ns INTEGER NOT NULL,
  last_ns INTEGER NOT NULL, count INTEGER NOT NULL, last_seq INTEGER NOT NULL, state INTEGER NOT NULL,
  PRIMARY KEY(type, subject)) WITHOUT ROWID;
INSERT INTO finding2 SELECT type, subject, workload, first_ns, last_ns, count, last_seq,
  CASE state WHEN 'open' THEN 0 WHEN 'resolved' THEN 1 WHEN 'accepted' THEN 2 ELSE 0 END FROM finding;
DROP TABLE finding;
ALTER TABLE finding2 RENAME TO finding;
)sql";

// Edges without a destination are readers of keys: a program that knows only uses must not read them as such. What
// older rows tell of readers is summed by Store::open.
static constexpr char kReadersAreEdges[] = "";

// Watched time is kept, as far as it is settled. Older histories took all from their oldest row to their last batch for
// watched, but for the gaps among their rows.
static constexpr char kWatchedTime[] = R"sql(
CREATE TABLE watched(
  id INTEGER PRIMARY KEY, family INTEGER NOT NULL, from_ns INTEGER NOT NULL, to_ns INTEGER NOT NULL,
  boot_id TEXT NOT NULL, to_boot_ns INTEGER NOT NULL);
INSERT INTO watched(family, from_ns, to_ns, boot_id, to_boot_ns)
  SELECT f.value, r.oldest, t.value, '', 0 FROM (SELECT min(time_ns) AS oldest FROM rows) r
    JOIN totals t ON t.name = 'last_batch_ns' AND t.value > r.oldest JOIN json_each('[0, 1, 2, 3, 4]') f;
-- Openings of the file: which of them wrote a row (agent/record/epoch.cpp). Rows before the first have epoch 0.
CREATE TABLE epoch(first_seq INTEGER PRIMARY KEY NOT NULL, id INTEGER NOT NULL);
)sql";

constexpr Migration kMigrations[] = {
    {1, kSchema1}, {2, kTypedState}, {2, kWorkloadsBecomeIds}, {3, kReadersAreEdges}, {4, kWatchedTime}};

}  // namespace

std::span<const Migration> migrations() { return kMigrations; }

}  // namespace keytrail::record
