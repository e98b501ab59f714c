#include "roles/tracker/tracker_relay.hpp"

#include "base/log.hpp"
#include "base/text.hpp"
#include "os/clock.hpp"
#include "roles/common/names.hpp"

namespace sealcast::roles {
namespace {

constexpr Duration k_beat = 5s;

}  // namespace

TrackerRelay::TrackerRelay(io::Loop& loop, sip::Signalling& agent, tracking::Registry& registry,
                           const crypto::PrivateKey& key, Questions questions, OnRefused on_refused,
                           UnixSeconds token_life)
    : loop_(loop),
      agent_(agent),
      registry_(registry),
      key_(key),
      public_key_(key.public_key()),
      questions_(std::move(questions)),
      on_refused_(std::move(on_refused)),
      token_life_(token_life) {
  beat_timer_ = loop_.after(k_beat, [this] { beat(); });
}

TrackerRelay::~TrackerRelay() {
  loop_.cancel(beat_timer_);
}

// The request for the subscriber behind the pseudonym: same offer, other names, a token of its own.
Expected<TrackerRelay::Onward, TrackerRelay::Refusal> TrackerRelay::forwarded(const sip::Request& request) {
  if (request.asserted_identity.empty()) return unexpected(Refusal{403, "No asserted identity"});
  auto behind = registry_.behind(request.uri);
  if (!behind) return unexpected(Refusal{404, "Unknown pseudonym"});
  auto refused = [&](int status, const std::string& reason, int retry_after = 0) {
    return unexpected(Refusal{status, reason, retry_after, behind->root, behind->subscriber});
  };
  auto tokens = request.values(k_token_header);
  if (tokens.size() != 1) return refused(403, "One membership token is needed");
  auto inviter_may = questions_.may_take_part(behind->root, request.asserted_identity);
  auto callee_may = questions_.may_take_part(behind->root, behind->subscriber);
  if (!inviter_may || !callee_may) return refused(503, "The catalogue cannot be read now", 5);
  auto now = os::monotonic_now();
  auto wall = os::unix_now();
  auto expect = [&](const tracking::Token& claims) -> Expected<std::string, std::string> {
    if (claims.root != behind->root || !*inviter_may) return unexpected(std::string("Not entitled"));
    return request.uri;
  };
  auto admission =
      gate_.admit(now, wall, {request.asserted_identity, tracking::inviter_hash(request.asserted_identity)}, tokens,
                  public_key_, expect);
  if (admission.swarms.empty()) return refused(admission.status, admission.why, admission.retry_after);
  if (!*callee_may) return refused(404, "Unknown pseudonym");  // entitlement was withdrawn
  if (auto full = calls_.would_refuse(request.asserted_identity, behind->subscriber))
    return full->why == TableRefusal::Why::total
               ? refused(503, "Too many calls", 30)
               : refused(486, std::string("Too many calls of this ") + full->scope, 10);
  auto inviter = registry_.pseudonym(now, request.asserted_identity, behind->root);
  if (inviter.empty()) return refused(503, "Too many pseudonyms of this subscriber", 60);
  Onward out;
  out.call.inviter = request.asserted_identity;
  out.call.callee = behind->subscriber;
  out.call.root = behind->root;
  out.request.method = "INVITE";
  out.request.uri = out.request.to = behind->subscriber;
  out.request.from = inviter;
  out.request.content_type = request.content_type;
  out.request.body = request.body;
  out.request.secure = request.secure;
  out.request.headers.push_back(
      {k_token_header, tracking::make_token({behind->root, inviter, request.uri, wall, wall + token_life_}, key_)});
  return out;
}

sip::Response TrackerRelay::passed_on(const sip::Response& response) {
  sip::Response out;
  out.status = response.status < 200 ? 480 : response.status;
  out.reason = response.status < 200 ? "The peer does not answer" : response.reason;
  out.content_type = response.content_type;
  out.body = response.body;
  for (auto& warning : response.values("Warning")) out.headers.push_back({"Warning", warning});
  return out;
}

void TrackerRelay::refuse(sip::CallId id, const sip::Request& request, const Refusal& refusal) {
  log(LogLevel::info, "tracker",
      "invitation by " + printable(request.asserted_identity) + " refused: " + printable(refusal.reason, 120));
  sip::Response response{refusal.status, printable(refusal.reason, 120), {}, {}, {}};
  if (refusal.retry_after > 0) response.headers.push_back({"Retry-After", std::to_string(refusal.retry_after)});
  agent_.answer(id, std::move(response));
  on_refused_(request, refusal.root, refusal.whom, refusal.status, refusal.reason);
}

void TrackerRelay::invite(sip::CallId id, const sip::Request& request) {
  auto onward = forwarded(request);
  if (!onward) return refuse(id, request, onward.error());
  // The other leg's answer may come after this one was given up: it is hung up then.
  auto leg = std::make_shared<sip::CallId>(0);  // owner: the callback
  *leg = agent_.invite(std::move(onward->request), [this, id, leg](const sip::Response& response) {
    auto* call = calls_.of(id);
    bool wanted = call && call->callee_leg == *leg;
    if (wanted) agent_.answer(id, passed_on(response));
    if (response.ok() && !wanted) agent_.bye(*leg, "given up");
    if (!wanted) return;
    if (response.ok())
      calls_.answered(os::monotonic_now(), id);
    else
      calls_.end(id);
  });
  onward->call.inviter_leg = id;
  onward->call.callee_leg = *leg;
  (void)calls_.begin(os::monotonic_now(), std::move(onward->call));  // there was room a moment ago
}

void TrackerRelay::reinvite(sip::CallId id, const sip::Request& request) {
  auto* call = calls_.of(id);
  if (!call) return agent_.answer(id, {481, "Call does not exist", {}, {}, {}});
  sip::Request onward;
  onward.method = "INVITE";
  onward.content_type = request.content_type;
  onward.body = request.body;
  onward.secure = request.secure;
  agent_.reinvite(call->inviter_leg == id ? call->callee_leg : call->inviter_leg, std::move(onward),
                  [this, id](const sip::Response& response) {
                    if (calls_.of(id)) agent_.answer(id, passed_on(response));
                  });
}

void TrackerRelay::ended(sip::CallId id, const std::string& reason) {
  if (auto call = calls_.end(id)) agent_.bye(call->inviter_leg == id ? call->callee_leg : call->inviter_leg, reason);
}

// ---- calls that nobody hangs up

void TrackerRelay::hang_up(const tracking::RelayedCalls::Ended& ended) {
  log(LogLevel::info, "tracker", "a relayed call is ended: " + ended.reason);
  agent_.bye(ended.call.inviter_leg, ended.reason);
  agent_.bye(ended.call.callee_leg, ended.reason);
}

void TrackerRelay::probe(tracking::Leg leg) {
  agent_.probe(leg, [this, leg](const sip::Response& response) {
    if (auto over = calls_.probed(os::monotonic_now(), leg, response.status)) hang_up(*over);
  });
}

void TrackerRelay::check() {
  // Whoever cannot be looked up now is looked up again in five seconds.
  auto allowed = [this](const std::string& subscriber, const crypto::Digest& root) {
    return questions_.may_take_part(root, subscriber).value_or(true);
  };
  auto work = calls_.tick(os::monotonic_now(), questions_.takes_part, allowed);
  for (auto& over : work.ended) hang_up(over);
  for (auto leg : work.probe) probe(leg);
}

void TrackerRelay::beat() {
  beat_timer_ = loop_.after(k_beat, [this] { beat(); });
  check();
}

json::Object TrackerRelay::status() const {
  auto out = calls_.status();
  out["token_callers"] = gate_.status();
  return out;
}

}  // namespace sealcast::roles
