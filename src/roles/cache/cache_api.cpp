#include "roles/cache/cache_api.hpp"

#include <algorithm>
#include <charconv>

#include "base/encoding.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "content/uri.hpp"
#include "os/clock.hpp"

namespace sealcast::roles {
namespace {

constexpr std::string_view k_prefix = "/api/v1/";
constexpr std::size_t k_audit_page = 200, k_contents_page = 256;

io::HttpResponse document(int status, json::Object object) {
  return {status, json::Value(std::move(object)).text(), {}};
}
io::HttpResponse error(int status, const std::string& sentence) {
  return document(status, {{"error", printable(sentence, 1024)}});
}
io::HttpResponse no_such_thing() {
  return error(404, "there is nothing here");
}
io::HttpResponse wrong_method() {
  return error(405, "this method is not for this resource");
}

int status_of(const Error& e) {
  switch (e.code) {
    case ErrorCode::usage:
      return 400;
    case ErrorCode::not_found:
      return 404;
    case ErrorCode::integrity:
      return 422;
    case ErrorCode::disk_full:
      return 507;
    case ErrorCode::unavailable:
      return 503;
    default:
      return 409;
  }
}
io::HttpResponse error(const Error& e) {
  return error(status_of(e), e.message);
}

// "+sip:a@… -sip:b@… public": what a new list changes.
std::string difference(const tracking::AccessList& before, const tracking::AccessList& after) {
  std::string out;
  auto missing = [](const std::vector<std::string>& in, const std::string& who) {
    return std::find(in.begin(), in.end(), who) == in.end();
  };
  for (auto& who : after.who)
    if (missing(before.who, who)) out += " +" + who;
  for (auto& who : before.who)
    if (missing(after.who, who)) out += " -" + who;
  if (after.everybody != before.everybody) out += after.everybody ? " +public" : " -public";
  return out.empty() ? "nothing changed" : printable(out.substr(1), 2000);
}

// "bytes a-b/len": a and len, when b is the last octet.
struct ContentRange {
  std::uint64_t first = 0, last = 0, length = 0;
};
std::optional<ContentRange> parse_content_range(std::string_view text) {
  constexpr std::string_view unit = "bytes ";
  if (!text.starts_with(unit)) return std::nullopt;
  text.remove_prefix(unit.size());
  ContentRange out;
  auto take = [&](std::uint64_t& into, char end) {
    auto [at, code] = std::from_chars(text.data(), text.data() + text.size(), into);
    if (code != std::errc{}) return false;
    text.remove_prefix(static_cast<std::size_t>(at - text.data()));
    if (end == 0) return text.empty();
    if (text.empty() || text.front() != end) return false;
    text.remove_prefix(1);
    return true;
  };
  if (!take(out.first, '-') || !take(out.last, '/') || !take(out.length, 0) || out.first > out.last ||
      out.last >= out.length)
    return std::nullopt;
  return out;
}

// The root at the front of "<root>" or "<root>/…"; `rest` is what follows the slash.
std::optional<crypto::Digest> take_root(std::string_view& rest) {
  auto slash = rest.find('/');
  auto root = content::parse_root(rest.substr(0, slash));
  rest = slash == rest.npos ? std::string_view() : rest.substr(slash + 1);
  return root;
}

}  // namespace

json::Object audit_document(const store::AuditRow& row) {
  return {{"seq", row.sequence},          {"time", row.time}, {"event", row.event},     {"who", row.who},
          {"subscriber", row.subscriber}, {"root", row.root}, {"request", row.request}, {"status", row.status},
          {"reason", row.reason}};
}

// An object on its way in. Lost half-way, it leaves what has come for the next try.
class CacheApi::Upload final : public io::BodySink {
 public:
  Upload(CacheApi& api, const io::HttpRequest& request, const crypto::Digest& root,
         std::unique_ptr<ObjectImport> import)
      : api_(api), root_(root), import_(std::move(import)) {
    request_.who = request.who;
    api_.uploading_.insert(root_);
  }
  // Cut off, or a part of more to come: what is here stays open for a while.
  ~Upload() override {
    api_.uploading_.erase(root_);
    if (import_ && import_->end_part()) api_.cache_.library().put_aside(root_, std::move(import_), os::monotonic_now());
  }

