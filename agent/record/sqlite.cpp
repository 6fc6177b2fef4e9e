// SPDX-License-Identifier: Apache-2.0
#include "agent/record/sqlite.h"

#include <fmt/format.h>

#include <cerrno>

namespace keytrail::record {
namespace {

constexpr int kMaxValueBytes = 16 << 20;

constexpr std::string_view kNoRoom = "the history has no room: the disk, a quota or its size bound is full";
constexpr std::string_view kDamaged = "the history is damaged";

static constexpr char kBeginWriteSql[] = "BEGIN IMMEDIATE";
static constexpr char kBeginReadSql[] = "BEGIN DEFERRED";
static constexpr char kCommitSql[] = "COMMIT";
static constexpr char kRollBackSql[] = "ROLLBACK";

/// A file that somebody else wrote cannot run code or reach outside itself through this connection.
void harden(sqlite3* db) {
  sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, nullptr);
  sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, nullptr);
  sqlite3_limit(db, SQLITE_LIMIT_LENGTH, kMaxValueBytes);
  sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
  sqlite3_extended_result_codes(db, 1);
  sqlite3_busy_timeout(db, kBusyMs);
  int keep_log = 1;
  sqlite3_file_control(db, nullptr, SQLITE_FCNTL_PERSIST_WAL, &keep_log);
}

}  // namespace

Error database_error(sqlite3* db, int code) {
  const char* text = sqlite3_errstr(code);
  const int system = db != nullptr ? sqlite3_system_errno(db) : 0;
  const bool no_space = (code & 0xFF) == SQLITE_IOERR && (system == ENOSPC || system == EDQUOT);
  if ((code & 0xFF) == SQLITE_FULL || no_space) return {Error::Code::kUnavailable, std::string(kNoRoom)};
  switch (code & 0xFF) {
    case SQLITE_INTERRUPT:
      return {Error::Code::kTooLarge,
              "the question reads too much of the history: narrow the question (a key, a workload, a shorter time)"};
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PROTOCOL:
      return {Error::Code::kUnavailable,
              fmt::format("the history cannot be read or written: {} (code {}, errno {})", text, code, system)};
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {Error::Code::kUnavailable, "the history is locked by another program"};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return damage_error(fmt::format("{} (code {})", text, code));
    default:
      return {Error::Code::kSystem, fmt::format("the history failed: {} (code {}): {}", text, code,
                                                db != nullptr ? sqlite3_errmsg(db) : "no memory")};
  }
}

bool is_no_room(const Error& error) {
  return error.code == Error::Code::kUnavailable && error.message.ends_with(kNoRoom);
}

Error damage_error(std::string_view how) { return {Error::Code::kInvalid, fmt::format("{}: {}", kDamaged, how)}; }

bool is_damage(const Error& error) { return error.code == Error::Code::kInvalid && error.message.contains(kDamaged); }

Cursor::Cursor(Cursor&& other) noexcept
    : db_(other.db_), statement_(std::exchange(other.statement_, nullptr)), code_(other.code_) {}

Cursor::~Cursor() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

void Cursor::bind(int index, std::int64_t value) {
  if (code_ == SQLITE_OK) code_ = sqlite3_bind_int64(statement_, index, value);
}

void Cursor::bind(int index, std::string_view value) {
  if (code_ != SQLITE_OK) return;
  const char* data = value.data() != nullptr ? value.data() : "";
  code_ = sqlite3_bind_text64(statement_, index, data, value.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
}

void Cursor::bind(int index, std::span<const std::uint8_t> value) {
  if (code_ != SQLITE_OK) return;
  if (value.empty()) {
    code_ = sqlite3_bind_zeroblob(statement_, index, 0);
    return;
  }
  code_ = sqlite3_bind_blob64(statement_, index, value.data(), value.size(), SQLITE_TRANSIENT);
}

Result<bool> Cursor::next() {
  if (code_ != SQLITE_OK) return std::unexpected(database_error(db_, code_));
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  code_ = code;
  return std::unexpected(database_error(db_, code));
}

Result<void> Cursor::run() {
  while (true) {
    auto row = next();
    if (!row) return std::unexpected(row.error());
    if (!*row) return {};
  }
}

std::string Cursor::text(int column) const {
  const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  if (data == nullptr) return {};
  return {data, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

std::span<const std::uint8_t> Cursor::bytes(int column) const {
  const auto* data = static_cast<const std::uint8_t*>(sqlite3_column_blob(statement_, column));
  if (data == nullptr) return {};
  return {data, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

Result<std::unique_ptr<Database>> Database::open(const std::string& path, Mode mode) {
  sqlite3* handle = nullptr;
  const int flags = (mode == Mode::kWrite ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY) | SQLITE_OPEN_NOMUTEX |
                    SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  std::unique_ptr<Database> db(new Database(handle));
  if (code != SQLITE_OK) return std::unexpected(database_error(handle, code));
  harden(handle);
  return db;
}

Database::~Database() {
  for (auto& [sql, statement] : statements_)
    sqlite3_finalize(statement);
  sqlite3_close_v2(db_);
}

Cursor Database::prepare(const char* sql) {
  auto found = statements_.find(sql);
  if (found != statements_.end()) return {db_, found->second, SQLITE_OK};
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(db_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return {db_, nullptr, code};
  statements_.emplace(sql, statement);
  return {db_, statement, SQLITE_OK};
}

Result<void> Database::script(const char* sql) {
  const int code = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return std::unexpected(database_error(db_, code));
  return {};
}

void Database::roll_back() {
  // After some errors SQLite has rolled back by itself.
  if (sqlite3_get_autocommit(db_) == 0) (void)run(kRollBackSql);
}

Result<Transaction> Transaction::begin(Database& db, bool write) {
  if (auto begun = db.run(write ? kBeginWriteSql : kBeginReadSql); !begun) return std::unexpected(begun.error());
  return Transaction(db);
}

Result<void> Transaction::commit() {
  auto done = db_->run(kCommitSql);
  if (done) db_ = nullptr;
  return done;
}

}  // namespace keytrail::record
