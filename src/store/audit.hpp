#pragma once
// The audit log: who asked for what or changed what, and what was decided. One table in whatever database it is given;
// lines are only ever added.
#include "base/bounded_table.hpp"
#include "store/database.hpp"

namespace sealcast::store {

struct AuditRow {
  std::int64_t sequence = 0, time = 0;
  std::string event;       // "key-request", "entitle", …: docs/operations.md lists them
  std::string who;         // asserted identity, or the local user: "uid 1000 (ann), pid 4711"
  std::string subscriber;  // whom the decision was about: asserted identity or pseudonym; empty: nobody
  std::string root, request;
  int status = 0;  // as of SIP or HTTP
  std::string reason;
};

class AuditLog {
 public:
  // A database of its own.
  static Result<AuditLog> open(const std::filesystem::path& file);
  // Of whatever database holds one, as it is: for whoever only reads.
  static Result<AuditLog> of(const std::filesystem::path& file);
  // The table in another one's database, which is version 2 of that schema or later; it outlives this.
  explicit AuditLog(Database& shared) : database_(&shared) {}
  // Its sequence is given by the log.
  Status append(const AuditRow& row);
  Result<std::vector<AuditRow>> after(std::int64_t sequence, std::size_t most);
  // The newest line of this event; empty: there is none.
  Result<std::optional<AuditRow>> last(std::string_view event);
  void set_patience(Duration patience) { database_->set_patience(patience); }

  // Schema for databases that hold more than the log: version 1 is the log of key decisions alone.
  static const char* const k_version_1;
  static const char* const k_version_2;

 private:
  explicit AuditLog(std::shared_ptr<Database> own) : own_(std::move(own)), database_(own_.get()) {}
  std::shared_ptr<Database> own_;  // one owner; shared so that the log can be moved and keep its address
  Database* database_;
};

// Refusals come as fast as somebody wants to be refused; the log must not grow at that speed. The same line once in a
// while, and few for one subject.
class AuditBrake {
 public:
  static constexpr std::size_t k_lines = 20;                    // of one subject
  static constexpr Duration k_while = std::chrono::minutes(4);  // 5 a minute
  // Shall this line be written? Counts it if so.
  bool allows(Instant now, const std::string& subject, const std::string& line);
  const TableCounters& counters() const { return lines_.counters(); }

 private:
  BoundedTable<std::string, bool> lines_{{100000, 0, {{"subject", k_lines}}}};
};

}  // namespace sealcast::store
