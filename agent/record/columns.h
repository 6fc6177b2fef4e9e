// SPDX-License-Identifier: Apache-2.0
// Dictionary tables made from the description of their records (include/keytrail/fields.h): a column for each field,
// named by the field or by its `in_column`. SQL, bound values, reading, and the columns that an older history lacks.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "agent/record/sqlite.h"
#include "keytrail/fields.h"

namespace keytrail::record {

/// The table of a record.
template <Described Record>
inline constexpr std::string_view kTable;
template <>
inline constexpr std::string_view kTable<Key> = "key";
template <>
inline constexpr std::string_view kTable<Slot> = "slot";
template <>
inline constexpr std::string_view kTable<Destination> = "destination";
template <>
inline constexpr std::string_view kTable<Actor> = "program";  ///< what many processes share, see kInTable

/// What a column can hold without loss: no fractions, lists or optional values.
template <typename T>
inline constexpr bool kIsStored =
    std::is_integral_v<T> || std::is_enum_v<T> || std::is_same_v<T, std::string> || std::is_same_v<T, Fingerprint>;

/// Whether a value of a record stands in the record's table. Of an actor only what many processes share, its texts and
/// which file it ran: instance, uid and workload stand where the actor does.
template <typename Record, typename Value>
inline constexpr bool kInTable =
    !std::is_same_v<Record, Actor> || std::is_same_v<Value, std::string> || std::is_same_v<Value, ExecutableFile>;

struct Column {
  std::string name;
  std::string type;  ///< "TEXT" or "INTEGER"
};

/// The columns of a record; those of a record in it stand in its place.
template <Described Record>
[[nodiscard]] std::vector<Column> columns_of() {
  std::vector<Column> out;
  each_line<Record>([&]<typename Line>(const Line& line) {
    using Value = ValueOf<decltype(line.get), Record>;
    if constexpr (kInTable<Record, Value>) {
      static_assert(kIsField<Line>, "a record with a dictionary table has plain fields only");
      if constexpr (Described<Value>) {
        for (Column& column : columns_of<Value>())
          out.push_back(std::move(column));
      } else {
        static_assert(kIsStored<Value>, "a dictionary table stores text, whole numbers, flags and enumerators only");
        const bool is_text = std::is_same_v<Value, std::string> || std::is_same_v<Value, Fingerprint>;
        out.push_back({std::string(line.column), is_text ? "TEXT" : "INTEGER"});
      }
    }
  });
  return out;
}

/// "INSERT INTO table(columns) VALUES(?1, …, ?n)" and "SELECT columns FROM table WHERE id = ?1".
[[nodiscard]] std::string insert_text(std::string_view table, const std::vector<Column>& columns);
[[nodiscard]] std::string select_text(std::string_view table, const std::vector<Column>& columns);

/// Gives the number of an entry, new or known; the last value is the sequence that marks it. Lives as long as the
/// program.
template <Described Record>
[[nodiscard]] const char* insert_sql() {
  static const std::string kText = insert_text(kTable<Record>, columns_of<Record>());
  return kText.c_str();
}
template <Described Record>
[[nodiscard]] const char* select_sql() {
  static const std::string kText = select_text(kTable<Record>, columns_of<Record>());
  return kText.c_str();
}

/// What a column holds of a value.
template <typename T>
[[nodiscard]] const T& stored(const T& value) {
  return value;  // NOLINT(bugprone-return-const-ref-from-parameter): only a row's own members are given
}
[[nodiscard]] inline std::string stored(const Fingerprint& value) { return value.text(); }

/// "fp:…" back to bytes; empty when the text is none.
[[nodiscard]] Fingerprint parse_fingerprint(const std::string& text);

/// Reads what a record has from this column on; `column` is the next one afterwards.
template <Described Record>
void load_columns(const Cursor& cursor, Record& record, int& column) {
  each_value(record, [&]<typename T>(const auto&, T& value) {
    if constexpr (!kInTable<Record, T>)
      return;
    else if constexpr (Described<T>)
      return load_columns(cursor, value, column);
    else if constexpr (std::is_same_v<T, std::string>)
      value = cursor.text(column);
    else if constexpr (std::is_same_v<T, Fingerprint>)
      value = parse_fingerprint(cursor.text(column));
    else if constexpr (std::is_same_v<T, bool>)
      value = cursor.integer(column) != 0;
    else if constexpr (std::is_enum_v<T>)
      value = from_number<T>(cursor.integer(column));
    else
      value = static_cast<T>(cursor.integer(column));
    ++column;
  });
}

/// Reads a row of `select_sql`.
template <Described Record>
void load(const Cursor& cursor, Record& record) {
  int column = 0;
  load_columns(cursor, record, column);
}

/// Adds to a table of the history the columns that it lacks, empty or 0 in what is there; numbers and order stay.
/// In the caller's transaction. A column that is not wanted stays: a newer program put it there.
Result<void> complete_table(Database& db, std::string_view table, const std::vector<Column>& wanted);
/// A column that a table of another make has besides since it was first made; empty or 0 in what is there.
Result<void> complete_column(Database& db, std::string_view table, const Column& column);
/// The same for all tables above, and the columns that others got later.
Result<void> complete_tables(Database& db);

}  // namespace keytrail::record
