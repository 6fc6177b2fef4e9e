// SPDX-License-Identifier: Apache-2.0
// What the stages go on from after a restart: slots, what replaced keys, lives, findings, the session.
#include "agent/record/dictionary_view.h"
#include "agent/record/reader.h"

namespace keytrail::record {
namespace {

static constexpr char kSlotsSql[] =
    "SELECT container, place, selector, since_ns, '', key_id, 0 FROM slot_now ORDER BY since_ns";
static constexpr char kReplacedSql[] =
    "SELECT h.container, h.place, h.selector, h.time_ns, h.old_id, h.new_id, h.after_ns FROM slot_history h LEFT JOIN "
    "slot_now n "
    "USING (container, place, selector) WHERE coalesce(n.key_id, '') != h.old_id ORDER BY h.id";
static constexpr char kLivesSql[] = "SELECT pid, start_ns, exec, text FROM life";
static constexpr char kFindingsSql[] = "SELECT type, subject, state, last_ns FROM finding ORDER BY last_ns";
static constexpr char kSightingsSql[] =
    "SELECT k.key_id, s.slot, s.id_workload, s.first_ns, k.kind, s.session, s.login_user, s.kept FROM (SELECT * FROM "
    "sighting ORDER BY last_ns DESC LIMIT 4096) "
    "s "
    "JOIN key k ON k.id = s.id_key ORDER BY s.first_ns";
static constexpr char kMetaTextSql[] = "SELECT CAST(value AS TEXT) FROM meta WHERE name = ?1";
static constexpr char kSessionSql[] = "SELECT name, value FROM session";

SlotChange slot_change(const Cursor& c) {
  return {c.text(0), c.text(1), c.text(2), c.integer(3), c.text(4), c.text(5), c.integer(6)};
}

Life life(const Cursor& c) {
  return {{static_cast<std::uint32_t>(c.integer(0)), c.natural(1), static_cast<std::uint32_t>(c.integer(2))},
          c.text(3)};
}

FindingChange finding_change(const Cursor& c) {
  return {c.text(0), c.text(1), from_number<FindingState>(c.integer(2)), c.integer(3)};
}

template <typename T>
Result<void> read_all(Cursor cursor, std::vector<T>& out, T (*read)(const Cursor&)) {
  while (true) {
    auto more = cursor.next();
    if (!more) return std::unexpected(more.error());
    if (!*more) return {};
    out.push_back(read(cursor));
  }
}

Result<void> read_sightings(Database& db, std::vector<Sighting>& out) {
  DictionaryView names(db);
  Cursor cursor = db.query(kSightingsSql);
  while (true) {
    auto more = cursor.next();
    if (!more) return std::unexpected(more.error());
    if (!*more) return {};
    const auto slot = names.slot(cursor.integer(1));
    if (!slot) return std::unexpected(slot.error());
    const auto workload = names.workload(cursor.integer(2));
    if (!workload) return std::unexpected(workload.error());
    out.push_back({cursor.text(0), **slot, **workload, cursor.integer(3), cursor.text(4), cursor.text(5),
                   cursor.text(6), cursor.integer(7) != 0});
  }
}

Result<SessionBase> read_session(Database& db) {
  SessionBase out;
  Cursor id = db.query(kMetaTextSql, "session");
  auto known = id.next();
  if (!known) return std::unexpected(known.error());
  if (!*known) return out;
  out.id = id.text(0);
  Cursor cursor = db.query(kSessionSql);
  while (true) {
    auto more = cursor.next();
    if (!more) return std::unexpected(more.error());
    if (!*more) return out;
    set_counter(out.counters, cursor.text(0), cursor.natural(1));
  }
}

}  // namespace

Result<Earlier> Reader::earlier() {
  return reading<Earlier>([this]() -> Result<Earlier> {
    Earlier out;
    auto session = read_session(*db_);
    if (!session) return std::unexpected(session.error());
    out.session = std::move(*session);
    if (auto r = read_all(db_->query(kSlotsSql), out.slots, &slot_change); !r) return std::unexpected(r.error());
    if (auto r = read_all(db_->query(kReplacedSql), out.replaced, &slot_change); !r) return std::unexpected(r.error());
    if (auto r = read_all(db_->query(kLivesSql), out.lives, &life); !r) return std::unexpected(r.error());
    if (auto r = read_all(db_->query(kFindingsSql), out.findings, &finding_change); !r)
      return std::unexpected(r.error());
    if (auto r = read_sightings(*db_, out.sightings); !r) return std::unexpected(r.error());
    return out;
  });
}

Result<bool> Reader::ended_well() {
  return reading<bool>([this]() -> Result<bool> {
    Cursor cursor = db_->query(kMetaTextSql, "running_since_ns");
    auto running = cursor.next();
    if (!running) return running;
    return !*running;
  });
}

}  // namespace keytrail::record
