// SPDX-License-Identifier: Apache-2.0
#include "agent/record/columns.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

namespace keytrail::record {
namespace {

// An entry's number and mark are no fields.
static constexpr char kColumnsSql[] =
    "SELECT name, type FROM pragma_table_info(?1) WHERE name NOT IN ('id', 'used_seq') ORDER BY cid";
static constexpr char kIndexesSql[] =
    "SELECT sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = ?1 AND sql IS NOT NULL";

std::vector<std::string> names_of(const std::vector<Column>& columns) {
  std::vector<std::string> out;
  out.reserve(columns.size());
  for (const Column& column : columns)
    out.push_back(column.name);
  return out;
}

Result<std::vector<Column>> columns_in(Database& db, std::string_view table) {
  std::vector<Column> out;
  Cursor cursor = db.query(kColumnsSql, table);
  while (true) {
    auto row = cursor.next();
    if (!row) return std::unexpected(row.error());
    if (!*row) return out;
    out.push_back({cursor.text(0), cursor.text(1)});
  }
}

Result<std::string> indexes_of(Database& db, std::string_view table) {
  std::string out;
  Cursor cursor = db.query(kIndexesSql, table);
  while (true) {
    auto row = cursor.next();
    if (!row) return std::unexpected(row.error());
    if (!*row) return out;
    out += cursor.text(0) + ";\n";
  }
}

const char* nothing_in(const Column& column) { return column.type == "TEXT" ? "''" : "0"; }

}  // namespace

Fingerprint parse_fingerprint(const std::string& text) {
  Fingerprint out;
  if (text.size() != 35 || !text.starts_with("fp:")) return {};
  for (std::size_t i = 0; i < out.bytes.size(); ++i) {
    const char* begin = text.data() + 3 + 2 * i;
    if (std::from_chars(begin, begin + 2, out.bytes[i], 16).ptr != begin + 2) return {};
  }
  return out;
}

std::string insert_text(std::string_view table, const std::vector<Column>& columns) {
  std::string values;
  for (std::size_t i = 1; i <= columns.size(); ++i)
    values += fmt::format("?{}, ", i);
  return fmt::format(
      "INSERT INTO {}({}, used_seq) VALUES({}?{}) ON CONFLICT DO UPDATE SET used_seq = excluded.used_seq RETURNING id",
      table, fmt::join(names_of(columns), ", "), values, columns.size() + 1);
}

std::string select_text(std::string_view table, const std::vector<Column>& columns) {
  return fmt::format("SELECT {} FROM {} WHERE id = ?1", fmt::join(names_of(columns), ", "), table);
}

Result<void> complete_table(Database& db, std::string_view table, const std::vector<Column>& wanted) {
  auto columns = columns_in(db, table);
  if (!columns) return std::unexpected(columns.error());
  const std::string had = fmt::format("{}", fmt::join(names_of(*columns), ", "));
  std::string nothing;
  for (const Column& column : wanted) {
    if (std::ranges::find(*columns, column.name, &Column::name) != columns->end()) continue;
    nothing += fmt::format(", {}", nothing_in(column));
    columns->push_back(column);
  }
  if (nothing.empty()) return {};
  auto indexes = indexes_of(db, table);
  if (!indexes) return std::unexpected(indexes.error());
  std::string definitions;
  for (const Column& column : *columns)
    definitions += fmt::format("{} {} NOT NULL DEFAULT {}, ", column.name, column.type, nothing_in(column));
  const std::string names = fmt::format("{}", fmt::join(names_of(*columns), ", "));
  // SQLite cannot widen a UNIQUE: the table is made anew. All names are ours, or stood in the file's own schema.
  const std::string script = fmt::format(
      "CREATE TABLE {0}_next(id INTEGER PRIMARY KEY, {1}used_seq INTEGER NOT NULL, UNIQUE({2}));\n"
      "INSERT INTO {0}_next(id, {2}, used_seq) SELECT id, {3}{4}, used_seq FROM {0};\n"
      "DROP TABLE {0};\nALTER TABLE {0}_next RENAME TO {0};\n{5}",
      table, definitions, names, had, nothing, *indexes);
  return db.script(script.c_str());
}

Result<void> complete_column(Database& db, std::string_view table, const Column& column) {
  const auto columns = columns_in(db, table);
  if (!columns) return std::unexpected(columns.error());
  if (std::ranges::find(*columns, column.name, &Column::name) != columns->end()) return {};
  const std::string script = fmt::format("ALTER TABLE {} ADD COLUMN {} {} NOT NULL DEFAULT {}", table, column.name,
                                         column.type, nothing_in(column));
  return db.script(script.c_str());
}

Result<void> complete_tables(Database& db) {
  if (auto r = complete_column(db, "slot_history", {"after_ns", "INTEGER"}); !r) return r;
  if (auto r = complete_column(db, "rows", {"detail", "TEXT"}); !r) return r;
  if (auto r = complete_column(db, "rows", {"kinds", "TEXT"}); !r) return r;
  for (const Column& column : {Column{"session", "TEXT"}, {"login_user", "TEXT"}, {"kept", "INTEGER"}}) {
    if (auto r = complete_column(db, "sighting", column); !r) return r;
  }
  if (auto r = complete_table(db, kTable<Key>, columns_of<Key>()); !r) return r;
  if (auto r = complete_table(db, kTable<Slot>, columns_of<Slot>()); !r) return r;
  if (auto r = complete_table(db, kTable<Actor>, columns_of<Actor>()); !r) return r;
  return complete_table(db, kTable<Destination>, columns_of<Destination>());
}

}  // namespace keytrail::record
