#include "store/subscribers.hpp"

#include "base/encoding.hpp"
#include "crypto/hash.hpp"

namespace sealcast::store {

Result<Subscribers> Subscribers::open(const std::filesystem::path& file) {
  SEALCAST_TRY_ASSIGN(
      auto database,
      Database::open(
          file, {"CREATE TABLE subscriber (name TEXT PRIMARY KEY, ha1_sha256 TEXT NOT NULL, ha1_md5 TEXT NOT NULL, "
                 "device TEXT NOT NULL DEFAULT '') STRICT",
                 "ALTER TABLE subscriber ADD COLUMN bare_sha256 TEXT NOT NULL DEFAULT ''"}));
  return Subscribers(std::move(database));
}

Status Subscribers::add(const std::string& name, const std::string& realm, std::string_view password) {
  SEALCAST_TRY_ASSIGN(auto known, find(name));
  if (known) return fail(ErrorCode::usage, "subscriber " + name + " exists already");
  auto a1 = name + "@" + realm + ":" + realm + ":", bare = name + ":" + realm + ":";
  a1 += password;
  bare += password;
  auto query = database_.query("INSERT INTO subscriber (name, ha1_sha256, ha1_md5, bare_sha256) VALUES (?, ?, ?, ?)");
  auto sha256 = hex(crypto::sha256(view_of(a1))), md5 = hex(crypto::md5(view_of(a1))),
       bare_sha256 = hex(crypto::sha256(view_of(bare)));
  for (auto* each : {&a1, &bare}) wipe({reinterpret_cast<std::uint8_t*>(each->data()), each->size()});
  return query.bind(name).bind(sha256).bind(md5).bind(bare_sha256).run();
}

Status Subscribers::remove(const std::string& name) {
  SEALCAST_TRY(database_.query("DELETE FROM subscriber WHERE name = ?").bind(name).run());
  return database_.changes() > 0 ? Status{} : Status(fail(ErrorCode::not_found, "there is no subscriber " + name));
}

Result<std::optional<Subscriber>> Subscribers::find(const std::string& name) {
  auto query = database_.query("SELECT name, ha1_sha256, ha1_md5, device, bare_sha256 FROM subscriber WHERE name = ?");
  SEALCAST_TRY_ASSIGN(bool found, query.bind(name).step());
  if (!found) return std::nullopt;
  return Subscriber{query.text(0), query.text(1), query.text(2), query.text(3), query.text(4)};
}

Result<std::vector<Subscriber>> Subscribers::list() {
  std::vector<Subscriber> out;
  auto query = database_.query("SELECT name, ha1_sha256, ha1_md5, device, bare_sha256 FROM subscriber ORDER BY name");
  for (;;) {
    SEALCAST_TRY_ASSIGN(bool found, query.step());
    if (!found) return out;
    out.push_back({query.text(0), query.text(1), query.text(2), query.text(3), query.text(4)});
  }
}

Result<bool> Subscribers::enrol(const std::string& name, const std::string& thumbprint) {
  SEALCAST_TRY(database_.query("UPDATE subscriber SET device = ? WHERE name = ? AND device = ''")
                   .bind(thumbprint)
                   .bind(name)
                   .run());
  SEALCAST_TRY_ASSIGN(auto now, find(name));
  return now && now->device == thumbprint;
}

Result<std::int64_t> Subscribers::revision() {
  auto query = database_.query("PRAGMA data_version");
  SEALCAST_TRY_ASSIGN(bool found, query.step());
  return found ? query.integer(0) : 0;
}

}  // namespace sealcast::store