  Status write(ByteView piece) override { return import_->write(piece); }
  io::HttpResponse finish() override {
    auto have = import_->have();
    if (!import_->complete()) {
      auto kept = import_->end_part();
      if (!kept) return import_.reset(), error(kept.error());
      return {202, json::Value(json::Object{{"have", *kept}}).text(), {{"Sealcast-Have", std::to_string(*kept)}}};
    }
    auto finished = api_.logged(request_, "object", root_, std::to_string(have) + " octets are complete",
                                [&] { return api_.cache_.library().finish_import(root_, std::move(import_)); });
    if (!finished) return error(finished.error());
    log(LogLevel::info, "cache",
        "imported " + content::root_text(root_) + ", " + human_size(static_cast<double>(have)));
    api_.cache_.refresh(root_);
    return document(201, {{"have", have}});
  }

 private:
  CacheApi& api_;
  io::HttpRequest request_;  // who sends it
  crypto::Digest root_;
  std::unique_ptr<ObjectImport> import_;
};

CacheApi::CacheApi(io::Loop& loop, CacheRole& cache, std::function<json::Object()> extra)
    : cache_(cache),
      extra_(std::move(extra)),
      server_(loop, {[this](const io::HttpRequest& request, io::HttpResponse& refusal) {
                       return begin_upload(request, refusal);
                     },
                     [this](const io::HttpRequest& request) { return handle(request); }}) {}

Status CacheApi::listen(const std::filesystem::path& socket) {
  return server_.listen(socket);
}

std::unique_ptr<io::BodySink> CacheApi::begin_upload(const io::HttpRequest& request, io::HttpResponse& refusal) {
  std::string_view rest = request.target;
  constexpr std::string_view place = "/api/v1/contents/";
  refusal.status = 0;
  if (request.method != "PUT" || !rest.starts_with(place)) return nullptr;
  rest.remove_prefix(place.size());
  auto root = take_root(rest);
  if (rest != "object") return nullptr;
  auto refuse = [&](io::HttpResponse response) {
    refusal = std::move(response);
    return nullptr;
  };
  auto* content = root ? cache_.library().find(*root) : nullptr;
  if (!content) return refuse(error(404, "unknown content: its description comes first"));
  if (uploading_.contains(*root)) return refuse(error(409, "this object is being uploaded already"));
  auto range = parse_content_range(request.content_range);
  if (!range || range->length != content->description.length ||
      range->last - range->first + 1 != request.content_length)
    return refuse(error(400, "Content-Range is missing, or does not fit the body or the object's " +
                                 std::to_string(content->description.length) + " octets"));
  if (content->state == ObjectState::offered) return refuse(error(409, "the object is complete already"));
  if (content->state == ObjectState::damaged) {
    if (range->first != 0)
      return refuse({416,
                     json::Value(json::Object{{"error", "a damaged object is sent anew from its first octet"}}).text(),
                     {{"Sealcast-Have", "0"}}});
    cache_.leave_swarm(*root);  // the engine must not hold what begin_import() throws away
  }
  auto import = cache_.library().begin_import(*root);
  if (!import) return refuse(error(import.error()));
  if ((*import)->have() != range->first) {
    auto have = std::to_string((*import)->have());
    return refuse({416,
                   json::Value(json::Object{{"error", "the next octet to send is " + have}}).text(),
                   {{"Sealcast-Have", have}}});
  }
  return std::make_unique<Upload>(*this, request, *root, std::move(*import));
}

io::HttpResponse CacheApi::handle(const io::HttpRequest& request) {
  std::string_view rest = request.target;
  if (!rest.starts_with(k_prefix)) return no_such_thing();
  rest.remove_prefix(k_prefix.size());
  bool get = request.method == "GET";
  if (rest == "node" && get) {
    auto facts = cache_.facts();
    return document(200, {{"uri", facts.uri},
                          {"domain", facts.domain},
                          {"key_service", facts.key_service},
                          {"holds_keys", facts.holds_keys},
                          {"holds_chunks", true}});
  }
  if (rest == "status" && get) {
    auto out = extra_ ? extra_() : json::Object{};
    out["cache"] = cache_.status();
    return document(200, std::move(out));
  }
  if (rest == "audit" && get) return audit(request);
  if (rest == "contents" || rest.starts_with("contents/"))
    return contents_call(request, rest.substr(std::min<std::size_t>(rest.size(), 9)));
  if (rest == "keys" || rest.starts_with("keys/"))
    return keys_call(request, rest.substr(std::min<std::size_t>(rest.size(), 5)));
  return no_such_thing();
}

json::Object CacheApi::content_document(const crypto::Digest& root, const CachedContent& c) const {
  json::Object out{{"root", content::root_text(root)},
                   {"uri", content::ContentUri{root, cache_.facts().domain}.text()},
                   {"cid", c.description.content_id},
                   {"version", c.description.version},
                   {"len", c.description.length},
                   {"plain_len", c.description.plain_length},
                   {"chunks", std::int64_t{c.description.geometry().chunks()}},
                   {"chunks_held", cache_.chunks_held(root)},
                   {"prot", std::string(content::name(c.description.protection))},
                   {"state", std::string(name(c.state))},
                   {"key", c.key_held},
                   {"announced", cache_.announced(root)},
                   {"expires", c.description.expires_at},
                   {"description", c.jws},
                   {"public", c.access.everybody},
                   {"who", json::Array(c.access.who.begin(), c.access.who.end())}};
  if (!c.description.title.empty()) out["title"] = c.description.title;
  if (!c.description.name.empty()) out["name"] = c.description.name;
  if (!c.trouble.empty()) out["trouble"] = c.trouble;
  if (c.not_before != 0) out["not_before"] = c.not_before;
  return out;
}

io::HttpResponse CacheApi::contents_call(const io::HttpRequest& request, std::string_view rest) {
  if (rest.empty()) {
    if (request.method != "GET") return wrong_method();
    return contents_page(request);
  }
  auto root = take_root(rest);
  if (!root) return error(404, "this is no root of 43 characters");
  if (rest == "description" && request.method == "PUT") return put_description(request, *root);
  auto* content = cache_.library().find(*root);
  if (!content) return error(404, "unknown content");
  if (rest.empty()) return request.method == "GET" ? document(200, content_document(*root, *content)) : wrong_method();
  if (rest == "entitlements" && request.method == "PUT") return put_entitlements(request, *root);
  if (rest == "object") return object_call(request, *root);
  return no_such_thing();
}

// Thousands are told in pages: one that is full says behind which root the next one begins.
io::HttpResponse CacheApi::contents_page(const io::HttpRequest& request) const {
  auto& contents = cache_.library().contents();
  auto at = contents.begin();
  if (!request.query.empty()) {
    constexpr std::string_view name = "after=";
    auto after = content::parse_root(request.query.substr(std::min(name.size(), request.query.size())));
    if (!request.query.starts_with(name) || !after) return error(400, "\"after\" is no root of 43 characters");
    at = contents.upper_bound(*after);
  }
  json::Array page;
  auto last = at;
  for (; at != contents.end() && page.size() < k_contents_page; last = at++)
    page.push_back(content_document(at->first, at->second));
  json::Object out{{"contents", std::move(page)}};
  if (at != contents.end()) out["next"] = content::root_text(last->first);
  return document(200, std::move(out));
}

io::HttpResponse CacheApi::object_call(const io::HttpRequest& request, const crypto::Digest& root) {
  if (request.method != "HEAD") return wrong_method();
  if (uploading_.contains(root)) return error(409, "this object is being uploaded already");
  auto have = cache_.library().import_progress(root);
  if (!have) return error(have.error());
  return {200, {}, {{"Sealcast-Have", std::to_string(*have)}}};
}

io::HttpResponse CacheApi::put_description(const io::HttpRequest& request, const crypto::Digest& root) {
  auto peeked = crypto::jws_peek(request.body);
  if (peeked && peeked->payload.string_or("root") != content::root_text(root))
    return error(400, "the description is of another content than the path names");
  auto* known = cache_.library().find(root);
  if (known && known->jws == request.body) return document(201, {});
  const auto what = peeked ? printable(peeked->payload.string_or("title"), 120) + " version " +
                                 std::to_string(peeked->payload.int_or("ver"))
                           : std::string("no description");
  auto put = logged(request, "publish", root, what, [&]() -> Status {
    SEALCAST_TRY(cache_.library().put_description(request.body, os::unix_now()));
    return {};
  });
  if (!put) return error(put.error());
  cache_.refresh(root);
  return document(201, {});
}

io::HttpResponse CacheApi::put_entitlements(const io::HttpRequest& request, const crypto::Digest& root) {
  auto access = tracking::parse_access(request.body);
  if (!access) return error(400, access.error().message);
  const auto before = cache_.library().find(root)->access;
  auto put = logged(request, "entitle", root, difference(before, *access),
                    [&] { return cache_.library().put_access(root, *access); });
  if (!put) return error(put.error());
  cache_.end_calls(root, "not entitled any more");
  cache_.refresh(root);
  return document(200, {});
}

io::HttpResponse CacheApi::keys_call(const io::HttpRequest& request, std::string_view rest) {
  if (rest.empty()) {
    if (request.method != "GET") return wrong_method();
    json::Array keys;
    for (auto& [root, content] : cache_.library().contents())
      if (content.key_held)
        keys.push_back(json::Object{{"root", content::root_text(root)},
                                    {"kid", content::key_id(*content.description.header)},
                                    {"not_before", content.not_before}});
    return document(200, {{"keys", std::move(keys)}});
  }
  auto root = take_root(rest);
  if (!root || !rest.empty()) return no_such_thing();
  if (request.method == "PUT") return put_key(request, *root);
  if (request.method != "DELETE") return wrong_method();
  auto revoked =
      logged(request, "key-revoke", *root, "the key is forgotten", [&] { return cache_.library().revoke_key(*root); });
  if (!revoked) return error(revoked.error());
  cache_.hang_up_all(*root, "the key was revoked");
  cache_.refresh(*root);
  return document(200, {});
}

io::HttpResponse CacheApi::put_key(const io::HttpRequest& request, const crypto::Digest& root) {
  if (!cache_.facts().holds_keys) return error(409, "this cache holds no keys (holds_keys = false)");
  auto body = json::parse(request.body);
  auto octets = body ? parse_base64url(body->string_or("k")) : std::nullopt;
  if (!octets || octets->size() != content::ContentKey::size()) return error(400, "\"k\" is no key of 16 octets");
  content::ContentKey key(std::span<const std::uint8_t, content::ContentKey::size()>(octets->data(), octets->size()));
  wipe(*octets);
  const auto from = body->int_or("not_before");
  auto put = logged(request, "key-import", root,
                    "the key is held" + (from != 0 ? ", released from " + std::to_string(from) : std::string()),
                    [&] { return cache_.library().put_key(root, key, from); });
  if (!put) return error(put.error());
  cache_.refresh(root);
  return document(201, {});
}

Status CacheApi::logged(const io::HttpRequest& request, const std::string& event, const crypto::Digest& root,
                        const std::string& what, const std::function<Status()>& change) {
  auto& library = cache_.library();
  store::AuditRow row{0, os::unix_now(), event, request.who, {}, content::root_text(root), {}, 200, what};
  Status refused;
  auto done = library.transaction([&]() -> Status {
    SEALCAST_TRY(library.audit_log().append(row));
    refused = change();
    return refused;
  });
  bool passing = !done && (done.error().code == ErrorCode::unavailable || done.error().code == ErrorCode::disk_full);
  if (!refused && !passing) {
    row.status = status_of(refused.error());
    row.reason = what + ": refused: " + printable(refused.error().message, 400);
    if (auto line = library.audit_log().append(row); !line)
      log(LogLevel::error, "cache", "audit: " + line.error().message);
  }
  return done;
}

io::HttpResponse CacheApi::audit(const io::HttpRequest& request) {
  std::int64_t after = 0;
  if (constexpr std::string_view name = "after="; request.query.starts_with(name))
    std::from_chars(request.query.data() + name.size(), request.query.data() + request.query.size(), after);
  auto rows = cache_.library().audit_log().after(after, k_audit_page);
  if (!rows) return error(rows.error());
  json::Array lines;
  for (auto& row : *rows) lines.push_back(audit_document(row));
  return document(200, {{"audit", std::move(lines)}});
}

}  // namespace sealcast::roles
