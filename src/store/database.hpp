#pragma once
// SQLite behind a small wrapper. A connection belongs to one thread. Errors name the file: they are for the log and for
// the operator, never for the network. A failure that may pass (locked, an I/O error, no memory) is
// ErrorCode::unavailable, a full disk ErrorCode::disk_full: neither says anything about what was asked for.
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace sealcast::store {

// A prepared statement; parameters and columns are numbered from 1 and 0.
class Query {
 public:
  Query(sqlite3* database, const std::string& file, const char* text);
  ~Query();
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;

  Query& bind(std::string_view text);
  Query& bind(ByteView blob);
  Query& bind(std::int64_t number);
  // True: a row is there. False: none left.
  Result<bool> step();
  Status run();  // step() until done
  std::string text(int column) const;
  Bytes blob(int column) const;
  std::int64_t integer(int column) const;

 private:
  Error error() const;
  sqlite3* database_;
  const std::string& file_;
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
};

inline constexpr Duration k_serving_patience = 20ms;

class Database {
 public:
  // Opens or makes `file` (mode 0600). schema[i] brings version i to version i + 1; a file of a later version is
  // refused.
  static Result<Database> open(const std::filesystem::path& file, const std::vector<const char*>& schema);
  // Must exist; its schema is somebody else's.
  static Result<Database> open_as_it_is(const std::filesystem::path& file);
  Database(Database&&) noexcept;
  Database& operator=(Database&&) noexcept;
  ~Database();
  Query query(const char* text) { return Query(handle_, *file_, text); }
  Status execute(const char* text);
  int changes() const;
  // How long a statement waits for another process's lock; at first some seconds, fit for commands. Who serves others
  // waits next to nothing, and tries again later.
  void set_patience(Duration patience);
  // All of `work` or nothing: an error rolls back.
  template <class Work>
  Status transaction(Work work) {
    SEALCAST_TRY(execute("BEGIN IMMEDIATE"));
    Status done = work();
    if (done) done = execute("COMMIT");
    if (!done) (void)execute("ROLLBACK");
    return done;
  }

 private:
  Database() = default;
  sqlite3* handle_ = nullptr;
  std::unique_ptr<std::string> file_;
};

}  // namespace sealcast::store
