// SPDX-License-Identifier: Apache-2.0
// Step of the history's layout: a workload was its shown name with columns for what was known of it; it becomes an id
// with facts, and the users move from it to what ran. Rows, edges, holdings, sightings and findings keep their place,
// their names and their users.
#pragma once

namespace keytrail::record {

// Numbers of the new entries begin above the old ones, so that an edge that is moved never meets one that is not yet.
inline constexpr char kWorkloadsBecomeIds[] = R"sql(
-- An entry that stood for a workload's identity lacks the cgroup: it is read like the fullest of the same workload.
CREATE TEMP TABLE full_workload AS SELECT w.id AS old, coalesce(
  CASE WHEN w.cgroup = '' THEN (SELECT max(f.id) FROM workload f
    WHERE f.cgroup != '' AND f.name = w.name AND f.kind = w.kind AND f.container_id = w.container_id AND
      f.pod_uid = w.pod_uid AND f.unit = w.unit AND f.user = w.user AND f.login_user = w.login_user) END,
  w.id) AS best FROM workload w;
-- `owner`: the number of the user whose slice it is in; `inside`: a container that has no id of 64 digits is in the
-- name alone.
CREATE TEMP TABLE old_workload AS SELECT m.old, w.*,
  CASE WHEN w.kind = 5 AND w.pod_uid != '' THEN 3 WHEN w.kind = 5 AND w.container_id != '' THEN 2
    WHEN w.kind = 0 AND w.name LIKE 'person: %' THEN 4 ELSE w.kind END AS new_kind,
  CASE WHEN w.container_id != '' THEN w.container_id WHEN w.kind = 2 THEN substr(w.name, 12)
    WHEN w.kind = 3 AND length(w.name) > length(w.pod_uid) + 6 THEN substr(w.name, length(w.pod_uid) + 7)
    ELSE '' END AS inside,
  CASE WHEN w.cgroup LIKE '/user.slice/user-%' THEN substr(w.cgroup, 18, instr(substr(w.cgroup, 18), '.') - 1)
    ELSE '' END AS owner,
  CASE WHEN w.kind = 1 AND w.name != w.unit THEN substr(w.name, 1, length(w.name) - length(w.unit) - 1)
    ELSE '' END AS unit_owner,
  CASE WHEN w.name LIKE 'person: %' THEN substr(w.name, 9) ELSE '' END AS person
  FROM full_workload m JOIN workload w ON w.id = m.best;
-- The number of a person: that of the slice, else of anything that ran as this user outside of containers, else what
-- the name says.
CREATE TEMP TABLE person AS SELECT person, coalesce(
  (SELECT r.uid FROM rows r JOIN workload f ON f.id = r.workload
    WHERE f.user = o.person AND f.pod_uid = '' AND f.container_id = '' LIMIT 1),
  (SELECT p.owner FROM old_workload p WHERE p.person = o.person AND p.new_kind = 4 AND p.owner != '' LIMIT 1),
  person) AS uid
  FROM (SELECT DISTINCT person FROM old_workload WHERE person != '') o;
CREATE TEMP TABLE moved_workload AS SELECT o.*, CASE new_kind
  WHEN 3 THEN 'pod:' || pod_uid || CASE WHEN inside != '' THEN '/' || inside ELSE '' END
  WHEN 2 THEN 'container:' ||
    CASE WHEN known_by = 4 AND kind = 2 AND owner != '' THEN owner || '/' ELSE '' END || inside
  WHEN 1 THEN 'unit:' ||
    CASE WHEN unit_owner != '' THEN coalesce(nullif(owner, ''), unit_owner) || '/' ELSE '' END || unit
  WHEN 4 THEN 'user:' || (SELECT uid FROM person p WHERE p.person = o.person)
  WHEN 5 THEN 'ci:' ||
    CASE WHEN unit != '' THEN 'unit:' || unit WHEN login_user != '' THEN 'user:' || login_user ELSE 'host' END ||
    '#' || substr(name, 5)
  ELSE CASE WHEN name = '' THEN '' WHEN cgroup IN ('', '/') THEN 'host:' ELSE 'cgroup:' || cgroup || ':' END ||
    CASE WHEN known_by = 4 THEN 'comm/' ELSE '' END || substr(name, 7) END AS wid FROM old_workload o;
CREATE TABLE workload_2(
  id INTEGER PRIMARY KEY, wid TEXT NOT NULL UNIQUE, kind INTEGER NOT NULL,
  name TEXT NOT NULL,        -- as the facts tell it now
  first_name TEXT NOT NULL,  -- as it was first known: still found when it is asked for
  known_by INTEGER NOT NULL, used_seq INTEGER NOT NULL);
CREATE TABLE workload_fact(
  wid TEXT NOT NULL,         -- of a workload, or of a pod: then it is true of all its containers
  name TEXT NOT NULL, known_by INTEGER NOT NULL, value TEXT NOT NULL, since_ns INTEGER NOT NULL,
  PRIMARY KEY(wid, name, known_by)) WITHOUT ROWID;
INSERT INTO workload_2(id, wid, kind, name, first_name, known_by, used_seq)
  SELECT (SELECT coalesce(max(id), 0) FROM workload) + row_number() OVER (ORDER BY wid), wid, max(new_kind),
    max(CASE
      WHEN kind = 5 AND new_kind = 3 THEN
        'pod: ' || pod_uid || CASE WHEN inside != '' THEN '/' || substr(inside, 1, 12) ELSE '' END
      WHEN kind = 5 AND new_kind = 2 THEN 'container: ' || substr(inside, 1, 12) ELSE name END),
    min(name), max(CASE WHEN kind = 5 AND new_kind != 5 THEN 0 ELSE known_by END), max(used_seq)
  FROM moved_workload GROUP BY wid;
INSERT OR IGNORE INTO workload_fact SELECT wid, 'k8s.pod.uid', 0, pod_uid, 0 FROM moved_workload WHERE new_kind = 3;
INSERT OR IGNORE INTO workload_fact SELECT wid, 'container.id', CASE WHEN kind = 2 THEN known_by ELSE 0 END, inside, 0
  FROM moved_workload WHERE inside != '' AND new_kind IN (2, 3);
INSERT OR IGNORE INTO workload_fact
  SELECT wid, 'keytrail.systemd.unit', CASE WHEN kind = 1 THEN known_by ELSE 0 END, unit, 0
  FROM moved_workload WHERE unit != '' AND new_kind IN (1, 5);
INSERT OR IGNORE INTO workload_fact SELECT wid, 'keytrail.systemd.user', 0, unit_owner, 0
  FROM moved_workload WHERE unit_owner != '';
INSERT OR IGNORE INTO workload_fact SELECT wid, 'keytrail.person', 0, person, 0 FROM moved_workload WHERE new_kind = 4;
INSERT OR IGNORE INTO workload_fact SELECT wid, 'keytrail.ci.job', 4, substr(name, 5), 0
  FROM moved_workload WHERE kind = 5;
INSERT OR IGNORE INTO workload_fact SELECT wid, 'keytrail.workload.program', known_by, substr(name, 7), 0
  FROM moved_workload WHERE new_kind = 0 AND name LIKE 'host: %';
INSERT OR IGNORE INTO workload_fact SELECT wid, 'keytrail.cgroup.path', 0, cgroup, 0
  FROM moved_workload WHERE cgroup != '' AND new_kind != 4 ORDER BY length(cgroup);
DELETE FROM workload_fact WHERE value = '' OR length(value) > 512;
CREATE TEMP TABLE new_workload(
  old INTEGER PRIMARY KEY, new INTEGER NOT NULL, user TEXT NOT NULL, login_user TEXT NOT NULL);
INSERT INTO new_workload SELECT m.old, n.id, m.user, m.login_user
  FROM moved_workload m JOIN workload_2 n ON n.wid = m.wid;

CREATE TABLE program_2(
  id INTEGER PRIMARY KEY, exe TEXT NOT NULL, program TEXT NOT NULL, comm TEXT NOT NULL, user TEXT NOT NULL,
  login_user TEXT NOT NULL, used_seq INTEGER NOT NULL, UNIQUE(exe, program, comm, user, login_user));
CREATE TEMP TABLE ran AS SELECT DISTINCT program, workload FROM rows WHERE workload != 0
  UNION SELECT program, workload FROM edge
  UNION SELECT id_program, workload FROM edge UNION SELECT program, workload FROM holding;
INSERT OR IGNORE INTO program_2(id, exe, program, comm, user, login_user, used_seq)
  SELECT (SELECT coalesce(max(id), 0) FROM program) + row_number() OVER (), p.exe, p.program, p.comm,
    w.user, w.login_user, p.used_seq
  FROM ran JOIN program p ON p.id = ran.program JOIN new_workload w ON w.old = ran.workload;
CREATE TEMP TABLE new_program(
  program INTEGER NOT NULL, workload INTEGER NOT NULL, new INTEGER NOT NULL, PRIMARY KEY(program, workload));
INSERT INTO new_program SELECT ran.program, ran.workload, n.id FROM ran JOIN program p ON p.id = ran.program
  JOIN new_workload w ON w.old = ran.workload
  JOIN program_2 n
    ON (n.exe, n.program, n.comm, n.user, n.login_user) = (p.exe, p.program, p.comm, w.user, w.login_user);

UPDATE rows SET subject = coalesce((SELECT replace(rows.subject, '|' || o.name || '|', '|' || m.wid || '|')
  FROM workload o JOIN moved_workload m ON m.old = o.id WHERE o.id = rows.workload AND o.name != ''), subject)
  WHERE kind = 3;
UPDATE finding SET subject = coalesce((SELECT replace(finding.subject, '|' || o.name || '|', '|' || m.wid || '|')
  FROM workload o JOIN moved_workload m ON m.old = o.id WHERE o.id = finding.workload AND o.name != ''), subject);
UPDATE finding SET workload = coalesce((SELECT new FROM new_workload WHERE old = finding.workload), 0);
UPDATE rows SET
  program = coalesce((
    SELECT new FROM new_program n WHERE n.program = rows.program AND n.workload = rows.workload), 0),
  workload = coalesce((SELECT new FROM new_workload WHERE old = rows.workload), 0) WHERE workload != 0;
UPDATE holding SET
  program = coalesce((
    SELECT new FROM new_program n WHERE n.program = holding.program AND n.workload = holding.workload), 0),
  workload = coalesce((SELECT new FROM new_workload WHERE old = holding.workload), 0);
CREATE TEMP TABLE sighting_2 AS
  SELECT id_key, slot, coalesce(w.new, 0) AS workload, min(first_ns) AS first_ns, max(last_ns) AS last_ns
  FROM sighting LEFT JOIN new_workload w ON w.old = id_workload GROUP BY 1, 2, 3;
DELETE FROM sighting;
INSERT INTO sighting SELECT * FROM sighting_2;

-- Edges of one person's sessions were apart: they are summed into the newest.
CREATE TEMP TABLE new_edge AS SELECT id, workload, program, id_program,
  first_value(id) OVER (PARTITION BY workload, id_program, id_keyset, id_destination, outcome, evidence, reason
    ORDER BY last_ns DESC, id) AS keep
  FROM (SELECT e.id, w.new AS workload, p.new AS program, i.new AS id_program, e.id_keyset, e.id_destination,
    e.outcome, e.evidence, e.reason, e.last_ns
    FROM edge e JOIN new_workload w ON w.old = e.workload
    JOIN new_program p ON (p.program, p.workload) = (e.program, e.workload)
    JOIN new_program i ON (i.program, i.workload) = (e.id_program, e.workload));
CREATE INDEX temp.new_edge_keep ON new_edge(keep);
CREATE UNIQUE INDEX temp.new_edge_id ON new_edge(id);
CREATE TEMP TABLE edge_sum AS SELECT k.keep, min(e.first_ns) AS first_ns, sum(e.connections) AS connections,
  CASE WHEN min(e.requests) < 0 THEN -1 ELSE sum(e.requests) END AS requests, sum(e.bytes_sent) AS bytes_sent,
  sum(e.bytes_received) AS bytes_received, coalesce(min(nullif(e.pending_first_ns, 0)), 0) AS pending_first_ns,
  max(e.pending_last_ns) AS pending_last_ns, sum(e.pending_connections) AS pending_connections,
  CASE WHEN min(e.pending_requests) < 0 THEN -1 ELSE sum(e.pending_requests) END AS pending_requests,
  sum(e.pending_bytes_sent) AS pending_bytes_sent, sum(e.pending_bytes_received) AS pending_bytes_received,
  max(e.window_end_ns) AS window_end_ns, max(e.last_seq) AS last_seq
  FROM edge e JOIN new_edge k ON k.id = e.id GROUP BY k.keep HAVING count(*) > 1;
UPDATE rows SET edge = (SELECT keep FROM new_edge k WHERE k.id = rows.edge)
  WHERE edge IN (SELECT id FROM new_edge WHERE id != keep);
DELETE FROM edge WHERE id NOT IN (SELECT keep FROM new_edge);
UPDATE edge SET (id_workload, workload, program, id_program) =
  (SELECT workload, workload, program, id_program FROM new_edge k WHERE k.id = edge.id);
UPDATE edge SET (first_ns, connections, requests, bytes_sent, bytes_received, pending_first_ns, pending_last_ns,
    pending_connections, pending_requests, pending_bytes_sent, pending_bytes_received, window_end_ns, last_seq) =
  (SELECT first_ns, connections, requests, bytes_sent, bytes_received, pending_first_ns, pending_last_ns,
    pending_connections, pending_requests, pending_bytes_sent, pending_bytes_received, window_end_ns, last_seq
    FROM edge_sum s WHERE s.keep = edge.id),
  truncated = 1 WHERE id IN (SELECT keep FROM edge_sum);

DROP TABLE workload;
ALTER TABLE workload_2 RENAME TO workload;
DROP TABLE program;
ALTER TABLE program_2 RENAME TO program;
DROP TABLE temp.full_workload; DROP TABLE temp.old_workload; DROP TABLE temp.person; DROP TABLE temp.moved_workload;
DROP TABLE temp.new_workload; DROP TABLE temp.ran; DROP TABLE temp.new_program; DROP TABLE temp.sighting_2;
DROP TABLE temp.new_edge; DROP TABLE temp.edge_sum;
)sql";

}  // namespace keytrail::record
