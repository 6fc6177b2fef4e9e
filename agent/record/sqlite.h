// SPDX-License-Identifier: Apache-2.0
// A thin layer over SQLite: a connection that prepares each statement once, and cursors that are always reset.
// SQL is static text and values are bound, never pasted. A connection belongs to one thread at a time (its owner
// locks).
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "keytrail/result.h"

namespace keytrail::record {

/// How long a statement waits for a lock of another connection, ms.
inline constexpr int kBusyMs = 5000;

/// One execution of a prepared statement. Values come from `next()` being true until it is called again; the end resets
/// the statement.
class Cursor {
 public:
  Cursor(sqlite3* db, sqlite3_stmt* statement, int code) : db_(db), statement_(statement), code_(code) {}
  Cursor(Cursor&& other) noexcept;
  Cursor(const Cursor&) = delete;
  Cursor& operator=(const Cursor&) = delete;
  Cursor& operator=(Cursor&&) = delete;
  ~Cursor();

  void bind(int index, std::int64_t value);
  void bind(int index, std::string_view value);
  void bind(int index, std::span<const std::uint8_t> value);

  /// True: a row is there. False: the end.
  Result<bool> next();
  /// Runs to the end, for statements without a result.
  Result<void> run();

  [[nodiscard]] std::int64_t integer(int column) const { return sqlite3_column_int64(statement_, column); }
  [[nodiscard]] std::uint64_t natural(int column) const { return static_cast<std::uint64_t>(integer(column)); }
  [[nodiscard]] std::string text(int column) const;
  /// Valid until the next call of `next()`.
  [[nodiscard]] std::span<const std::uint8_t> bytes(int column) const;

 private:
  sqlite3* db_;
  sqlite3_stmt* statement_;
  int code_;  ///< the first error, reported by `next()`
};

class Database {
 public:
  enum class Mode { kWrite, kRead };

  /// Opens an existing file; symbolic links are refused. `path` must be canonical.
  static Result<std::unique_ptr<Database>> open(const std::string& path, Mode mode);
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database();

  /// Starts `sql` (a string literal: statements are kept by its address) with these values.
  template <typename... Values>
  Cursor query(const char* sql, const Values&... values) {
    Cursor cursor = prepare(sql);
    int index = 0;
    (bind_one(cursor, ++index, values), ...);
    return cursor;
  }
  template <typename... Values>
  Result<void> run(const char* sql, const Values&... values) {
    return query(sql, values...).run();
  }
  /// The first column of the only row; `otherwise` when there is none.
  template <typename... Values>
  Result<std::int64_t> number(const char* sql, std::int64_t otherwise, const Values&... values) {
    Cursor cursor = query(sql, values...);
    auto row = cursor.next();
    if (!row) return std::unexpected(row.error());
    return *row ? cursor.integer(0) : otherwise;
  }
  /// Several statements without values (schema, pragmas).
  Result<void> script(const char* sql);

  void roll_back();
  [[nodiscard]] sqlite3* handle() const { return db_; }

 private:
  explicit Database(sqlite3* db) : db_(db) {}
  Cursor prepare(const char* sql);
  template <typename Value>
  static void bind_one(Cursor& cursor, int index, const Value& value) {
    if constexpr (std::is_enum_v<Value> || std::is_integral_v<Value>) {
      cursor.bind(index, static_cast<std::int64_t>(value));
    } else {
      cursor.bind(index, value);
    }
  }

  sqlite3* db_;
  std::unordered_map<const char*, sqlite3_stmt*> statements_;
};

/// The error of a connection as a sentence; the code tells a full disk, a damaged file and an exceeded limit apart.
[[nodiscard]] Error database_error(sqlite3* db, int code);

/// True when the error means that there is no room: disk, quota or the page bound.
[[nodiscard]] bool is_no_room(const Error& error);

/// The file is damaged: no SQLite file, or one that contradicts itself; `how` ends the sentence.
[[nodiscard]] Error damage_error(std::string_view how);
/// True for such an error.
[[nodiscard]] bool is_damage(const Error& error);

/// A transaction that rolls back unless it is committed.
class Transaction {
 public:
  static Result<Transaction> begin(Database& db, bool write);
  Transaction(Transaction&& other) noexcept : db_(std::exchange(other.db_, nullptr)) {}
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction() {
    if (db_ != nullptr) db_->roll_back();
  }
  Result<void> commit();

 private:
  explicit Transaction(Database& db) : db_(&db) {}
  Database* db_;
};

}  // namespace keytrail::record
