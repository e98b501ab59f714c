#include "roles/common/swarm_peers.hpp"

#include <algorithm>
#include <utility>

#include "base/log.hpp"
#include "base/text.hpp"
#include "content/uri.hpp"
#include "roles/common/names.hpp"

namespace sealcast::roles {
namespace {

constexpr Duration k_longest_pause = 10s;

}  // namespace

SwarmPeers::SwarmPeers(Timers& timers, sip::Signalling& agent, MediaPlane& media, SwarmPeersConfig config,
                       SwarmPeersEvents events)
    : timers_(timers), agent_(agent), media_(media), config_(std::move(config)), events_(std::move(events)) {
  watch_ = std::make_unique<PeerWatch>(
      timers_, agent_, config_.tracker, content::root_text(config_.root),
      [this](const std::string& body) { take_list(body); },
      [this](const sip::Response& response) {
        if (events_.on_refused) events_.on_refused(response);
      },
      config_.idle ? WatchKind::once : WatchKind::standing);
}

SwarmPeers::~SwarmPeers() {
  lifetime_.end();
  timers_.cancel(timer_);
  for (auto& [uri, peer] : peers_)
    if (peer.call != 0 || peer.association != 0) drop(peer, "done");
}

std::size_t SwarmPeers::connected() const {
  return static_cast<std::size_t>(
      std::count_if(peers_.begin(), peers_.end(), [](auto& each) { return each.second.open; }));
}

bool SwarmPeers::calls_nobody() const {
  return std::all_of(peers_.begin(), peers_.end(), [](auto& each) { return each.second.idle(); });
}

void SwarmPeers::take_list(const std::string& body) {
  auto list = tracking::parse_peer_list(body);
  if (!list || list->root != config_.root)
    return log(LogLevel::warning, "peers",
               "a peer list that cannot be read: " + (list ? "of another content" : list.error().message));
  list_seen_ = true;
  if (events_.on_pseudonym) events_.on_pseudonym(list->own_pseudonym);
  for (auto& [uri, peer] : peers_) peer.present = false;
  for (auto& listed : list->peers) {
    auto& peer = peers_[listed.uri];
    peer.present = true;
    peer.listed = std::move(listed);
  }
  // Who left the list keeps its association: soft state expires before partners do.
  std::erase_if(peers_, [](auto& each) { return !each.second.present && each.second.idle(); });
  if (events_.on_keyinfo)
    for (auto& keyinfo : list->keyinfo) events_.on_keyinfo(keyinfo);
  connect();
}

void SwarmPeers::seek() {
  if (!std::exchange(config_.idle, false)) return;
  watch_->set_kind(WatchKind::standing);
  connect();
}

void SwarmPeers::rest() {
  config_.idle = true;
  timers_.cancel(timer_);
  timer_ = 0;
  watch_->set_kind(WatchKind::once);
}

void SwarmPeers::connect() {
  timers_.cancel(timer_);
  timer_ = 0;
  if (config_.idle) return;
  auto now = timers_.now();
  auto next = k_never;
  std::size_t caches = 0, ues = 0;
  for (auto& [uri, peer] : peers_)
    if (!peer.idle()) ++(peer.listed.cache ? caches : ues);
  for (auto& [uri, peer] : peers_) {
    auto& used = peer.listed.cache ? caches : ues;
    if (!peer.idle() || !peer.present || used >= (peer.listed.cache ? config_.max_caches : config_.max_ues)) continue;
    auto free_at = std::max(peer.retry_at, blame_.free_at(now, uri));
    if (free_at > now) {
      next = std::min(next, free_at);
      continue;
    }
    ++used;
    invite(uri, config_.secured);
  }
  if (next != k_never) timer_ = timers_.at(next, [this] { connect(); });
}

void SwarmPeers::invite(const std::string& uri, bool secured) {
  auto& peer = peers_.at(uri);
  if (secured && !config_.inline_key_allowed) {
    peer.failed = Error{ErrorCode::negotiation,
                        "an inline key may not be sent: the first SIP hop is not TLS (inline-key-needs-tls)",
                        "inline-key-needs-tls", "offerer"};
    peer.retry_at = k_never;
    return look_for_hope();
  }
  auto offer = std::make_shared<PendingOffer>(media_.offer(secured));  // owners: the callback only
  sip::Request request;
  request.method = "INVITE";
  request.uri = uri;
  request.content_type = "application/sdp";
  request.body = offer->text;
  request.headers.push_back({k_token_header, peer.listed.token});
  peer.inviting = true;
  peer.secured = secured;
  auto on_answer = [this, uri, offer](const sip::Response& response) { answered(uri, offer, response); };
  peer.call = agent_.invite(std::move(request), lifetime_.guard(std::move(on_answer)));
}

void SwarmPeers::answered(const std::string& uri, const std::shared_ptr<PendingOffer>& offer,
                          const sip::Response& response) {
  auto at = peers_.find(uri);
  if (at == peers_.end() || !at->second.inviting) return;
  auto& peer = at->second;
  peer.inviting = false;
  if (response.ok()) {
    agree(peer, *offer, response);
  } else {
    peer.call = 0;
    if (refused(uri, peer, response)) return;  // asked again already
  }
  look_for_hope();
  connect();
}

void SwarmPeers::agree(Peer& peer, const PendingOffer& offer, const sip::Response& response) {
  auto kind = peer.listed.cache ? swarm::PartnerKind::cache : swarm::PartnerKind::ue;
  auto agreed = media_.accept_answer(offer, response.body, peer.secured, kind,
                                     [this](const swarm::Event& event) { on_event(event); });
  if (!agreed) {
    log(LogLevel::warning, "peers", agreed.error().message);
    peer.failed = agreed.error();
    peer.retry_at = k_never;  // an answer that weakens protection is not asked for again
    agent_.bye(peer.call, agreed.error().rule.empty() ? "no media" : agreed.error().rule);
    peer.call = 0;
    return;
  }
  peer.association = agreed->id;
  peer.address = agreed->remote.text();
  peer.failed.reset();
  // Who was found lying may come back under another pseudonym.
  if (auto free_at = blame_.free_at(timers_.now(), peer.address); free_at != Instant{}) {
    drop(peer, "not trusted");
    peer.retry_at = free_at;
    return;
  }
  suite_ = agreed->suite;
  auto opened = media_.open_channel(peer.association, config_.root);
  if (!opened) {
    peer.failed = opened.error();
    peer.retry_at = k_never;
    drop(peer, opened.error().message);
  }
}

// Says why, and when to ask again. True: a stronger offer is out in its place.
bool SwarmPeers::refused(const std::string& uri, Peer& peer, const sip::Response& response) {
  auto now = timers_.now();
  peer.retry_at = now + peer.pause;
  peer.pause = std::min(peer.pause * 2, k_longest_pause);
  log(LogLevel::info, "peers",
      "invitation refused: " + std::to_string(response.status) + " " + printable(response.reason, 120));
  if (response.status == 403) watch_->refresh();  // the token may have run out
  if (response.status != 488) return false;
  auto warnings = response.values("Warning");
  auto refusal = warnings.empty() ? sdp::Refusal{{}, "488 without a reason"} : sdp::parse_warning(warnings.front());
  peer.failed = negotiation_error(refusal, "answerer");
  if (!peer.secured && config_.inline_key_allowed) {  // once upward, never down
    invite(uri, true);
    return true;
  }
  peer.retry_at = k_never;
  return false;
}

void SwarmPeers::drop(Peer& peer, const std::string& reason) {
  if (peer.association != 0) media_.drop(peer.association);
  if (peer.call != 0) agent_.bye(peer.call, reason);
  peer.association = 0;
  peer.call = 0;
  peer.inviting = peer.open = false;
  if (peer.retry_at != k_never) peer.retry_at = timers_.now() + peer.pause;
  peer.pause = std::min(peer.pause * 2, k_longest_pause);
}

void SwarmPeers::look_for_hope() {
  const Error* last = nullptr;
  for (auto& [uri, peer] : peers_) {
    if (!peer.idle() || peer.retry_at != k_never) return;
    if (peer.failed) last = &*peer.failed;
  }
  if (last && events_.on_hopeless) {
    // Not from inside a call that walks peers_.
    timers_.post(lifetime_.guard([this, error = *last] { events_.on_hopeless(error); }));
  }
}

void SwarmPeers::on_call_ended(sip::CallId call, const std::string& reason) {
  for (auto& [uri, peer] : peers_) {
    if (peer.call != call) continue;
    log(LogLevel::info, "peers", "a partner hung up: " + printable(reason, 120));
    peer.call = 0;
    drop(peer, reason);
    return connect();
  }
}

void SwarmPeers::on_event(const swarm::Event& event) {
  if (event.kind == swarm::EventKind::channel_open || event.kind == swarm::EventKind::chunks_verified) {
    for (auto& [uri, peer] : peers_) {
      if (peer.association != event.association || event.association == 0) continue;
      peer.open = true;
      // Only content makes up for earlier trouble: anybody can open a channel.
      if (event.kind == swarm::EventKind::chunks_verified) peer.pause = 500ms;
    }
    return;
  }
  if (event.kind == swarm::EventKind::lied || event.kind == swarm::EventKind::path_too_small) {
    for (auto& [uri, peer] : peers_) {
      if (peer.association != event.association || event.association == 0) continue;
      log(LogLevel::warning, "peers",
          event.kind == swarm::EventKind::lied ? uri + " sends octets that do not verify: it is not called for a while"
                                               : event.text);
      if (event.kind == swarm::EventKind::path_too_small) path_trouble_ = event.text;
      if (event.kind != swarm::EventKind::lied) continue;
      auto now = timers_.now();
      blame_.blame(now, uri);
      blame_.blame(now, peer.address);
    }
    return;
  }
  bool gone = event.kind == swarm::EventKind::channel_closed || event.kind == swarm::EventKind::stalled ||
              event.kind == swarm::EventKind::key_exhausted;
  if (!gone || event.association == 0) return;
  for (auto& [uri, peer] : peers_) {
    if (peer.association != event.association) continue;
    // Rekeying: a new call with fresh keys follows at once.
    if (event.kind == swarm::EventKind::key_exhausted) peer.pause = 1ms;
    log(LogLevel::info, "peers",
        event.kind == swarm::EventKind::stalled ? "a partner stalls: " + printable(event.text, 120)
                                                : "a channel has ended: " + printable(event.text, 120));
    drop(peer, "replaced");
    return connect();
  }
}

}  // namespace sealcast::roles
