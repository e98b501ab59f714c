#include "store/database.hpp"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace sealcast::store {
namespace {

ErrorCode kind_of(int code) {
  switch (code & 0xff) {
    case SQLITE_FULL:
      return ErrorCode::disk_full;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_IOERR:
    case SQLITE_NOMEM:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PROTOCOL:
      return ErrorCode::unavailable;
    default:
      return ErrorCode::failure;
  }
}

Error error_of(sqlite3* database, const std::string& file) {
  int code = database ? sqlite3_errcode(database) : SQLITE_NOMEM;
  auto kind = kind_of(code);
  return {kind, file + ": " +
                    (code == SQLITE_NOTADB ? "this is no database of Sealcast"
                     : database            ? sqlite3_errmsg(database)
                                           : "out of memory")};
}

}  // namespace

Query::Query(sqlite3* database, const std::string& file, const char* text) : database_(database), file_(file) {
  sqlite3_prepare_v2(database, text, -1, &statement_, nullptr);
}
Query::~Query() {
  sqlite3_finalize(statement_);
}
Error Query::error() const {
  return error_of(database_, file_);
}

Query& Query::bind(std::string_view text) {
  sqlite3_bind_text64(statement_, ++bound_, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  return *this;
}
Query& Query::bind(ByteView blob) {
  sqlite3_bind_blob64(statement_, ++bound_, blob.data(), blob.size(), SQLITE_TRANSIENT);
  return *this;
}
Query& Query::bind(std::int64_t number) {
  sqlite3_bind_int64(statement_, ++bound_, number);
  return *this;
}

Result<bool> Query::step() {
  if (!statement_) return fail(error());
  int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return fail(error());
}

Status Query::run() {
  for (;;) {
    auto row = step();
    if (!row) return fail(row.error());
    if (!*row) return {};
  }
}

std::string Query::text(int column) const {
  return string_of(blob(column));
}
Bytes Query::blob(int column) const {
  auto* data = static_cast<const std::uint8_t*>(sqlite3_column_blob(statement_, column));
  return {data, data + sqlite3_column_bytes(statement_, column)};
}
std::int64_t Query::integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}

Result<Database> Database::open(const std::filesystem::path& path, const std::vector<const char*>& schema) {
  Database out;
  out.file_ = std::make_unique<std::string>(path.string());
  // SQLite would make the file with the process's umask.
  int fd = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0)
    return fail(errno == ENOSPC ? ErrorCode::disk_full : ErrorCode::failure, *out.file_ + ": " + std::strerror(errno));
  ::close(fd);
  if (sqlite3_open_v2(path.c_str(), &out.handle_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr) != SQLITE_OK)
    return fail(error_of(out.handle_, *out.file_));
  sqlite3_busy_timeout(out.handle_, 5000);
  SEALCAST_TRY(out.execute("PRAGMA journal_mode=WAL"));
  SEALCAST_TRY(out.execute("PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON; BEGIN IMMEDIATE"));
  std::int64_t version = 0;
  {
    auto query = out.query("PRAGMA user_version");
    SEALCAST_TRY(query.step());
    version = query.integer(0);
  }
  auto wanted = static_cast<std::int64_t>(schema.size());
  if (version > wanted) {
    (void)out.execute("ROLLBACK");
    return fail(ErrorCode::usage, *out.file_ + ": made by a newer version of Sealcast (schema " +
                                      std::to_string(version) + ", this one knows " + std::to_string(wanted) + ")");
  }
  for (auto i = version; i < wanted; ++i) SEALCAST_TRY(out.execute(schema[static_cast<std::size_t>(i)]));
  SEALCAST_TRY(out.execute(("PRAGMA user_version=" + std::to_string(wanted) + "; COMMIT").c_str()));
  return out;
}

Result<Database> Database::open_as_it_is(const std::filesystem::path& path) {
  Database out;
  out.file_ = std::make_unique<std::string>(path.string());
  if (sqlite3_open_v2(path.c_str(), &out.handle_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr) != SQLITE_OK)
    return fail(error_of(out.handle_, *out.file_));
  sqlite3_busy_timeout(out.handle_, 5000);
  return out;
}

Database::Database(Database&& other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)), file_(std::move(other.file_)) {}
Database& Database::operator=(Database&& other) noexcept {
  std::swap(handle_, other.handle_);
  std::swap(file_, other.file_);
  return *this;
}
Database::~Database() {
  sqlite3_close_v2(handle_);
}

Status Database::execute(const char* text) {
  if (sqlite3_exec(handle_, text, nullptr, nullptr, nullptr) != SQLITE_OK) return fail(error_of(handle_, *file_));
  return {};
}

void Database::set_patience(Duration patience) {
  sqlite3_busy_timeout(handle_,
                       static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(patience).count()));
}

int Database::changes() const {
  return sqlite3_changes(handle_);
}

}  // namespace sealcast::store
