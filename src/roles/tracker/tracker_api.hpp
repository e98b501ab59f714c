#pragma once
// Admin socket of a tracker that runs by itself: what an operator asks of it (docs/protocol.md section 9).
#include <filesystem>

#include "io/http.hpp"
#include "roles/tracker/tracker_role.hpp"

namespace sealcast::roles {

class TrackerApi {
 public:
  TrackerApi(io::Loop& loop, TrackerRole& tracker);
  Status listen(const std::filesystem::path& socket) { return server_.listen(socket); }
  void close() { server_.close(); }

 private:
  io::HttpResponse handle(const io::HttpRequest& request);
  io::HttpResponse audit(const io::HttpRequest& request);

  TrackerRole& tracker_;
  io::HttpServer server_;
};

}  // namespace sealcast::roles
