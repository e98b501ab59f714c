#include "store/contents.hpp"

#include <algorithm>

namespace sealcast::store {
namespace {

ContentRow row_of(const Query& query) {
  ContentRow out;
  auto root = query.blob(0);
  std::copy_n(root.begin(), std::min<std::size_t>(root.size(), 32), out.root.begin());
  out.description = query.text(1);
  out.access = query.text(2);
  out.state = query.text(3);
  out.wrapped_key = query.blob(4);
  out.not_before = query.integer(5);
  return out;
}

constexpr const char* k_schema =
    "CREATE TABLE content (root BLOB PRIMARY KEY, description TEXT NOT NULL, access TEXT NOT NULL DEFAULT '', state "
    "TEXT NOT NULL DEFAULT 'described', "
    "wrapped_key BLOB NOT NULL DEFAULT x'', not_before INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE TABLE audit (sequence INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL, subscriber TEXT NOT NULL, "
    "root TEXT NOT NULL, request TEXT NOT NULL, "
    "status INTEGER NOT NULL, reason TEXT NOT NULL) STRICT";

}  // namespace

std::vector<const char*> Contents::schema() {
  return {k_schema, AuditLog::k_version_2};
}

Result<Contents> Contents::open(const std::filesystem::path& file) {
  SEALCAST_TRY_ASSIGN(auto database, Database::open(file, schema()));
  return Contents(std::move(database));
}

Status Contents::put_description(const crypto::Digest& root, std::string_view description) {
  return database_
      ->query(
          "INSERT INTO content (root, description) VALUES (?, ?) ON CONFLICT (root) DO UPDATE SET description = "
          "excluded.description")
      .bind(ByteView(root))
      .bind(description)
      .run();
}
// A row that is not there takes nothing: that must not look like success.
Status Contents::update(Query&& query) {
  SEALCAST_TRY(query.run());
  if (database_->changes() == 1) return {};
  return fail(ErrorCode::not_found, "the database does not know this content");
}
Status Contents::put_access(const crypto::Digest& root, std::string_view access) {
  auto query = database_->query("UPDATE content SET access = ? WHERE root = ?");
  return update(std::move(query.bind(access).bind(ByteView(root))));
}
Status Contents::put_state(const crypto::Digest& root, std::string_view state) {
  auto query = database_->query("UPDATE content SET state = ? WHERE root = ?");
  return update(std::move(query.bind(state).bind(ByteView(root))));
}
Status Contents::put_key(const crypto::Digest& root, ByteView wrapped, std::int64_t not_before) {
  static const std::uint8_t none = 0;
  ByteView blob = wrapped.empty() ? ByteView(&none, 0) : wrapped;
  auto query = database_->query("UPDATE content SET wrapped_key = ?, not_before = ? WHERE root = ?");
  return update(std::move(query.bind(blob).bind(not_before).bind(ByteView(root))));
}

Result<std::optional<ContentRow>> Contents::find(const crypto::Digest& root) {
  auto query =
      database_->query("SELECT root, description, access, state, wrapped_key, not_before FROM content WHERE root = ?");
  SEALCAST_TRY_ASSIGN(bool found, query.bind(ByteView(root)).step());
  if (!found) return std::nullopt;
  return row_of(query);
}

Status Contents::each(const std::function<void(ContentRow)>& visit) {
  auto query =
      database_->query("SELECT root, description, access, state, wrapped_key, not_before FROM content ORDER BY root");
  for (;;) {
    SEALCAST_TRY_ASSIGN(bool found, query.step());
    if (!found) return {};
    visit(row_of(query));
  }
}

Result<bool> Contents::holds_keys() {
  return database_->query("SELECT 1 FROM content WHERE length(wrapped_key) > 0 LIMIT 1").step();
}

Status Contents::remove(const crypto::Digest& root) {
  return database_->query("DELETE FROM content WHERE root = ?").bind(ByteView(root)).run();
}

}  // namespace sealcast::store
