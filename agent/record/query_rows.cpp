// SPDX-License-Identifier: Apache-2.0
// Pages of rows, single rows, and what an exporter has to send.
#include <algorithm>
#include <string>

#include "agent/record/cursors.h"
#include "agent/record/filter_sql.h"
#include "agent/record/reader.h"
#include "agent/record/schema.h"
#include "agent/record/sql_numbers.h"

namespace keytrail::record {
namespace {

#define KEYTRAIL_ROW_COLUMNS                                                                                          \
  "seq, kind, time_ns, observed_ns, first_ns, last_ns, workload, program, keyset, destination, pid, start_ns, exec, " \
  "uid, outcome, "                                                                                                    \
  "evidence, reason, amount, requests, bytes_sent, bytes_received, flags, label, note, subject, tags, "               \
  "detail, kinds"

// ?9 kinds as bits, ?10 after, ?11 from, ?12 to, ?13 evidence or -1, ?14 finding type, ?15 pid, ?16 limit
static constexpr char kRowsSql[] = KEYTRAIL_CHAIN
    "SELECT " KEYTRAIL_ROW_COLUMNS
    " FROM rows WHERE seq > ?10 AND (?9 >> kind) & 1 AND last_ns >= ?11 AND time_ns < ?12 AND (?15 = 0 OR pid = ?15) "
    "AND (?13 < 0 OR (kind = " KT_SQL_USE " AND evidence = ?13)) AND (?14 = '' OR (kind = " KT_SQL_FINDING
    " AND label = ?14)) "
    "AND " KEYTRAIL_HAS_WORKLOAD("workload") "AND " KEYTRAIL_HAS_DESTINATION("destination") "AND " KEYTRAIL_HAS_KEY(
        "keyset") "ORDER BY seq LIMIT ?16";
static constexpr char kRowSql[] = "SELECT " KEYTRAIL_ROW_COLUMNS " FROM rows WHERE seq = ?1";
static constexpr char kFindingStateSql[] = "SELECT state FROM finding WHERE type = ?1 AND subject = ?2";
static constexpr char kAfterSql[] = "SELECT " KEYTRAIL_ROW_COLUMNS " FROM rows WHERE seq > ?1 ORDER BY seq LIMIT ?2";
static constexpr char kAcquisitionsSql[] =
    "SELECT " KEYTRAIL_ROW_COLUMNS " FROM rows WHERE seq > ?1 AND kind = " KT_SQL_ACQUISITION " ORDER BY seq LIMIT ?2";

UseRow read_use(const Cursor& c) {
  UseRow use;
  use.outcome = from_number<Outcome>(c.integer(14));
  use.evidence = from_number<Evidence>(c.integer(15));
  use.reason = from_number<Reason>(c.integer(16));
  use.reason_detail = c.text(22);
  use.via = c.text(23);
  use.first_ns = c.integer(4);
  use.last_ns = c.integer(5);
  use.connections = c.natural(17);
  if (c.integer(18) >= 0) use.requests = c.natural(18);
  use.bytes_sent = c.natural(19);
  use.bytes_received = c.natural(20);
  return use;
}

std::vector<std::string> read_words(const std::string& text) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    out.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

FindingRow read_finding(const Cursor& c) {
  FindingRow finding;
  finding.type = c.text(22);
  finding.severity = from_number<Severity>(c.integer(21));
  finding.text = c.text(23);
  finding.subject = c.text(24);
  finding.attack = read_words(c.text(25));
  return finding;
}

GapRow read_gap(const Cursor& c) {
  GapRow gap;
  gap.cause = c.text(22);
  gap.family = c.text(24);
  gap.from_ns = c.integer(4);
  gap.to_ns = c.integer(5);
  if (c.integer(17) >= 0) gap.lost = c.natural(17);
  gap.text = c.text(23);
  gap.scope = c.text(25);
  gap.detail = c.text(26);
  gap.kinds = read_words(c.text(27));
  return gap;
}

Result<Row> read_row(const Cursor& c, DictionaryView& names) {
  Row row;
  row.seq = c.natural(0);
  row.time_ns = c.integer(2);
  row.observed_ns = c.integer(3);
  const auto kind = from_number<RowKind>(c.integer(1));
  if (kind == RowKind::kGap) {
    row.body = read_gap(c);
    return row;
  }
  if (kind == RowKind::kRevision) {
    RevisionRow revision{.of_seq = c.natural(17),
                         .what = from_number<Revised>(c.integer(21)),
                         .value = c.text(23),
                         .bytes_sent = c.natural(19),
                         .bytes_received = c.natural(20),
                         .workload = {}};
    if (c.integer(6) != 0) {
      const auto workload = names.workload(c.integer(6));
      if (!workload) return std::unexpected(workload.error());
      revision.workload = **workload;
    }
    row.body = std::move(revision);
    return row;
  }
  if (kind == kUnknownValue<RowKind>) {
    // Nobody can say what it was, and an exporter must get past it.
    const std::string text =
        "Row " + std::to_string(row.seq) + " of the history is of a kind that this version does not know.";
    row.body = GapRow{"storage_error", "", row.time_ns, row.time_ns, 1, text, ""};
    return row;
  }
  const InstanceId instance{static_cast<std::uint32_t>(c.integer(10)), c.natural(11),
                            static_cast<std::uint32_t>(c.integer(12))};
  auto actor = names.actor(c.integer(6), c.integer(7), instance, static_cast<std::uint32_t>(c.integer(13)));
  if (!actor) return std::unexpected(actor.error());
  auto keys = names.keyset(c.integer(8));
  if (!keys) return std::unexpected(keys.error());
  const Candidate first = (*keys)->empty() ? Candidate{} : (*keys)->front();
  if (kind == RowKind::kUse) {
    auto destination = names.destination(c.integer(9));
    if (!destination) return std::unexpected(destination.error());
    UseRow use = read_use(c);
    use.actor = std::move(*actor);
    use.keys = **keys;
    use.destination = **destination;
    row.body = std::move(use);
  } else if (kind == RowKind::kFinding) {
    FindingRow finding = read_finding(c);
    finding.actor = std::move(*actor);
    finding.key = first.key;
    finding.slot = first.slot;
    row.body = std::move(finding);
  } else {
    row.body = AcquisitionRow{std::move(*actor),       first.key, first.slot, c.text(22), (c.integer(21) & 1) != 0,
                              (c.integer(21) & 2) != 0};
  }
  return row;
}

Result<std::vector<Row>> read_all(Cursor cursor, Database& db) {
  DictionaryView names(db);
  std::vector<Row> out;
  while (true) {
    auto more = cursor.next();
    if (!more) return std::unexpected(more.error());
    if (!*more) return out;
    auto row = read_row(cursor, names);
    if (!row) return std::unexpected(row.error());
    if (auto* finding = std::get_if<FindingRow>(&row->body)) {
      auto state =
          db.number(kFindingStateSql, static_cast<std::int64_t>(FindingState::kOpen), finding->type, finding->subject);
      if (!state) return std::unexpected(state.error());
      finding->state = from_number<FindingState>(*state);
    }
    out.push_back(std::move(*row));
  }
}

int bits_of(const RowKinds& kinds) {
  return (kinds.acquisitions ? 1 << 1 : 0) | (kinds.uses ? 1 << 2 : 0) | (kinds.findings ? 1 << 3 : 0) |
         (kinds.gaps ? 1 << 4 : 0) | (kinds.revisions ? 1 << 5 : 0);
}

}  // namespace

Result<std::vector<Row>> read_acquisitions(Database& db, std::uint64_t after_seq, std::size_t limit) {
  return read_all(db.query(kAcquisitionsSql, after_seq, limit), db);
}

Result<Page<Row>> Reader::rows(const HistoryFilter& f, RowKinds kinds) {
  if (auto r = check(f); !r) return std::unexpected(r.error());
  return reading<Page<Row>>([&]() -> Result<Page<Row>> {
    const auto workloads = workload_numbers(*db_, f);
    if (!workloads) return std::unexpected(workloads.error());
    auto rows =
        read_all(db_->query(kRowsSql, f.key, f.chain, *workloads, lifetime_bits(f), f.kind, f.provider, f.service,
                            f.host, bits_of(kinds), f.after_seq, f.from_ns, end_of(f),
                            f.evidence ? static_cast<int>(*f.evidence) : -1, f.finding_type, f.pid, f.limit + 1),
                 *db_);
    if (!rows) return std::unexpected(rows.error());
    Page<Row> page{std::move(*rows), 0};
    if (page.items.size() > f.limit) {
      page.items.pop_back();
      page.next = page.items.back().seq;
    }
    return page;
  });
}

Result<std::optional<Row>> Reader::row(std::uint64_t seq) {
  return reading<std::optional<Row>>([&]() -> Result<std::optional<Row>> {
    auto rows = read_all(db_->query(kRowSql, seq), *db_);
    if (!rows) return std::unexpected(rows.error());
    if (rows->empty()) return std::nullopt;
    return std::move(rows->front());
  });
}

Result<std::vector<Row>> Reader::after(const std::string& exporter, std::uint64_t after_seq, std::size_t limit) {
  return reading<std::vector<Row>>([&]() -> Result<std::vector<Row>> {
    auto cursor = read_cursor(*db_, exporter);
    if (!cursor) return std::unexpected(cursor.error());
    return read_all(db_->query(kAfterSql, std::max(*cursor, after_seq), std::min<std::size_t>(limit, 10'000)), *db_);
  });
}

Result<std::vector<Row>> Reader::any(std::uint64_t after_seq, std::size_t limit) {
  return reading<std::vector<Row>>([&]() -> Result<std::vector<Row>> {
    return read_all(db_->query(kAfterSql, after_seq, std::min<std::size_t>(limit, 10'000)), *db_);
  });
}

Result<ExportCounters> Reader::counters(const std::string& exporter) {
  return reading<ExportCounters>([&]() -> Result<ExportCounters> {
    auto all = read_export_counters(*db_);
    if (!all) return std::unexpected(all.error());
    auto found = all->find(exporter);
    if (found == all->end()) return fail(Error::Code::kNotFound, "no exporter of this name is registered");
    return found->second;
  });
}

}  // namespace keytrail::record
