#include "store/catalogue.hpp"

#include <algorithm>

#include "store/contents.hpp"

namespace sealcast::store {
namespace {

constexpr const char* k_columns = "root, provider, content_id, version, description, access, everybody FROM entry ";

crypto::Digest root_of(const Query& query) {
  crypto::Digest out{};
  auto root = query.blob(0);
  std::copy_n(root.begin(), std::min(root.size(), out.size()), out.begin());
  return out;
}

CatalogueRow row_of(const Query& query) {
  return {root_of(query), query.text(1), query.text(2),        query.integer(3),
          query.text(4),  query.text(5), query.integer(6) != 0};
}

constexpr const char* k_version_3 =
    "CREATE TABLE entry (root BLOB PRIMARY KEY, provider TEXT NOT NULL, content_id TEXT NOT NULL, version INTEGER NOT "
    "NULL, description TEXT NOT NULL, access TEXT NOT NULL, everybody INTEGER NOT NULL) STRICT;"
    "CREATE INDEX entry_content ON entry (provider, content_id, version);"
    "CREATE INDEX entry_public ON entry (root) WHERE everybody = 1;"
    "CREATE TABLE entitled (subscriber TEXT NOT NULL, root BLOB NOT NULL, PRIMARY KEY (subscriber, root)) STRICT, "
    "WITHOUT ROWID;"
    "CREATE INDEX entitled_root ON entitled (root)";

Result<std::optional<CatalogueRow>> first_of(Query& query) {
  SEALCAST_TRY_ASSIGN(bool found, query.step());
  if (!found) return std::nullopt;
  return row_of(query);
}

}  // namespace

Result<Catalogue> Catalogue::open(const std::filesystem::path& file) {
  auto schema = Contents::schema();
  schema.push_back(k_version_3);
  SEALCAST_TRY_ASSIGN(auto database, Database::open(file, schema));
  return Catalogue(std::move(database));
}

Status Catalogue::put(const CatalogueRow& row, const std::vector<std::string>& who) {
  return database_->transaction([&]() -> Status {
    SEALCAST_TRY(database_
                     ->query("INSERT OR REPLACE INTO entry (root, provider, content_id, version, description, access, "
                             "everybody) VALUES (?, ?, ?, ?, ?, ?, ?)")
                     .bind(ByteView(row.root))
                     .bind(row.provider)
                     .bind(row.content_id)
                     .bind(row.version)
                     .bind(row.description)
                     .bind(row.access)
                     .bind(std::int64_t{row.everybody})
                     .run());
    SEALCAST_TRY(database_->query("DELETE FROM entitled WHERE root = ?").bind(ByteView(row.root)).run());
    for (auto& subscriber : who)
      SEALCAST_TRY(database_->query("INSERT OR IGNORE INTO entitled (subscriber, root) VALUES (?, ?)")
                       .bind(subscriber)
                       .bind(ByteView(row.root))
                       .run());
    return {};
  });
}

Result<std::optional<CatalogueRow>> Catalogue::find(const crypto::Digest& root) {
  const auto text = std::string("SELECT ") + k_columns + "WHERE root = ?";
  auto query = database_->query(text.c_str());
  query.bind(ByteView(root));
  return first_of(query);
}

Result<std::optional<CatalogueRow>> Catalogue::newest(const std::string& provider, const std::string& content_id) {
  const auto text =
      std::string("SELECT ") + k_columns + "WHERE provider = ? AND content_id = ? ORDER BY version DESC LIMIT 1";
  auto query = database_->query(text.c_str());
  query.bind(provider).bind(content_id);
  return first_of(query);
}

Result<std::optional<Catalogue::Entitlement>> Catalogue::entitlement(const crypto::Digest& root,
                                                                     const std::string& subscriber) {
  auto query = database_->query(
      "SELECT provider, everybody OR EXISTS (SELECT 1 FROM entitled WHERE subscriber = ?1 AND entitled.root = "
      "entry.root) FROM entry WHERE root = ?2");
  SEALCAST_TRY_ASSIGN(bool found, query.bind(subscriber).bind(ByteView(root)).step());
  if (!found) return std::nullopt;
  return Entitlement{query.integer(1) != 0, query.text(0)};
}

Result<std::vector<CatalogueRow>> Catalogue::page(const std::optional<crypto::Digest>& after,
                                                  const std::optional<std::string>& subscriber, std::size_t most) {
  std::vector<CatalogueRow> out;
  // Two sorted runs, merged: neither is read beyond what the page needs.
  const auto text =
      subscriber
          ? std::string("SELECT ") + k_columns +
                "WHERE root IN (SELECT root FROM (SELECT root FROM entry WHERE everybody = 1 AND root > ?1 ORDER "
                "BY root LIMIT ?2) UNION SELECT root FROM (SELECT root FROM entitled WHERE subscriber = ?3 AND "
                "root > ?1 ORDER BY root LIMIT ?2)) ORDER BY root LIMIT ?2"
          : std::string("SELECT ") + k_columns + "WHERE root > ?1 ORDER BY root LIMIT ?2";
  auto query = database_->query(text.c_str());
  static const std::uint8_t none = 0;
  query.bind(after ? ByteView(*after) : ByteView(&none, 0)).bind(static_cast<std::int64_t>(most));
  if (subscriber) query.bind(*subscriber);
  for (;;) {
    SEALCAST_TRY_ASSIGN(bool found, query.step());
    if (!found) return out;
    out.push_back(row_of(query));
  }
}

Result<std::int64_t> Catalogue::size() {
  auto query = database_->query("SELECT COUNT(*) FROM entry");
  SEALCAST_TRY(query.step());
  return query.integer(0);
}

Result<std::vector<Catalogue::Old>> Catalogue::old_rows(std::size_t most) {
  std::vector<Old> out;
  auto query = database_->query("SELECT root, description, access FROM content LIMIT ?");
  query.bind(static_cast<std::int64_t>(most));
  for (;;) {
    SEALCAST_TRY_ASSIGN(bool found, query.step());
    if (!found) return out;
    out.push_back({root_of(query), query.text(1), query.text(2)});
  }
}

Status Catalogue::forget_old(const crypto::Digest& root) {
  return database_->query("DELETE FROM content WHERE root = ?").bind(ByteView(root)).run();
}

}  // namespace sealcast::store
