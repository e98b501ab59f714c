#include "roles/tracker/tracker_api.hpp"

#include <charconv>

namespace sealcast::roles {
namespace {

constexpr std::size_t k_audit_page = 200;

io::HttpResponse document(int status, json::Object body) {
  return {status, json::Value(std::move(body)).text(), {}};
}

}  // namespace

TrackerApi::TrackerApi(io::Loop& loop, TrackerRole& tracker)
    : tracker_(tracker), server_(loop, {nullptr, [this](const io::HttpRequest& request) { return handle(request); }}) {}

io::HttpResponse TrackerApi::handle(const io::HttpRequest& request) {
  if (request.method != "GET") return document(405, {{"error", "a tracker answers GET only"}});
  if (request.target == "/api/v1/status") return document(200, {{"tracker", tracker_.status()}});
  if (request.target == "/api/v1/audit") return audit(request);
  return document(404, {{"error", "a tracker has /api/v1/status and /api/v1/audit"}});
}

io::HttpResponse TrackerApi::audit(const io::HttpRequest& request) {
  std::int64_t after = 0;
  if (constexpr std::string_view name = "after="; request.query.starts_with(name))
    std::from_chars(request.query.data() + name.size(), request.query.data() + request.query.size(), after);
  auto rows = tracker_.audit_log().after(after, k_audit_page);
  if (!rows) return document(503, {{"error", rows.error().message}});
  json::Array lines;
  for (auto& row : *rows)
    lines.push_back(json::Object{{"seq", row.sequence},
                                 {"time", row.time},
                                 {"event", row.event},
                                 {"who", row.who},
                                 {"subscriber", row.subscriber},
                                 {"root", row.root},
                                 {"request", row.request},
                                 {"status", row.status},
                                 {"reason", row.reason}});
  return document(200, {{"audit", std::move(lines)}});
}

}  // namespace sealcast::roles
