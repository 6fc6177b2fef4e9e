// SPDX-License-Identifier: Apache-2.0
#include "agent/record/reader.h"

#include "agent/record/cursors.h"
#include "agent/record/filter_sql.h"

namespace keytrail::record {
namespace {

constexpr int kStepsBetweenLooks = 10'000;
constexpr std::size_t kMaxText = 1024;

// ?9 pid, ?10 limit
static constexpr char kHoldersSql[] = KEYTRAIL_CHAIN
    "SELECT h.pid, h.start_ns, h.exec, h.key, h.slot, h.workload, h.program, h.uid, h.since_ns, h.last_use_ns, h.how, "
    "h.slot_changed FROM holding h WHERE (?9 = 0 OR h.pid = ?9) AND (?1 = '' OR h.key IN (SELECT id FROM key "
    "WHERE key_id IN (SELECT key_id FROM chain))) "
    "AND (?5 = '' OR h.key IN (SELECT id FROM key WHERE kind = ?5)) AND (?4 < 0 OR h.key IN (SELECT id FROM key WHERE "
    "?4 >> lifetime & 1)) AND " KEYTRAIL_HAS_WORKLOAD("h.workload") "ORDER BY h.since_ns, h.pid LIMIT ?10";
static constexpr char kTotalsSql[] = "SELECT name, value FROM totals";
static constexpr char kOldestSql[] = "SELECT time_ns FROM rows ORDER BY seq LIMIT 1";
static constexpr char kBytesSql[] =
    "SELECT (SELECT page_count FROM pragma_page_count) * (SELECT page_size FROM pragma_page_size)";

}  // namespace

void set_counter(WorkerCounters& out, const std::string& name, std::uint64_t value) {
  if (name == "received") out.received = value;
  if (name == "recorded") out.recorded = value;
  if (name == "absorbed") out.absorbed = value;
  if (name.starts_with("dropped:")) out.dropped[name.substr(8)] = value;
  if (name.starts_with("told:")) out.told[name.substr(5)] = value;
  if (name == "untold") out.untold = value;
}

Result<void> check(const HistoryFilter& f) {
  if (f.limit < 1 || f.limit > 10'000) return fail(Error::Code::kInvalid, "limit must be 1 to 10000");
  if (f.from_ns < 0 || f.to_ns < 0 || (f.to_ns != 0 && f.to_ns < f.from_ns))
    return fail(Error::Code::kInvalid, "the asked time ends before it begins");
  for (const std::string* text : {&f.key, &f.workload, &f.kind, &f.provider, &f.service, &f.host, &f.finding_type}) {
    if (text->size() > kMaxText) return fail(Error::Code::kTooLarge, "a filter is longer than 1024 bytes");
  }
  return {};
}

Result<std::unique_ptr<Reader>> Reader::open(const std::string& path, std::chrono::milliseconds limit,
                                             const Clock& clock) {
  auto db = Database::open(path, Database::Mode::kRead);
  if (!db) return std::unexpected(db.error());
  if (auto r = (*db)->script("PRAGMA query_only = 1; PRAGMA cache_size = -512; PRAGMA temp_store = MEMORY"); !r) {
    return std::unexpected(r.error());
  }
  std::unique_ptr<Reader> reader(new Reader(std::move(*db), limit, clock));
  sqlite3_progress_handler(reader->db_->handle(), kStepsBetweenLooks, &Reader::over_limit, reader.get());
  return reader;
}

int Reader::over_limit(void* self) {
  return std::chrono::steady_clock::now() > static_cast<Reader*>(self)->deadline_ ? 1 : 0;
}

Result<std::vector<Holding>> Reader::holders(const HistoryFilter& filter, std::size_t limit) {
  if (auto r = check(filter); !r) return std::unexpected(r.error());
  return reading<std::vector<Holding>>([&] { return read_holdings(filter, limit); });
}

Result<std::vector<Holding>> Reader::read_holdings(const HistoryFilter& f, std::size_t limit) {
  const auto workloads = workload_numbers(*db_, f);
  if (!workloads) return std::unexpected(workloads.error());
  DictionaryView names(*db_);
  std::vector<Holding> out;
  Cursor c = db_->query(kHoldersSql, f.key, f.chain, *workloads, lifetime_bits(f), f.kind, "", "", "", f.pid,
                        limit == 0 ? std::int64_t{-1} : static_cast<std::int64_t>(limit));
  while (true) {
    auto more = c.next();
    if (!more) return std::unexpected(more.error());
    if (!*more) return out;
    const InstanceId instance{static_cast<std::uint32_t>(c.integer(0)), c.natural(1),
                              static_cast<std::uint32_t>(c.integer(2))};
    auto actor = names.actor(c.integer(5), c.integer(6), instance, static_cast<std::uint32_t>(c.integer(7)));
    if (!actor) return std::unexpected(actor.error());
    auto key = names.key(c.integer(3));
    if (!key) return std::unexpected(key.error());
    auto slot = names.slot(c.integer(4));
    if (!slot) return std::unexpected(slot.error());
    out.push_back({std::move(*actor), **key, **slot, c.integer(8), c.integer(9), from_number<How>(c.integer(10)),
                   c.integer(11) != 0});
  }
}

Result<std::map<std::string, std::uint64_t>> Reader::totals() {
  return reading<std::map<std::string, std::uint64_t>>([this] { return read_totals(); });
}

Result<std::map<std::string, std::uint64_t>> Reader::read_totals() {
  std::map<std::string, std::uint64_t> out;
  Cursor cursor = db_->query(kTotalsSql);
  while (true) {
    auto more = cursor.next();
    if (!more) return std::unexpected(more.error());
    if (!*more) return out;
    out.emplace(cursor.text(0), cursor.natural(1));
  }
}

Result<HistoryStatus> Reader::status() {
  return reading<HistoryStatus>([this]() -> Result<HistoryStatus> {
    HistoryStatus out;
    auto oldest = db_->number(kOldestSql, 0);
    if (!oldest) return std::unexpected(oldest.error());
    auto bytes = db_->number(kBytesSql, 0);
    if (!bytes) return std::unexpected(bytes.error());
    auto totals = read_totals();
    if (!totals) return std::unexpected(totals.error());
    auto exporters = read_export_counters(*db_);
    if (!exporters) return std::unexpected(exporters.error());
    out.oldest_ns = *oldest;
    out.bytes = static_cast<std::uint64_t>(*bytes);
    out.exporters = std::move(*exporters);
    for (const auto& [name, value] : *totals) {
      if (name == "rows") out.rows = value;
      if (name == "queue_dropped") out.queue_dropped = value;
      if (name == "kept_since_ns") out.kept_since_ns = static_cast<std::int64_t>(value);
      set_counter(out.worker, name, value);
    }
    return out;
  });
}

}  // namespace keytrail::record
