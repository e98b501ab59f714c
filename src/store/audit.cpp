#include "store/audit.hpp"

namespace sealcast::store {
namespace {

AuditRow row_of(const Query& query) {
  return {query.integer(0), query.integer(1), query.text(2), query.text(3),
          query.text(4),    query.text(5),    query.text(6), static_cast<int>(query.integer(7)),
          query.text(8)};
}

constexpr const char* k_all =
    "SELECT sequence, time, event, who, subscriber, root, request, status, reason FROM audit ";

}  // namespace

const char* const AuditLog::k_version_1 =
    "CREATE TABLE audit (sequence INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL, subscriber TEXT NOT NULL, "
    "root TEXT NOT NULL, request TEXT NOT NULL, "
    "status INTEGER NOT NULL, reason TEXT NOT NULL) STRICT";

// Until then there were key decisions only, and who asked was whom it was about.
const char* const AuditLog::k_version_2 =
    "ALTER TABLE audit ADD COLUMN event TEXT NOT NULL DEFAULT 'key-request';"
    "ALTER TABLE audit ADD COLUMN who TEXT NOT NULL DEFAULT '';"
    "UPDATE audit SET who = subscriber";

Result<AuditLog> AuditLog::open(const std::filesystem::path& file) {
  SEALCAST_TRY_ASSIGN(auto database, Database::open(file, {k_version_1, k_version_2}));
  return AuditLog(std::make_shared<Database>(std::move(database)));
}

Result<AuditLog> AuditLog::of(const std::filesystem::path& file) {
  SEALCAST_TRY_ASSIGN(auto database, Database::open_as_it_is(file));
  return AuditLog(std::make_shared<Database>(std::move(database)));
}

Status AuditLog::append(const AuditRow& row) {
  return database_
      ->query(
          "INSERT INTO audit (time, event, who, subscriber, root, request, status, reason) VALUES (?, ?, ?, ?, ?, ?, "
          "?, ?)")
      .bind(row.time)
      .bind(row.event)
      .bind(row.who)
      .bind(row.subscriber)
      .bind(row.root)
      .bind(row.request)
      .bind(std::int64_t{row.status})
      .bind(row.reason)
      .run();
}

Result<std::vector<AuditRow>> AuditLog::after(std::int64_t sequence, std::size_t most) {
  std::vector<AuditRow> out;
  const auto text = std::string(k_all) + "WHERE sequence > ? ORDER BY sequence LIMIT ?";
  auto query = database_->query(text.c_str());
  query.bind(sequence).bind(static_cast<std::int64_t>(most));
  for (;;) {
    SEALCAST_TRY_ASSIGN(bool found, query.step());
    if (!found) return out;
    out.push_back(row_of(query));
  }
}

Result<std::optional<AuditRow>> AuditLog::last(std::string_view event) {
  const auto text = std::string(k_all) + "WHERE event = ? ORDER BY sequence DESC LIMIT 1";
  auto query = database_->query(text.c_str());
  query.bind(event);
  SEALCAST_TRY_ASSIGN(bool found, query.step());
  if (!found) return std::nullopt;
  return row_of(query);
}

bool AuditBrake::allows(Instant now, const std::string& subject, const std::string& line) {
  while (lines_.take_expired(now)) {
  }
  return !lines_.add(subject + '\n' + line, {{subject.empty() ? "nobody" : subject}, false}, now + k_while, true);
}

}  // namespace sealcast::store
