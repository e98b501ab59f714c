#include "roles/common/announcer.hpp"

#include <algorithm>
#include <charconv>

#include "base/log.hpp"

namespace sealcast::roles {
namespace {

constexpr const char* k_body = "application/vnd.p2pcds.peer+json";
constexpr Duration k_first_pause = 1s, k_longest_pause = 30s;

int number(const std::vector<std::string>& values) {
  int out = 0;
  if (!values.empty()) std::from_chars(values.front().data(), values.front().data() + values.front().size(), out);
  return out;
}

}  // namespace

Announcer::Announcer(Timers& timers, sip::Signalling& agent, std::string tracker, int expires,
                     std::function<std::string()> body, std::string farewell,
                     std::function<void(const sip::Response&, Sent)> on_answer)
    : timers_(timers),
      agent_(agent),
      tracker_(std::move(tracker)),
      expires_(expires),
      body_(std::move(body)),
      farewell_(std::move(farewell)),
      on_answer_(std::move(on_answer)) {}

Announcer::~Announcer() {
  lifetime_.end();
  timers_.cancel(timer_);
}

void Announcer::update() {
  if (withdrawn_) return;
  changed_ = true;
  if (!under_way_) send(expires_);
}

// What is under way will be there under an ETag that nobody here hears of: by its name it goes all the same, behind it
// on the same connection.
void Announcer::withdraw() {
  withdrawn_ = true;
  timers_.cancel(timer_);
  if (!under_way_) {
    if (!etag_.empty()) send(0);
    return;
  }
  auto request = this->request(0);
  request.content_type = k_body;
  request.body = farewell_;
  deliver(std::move(request), Sent::body);
}

void Announcer::touch() {
  if (!under_way_ && !withdrawn_ && announced()) send(expires_);
}

sip::Request Announcer::request(int expires) const {
  sip::Request out;
  out.method = "PUBLISH";
  out.uri = tracker_;
  out.event = "p2pcds-peer";
  out.expires = expires;
  return out;
}

void Announcer::send(int expires) {
  timers_.cancel(timer_);
  auto request = this->request(expires);
  if (!etag_.empty()) request.headers.push_back({"SIP-If-Match", etag_});
  // A refresh has no body (RFC 3903 section 4.1).
  auto sent = expires > 0 && (etag_.empty() || changed_) ? Sent::body : Sent::refresh;
  if (sent == Sent::body) {
    request.content_type = k_body;
    request.body = body_();
  }
  changed_ = false;
  deliver(std::move(request), sent);
}

void Announcer::deliver(sip::Request request, Sent sent) {
  under_way_ = true;
  agent_.send(std::move(request), lifetime_.guard([this, sent](const sip::Response& r) { answered(r, sent); }));
}

void Announcer::answered(const sip::Response& response, Sent sent) {
  under_way_ = false;
  if (withdrawn_) return;
  if (response.ok()) {
    auto etag = response.values("SIP-ETag");
    etag_ = etag.empty() ? std::string() : etag.front();
    pause_ = k_first_pause;
    on_answer_(response, sent);
    if (changed_) return send(expires_);
    return again_after(std::chrono::seconds(std::max(1, expires_ / 2)));
  }
  if (response.status == 412 && !etag_.empty()) {  // the tracker has forgotten us: once more, whole
    etag_.clear();
    send(expires_);
    if (on_forgotten) on_forgotten();
    return;
  }
  if (response.status == 423) expires_ = std::max(expires_, number(response.values("Min-Expires")));
  log(LogLevel::warning, "announce",
      "tracker refuses the announcement: " + std::to_string(response.status) + " " + response.reason);
  on_answer_(response, sent);
  changed_ = true;
  again_after(pause_);
  pause_ = std::min(pause_ * 2, k_longest_pause);
}

void Announcer::again_after(Duration delay) {
  timer_ = timers_.after(delay, [this] { send(expires_); });
}

}  // namespace sealcast::roles
