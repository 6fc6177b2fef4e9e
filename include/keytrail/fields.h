// SPDX-License-Identifier: Apache-2.0
// The fields of every record, described once: the name in JSON and on the command line, the member, what it is, and its
// OTLP attribute. To add a field: the member in its struct, and its line here. Lines stand in the order of JSON.
#pragma once

#include "keytrail/field.h"
#include "keytrail/history_reader.h"
#include "keytrail/recorder.h"
#include "keytrail/row.h"

namespace keytrail {

template <>
struct Fields<InstanceId> {
  static constexpr char kName[] = "Instance";
  static constexpr char kDoc[] = "One life of one program in one process: unique on its node until the next boot.";
  static constexpr auto kList = std::tuple{
      field("pid", &InstanceId::tgid, "Process id in the node's PID namespace.").otlp("process.pid"),
      field("start_ns", &InstanceId::start_ns, "Start of the process, ns since boot."),
      field("exec", &InstanceId::exec, "Grows with each program that the process runs."),
  };
};

template <>
struct Fields<Fact> {
  static constexpr char kName[] = "Fact";
  static constexpr char kDoc[] = "Something known of a workload.";
  static constexpr auto kList = std::tuple{
      field("name", &Fact::name,
            "As in the OpenTelemetry semantic conventions, else keytrail.*: k8s.pod.name, keytrail.systemd.unit."),
      field("value", &Fact::value, "What it is."),
      field("known_by", &Fact::known_by,
            "How it is known: kernel, runtime, cluster, token, claimed; the first of these counts."),
      time_ns("since", &Fact::since_ns, "Since when this value is known; null when that is not known."),
  };
};

template <>
struct Fields<Workload> {
  static constexpr char kName[] = "Workload";
  static constexpr char kDoc[] = "What a process belongs to.";
  static constexpr auto kList = std::tuple{
      field("id", &Workload::id,
            "Stable: pod:UID/CONTAINER, container:ID, unit:NAME, user:UID, cgroup:PATH:PROGRAM, host:PROGRAM, ci:…")
          .otlp("keytrail.workload.id"),
      field("name", &Workload::name,
            "As shown and asked for, made from the facts: payments/api-6d4f, backup.service, host: cron.")
          .otlp("service.name"),
      field("kind", &Workload::kind, "What it is.").otlp("keytrail.workload.kind"),
      field("known_by", &Workload::known_by, "How the name is known.").otlp("keytrail.workload.known_by"),
      field(
          "container_id", [](const Workload& w) { return std::string(w.value(fact::kContainerId)); },
          "The fact container.id."),
      field(
          "pod_uid", [](const Workload& w) { return std::string(w.value(fact::kPodUid)); }, "The fact k8s.pod.uid."),
      field(
          "unit", [](const Workload& w) { return std::string(w.value(fact::kUnit)); },
          "The fact keytrail.systemd.unit."),
      field(
          "cgroup", [](const Workload& w) { return std::string(w.value(fact::kCgroup)); },
          "The fact keytrail.cgroup.path."),
      field("facts", &Workload::facts,
            "What is known of it; of one name the first counts. Each is an attribute of the resource in OTLP."),
  };
};

template <>
struct Fields<ExecutableFile> {
  static constexpr char kName[] = "ExecutableFile";
  static constexpr char kDoc[] = "Which file a program was, as the kernel knows it, whatever its path says.";
  static constexpr auto kList = std::tuple{
      device("device", &ExecutableFile::dev,
             "Of its file system: major:minor, as in /proc/PID/mountinfo; null where the file is not known.")
          .otlp("keytrail.executable.device")
          .in_column("exe_dev"),
      field("inode", &ExecutableFile::inode, "Its number there; 0 where the file is not known.")
          .otlp("keytrail.executable.inode", Sent::kUnlessZero)
          .in_column("exe_inode"),
      field("deleted", &ExecutableFile::deleted,
            "No name led to it when the program began, or when the agent did: removed, replaced, or only in memory.")
          .otlp("keytrail.executable.deleted")
          .in_column("exe_deleted"),
  };
};

template <>
struct Fields<Actor> {
  static constexpr char kName[] = "Actor";
  static constexpr char kDoc[] = "A process, as it was.";
  static constexpr auto kList = std::tuple{
      inlined(&Actor::id),
      field("exe", &Actor::exe, "Path of the executable.").otlp("process.executable.path"),
      field("exe_file", &Actor::file, "Which file that path was: programs that took the same path differ in it."),
      field("program", &Actor::program,
            "What people know it by: a script's name, an interpreter's and its script's, else the executable's.")
          .otlp("keytrail.program"),
      field("comm", &Actor::comm, "A label that the process can change: never evidence."),
      field("uid", &Actor::uid, "Effective user id.").otlp("user.id", Sent::kAsText),
      field("user", &Actor::user, "Name or number of that user.").otlp("user.name"),
      field("login_user", &Actor::login_user, "Who logged in (the audit login user), or empty.")
          .otlp("keytrail.login_user"),
      field("session", &Actor::session,
            "What it came in by: login, number of the audit session, its way (ssh), address and terminal; exec into a "
            "running container; as whom by which programs; the coding agent it acts for; that it is a distributor; "
            "namespaces of another workload; or empty.")
          .otlp("keytrail.session"),
      field("workload", &Actor::workload, "What it belongs to."),
  };
};

template <>
struct Fields<Key> {
  static constexpr char kName[] = "Key";
  static constexpr char kDoc[] = "A key; never a secret.";
  static constexpr auto kList = std::tuple{
      field("id", &Key::id, "AKIA…, fp:…, login@host #5a0c….").otlp("keytrail.key.id").in_column("key_id"),
      field("kind", &Key::kind, "Kind in the catalog, like aws.access_key.").otlp("keytrail.key.kind"),
      field("class", &Key::key_class, "What it is for.").otlp("keytrail.key.class"),
      field("lifetime", &Key::lifetime, "Whether it ends by itself.").otlp("keytrail.key.lifetime"),
      field("fingerprint", &Key::fingerprint,
            "fp: and 32 hexadecimal digits, keyed for this node; empty when there is none."),
      field("principal", &Key::principal, "Whose it is: role, subject, login, e-mail; or empty.")
          .otlp("keytrail.key.principal"),
      field("parent", &Key::parent, "Id of the key or role it was issued from; empty for the root of a chain.")
          .otlp("keytrail.key.parent"),
      time_s("issued", &Key::issued_s, "When it was issued.").otlp("keytrail.key.issued").in_column("issued_s"),
      time_s("expires", &Key::expires_s, "When it ends.").otlp("keytrail.key.expires").in_column("expires_s"),
  };
};

template <>
struct Fields<Slot> {
  static constexpr char kName[] = "Slot";
  static constexpr char kDoc[] = "A place that holds a key.";
  static constexpr auto kList = std::tuple{
      field("from", &Slot::from, "What kind of place.").otlp("keytrail.key.from").in_column("origin"),
      field("place", &Slot::place, "Path, name of the variable, host and path, or the issuer's host.")
          .otlp("keytrail.key.place"),
      field("selector", &Slot::selector, "Profile, context or host: the entry of a place that holds many; or empty.")
          .otlp("keytrail.key.selector"),
  };
};

template <>
struct Fields<Destination> {
  static constexpr char kName[] = "Destination";
  static constexpr char kDoc[] = "What a process called.";
  static constexpr auto kList = std::tuple{
      field("provider", &Destination::provider, "Provider in the catalog, or empty.")
          .otlp("keytrail.destination.provider"),
      field("service", &Destination::service, "Its service, or empty.").otlp("keytrail.destination.service"),
      field("region", &Destination::region, "Its region, global, or empty.").otlp("keytrail.destination.region"),
      field("host", &Destination::host, "Host name, lower case; empty when only the address is known."),
      field("address", &Destination::address, "Numeric, as connected to.").otlp("network.peer.address"),
      field("port", &Destination::port, "Port; 0 when not known.").otlp("server.port", Sent::kUnlessZero),
      field("action", &Destination::action, "What was asked for, like GetObject; empty when not visible.")
          .otlp("keytrail.destination.action"),
      field("name_source", &Destination::name_source, "Where the host name comes from.")
          .otlp("keytrail.destination.name_source"),
      field("ambiguous", &Destination::ambiguous, "The address is shared, or two names contradict each other.")
          .otlp("keytrail.destination.ambiguous"),
      field(
          "claimed", &Destination::claimed,
          "The host name is the caller's word only: no DNS answer and no variable that was seen gives it this address.")
          .otlp("keytrail.destination.claimed"),
  };
};

template <>
struct Fields<Candidate> {
  static constexpr char kName[] = "Candidate";
  static constexpr char kDoc[] = "One of the keys that a use may have used.";
  static constexpr auto kList = std::tuple{
      field("key", &Candidate::key, "The key."),
      field("slot", &Candidate::slot, "Where the process got it."),
      field("reason", &Candidate::reason, "Why it fits, or why it is not sure."),
      left_out(&Candidate::scope, "for the judge: not stored"),
  };
};

template <>
struct Fields<AcquisitionRow> {
  static constexpr char kName[] = "Acquisition";
  static constexpr char kDoc[] = "A key crossed a boundary into a process.";
  static constexpr auto kList = std::tuple{
      field("actor", &AcquisitionRow::actor, "Who took it."),
      field("key", &AcquisitionRow::key, "The key; its id is empty when it was not read and nothing is known of it."),
      field("slot", &AcquisitionRow::slot, "Where from."),
      field("unread", &AcquisitionRow::unread,
            "Why the key is not known: gone, changed, refused, timeout, too large; empty when it is.")
          .otlp("keytrail.unread"),
      field("bulk", &AcquisitionRow::bulk, "By a bulk reader, like a backup: says little about use.")
          .otlp("keytrail.bulk"),
      field("baseline", &AcquisitionRow::baseline, "Found at the agent's start: held since before this time.")
          .otlp("keytrail.baseline"),
  };
};

template <>
struct Fields<UseRow> {
  static constexpr char kName[] = "Use";
  static constexpr char kDoc[] =
      "A process that holds keys called a destination that accepts them: a window of equal uses.";
  static constexpr auto kList = std::tuple{
      field("actor", &UseRow::actor, "Who called."),
      field("keys", &UseRow::keys,
            "One when confirmed or inferred, the best first when possible, none when unattributed."),
      field("destination", &UseRow::destination, "What was called."),
      field("outcome", &UseRow::outcome, "What came of it.").otlp("keytrail.outcome"),
      field("evidence", &UseRow::evidence, "How sure it is.").otlp("keytrail.evidence"),
      field("reason", &UseRow::reason, "Why it is as sure as it is.").otlp("keytrail.evidence.reason"),
      field("reason_detail", &UseRow::reason_detail, "The reason's own words: profile prod, 1 of 2 AWS keys.")
          .otlp("keytrail.evidence.detail"),
      field("via", &UseRow::via, "Name of a relay, or empty.").otlp("keytrail.via"),
      time_ns("first", &UseRow::first_ns, "First of the window."),
      time_ns("last", &UseRow::last_ns, "Last of the window."),
      field("connections", &UseRow::connections,
            "Connections of the window; 0: what earlier ones still moved, no call of this time."),
      field("requests", &UseRow::requests,
            "Requests of the window; null where they are not visible, and where there are no connections."),
      field("bytes_sent", &UseRow::bytes_sent, "Bytes to the destination.").otlp("keytrail.bytes.sent"),
      field("bytes_received", &UseRow::bytes_received, "Bytes from the destination.").otlp("keytrail.bytes.received"),
  };
};

template <>
struct Fields<FindingRow> {
  static constexpr char kName[] = "Finding";
  static constexpr char kDoc[] = "Something a person should look at.";
  static constexpr auto kList = std::tuple{
      field("finding_type", &FindingRow::type, "What was found, like old_key_in_use.").otlp("keytrail.finding.type"),
      field("severity", &FindingRow::severity, "How much it matters.").otlp("keytrail.finding.severity"),
      field("text", &FindingRow::text, "One sentence."),
      field("attack", &FindingRow::attack, "ATT&CK ids.").otlp("keytrail.attack"),
      field("actor", &FindingRow::actor, "The process it is about."),
      field("key", &FindingRow::key, "The key it is about."),
      field("slot", &FindingRow::slot, "Where that key is."),
      field("subject", &FindingRow::subject, "What makes two findings of a type the same one.")
          .otlp("keytrail.finding.subject"),
      field("state", &FindingRow::state, "Where it stands now: it may be newer than the row."),
  };
};

template <>
struct Fields<GapRow> {
  static constexpr char kName[] = "Gap";
  static constexpr char kDoc[] = "A period in which something may be missing.";
  static constexpr auto kList = std::tuple{
      field("cause", &GapRow::cause,
            "ring_full, budget, read_fault, scratch, worker_restart, agent_restart, examiner_restart, baseline, "
            "disk_full, evicted, storage_error, clock_step, warden_silent, hook_silent, hook_detached, map_changed, "
            "history_damaged, files_unread, holdings_over_bound, arguments_cut and others.")
          .otlp("keytrail.gap.cause"),
      field("family", &GapRow::family, "Hook family; empty for all.").otlp("keytrail.gap.family"),
      time_ns("from", &GapRow::from_ns, "Its beginning.").otlp("keytrail.gap.from_unix_nano", Sent::kAsNumber),
      time_ns("to", &GapRow::to_ns, "Its end.").otlp("keytrail.gap.to_unix_nano", Sent::kAsNumber),
      field("lost", &GapRow::lost, "Events that were lost; null when not known.").otlp("keytrail.gap.lost"),
      field("text", &GapRow::text, "One sentence."),
      field("scope", &GapRow::scope, "The workload that it concerns; empty for the whole node.")
          .otlp("keytrail.gap.scope"),
      field("detail", &GapRow::detail, "Of files_unread: why (gone, changed, refused …); else empty.")
          .otlp("keytrail.gap.detail"),
      field("kinds", &GapRow::kinds, "The only kinds of key that it can concern; empty for any.")
          .otlp("keytrail.gap.kinds"),
  };
};

template <>
struct Fields<RevisionRow> {
  static constexpr char kName[] = "Revision";
  static constexpr char kDoc[] = "Later knowledge of an earlier row, or of a workload that earlier rows may name.";
  static constexpr auto kList = std::tuple{
      field("of_seq", &RevisionRow::of_seq, "The earlier row; 0 of a workload.")
          .otlp("keytrail.revision.of_seq", Sent::kUnlessZero),
      field("what", &RevisionRow::what, "What is known better.").otlp("keytrail.revision.what"),
      field("value", &RevisionRow::value, "What it is; empty for bytes; of a workload the facts that were learnt.")
          .otlp("keytrail.revision.value"),
      field("bytes_sent", &RevisionRow::bytes_sent,
            "Of bytes: what the calls of that row sent afterwards; it is in no other row.")
          .otlp("keytrail.bytes.sent", Sent::kUnlessZero),
      field("bytes_received", &RevisionRow::bytes_received, "The same of what they received.")
          .otlp("keytrail.bytes.received", Sent::kUnlessZero),
      field("workload", &RevisionRow::workload, "Of workload: whose facts, with all of them; else without an id."),
  };
};

template <>
struct Fields<Row> {
  static constexpr char kName[] = "Row";
  static constexpr char kDoc[] = "A row of the history.";
  static constexpr auto kList = std::tuple{
      field("seq", &Row::seq, "Its number in the history.").otlp("keytrail.row.seq"),
      time_ns("time", &Row::time_ns, "When it happened."),
      time_ns("observed", &Row::observed_ns, "When the agent knew."),
      field("type", kind_of, "Which kind of row."),
      inlined(&Row::body),
  };
};

template <>
struct Fields<Edge> {
  static constexpr char kName[] = "Edge";
  static constexpr char kDoc[] = "Equal uses summed: workload, executable, keys, destination, outcome, evidence.";
  static constexpr auto kList = std::tuple{
      field("seq", &Edge::last_seq, "Newest row of it, for explain."),
      constant("type", "edge", "What this is."),
      inlined(&Edge::use),
      field("instances", &Edge::instances, "The processes, newest last, at most 16."),
      field("instances_truncated", &Edge::instances_truncated, "There were more."),
      field("instances_cut", &Edge::instances_cut,
            "How many left that list; one that comes back and leaves again "
            "counts again."),
  };
};

template <>
struct Fields<Holding> {
  static constexpr char kName[] = "Holding";
  static constexpr char kDoc[] = "A live process that has a key.";
  static constexpr auto kList = std::tuple{
      constant("type", "holding", "What this is."),
      field("actor", &Holding::actor, "Who has it."),
      field("key", &Holding::key, "The key."),
      field("slot", &Holding::slot, "Where it got it."),
      time_ns("since", &Holding::since_ns, "Since when."),
      time_ns("last_use", &Holding::last_use_ns, "When it was last seen to use it; null for never."),
      field("how", &Holding::how, "How it came to have it."),
      field("slot_changed", &Holding::slot_changed,
            "The slot has another key by now, and the process has not read it."),
  };
};

template <>
struct Fields<KeySummary> {
  static constexpr char kName[] = "KeySummary";
  static constexpr char kDoc[] = "A key with what the history knows of it.";
  static constexpr auto kList = std::tuple{
      constant("type", "key", "What this is."),
      field("key", &KeySummary::key, "The key."),
      time_ns("first_seen", &KeySummary::first_seen_ns, "When it was first seen."),
      field("slots", &KeySummary::slots, "Where it was seen, oldest first, at most 64."),
      field("workloads", &KeySummary::workloads, "Names of the workloads that had it."),
      field("holders", &KeySummary::holders, "Live processes that have it."),
      time_ns("last_use", &KeySummary::last_use_ns, "When it was last used; null for never."),
      field("used_for", &KeySummary::used_for, "Provider, service and region of its uses."),
      field("replaced_by", &KeySummary::replaced_by, "Id of the key that took its slot, or empty."),
      time_ns("replaced", &KeySummary::replaced_ns, "When its slot was first seen with that key."),
      time_ns("replaced_after", &KeySummary::replaced_after_ns, "When its slot was last seen with this key."),
  };
};

template <>
struct Fields<KeyPlace> {
  static constexpr char kName[] = "KeyPlace";
  static constexpr char kDoc[] = "A place where a key was found.";
  static constexpr auto kList = std::tuple{
      constant("type", "place", "What this is."),
      field("key", &KeyPlace::key, "The key."),
      field("slot", &KeyPlace::slot, "The place."),
      time_ns("first", &KeyPlace::first_ns, "When it was first read there."),
      time_ns("last", &KeyPlace::last_ns, "When it was last read there, as far as reads are told apart."),
      field("actor", &KeyPlace::by, "Who read it last."),
      field("replaced_by", &KeyPlace::replaced_by, "Id of the key that the place holds by now, or empty."),
      time_ns("replaced", &KeyPlace::replaced_ns, "When it was first seen with that key."),
  };
};

template <>
struct Fields<KeyReader> {
  static constexpr char kName[] = "KeyReader";
  static constexpr char kDoc[] = "Who took a key from a place: equal acquisitions summed.";
  static constexpr auto kList = std::tuple{
      constant("type", "reader", "What this is."),
      field("actor", &KeyReader::actor, "Who took it: the newest process."),
      field("key", &KeyReader::key, "The key."),
      field("slot", &KeyReader::slot, "Where from."),
      field("baseline", &KeyReader::baseline, "Found at the agent's start: it took the key before the first time."),
      time_ns("first", &KeyReader::first_ns, "When it was first taken."),
      time_ns("last", &KeyReader::last_ns, "When it was last taken."),
      field("count", &KeyReader::count,
            "How often, since it was first seen; a process that reads an unchanged file again and again counts once."),
      field("instances", &KeyReader::instances, "The processes, newest last, at most 16."),
      field("instances_truncated", &KeyReader::instances_truncated, "There were more."),
      field("instances_cut", &KeyReader::instances_cut,
            "How many left that list; one that comes back and leaves "
            "again counts again."),
      field("earlier_sessions", &KeyReader::earlier_sessions,
            "Earlier sessions are in the sums: only the newest eight are told apart."),
  };
};

template <>
struct Fields<KeyCount> {
  static constexpr char kName[] = "KeyCount";
  static constexpr char kDoc[] = "How many keys of one class and lifetime.";
  static constexpr auto kList = std::tuple{
      field("class", &KeyCount::key_class, "What they are for."),
      field("lifetime", &KeyCount::lifetime, "Whether they end by themselves."),
      field("count", &KeyCount::count, "How many."),
  };
};

template <>
struct Fields<WorkloadSummary> {
  static constexpr char kName[] = "WorkloadSummary";
  static constexpr char kDoc[] = "Workloads that are shown alike, like the pods of one deployment, and their counts.";
  static constexpr auto kList = std::tuple{
      constant("type", "workload", "What this is."),
      field("workload", &WorkloadSummary::workload, "The one of them that was seen last."),
      field("ids", &WorkloadSummary::ids, "Ids of all of them, at most 64."),
      field("ids_total", &WorkloadSummary::ids_total, "How many they are."),
      field("processes", &WorkloadSummary::processes, "Live processes that have keys."),
      field("long_lived", &WorkloadSummary::long_lived, "Keys that do not end by themselves, without encryption keys."),
      field("short_lived", &WorkloadSummary::short_lived, "Keys that do."),
      field("unknown_lifetime", &WorkloadSummary::unknown_lifetime, "Keys of which that is not known."),
      field("encryption", &WorkloadSummary::encryption, "Encryption keys and certificates."),
      field("keys", &WorkloadSummary::keys, "The same keys by class and lifetime."),
      field("sources", &WorkloadSummary::sources, "Where its keys came from, oldest first, at most 64."),
      field("destinations", &WorkloadSummary::destinations,
            "Provider, service and region that it called, oldest first, at most 64."),
      time_ns("first_seen", &WorkloadSummary::first_seen_ns, "When it was first seen with a key, or calling."),
      time_ns("last_seen", &WorkloadSummary::last_seen_ns, "The same for last; now while a process has a key."),
      field("uses_per_minute", &WorkloadSummary::uses_per_minute, "Over the last 10 minutes."),
      field("open_findings", &WorkloadSummary::open_findings, "Findings that are open."),
  };
};

template <>
struct Fields<HistoryStatus> {
  static constexpr char kName[] = "History";
  static constexpr char kDoc[] = "The state of the history.";
  static constexpr auto kList = std::tuple{
      time_ns("oldest", &HistoryStatus::oldest_ns, "Its oldest row; null when it is empty."),
      time_ns("kept_since", &HistoryStatus::kept_since_ns, "What happened before was removed; null when nothing was."),
      field("rows", &HistoryStatus::rows, "Rows ever appended."),
      field("bytes", &HistoryStatus::bytes, "Size of the file."),
      field("max_bytes", &HistoryStatus::max_bytes, "Its bound."),
      field("wal_bytes", &HistoryStatus::wal_bytes, "Size of its log."),
      field("queue", &HistoryStatus::queue, "Rows that wait to be written: no answer has them yet."),
      time_ns("unsaved_since", &HistoryStatus::unsaved_since_ns,
              "Since when the oldest of them waits; null when none does."),
      field("queue_dropped", &HistoryStatus::queue_dropped, "Rows that found no place in the queue."),
      left_out(&HistoryStatus::worker, "part of the accounting"),
      left_out(&HistoryStatus::exporters, "part of the accounting"),
      field("error", &HistoryStatus::error, "What is wrong with it, or empty."),
  };
};

}  // namespace keytrail
