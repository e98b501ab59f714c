#include "base/encoding.hpp"
#include "io/file.hpp"
#include "roles/provider/publisher.hpp"

namespace sealcast::roles {

Error api_error(const io::HttpResponse& response, const std::string& what) {
  auto body = json::parse(response.body);
  auto sentence = body ? body->string_or("error") : std::string();
  auto code = response.status == 404   ? ErrorCode::not_found
              : response.status == 422 ? ErrorCode::integrity
              : response.status == 503 ? ErrorCode::unavailable
              : response.status == 507 ? ErrorCode::disk_full
              : response.status == 400 ? ErrorCode::usage
                                       : ErrorCode::failure;
  return {code, what + ": " + (sentence.empty() ? "status " + std::to_string(response.status) : sentence)};
}

Status write_key_file(const std::filesystem::path& file, const KeyFile& content) {
  auto access = json::parse(tracking::write_access(content.access));
  json::Object document{{"v", 1},
                        {"desc", content.description},
                        {"k", base64url(content.key.expose())},
                        {"not_before", content.not_before}};
  document["acl"] = access ? *access : json::Value(json::Object{});
  auto text = json::Value(std::move(document)).text() + "\n";
  auto written = io::write_file_atomically(file, view_of(text), 0600);
  wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  return written;
}

Result<KeyFile> read_key_file(const std::filesystem::path& file) {
  auto wrong = [&](const std::string& what) {
    return fail(ErrorCode::usage, "key file " + file.string() + ": " + what);
  };
  SEALCAST_TRY_ASSIGN(auto octets, io::read_file(file, 1 << 20));
  auto document = json::parse(string_of(octets), {1 << 20, 8});
  wipe(octets);
  if (!document) return wrong(document.error().message);
  if (document->int_or("v") != 1) return wrong("\"v\" is not 1");
  auto key = parse_base64url(document->string_or("k"));
  if (!key || key->size() != content::ContentKey::size()) return wrong("\"k\" is no key of 16 octets");
  KeyFile out;
  out.description = document->string_or("desc");
  out.key = content::ContentKey(std::span<const std::uint8_t, content::ContentKey::size()>(key->data(), key->size()));
  wipe(*key);
  out.not_before = document->int_or("not_before");
  if (auto* access = document->find("acl")) {
    auto parsed = tracking::parse_access(access->text());
    if (parsed) out.access = std::move(*parsed);
  }
  if (!crypto::jws_peek(out.description)) return wrong("\"desc\" is no signed description");
  return out;
}

Result<std::string> import_key_file(const std::filesystem::path& socket, const KeyFile& content) {
  auto root = crypto::jws_peek(content.description)->payload.string_or("root");
  auto call = [&](const std::string& method, const std::string& target, std::string body) {
    return io::http_call(socket, {method, "/api/v1/" + target, std::move(body), {}, {}, 0}, 10s);
  };
  SEALCAST_TRY_ASSIGN(auto known, call("GET", "contents/" + root, {}));
  if (known.status == 404) {
    SEALCAST_TRY_ASSIGN(auto described, call("PUT", "contents/" + root + "/description", content.description));
    if (described.status != 201) return fail(api_error(described, "description"));
    SEALCAST_TRY_ASSIGN(auto entitled,
                        call("PUT", "contents/" + root + "/entitlements", tracking::write_access(content.access)));
    if (entitled.status != 200) return fail(api_error(entitled, "entitlements"));
  }
  auto body =
      json::Value(json::Object{{"k", base64url(content.key.expose())}, {"not_before", content.not_before}}).text();
  SEALCAST_TRY_ASSIGN(auto put, call("PUT", "keys/" + root, std::move(body)));
  if (put.status != 201) return fail(api_error(put, "key"));
  return root;
}

}  // namespace sealcast::roles
