#include "roles/cache_role.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "base/text.hpp"
#include "content/uri.hpp"
#include "crypto/backend.hpp"
#include "io/file.hpp"
#include "io/unix_socket.hpp"
#include "os/clock.hpp"
#include "roles/names.hpp"

namespace sealcast::roles {
namespace {

constexpr UnixSeconds k_keyinfo_life = 86400, k_certificate_life = 30 * 86400;
constexpr Duration k_renew = 6h, k_ask_again = 3s;
// One announcement is refreshed so often: should the tracker have been started anew, all follow, some at a time.
constexpr Duration k_beat = 5s, k_between_announcements = 20ms;
constexpr int k_least_expires = 60, k_most_expires = 3600;

}  // namespace

CacheRole::CacheRole(io::Loop& loop, CacheConfig config)
    : loop_(loop),
      config_(std::move(config)),
      library_(config_.state, config_.master_key.empty() ? config_.state / "master.key" : config_.master_key, random_) {
}

CacheRole::~CacheRole() {
  stop();
}

std::string CacheRole::uri() const {
  return service_uri(config_.name, config_.domain);
}

Status CacheRole::start() {
  SEALCAST_TRY_ASSIGN(trust_, load_trust(config_.trust));
  if (!trust_.tracker) return fail(ErrorCode::usage, config_.trust.string() + ": \"tracker\" is missing");
  SEALCAST_TRY(load_keys());
  SEALCAST_TRY(library_.open(trust_.providers, os::unix_now()));
  log_providers();
  if (config_.master_key.empty() && config_.holds_keys)
    log(LogLevel::info, "cache",
        "the master key lies beside the keys that it wraps (" + config_.state.string() +
            "): fit for laboratories only");
  swarm::EngineOptions options;
  options.upload_limit = config_.upload_limit;
  media_ = std::make_unique<MediaNode>(loop_, random_, options, [this](const swarm::Event& event) { on_event(event); });
  SEALCAST_TRY(media_->open(config_.media));
  SEALCAST_TRY(start_agent());
  calls_ = std::make_unique<AnsweredCalls>(loop_, *agent_, *media_, config_.domain);
  for (auto& [root, content] : library_.contents()) refresh(root);
  renew_timer_ = loop_.after(k_renew, [this] { renew_keyinfo(); });
  beat_timer_ = loop_.after(k_beat, [this] { beat(); });
  return {};
}

Status CacheRole::start_agent() {
  sip::AgentConfig agent;
  agent.identity = uri();
  agent.contact_user = config_.name;
  agent.listen = config_.listen;
  agent.next_hop = config_.core;
  agent.tls_directory = (config_.state / "tls").string();
  agent.require_client_certificate = true;
  agent.trusted_names = {config_.core_name};
  agent_ = std::make_unique<sip::Agent>(std::move(agent), loop_, static_cast<sip::Handler&>(*this));
  return agent_->start();
}

// A cache that holds keys certifies itself with the key-service key; one that holds none knows its public half only.
Status CacheRole::load_keys() {
  SEALCAST_TRY_ASSIGN(auto octets, io::read_file(config_.key_service, 16384));
  if (!config_.holds_keys) {
    auto jwk = json::parse(string_of(octets));
    key_service_key_ = jwk ? crypto::PublicKey::from_jwk(*jwk) : std::nullopt;
    return key_service_key_
               ? Status{}
               : Status(fail(ErrorCode::usage, config_.key_service.string() + ": this is no public key (JWK, P-256)"));
  }
  auto service = crypto::PrivateKey::from_pem(string_of(octets));
  wipe(octets);
  if (!service) return fail(ErrorCode::usage, config_.key_service.string() + ": " + service.error().message);
  key_service_key_ = service->public_key();
  SEALCAST_TRY_ASSIGN(auto holder, load_or_make_key(config_.state / "holder.pem", random_));
  holder_certificate_ =
      keys::make_holder_certificate(uri(), holder.public_key(), os::unix_now(), k_certificate_life, *service);
  key_service_ = std::make_unique<keys::KeyService>(uri(), holder.duplicate(), random_);
  holder_.emplace(std::move(holder));
  return {};
}

void CacheRole::stop() {
  loop_.cancel(renew_timer_);
  loop_.cancel(beat_timer_);
  renew_timer_ = beat_timer_ = 0;
  for (auto& [root, offer] : offers_)
    if (offer.announcer) offer.announcer->withdraw();
  if (media_)
    for (auto& [root, content] : library_.contents())
      if (auto* held = media_->engine().held(root); held && content.file)
        if (auto saved = content.file->save(*held); !saved) log(LogLevel::error, "cache", saved.error().message);
  for (auto& [root, offer] : offers_) loop_.cancel(offer.again);
  offers_.clear();
  calls_.reset();
  if (media_) media_->pump();
  if (agent_) agent_->stop();
  agent_.reset();
  if (media_) media_->close();
  media_.reset();
}

CacheRole::Facts CacheRole::facts() const {
  return {uri(), config_.domain, key_service_key_->jwk(), config_.holds_keys};
}

bool CacheRole::announced(const crypto::Digest& root) const {
  auto at = offers_.find(root);
  return at != offers_.end() && at->second.announcer && at->second.announcer->announced();
}

std::uint64_t CacheRole::chunks_held(const crypto::Digest& root) const {
  auto* held = media_ ? media_->engine().held(root) : nullptr;
  return held ? held->count() : 0;
}

// ---- what is offered

void CacheRole::refresh(const crypto::Digest& root) {
  auto* content = library_.find(root);
  if (!content) return;
  auto& offer = offers_[root];
  if (content->file && !offer.in_swarm)
    if (auto joined = join_swarm(root, *content, offer); !joined) log(LogLevel::error, "cache", joined.error().message);
  if (offer.in_swarm) {
    if (content::is_secured(content->description.protection)) media_->engine().set_secured_only(root);
    if (content->key_held) offer.learnt_keyinfo.clear();
    media_->engine().set_keyinfo(
        root, content->key_held ? make_keyinfo(*content) : offer.learnt_keyinfo);  // empty after a revocation
    if (content->key_held)
      offer.keyinfo_watch.reset();
    else if (content::is_sealed(content->description.protection))
      watch_keyinfo(root, offer);
  }
  announce(root, *content, offer);
}

bool CacheRole::may_have(const CachedContent& content, const std::string& caller) const {
  return content.access.allows(caller) || is_cache_uri(caller, config_.domain);
}

void CacheRole::end_calls(const crypto::Digest& root, const std::string& reason) {
  if (!calls_) return;
  auto* content = library_.find(root);
  calls_->hang_up_unless(
      root, [&](const std::string& caller) { return content && may_have(*content, caller); }, reason);
  media_->pump();
}

void CacheRole::hang_up_all(const crypto::Digest& root, const std::string& reason) {
  if (!calls_) return;
  calls_->hang_up(root, reason);
  media_->pump();
}

void CacheRole::leave_swarm(const crypto::Digest& root) {
  auto at = offers_.find(root);
  if (at == offers_.end() || !at->second.in_swarm) return;
  at->second.repair.reset();
  at->second.keyinfo_watch.reset();
  calls_->hang_up(root, "the object is being replaced");
  media_->engine().remove_swarm(os::monotonic_now(), root);
  at->second.in_swarm = false;
  media_->pump();
}

Status CacheRole::join_swarm(const crypto::Digest& root, CachedContent& content, Offer& offer) {
  swarm::SwarmConfig config{root, content.description.geometry()};
  config.secured_only = content::is_secured(content.description.protection) || config_.require_srtp;
  config.nodes = content.file->nodes();
  config.held = content.file->held_at_open();
  config.storage = content.file.get();
  bool whole = config.held.full();
  config.appetite = whole ? swarm::Appetite::none : swarm::Appetite::all;
  SEALCAST_TRY(media_->engine().add_swarm(std::move(config)));
  offer.in_swarm = true;
  if (!whole) start_repair(root);
  return {};
}

std::string CacheRole::make_keyinfo(const CachedContent& content) const {
  if (!holder_ || !content.key_held) return {};
  return keys::make_keyinfo(holder_certificate_, content.description, uri(), os::unix_now(), k_keyinfo_life, *holder_);
}

void CacheRole::announce(const crypto::Digest& root, const CachedContent& content, Offer& offer) {
  bool worthwhile = offer.in_swarm || content.key_held;
  if (!worthwhile) {
    if (offer.announcer) offer.announcer->withdraw();
    offer.announcer.reset();
    return;
  }
  tracking::AnnouncedSwarm swarm;
  swarm.root = root;
  auto* held = media_->engine().held(root);
  swarm.state = !offer.in_swarm        ? tracking::PeerState::keys
                : held && held->full() ? tracking::PeerState::seed
                                       : tracking::PeerState::leech;
  if (held) swarm.have = held->ranges(8);
  swarm.description = content.jws;
  swarm.access = content.access;
  swarm.keyinfo = make_keyinfo(content);
  // The more contents, the rarer each one's refresh: the tracker sees some tens of PUBLISH a second at most.
  auto expires =
      std::clamp(k_least_expires + static_cast<int>(library_.contents().size()), k_least_expires, k_most_expires);
  if (!offer.announcer) {
    offer.announcer = std::make_unique<Announcer>(loop_, *agent_, tracker_uri(config_.domain), expires);
    offer.announcer->on_forgotten = [this] { announce_all_again(); };
  }
  offer.announcer->update(tracking::write_announcement({{std::move(swarm)}, 64}));
}

// The key is elsewhere: the tracker tells caches who says that it has it, and the signature decides.
void CacheRole::watch_keyinfo(const crypto::Digest& root, Offer& offer) {
  if (offer.keyinfo_watch || offer.repair) return;
  offer.keyinfo_watch = std::make_unique<PeerWatch>(
      loop_, *agent_, tracker_uri(config_.domain), content::root_text(root),
      [this, root](const std::string& body) {
        auto list = tracking::parse_peer_list(body);
        if (!list) return;
        for (auto& keyinfo : list->keyinfo) take_keyinfo(root, keyinfo);
      },
      [this, root](const sip::Response& response) {
        // 404: our own announcement has not arrived yet.
        log(LogLevel::debug, "cache", "peer list refused: " + std::to_string(response.status));
        loop_.after(1s, [this, root] {
          if (auto at = offers_.find(root); at != offers_.end()) at->second.keyinfo_watch.reset(), refresh(root);
        });
      });
}

void CacheRole::take_keyinfo(const crypto::Digest& root, const std::string& keyinfo) {
  auto* content = library_.find(root);
  if (!content || content->key_held) return;
  auto holder = keys::verify_keyinfo(keyinfo, content->description, os::unix_now());
  if (!holder) return log(LogLevel::warning, "cache", holder.error().message);
  offers_[root].learnt_keyinfo = keyinfo;
  media_->engine().set_keyinfo(root, keyinfo);
  media_->pump();
}

void CacheRole::renew_keyinfo() {
  // The holder certificate ages too; the key-service key itself is not kept in memory.
  if (holder_) {
    if (auto pem = io::read_file(config_.key_service, 16384)) {
      if (auto service = crypto::PrivateKey::from_pem(string_of(*pem)))
        holder_certificate_ =
            keys::make_holder_certificate(uri(), holder_->public_key(), os::unix_now(), k_certificate_life, *service);
      wipe(*pem);
    }
  }
  for (auto& [root, offer] : offers_) refresh(root);
  renew_timer_ = loop_.after(k_renew, [this] { renew_keyinfo(); });
}

void CacheRole::beat() {
  beat_timer_ = loop_.after(k_beat, [this] { beat(); });
  for (auto& [root, offer] : offers_)
    if (offer.announcer && offer.announcer->announced()) return offer.announcer->touch(0us);
}

void CacheRole::announce_all_again() {
  auto now = os::monotonic_now();
  if (now < announcing_until_) return;
  Duration delay{};
  for (auto& [root, offer] : offers_)
    if (offer.announcer) offer.announcer->touch(delay += k_between_announcements);
  announcing_until_ = now + delay + k_beat;
}

// ---- damage and repair

void CacheRole::on_event(const swarm::Event& event) {
  if (calls_) calls_->on_event(event);
  for (auto& [root, offer] : offers_)
    if (offer.repair) offer.repair->on_event(event);
  switch (event.kind) {
    case swarm::EventKind::storage_corrupt:
      log(LogLevel::error, "cache",
          "chunks " + std::to_string(event.range.first) + ".." + std::to_string(event.range.last) + " of " +
              content::root_text(event.swarm) + " are damaged on disk: not served, fetched again");
      note_trouble(event.swarm);
      start_repair(event.swarm);
      break;
    case swarm::EventKind::swarm_complete:
      finish_repair(event.swarm);
      break;
    case swarm::EventKind::storage_failed:
      log(LogLevel::error, "cache", event.error.message);
      note_trouble(event.swarm);
      break;
    case swarm::EventKind::keyinfo:
      take_keyinfo(event.swarm, event.text);
      break;
    default:
      break;
  }
}

// Told with the content. One whose tree is gone proves nothing any more and leaves its swarm; the others go on.
void CacheRole::note_trouble(const crypto::Digest& root) {
  auto* content = library_.find(root);
  if (!content || !content->file) return;
  if (auto trouble = content->file->trouble()) content->trouble = trouble->message;
  if (!content->file->lost()) return;
  log(LogLevel::error, "cache", content::root_text(root) + " is offered no longer: " + content->trouble);
  loop_.post([this, root] { give_up(root); });  // not inside its own event
}

void CacheRole::give_up(const crypto::Digest& root) {
  auto* content = library_.find(root);
  if (!content || !content->file || !media_) return;
  leave_swarm(root);
  content->file.reset();
  mark(root, ObjectState::damaged);
  refresh(root);
}

// What stands in memory counts; the store is told again while it does not listen.
void CacheRole::mark(const crypto::Digest& root, ObjectState state) {
  auto marked = library_.mark(root, state);
  if (marked) return;
  log(LogLevel::warning, "cache", marked.error().message + ": written again later");
  loop_.after(k_ask_again, [this, root] {
    if (auto* content = library_.find(root)) mark(root, content->state);
  });
}

void CacheRole::start_repair(const crypto::Digest& root) {
  auto* content = library_.find(root);
  auto& offer = offers_[root];
  if (!content || offer.repair || !content->file || content->file->lost()) return;
  if (auto* held = media_->engine().held(root))
    if (auto saved = content->file->save(*held); !saved) log(LogLevel::error, "cache", saved.error().message);
  mark(root, ObjectState::damaged);
  SwarmPeersConfig config;
  config.tracker = tracker_uri(config_.domain);
  config.root = root;
  config.secured = content::is_secured(content->description.protection) || config_.require_srtp;
  SwarmPeersEvents events;
  events.on_refused = [this, root](const sip::Response& response) {
    log(LogLevel::warning, "cache",
        "no peers for a repair: " + std::to_string(response.status) + " " + response.reason + "; asking again");
    // Our own announcement may not have arrived yet.
    if (auto at = offers_.find(root); at != offers_.end() && at->second.again == 0)
      at->second.again = loop_.after(k_ask_again, [this, root] {
        auto& waiting = offers_[root];
        waiting.again = 0;
        waiting.repair.reset();
        start_repair(root);
      });
  };
  events.on_keyinfo = [this, root](const std::string& keyinfo) { take_keyinfo(root, keyinfo); };
  offer.repair = std::make_unique<SwarmPeers>(loop_, *agent_, *media_, std::move(config), std::move(events));
}

void CacheRole::finish_repair(const crypto::Digest& root) {
  auto* content = library_.find(root);
  auto at = offers_.find(root);
  if (!content || at == offers_.end() || !content->file) return;
  media_->engine().set_appetite(os::monotonic_now(), root, swarm::Appetite::none);
  if (auto saved = content->file->save(*media_->engine().held(root)); !saved)
    log(LogLevel::error, "cache", saved.error().message);
  mark(root, ObjectState::offered);
  content->trouble.clear();
  log(LogLevel::info, "cache", content::root_text(root) + " is whole again");
  // Not inside its own event.
  loop_.post([this, root] {
    if (auto offer = offers_.find(root); offer != offers_.end()) offer->second.repair.reset(), refresh(root);
  });
}

// ---- signalling

void CacheRole::on_invite(sip::CallId id, const sip::Request& request) {
  AnsweredCalls::Terms terms;
  terms.caller = request.asserted_identity;
  terms.policy.secured_required = config_.require_srtp;
  terms.policy.inline_key_allowed = request.secure || config_.insecure_signalling;
  auto expect = [&](const tracking::Token& claims) -> Expected<std::string, std::string> {
    auto* content = library_.find(claims.root);
    if (!content) return unexpected(std::string("Unknown content"));
    bool allowed = may_have(*content, request.asserted_identity);
    auto offer = offers_.find(claims.root);
    if (!allowed || offer == offers_.end() || !offer->second.in_swarm) return unexpected(std::string("Not entitled"));
    return uri();
  };
  auto admission = token_gate_.admit(os::monotonic_now(), os::unix_now(),
                                     {request.asserted_identity, tracking::inviter_hash(request.asserted_identity)},
                                     request.values(k_token_header), *trust_.tracker, expect);
  if (request.asserted_identity.empty() || admission.swarms.empty()) {
    log(LogLevel::info, "cache",
        "invitation by " + printable(request.asserted_identity) + " refused: " + admission.why);
    log_refusal({0,
                 os::unix_now(),
                 "invitation",
                 request.asserted_identity,
                 request.asserted_identity,
                 {},
                 {},
                 admission.status,
                 printable(admission.why, 200)});
    sip::Response refusal{admission.status, printable(admission.why, 120), {}, {}, {}};
    if (admission.retry_after > 0) refusal.headers.push_back({"Retry-After", std::to_string(admission.retry_after)});
    return agent_->answer(id, std::move(refusal));
  }
  for (auto& root : admission.swarms) {
    terms.admitted.push_back(root);
    terms.policy.secured_required =
        terms.policy.secured_required || content::is_secured(library_.find(root)->description.protection);
  }
  terms.service = is_cache_uri(request.asserted_identity, config_.domain);
  terms.life = std::chrono::seconds(admission.expires_at - os::unix_now());
  calls_->answer(id, request, terms);
}

// The trust file is read at start: what has changed in it since the last start has its line.
void CacheRole::log_providers() {
  std::vector<std::string> names;
  for (auto& each : trust_.providers) names.push_back(each.thumbprint());
  std::sort(names.begin(), names.end());
  std::string text = "trusted providers:";
  for (auto& each : names) text += " " + each;
  auto log_of = library_.audit_log();
  auto last = log_of.last("provider");
  if (!last || (*last && (*last)->reason == text)) return;
  if (auto done = log_of.append({0, os::unix_now(), "provider", io::own_user_text(), {}, {}, {}, 200, text}); !done)
    log(LogLevel::error, "cache", "audit: " + done.error().message);
}

// What could not be written is said in the log of the process: nothing was released.
void CacheRole::log_refusal(const store::AuditRow& row) {
  if (!audit_brake_.allows(os::monotonic_now(), row.subscriber, row.reason)) return;
  if (auto done = library_.audit_log().append(row); !done)
    log(LogLevel::error, "cache", "audit: " + done.error().message);
}

void CacheRole::on_reinvite(sip::CallId id, const sip::Request&) {
  calls_->refuse_reinvite(id);
}

void CacheRole::on_call_ended(sip::CallId id, const std::string& reason) {
  if (!calls_) return;
  calls_->on_call_ended(id);
  for (auto& [root, offer] : offers_)
    if (offer.repair) offer.repair->on_call_ended(id, reason);
}

void CacheRole::on_subscribe(sip::SubscriptionId id, const sip::Request&) {
  agent_->accept_subscription(id, 489, "Bad Event", 0);
}
void CacheRole::on_subscription_ended(sip::SubscriptionId) {}

void CacheRole::on_request(sip::RequestId id, const sip::Request& request) {
  if (request.method == "MESSAGE" && request.content_type == k_key_body) return answer_key_request(id, request);
  agent_->reply(id, {request.method == "MESSAGE" ? 415 : 405,
                     request.method == "MESSAGE" ? "Unsupported Media Type" : "Method Not Allowed",
                     {},
                     {},
                     {}});
}

// Two transactions: the MESSAGE is answered at once, the key travels in one of its own (docs/protocol.md section 7).
void CacheRole::answer_key_request(sip::RequestId id, const sip::Request& request) {
  if (!key_service_) return agent_->reply(id, {404, "No keys are held here", {}, {}, {}});
  auto later = [&] { agent_->reply(id, {503, "Cannot decide at the moment", {}, {}, {{"Retry-After", "2"}}}); };
  auto decision = key_service_->decide(os::unix_now(), request.asserted_identity, request.device, request.body, *this);
  auto& a = decision.audit;
  if (decision.undecided) return later();
  // What is not in the log was not decided: no key leaves without its line.
  auto logged = decision.for_the_log
                    ? library_.audit_log().append(
                          {0, a.time, "key-request", a.subscriber, a.subscriber, a.root, a.request, a.status, a.reason})
                    : Status{};
  if (!logged) {
    log(LogLevel::error, "cache", "audit: " + logged.error().message);
    key_service_->take_back(decision);
    return later();
  }
  log(LogLevel::info, "keys",
      printable(a.subscriber) + " asks for " + printable(a.root) + ": " + std::to_string(a.status) + " " + a.reason);
  if (decision.answer.empty())
    return agent_->reply(id, {a.status == 400 ? 400 : 403, printable(a.reason, 120), {}, {}, {}});
  agent_->reply(id, {202, "Accepted", {}, {}, {}});
  sip::Request answer;
  answer.method = "MESSAGE";
  answer.uri = request.asserted_identity;
  answer.content_type = k_key_body;
  answer.body = std::move(decision.answer);
  agent_->send(std::move(answer), [](const sip::Response& response) {
    if (!response.ok())
      log(LogLevel::warning, "keys",
          "a key answer was not taken: " + std::to_string(response.status) + " " + response.reason);
  });
}

Result<std::optional<keys::KeyRecord>> CacheRole::find(const crypto::Digest& root, const std::string& subscriber) {
  auto* content = library_.find(root);
  if (!content) return std::nullopt;
  auto key = library_.key(root);
  if (!key) {
    log(LogLevel::error, "cache", key.error().message);
    return fail(key.error());
  }
  keys::KeyRecord out{content->description, std::nullopt, content->not_before, content->access.allows(subscriber)};
  if (*key) out.key.emplace(std::move(**key));
  return out;
}

json::Object CacheRole::status() const {
  json::Array associations;
  std::uint64_t sent = 0, received = 0;
  for (auto& a : media_->engine().associations()) {
    sent += a.content_sent;
    received += a.content_received;
    if (associations.size() < 256)
      associations.push_back(json::Object{{"remote", a.remote.text()},
                                          {"secured", a.secured},
                                          {"sent", a.content_sent},
                                          {"received", a.content_received},
                                          {"window", a.congestion_window},
                                          {"rtt_us", static_cast<std::int64_t>(a.round_trip.count())},
                                          {"lost", a.packets_lost},
                                          {"authentication_failures", a.authentication_failures},
                                          {"integrity_failures", a.integrity_failures}});
  }
  return {{"uri", uri()},
          {"contents", static_cast<std::int64_t>(library_.contents().size())},
          {"calls", static_cast<std::int64_t>(calls_ ? calls_->size() : 0)},
          {"call_table", calls_ ? calls_->status() : json::Object{}},
          {"token_callers", token_gate_.status()},
          {"work", media_->engine().work()},
          {"sent", sent},
          {"received", received},
          {"associations", std::move(associations)},
          {"backend", std::string(crypto::backend_name())}};
}

}  // namespace sealcast::roles
