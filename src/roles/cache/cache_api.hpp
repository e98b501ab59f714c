#pragma once
// Admin API of a cache over a UNIX socket (docs/protocol.md section 9): import, keys, entitlements, status, audit.
#include <set>

#include "io/http.hpp"
#include "roles/cache/cache_role.hpp"

namespace sealcast::roles {

json::Object audit_document(const store::AuditRow& row);

class CacheApi {
 public:
  // extra: members that /status gets beside the cache's own ("core", "tracker" of `up`).
  CacheApi(io::Loop& loop, CacheRole& cache, std::function<json::Object()> extra);
  Status listen(const std::filesystem::path& socket);
  void close() { server_.close(); }

 private:
  class Upload;
  io::HttpResponse handle(const io::HttpRequest& request);
  io::HttpResponse contents_call(const io::HttpRequest& request, std::string_view rest);
  io::HttpResponse contents_page(const io::HttpRequest& request) const;
  io::HttpResponse keys_call(const io::HttpRequest& request, std::string_view rest);
  io::HttpResponse object_call(const io::HttpRequest& request, const crypto::Digest& root);
  io::HttpResponse put_description(const io::HttpRequest& request, const crypto::Digest& root);
  io::HttpResponse put_entitlements(const io::HttpRequest& request, const crypto::Digest& root);
  io::HttpResponse put_key(const io::HttpRequest& request, const crypto::Digest& root);
  // Does `change` and writes its line, both or neither; a refused change has its line too.
  Status logged(const io::HttpRequest& request, const std::string& event, const crypto::Digest& root,
                const std::string& what, const std::function<Status()>& change);
  io::HttpResponse audit(const io::HttpRequest& request);
  std::unique_ptr<io::BodySink> begin_upload(const io::HttpRequest& request, io::HttpResponse& refusal);
  json::Object content_document(const crypto::Digest& root, const CachedContent& content) const;

  CacheRole& cache_;
  std::function<json::Object()> extra_;
  std::set<crypto::Digest> uploading_;  // one upload of an object at a time
  io::HttpServer server_;
};

}  // namespace sealcast::roles
