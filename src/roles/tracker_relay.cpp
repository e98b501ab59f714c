#include "roles/tracker_relay.hpp"

#include "base/log.hpp"
#include "os/clock.hpp"
#include "roles/names.hpp"

namespace sealcast::roles {
namespace {

constexpr std::size_t k_most_calls = 1800;  // below what the agent's 4096 dialogs allow: two for each

}  // namespace

TrackerRelay::TrackerRelay(sip::Agent& agent, tracking::Registry& registry, const crypto::PrivateKey& key,
                           std::function<bool(const crypto::Digest&, const std::string&)> may_take_part)
    : agent_(agent), registry_(registry), key_(key), may_take_part_(std::move(may_take_part)) {}

// The request for the subscriber behind the pseudonym: same offer, other names, a token of its own.
Expected<sip::Request, TrackerRelay::Refusal> TrackerRelay::forwarded(const sip::Request& request) {
  auto behind = registry_.behind(request.uri);
  if (!behind) return unexpected(Refusal{404, "Unknown pseudonym"});
  if (request.asserted_identity.empty()) return unexpected(Refusal{403, "No asserted identity"});
  auto tokens = request.values(k_token_header);
  if (tokens.size() != 1) return unexpected(Refusal{403, "One membership token is needed"});
  auto now = os::unix_now();
  auto token = tracking::verify_token(tokens.front(), key_.public_key(),
                                      tracking::inviter_hash(request.asserted_identity), request.uri, now);
  if (!token) return unexpected(Refusal{403, token.error().message});
  if (token->root != behind->root || !may_take_part_(behind->root, request.asserted_identity))
    return unexpected(Refusal{403, "Not entitled"});
  if (!may_take_part_(behind->root, behind->subscriber))
    return unexpected(Refusal{404, "Unknown pseudonym"});  // entitlement was withdrawn
  auto inviter = registry_.pseudonym(now, request.asserted_identity, behind->root);
  sip::Request out;
  out.method = "INVITE";
  out.uri = out.to = behind->subscriber;
  out.from = inviter;
  out.content_type = request.content_type;
  out.body = request.body;
  out.secure = request.secure;
  out.headers.push_back(
      {k_token_header,
       tracking::make_token({behind->root, inviter, request.uri, now, now + tracking::k_token_life}, key_)});
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

void TrackerRelay::invite(sip::CallId id, const sip::Request& request) {
  if (partner_.size() >= 2 * k_most_calls) return agent_.answer(id, {503, "Too many calls", {}, {}, {}});
  auto onward = forwarded(request);
  if (!onward) {
    log(LogLevel::info, "tracker", "invitation refused: " + onward.error().reason);
    return agent_.answer(id, {onward.error().status, onward.error().reason, {}, {}, {}});
  }
  // The other leg's answer may come after this one was given up: it is hung up then.
  auto leg =
      std::make_shared<sip::CallId>(0);  // owners: the map's entry outlives nothing; the callback is the only one
  *leg = agent_.invite(std::move(*onward), [this, id, leg](const sip::Response& response) {
    bool wanted = partner_.contains(id);
    if (wanted) agent_.answer(id, passed_on(response));
    if (response.ok() && !wanted) agent_.bye(*leg, "given up");
    if (!response.ok()) {
      partner_.erase(id);
      partner_.erase(*leg);
    }
  });
  partner_[id] = *leg;
  partner_[*leg] = id;
}

void TrackerRelay::reinvite(sip::CallId id, const sip::Request& request) {
  auto partner = partner_.find(id);
  if (partner == partner_.end()) return agent_.answer(id, {481, "Call does not exist", {}, {}, {}});
  sip::Request onward;
  onward.method = "INVITE";
  onward.content_type = request.content_type;
  onward.body = request.body;
  onward.secure = request.secure;
  agent_.reinvite(partner->second, std::move(onward), [this, id](const sip::Response& response) {
    if (partner_.contains(id)) agent_.answer(id, passed_on(response));
  });
}

void TrackerRelay::ended(sip::CallId id, const std::string& reason) {
  auto partner = partner_.find(id);
  if (partner == partner_.end()) return;
  auto other = partner->second;
  partner_.erase(partner);
  partner_.erase(other);
  agent_.bye(other, reason);
}

}  // namespace sealcast::roles
