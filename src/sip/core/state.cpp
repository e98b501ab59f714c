// What comes in: connections, octets, time.
#include <algorithm>

#include "base/encoding.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "sip/core/impl.hpp"
#include "sip/parse_frame.hpp"

namespace sealcast::sip {
namespace {

constexpr Duration k_stranger_life = 30s;      // of who was registered and is not any more
constexpr std::size_t k_look_ups = 200;        // of subscribers that may have been removed, in a tick
constexpr std::size_t k_most_delayed = 1'000;  // answers to wrong passwords

std::string port_of(const std::string& address) {
  const auto colon = address.rfind(':');
  return colon == std::string::npos ? std::string() : address.substr(colon);
}

}  // namespace

CoreState::CoreState(CoreConfig config, SubscriberDirectory& subscribers, RandomSource& random, Wire& wire)
    : config_(std::move(config)),
      subscribers_(subscribers),
      random_(random),
      wire_(wire),
      digest_(config_.domain, random),
      tokens_(random) {
  directory_revision_ = subscribers_.revision();
}

void CoreState::listening(const Addresses& addresses) {
  addresses_ = addresses;
  for (const auto& each : {addresses.ue_tls, addresses.ue_tcp, addresses.service_tls}) {
    if (each.empty()) continue;
    own_addresses_.insert(each);
    // What UEs may write in Route instead: the domain, and loopback when the listener is on every address.
    for (const auto& name : {config_.domain, std::string("127.0.0.1"), std::string("[::1]")})
      own_addresses_.insert(name + port_of(each));
  }
}

// A listener on every address is reached under several.
void CoreState::note_own(const std::string& address) {
  for (const auto& each : {addresses_.ue_tls, addresses_.ue_tcp, addresses_.service_tls}) {
    if (!each.empty() && port_of(each) == port_of(address) && own_addresses_.size() < 256)
      own_addresses_.insert(address);
  }
}

Peer* CoreState::peer_of(ConnectionId id) {
  auto found = peers_.find(id);
  return found == peers_.end() ? nullptr : &found->second;
}

void CoreState::opened(ConnectionId id, ConnectionFacts facts, Instant now) {
  now_ = now;
  auto& peer = peers_[id];
  peer.id = id;
  const bool dialled = peer.dialled;
  if (dialled) facts.own = peer.facts.own;
  peer.facts = std::move(facts);
  if (dialled) return;
  note_own(peer.facts.own);
  if (peer.facts.side == ConnectionFacts::Side::service)
    wire_.admit(id);  // its certificate is of our CA
  else
    peer.stranger_since = now;
}

void CoreState::received(ConnectionId id, ByteView octets, Instant now) {
  now_ = now;
  if (auto* peer = peer_of(id)) peer->reader.feed(octets);
  for (;;) {
    auto* peer = peer_of(id);  // what is handled may have closed it
    if (!peer) return;
    auto next = peer->reader.next();
    if (!next) return;
    if (const auto* frame = std::get_if<Frame>(&*next)) {
      on_frame(*peer, *frame);
    } else if (const auto* refusal = std::get_if<Refusal>(&*next)) {
      return on_refusal(*peer, *refusal, true);
    } else {
      wire_.send(id, "\r\n");
    }
  }
}

void CoreState::on_frame(Peer& peer, const Frame& frame) {
  auto message = parse_frame(frame);
  if (!message) return on_refusal(peer, message.error(), false);
  auto* sip = message->sip();
  if (!sip) return;
  if (!sip->sip_request) return on_response(peer, *message);
  note_source(*message, peer.facts.remote);
  Incoming incoming{peer, std::move(*message)};
  on_request(incoming);
}

// Something that is no message. `lost`: nobody knows where the next one begins.
void CoreState::on_refusal(Peer& peer, const Refusal& refusal, bool lost) {
  ++malformed_;
  ++refused_;
  say_refused(peer, "a message: " + std::to_string(refusal.status) + " " + printable(refusal.reason, 120));
  const auto id = peer.id;
  if (!refusal.answer.empty() && !transmit(id, refusal.answer)) return;
  if (lost) drop(id);
}

void CoreState::say_refused(const Peer& peer, const std::string& what) {
  std::uint64_t before = 0;
  if (!log_brake_.allows(peer.facts.source, now_, before)) return;
  log(LogLevel::info, "core",
      "refused " + what + " of " + peer.facts.remote +
          (before == 0 ? "" : " (" + std::to_string(before) + " more refusals were counted only)"));
}

bool CoreState::transmit(ConnectionId id, const Message& message) {
  return message && transmit(id, print(message));
}

// False: the connection is gone, and what came over it with it.
bool CoreState::transmit(ConnectionId id, const std::string& octets) {
  if (!peers_.contains(id)) return false;
  if (!octets.empty() && wire_.send(id, octets)) return true;
  log(LogLevel::info, "core", "closed " + peers_[id].facts.remote + ": it does not read what it is sent");
  drop(id);
  return false;
}

void CoreState::drop(ConnectionId id) {
  wire_.close(id);
  forget(id, "closed");
}

void CoreState::closed(ConnectionId id, const std::string& why, Instant now) {
  now_ = now;
  forget(id, why);
}

void CoreState::forget(ConnectionId id, const std::string& why) {
  auto found = peers_.find(id);
  if (found == peers_.end()) return;
  const auto peer = std::move(found->second);
  peers_.erase(found);
  digest_.forget(id);
  std::erase_if(dialled_, [id](const auto& each) { return each.second == id; });
  for (const auto& user : bindings_.remove_connection(id))
    log(LogLevel::info, "core", user + ": the connection from " + peer.facts.remote + " is gone, its registration too");
  bound_ = bindings_.size();
  if (peer.dialled && !relays_.towards(id).empty())
    log(LogLevel::warning, "core",
        "the service at " + peer.facts.remote + " cannot be reached: " + printable(why, 120));
  // What went to it gets no answer any more.
  for (const auto& branch : relays_.towards(id)) {
    auto* relay = relays_.find(branch);
    if (!relay || (!relay->proceeding && try_next_device(branch))) continue;
    fail_relay(branch, peer.dialled ? Rejection{504, "the service does not answer"}
                                    : Rejection{480, "the other end cannot be reached"});
  }
  // What came over it wants none.
  for (const auto& branch : relays_.from(id)) {
    if (auto* relay = relays_.find(branch)) abandon(branch, *relay);
  }
}

// After a change of its bindings: registered, or a stranger again.
void CoreState::settle(Peer& peer) {
  if (peer.facts.side != ConnectionFacts::Side::ue || peer.dialled) return;
  if (bindings_.any_on(peer.id)) {
    if (peer.stranger_since == k_never) return;
    peer.stranger_since = k_never;
    wire_.admit(peer.id);
  } else if (peer.stranger_since == k_never) {
    peer.stranger_since = now_;
  }
}

void CoreState::close_strangers() {
  std::vector<ConnectionId> old;
  for (auto& [id, peer] : peers_) {
    settle(peer);  // its bindings may have been removed over another connection
    if (peer.stranger_since != k_never && now_ - peer.stranger_since >= k_stranger_life) old.push_back(id);
  }
  strangers_closed_ += old.size();
  for (auto id : old) drop(id);
}

void CoreState::tick(Instant now) {
  now_ = now;
  std::size_t expired = 0;
  for (auto id : bindings_.sweep(now)) {
    ++expired;
    if (auto* peer = peer_of(id)) settle(*peer);
  }
  if (expired > 0) log(LogLevel::info, "core", std::to_string(expired) + " registrations expired");
  bound_ = bindings_.size();
  sweep_relays();
  brake_.sweep(now);
  while (!delayed_.empty() && delayed_.begin()->first <= now) {
    auto due = std::move(delayed_.begin()->second);
    delayed_.erase(delayed_.begin());
    transmit(due.first, due.second);
  }
  look_for_removed_subscribers();
  if (now < next_status_) return;
  next_status_ = now + 1s;
  close_strangers();
  publish_status();
}

void CoreState::delay(ConnectionId id, std::string octets, Duration pause) {
  if (delayed_.size() < k_most_delayed) delayed_.emplace(now_ + pause, std::pair(id, std::move(octets)));
}

// Somebody else changed the directory: all who are registered are looked up again, some in each tick.
void CoreState::look_for_removed_subscribers() {
  const auto revision = subscribers_.revision();
  if (revision != directory_revision_) {
    directory_revision_ = revision;
    to_look_up_ = bindings_.users();
  }
  for (std::size_t i = 0; i < k_look_ups && !to_look_up_.empty(); ++i) {
    const auto user = to_look_up_.back();
    auto found = subscribers_.find(user);
    if (!found) return;  // asked again in the next tick
    to_look_up_.pop_back();
    if (!*found) remove_subscriber(user);
  }
}

void CoreState::remove_subscriber(const std::string& user) {
  std::vector<ConnectionId> connections;
  for (const auto* each : bindings_.of(user)) connections.push_back(each->connection);
  bindings_.remove_all(user);
  bound_ = bindings_.size();
  ++removed_[user];
  ++subscribers_removed_;
  for (const auto& branch : relays_.of_subscriber(user)) {
    if (relays_.find(branch)) fail_relay(branch, {403, "the subscriber was removed"});
  }
  for (auto id : connections) {
    if (!bindings_.any_on(id)) drop(id);
  }
  log(LogLevel::info, "core",
      user + " is no subscriber any more: registrations, dialogs and requests under way are ended");
}

std::uint64_t CoreState::generation_of(const std::string& user) const {
  auto found = removed_.find(user);
  return found == removed_.end() ? 0 : found->second;
}

Rejection CoreState::store_failed(const Error& error) {
  ++store_failures_;
  log(LogLevel::error, "core", error.message);
  return {503, "the subscribers' database does not answer", "Retry-After: 2"};
}

std::string CoreState::fresh_branch() {
  std::array<std::uint8_t, 18> octets;
  random_.fill(octets);
  return "z9hG4bK" + base64url(octets);
}

CoreCounters CoreState::counters() const {
  return {registrations_.load(), challenges_.load(), refused_.load(), relayed_.load(), bound_.load()};
}

void CoreState::publish_status() {
  json::Object out{{"bindings", bindings_.status()},
                   {"transactions", relays_.status()},
                   {"finished", relays_.finished_status()},
                   {"failed_passwords", brake_.status()},
                   {"new_bindings_rate", new_bindings_.status()},
                   {"refreshes_rate", refreshes_.status()},
                   {"connections", static_cast<std::int64_t>(peers_.size())},
                   {"nonces", static_cast<std::int64_t>(digest_.connections())},
                   {"malformed", static_cast<std::int64_t>(malformed_)},
                   {"unmatched_responses", static_cast<std::int64_t>(unmatched_)},
                   {"repeated_requests", static_cast<std::int64_t>(repeated_)},
                   {"strangers_closed", static_cast<std::int64_t>(strangers_closed_)},
                   {"subscribers_removed", static_cast<std::int64_t>(subscribers_removed_)},
                   {"store_failures", static_cast<std::int64_t>(store_failures_)}};
  std::lock_guard lock(status_mutex_);
  status_ = std::move(out);
}

json::Object CoreState::status() const {
  std::lock_guard lock(status_mutex_);
  return status_;
}

}  // namespace sealcast::sip
