#include "roles/ue/key_requests.hpp"

#include <utility>

#include "base/log.hpp"
#include "base/text.hpp"
#include "roles/common/names.hpp"
#include "sdp/offer_answer.hpp"

namespace sealcast::roles {
namespace {

constexpr Duration k_patience = 5s;
constexpr int k_attempts = 3;

}  // namespace

KeyRequests::KeyRequests(Timers& timers, sip::Signalling& agent, RandomSource& random, Device device)
    : timers_(timers), agent_(agent), random_(random), device_(std::move(device)) {}

void KeyRequests::request(const content::Description& description, const keys::KeyHolder& holder,
                          std::function<void(Result<keys::KeyAnswer>)> done) {
  auto request = keys::make_request(description, device_.identity, holder, timers_.unix_now(), device_.key, random_);
  auto rid = request.rid;
  exchanges_.emplace(rid, Exchange{std::move(request), description, std::move(done)});
  send(rid);
}

void KeyRequests::forget() {
  for (auto& [rid, exchange] : exchanges_) timers_.cancel(exchange.timer);
  exchanges_.clear();
}

void KeyRequests::send(const std::string& rid) {
  auto& exchange = exchanges_.at(rid);
  if (exchange.attempts++ == k_attempts)
    return finish(rid, fail(ErrorCode::network, "the key holder " + exchange.request.holder.uri + " does not answer"));
  sip::Request message;
  message.method = "MESSAGE";
  message.uri = exchange.request.holder.uri;
  message.content_type = k_key_body;
  message.body = exchange.request.body;
  exchange.timer = timers_.after(k_patience, [this, rid] { send(rid); });
  agent_.send(std::move(message), lifetime_.guard([this, rid](const sip::Response& r) { answered(rid, r); }));
}

void KeyRequests::answered(const std::string& rid, const sip::Response& response) {
  if (!exchanges_.contains(rid) || response.ok()) return;  // the answer itself is a MESSAGE of its own
  auto reason =
      "the key request was refused: " + std::to_string(response.status) + " " + printable(response.reason, 120);
  auto& exchange = exchanges_.at(rid);
  if (response.status == 403 && !std::exchange(exchange.confirmed, true)) {
    timers_.cancel(exchange.timer);
    return device_.confirm_registration(lifetime_.guard([this, rid](const Status& status) {
      if (!exchanges_.contains(rid)) return;
      if (!status) return finish(rid, fail(status.error()));
      send(rid);
    }));
  }
  if (response.status == 403) {
    auto warnings = response.values("Warning");
    bool clocks = !warnings.empty() && sdp::parse_warning(warnings.front()).rule == k_not_fresh_rule;
    return finish(rid, fail(clocks ? ErrorCode::authentication : ErrorCode::not_entitled, reason));
  }
  if (response.status == 404 || response.status == 400) return finish(rid, fail(ErrorCode::key_not_released, reason));
  log(LogLevel::info, "keys", reason + "; asking again");
}

void KeyRequests::finish(const std::string& rid, Result<keys::KeyAnswer> result) {
  auto at = exchanges_.find(rid);
  if (at == exchanges_.end()) return;
  timers_.cancel(at->second.timer);
  auto done = std::move(at->second.done);
  exchanges_.erase(at);
  done(std::move(result));
}

// The request id is 128 random bits that only the holder and the core have seen: a wrong answer is theirs, and ends the
// exchange.
void KeyRequests::take(const std::string& body) {
  auto rid = keys::rid_of_answer(body);
  auto at = exchanges_.find(rid);
  if (at == exchanges_.end()) return;
  auto& exchange = at->second;
  finish(rid, keys::check_answer(body, exchange.request, exchange.description, device_.identity, timers_.unix_now()));
}

}  // namespace sealcast::roles
