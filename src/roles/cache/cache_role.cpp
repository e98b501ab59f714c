#include "roles/cache/cache_role.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "base/text.hpp"
#include "content/uri.hpp"
#include "io/file.hpp"
#include "io/unix_socket.hpp"
#include "os/clock.hpp"
#include "os/limits.hpp"
#include "roles/common/names.hpp"

namespace sealcast::roles {
namespace {

constexpr UnixSeconds k_keyinfo_life = 86400, k_certificate_life = 30 * 86400;
constexpr Duration k_renew = 6h, k_ask_again = 3s;
// One announcement is refreshed so often: should the tracker have been started anew, all follow, some at a time.
constexpr Duration k_beat = 5s;
// Damaged objects that are fetched at a time. Who gets nowhere makes room for others.
constexpr std::size_t k_repairs = 16;
constexpr Duration k_repair_turn = 60s;
constexpr std::size_t k_keyinfo_octets = 1600;  // about, on a page

crypto::Digest anywhere(RandomSource& random) {
  crypto::Digest out;
  random.fill(out);
  return out;
}

}  // namespace

CacheRole::CacheRole(io::Loop& loop, CacheConfig config)
    : loop_(loop),
      config_(std::move(config)),
      library_(config_.state, config_.master_key.empty() ? config_.state / "master.key" : config_.master_key, random_),
      open_(OpenPool::most_for(os::descriptor_limit())),
      scrubber_(config_.scrub_rate, anywhere(random_), [this](auto* behind) { return next_offered(behind); }) {}

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
  options.memory_limit = config_.memory_limit;
  media_ = std::make_unique<MediaNode>(loop_, random_, options, [this](const swarm::Event& event) { on_event(event); });
  SEALCAST_TRY(media_->open(config_.media));
  SEALCAST_TRY(start_agent());
  calls_ = std::make_unique<AnsweredCalls>(loop_, *agent_, *media_, config_.domain);
  calls_->on_unused = [this](const swarm::SwarmId& root) { swarm_unused(root); };
  start_pages();
  for (auto& [root, content] : library_.contents()) refresh(root);
  renew_timer_ = loop_.after(k_renew, [this] { renew_keyinfo(); });
  beat_timer_ = loop_.after(k_beat, [this] { beat(); });
  scrub();
  return {};
}

void CacheRole::start_pages() {
  AnnouncementPages::Events events;
  events.describe = [this](const crypto::Digest& root) { return describe(root); };
  pages_ = std::make_unique<AnnouncementPages>(
      loop_, *agent_, tracker_uri(config_.domain), [](std::size_t page) { return "page " + std::to_string(page); },
      AnnouncementPages::Limits{}, std::move(events));
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
  loop_.cancel(scrub_timer_);
  renew_timer_ = beat_timer_ = scrub_timer_ = 0;
  scrubbed_.reset();
  if (pages_) pages_->withdraw();
  if (media_) media_->settle();
  open_.each([this](const crypto::Digest& root) { save_held(root); });
  for (auto& [root, repair] : repairs_) loop_.cancel(repair.again);
  repairs_.clear();
  keyinfos_.clear();
  calls_.reset();
  if (media_) media_->pump();
  if (agent_) agent_->stop();
  agent_.reset();
  if (media_) media_->close();
  media_.reset();
  pages_.reset();
}

CacheRole::Facts CacheRole::facts() const {
  return {uri(), config_.domain, key_service_key_->jwk(), config_.holds_keys};
}

// What is not open is believed to be as the database says.
std::uint64_t CacheRole::chunks_held(const crypto::Digest& root) const {
  if (auto* held = media_ ? media_->engine().held(root) : nullptr) return held->count();
  auto at = library_.contents().find(root);
  bool whole = at != library_.contents().end() && at->second.state == ObjectState::offered;
  return whole ? at->second.description.geometry().chunks() : 0;
}

// ---- what is offered

void CacheRole::refresh(const crypto::Digest& root) {
  auto* content = library_.find(root);
  if (!content || !pages_) return;
  if (content->has_object() && content->state == ObjectState::damaged) want_repair(root);
  tell_keyinfo(root, *content);
  if (!content->has_object() && !content->key_held) return pages_->remove(root);
  std::size_t octets = content->jws.size() + 300 + (content->key_held ? k_keyinfo_octets : 0);
  for (auto& who : content->access.who) octets += who.size() + 3;
  pages_->put(root, octets);
}

std::optional<tracking::AnnouncedSwarm> CacheRole::describe(const crypto::Digest& root) {
  auto* content = library_.find(root);
  if (!content || (!content->has_object() && !content->key_held)) return std::nullopt;
  tracking::AnnouncedSwarm swarm;
  swarm.root = root;
  auto* held = media_->engine().held(root);
  bool whole = held ? held->full() : content->state == ObjectState::offered;
  swarm.state = !content->has_object() ? tracking::PeerState::keys
                : whole                ? tracking::PeerState::seed
                                       : tracking::PeerState::leech;
  if (held)
    swarm.have = held->ranges(8);
  else if (whole && content->has_object())
    swarm.have = {{0, content->description.geometry().chunks() - 1}};
  swarm.description = content->jws;
  swarm.access = content->access;
  swarm.keyinfo = own_keyinfo(root, *content);
  return swarm;
}

// A few are open at a time; who finds no place tries again.
Status CacheRole::take_up(const crypto::Digest& root) {
  auto* content = library_.find(root);
  if (!content || !content->has_object()) return fail(ErrorCode::not_found, "the object is not here");
  if (open_.contains(root)) {
    open_.use(root);
    return {};
  }
  auto room = open_.room();
  if (room.room == OpenPool::Room::none)
    return fail(ErrorCode::unavailable, "too many objects are in use (" + std::to_string(open_.most()) + ")");
  if (room.room == OpenPool::Room::after_closing) put_away(room.close);
  if (auto opened = library_.open_object(root); !opened) {
    log(LogLevel::error, "cache", opened.error().message);
    if (content->unusable) {
      mark(root, ObjectState::damaged);
      post([this, root] { refresh(root); });
    }
    return opened;
  }
  if (auto joined = join_swarm(root, *content); !joined) {
    library_.close_object(root);
    return joined;
  }
  open_.use(root);
  if (content->state == ObjectState::damaged) want_repair(root);
  return {};
}

// What was found missing meanwhile, or came back: nobody is to find it out once more.
void CacheRole::save_held(const crypto::Digest& root) {
  auto* held = media_ ? media_->engine().held(root) : nullptr;
  auto* content = library_.find(root);
  if (!held || !content || !content->file || content->file->lost()) return;
  if (held->words() == content->file->held_at_open().words()) return;
  if (auto saved = content->file->save(*held); !saved) log(LogLevel::error, "cache", saved.error().message);
  if (!held->full()) mark(root, ObjectState::damaged);
}

void CacheRole::put_away(const crypto::Digest& root) {
  media_->settle();
  save_held(root);
  media_->remove_swarm(root);
  library_.close_object(root);
  open_.closed(root);
  if (auto at = keyinfos_.find(root); at != keyinfos_.end()) at->second.watch.reset();
}

void CacheRole::put_unused_away() {
  for (auto& root : open_.overdue(os::monotonic_now())) put_away(root);
}

void CacheRole::swarm_unused(const crypto::Digest& root) {
  if (repairs_.contains(root)) return;
  open_.leave(root, os::monotonic_now());
  if (auto at = keyinfos_.find(root); at != keyinfos_.end()) at->second.watch.reset();
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
  stop_repair(root);
  std::erase(to_repair_, root);
  if (!open_.contains(root)) return;
  calls_->hang_up(root, "the object is being replaced");
  put_away(root);
  media_->pump();
}

Status CacheRole::join_swarm(const crypto::Digest& root, CachedContent& content) {
  swarm::SwarmConfig config{root, content.description.geometry()};
  config.secured_only = content::is_secured(content.description.protection) || config_.require_srtp;
  config.nodes = content.file->nodes();
  config.held = content.file->held_at_open();
  config.storage = content.file.get();
  config.appetite = config.held.full() ? swarm::Appetite::none : swarm::Appetite::all;
  SEALCAST_TRY(media_->engine().add_swarm(std::move(config)));
  tell_keyinfo(root, content);
  return {};
}

// Signed once for a while: a page that is written again must not look like news.
const std::string& CacheRole::own_keyinfo(const crypto::Digest& root, const CachedContent& content) {
  static const std::string none;
  if (!holder_ || !content.key_held) return none;
  auto& own = keyinfos_[root].own;
  if (own.empty())
    own = keys::make_keyinfo(holder_certificate_, content.description, uri(), os::unix_now(), k_keyinfo_life, *holder_);
  return own;
}

// To whoever is connected: ours, or another holder's; nothing after a revocation.
void CacheRole::tell_keyinfo(const crypto::Digest& root, const CachedContent& content) {
  auto known = keyinfos_.find(root);
  if (content.key_held && known != keyinfos_.end()) known->second.learnt.clear(), known->second.watch.reset();
  if (!content.key_held && known != keyinfos_.end()) known->second.own.clear();
  if (!media_->engine().held(root)) return;
  if (content::is_secured(content.description.protection)) media_->engine().set_secured_only(root);
  if (content.key_held) return media_->engine().set_keyinfo(root, own_keyinfo(root, content));
  media_->engine().set_keyinfo(root, known == keyinfos_.end() ? std::string() : known->second.learnt);
  if (content::is_sealed(content.description.protection) && calls_ && calls_->uses(root)) watch_keyinfo(root);
}

// The key is elsewhere: the tracker tells caches who says that it has it, and the signature decides.
void CacheRole::watch_keyinfo(const crypto::Digest& root) {
  auto& known = keyinfos_[root];
  if (known.watch || repairs_.contains(root)) return;
  known.watch = std::make_unique<PeerWatch>(
      loop_, *agent_, tracker_uri(config_.domain), content::root_text(root),
      [this, root](const std::string& body) {
        auto list = tracking::parse_peer_list(body);
        if (!list) return;
        for (auto& keyinfo : list->keyinfo) take_keyinfo(root, keyinfo);
      },
      [this, root](const sip::Response& response) {
        // 404: our own announcement has not arrived yet.
        log(LogLevel::debug, "cache", "peer list refused: " + std::to_string(response.status));
        after(1s, [this, root] {
          auto at = keyinfos_.find(root);
          if (at == keyinfos_.end() || !at->second.watch) return;
          at->second.watch.reset();
          if (auto* content = library_.find(root)) tell_keyinfo(root, *content);
        });
      });
}

void CacheRole::take_keyinfo(const crypto::Digest& root, const std::string& keyinfo) {
  auto* content = library_.find(root);
  if (!content || content->key_held) return;
  auto holder = keys::verify_keyinfo(keyinfo, content->description, os::unix_now());
  if (!holder) return log(LogLevel::warning, "cache", holder.error().message);
  keyinfos_[root].learnt = keyinfo;
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
  for (auto& [root, known] : keyinfos_) known.own.clear();
  open_.each([this](const crypto::Digest& root) {
    if (auto* content = library_.find(root)) tell_keyinfo(root, *content);
  });
  media_->pump();
  pages_->put_all_again();
  renew_timer_ = loop_.after(k_renew, [this] { renew_keyinfo(); });
}

void CacheRole::beat() {
  beat_timer_ = loop_.after(k_beat, [this] { beat(); });
  put_unused_away();
  library_.close_old_imports(os::monotonic_now());
  repair_others();
  pages_->touch();
}

// ---- damage and repair

void CacheRole::on_event(const swarm::Event& event) {
  switch (event.kind) {
    case swarm::EventKind::storage_corrupt:
      log(LogLevel::error, "cache",
          "chunks " + std::to_string(event.range.first) + ".." + std::to_string(event.range.last) + " of " +
              content::root_text(event.swarm) + " are damaged on disk: not served, fetched again");
      note_trouble(event.swarm);
      want_repair(event.swarm);
      break;
    case swarm::EventKind::chunks_verified:
      repaired_chunks_ += event.range.size();
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

void CacheRole::post(std::function<void()> task) {
  loop_.post(lifetime_.guard([this, task = std::move(task)] {
    if (media_) task();
  }));
}

void CacheRole::after(Duration delay, std::function<void()> task) {
  loop_.after(delay, lifetime_.guard([this, task = std::move(task)] {
    if (media_) task();
  }));
}

// Told with the content. One whose tree is gone proves nothing any more and leaves its swarm; the others go on.
void CacheRole::note_trouble(const crypto::Digest& root) {
  auto* content = library_.find(root);
  if (!content || !content->file) return;
  if (auto trouble = content->file->trouble()) content->trouble = trouble->message;
  if (!content->file->lost()) return;
  log(LogLevel::error, "cache", content::root_text(root) + " is offered no longer: " + content->trouble);
  post([this, root] { give_up(root); });  // not inside its own event
}

void CacheRole::give_up(const crypto::Digest& root) {
  auto* content = library_.find(root);
  if (!content || !content->file || !media_) return;
  content->unusable = true;
  leave_swarm(root);
  mark(root, ObjectState::damaged);
  refresh(root);
}

// What stands in memory counts; the store is told again while it does not listen.
void CacheRole::mark(const crypto::Digest& root, ObjectState state) {
  auto marked = library_.mark(root, state);
  if (marked) return;
  log(LogLevel::warning, "cache", marked.error().message + ": written again later");
  after(k_ask_again, [this, root] {
    if (auto* content = library_.find(root)) mark(root, content->state);
  });
}

void CacheRole::want_repair(const crypto::Digest& root) {
  if (repairs_.contains(root) || std::find(to_repair_.begin(), to_repair_.end(), root) != to_repair_.end()) return;
  to_repair_.push_back(root);
  post([this] { repair_some(); });  // not inside its own event
}

void CacheRole::repair_some() {
  // Once through the queue: what cannot be opened now goes to its end, and the next beat looks again.
  for (auto left = to_repair_.size(); media_ && left > 0 && repairs_.size() < k_repairs; --left) {
    auto root = to_repair_.front();
    to_repair_.pop_front();
    start_repair(root);
  }
}

// Who has had his turn and is not whole goes to the end of the queue.
void CacheRole::repair_others() {
  repair_some();
  if (to_repair_.empty()) return;
  std::vector<crypto::Digest> over;
  for (auto& [root, repair] : repairs_)
    if (os::monotonic_now() - repair.begun >= k_repair_turn && over.size() < to_repair_.size()) over.push_back(root);
  for (auto& root : over) {
    stop_repair(root);
    to_repair_.push_back(root);
  }
  repair_some();
}

void CacheRole::start_repair(const crypto::Digest& root) {
  auto* content = library_.find(root);
  if (!content || repairs_.contains(root)) return;
  if (auto up = take_up(root); !up) {
    if (up.error().code == ErrorCode::unavailable) to_repair_.push_back(root);
    return;
  }
  auto* held = media_->engine().held(root);
  const bool lost = !held || content->file->lost();
  if (lost || held->full()) {
    if (!lost) mark(root, ObjectState::offered);
    if (!calls_->uses(root)) swarm_unused(root);
    return;
  }
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
    if (auto at = repairs_.find(root); at != repairs_.end() && at->second.again == 0)
      at->second.again = loop_.after(k_ask_again, [this, root] {
        auto waiting = repairs_.find(root);
        if (waiting == repairs_.end()) return;
        waiting->second.again = 0;
        waiting->second.peers->ask_again();
      });
  };
  events.on_keyinfo = [this, root](const std::string& keyinfo) { take_keyinfo(root, keyinfo); };
  auto& repair = repairs_[root];
  repair.begun = os::monotonic_now();
  repair.peers = std::make_unique<SwarmPeers>(loop_, *agent_, *media_, std::move(config), std::move(events));
}

void CacheRole::stop_repair(const crypto::Digest& root) {
  auto at = repairs_.find(root);
  if (at == repairs_.end()) return;
  loop_.cancel(at->second.again);
  repairs_.erase(at);
  auto* content = library_.find(root);
  auto* held = media_->engine().held(root);
  if (held && content && content->file && !content->file->lost())
    if (auto saved = content->file->save(*held); !saved) log(LogLevel::error, "cache", saved.error().message);
  if (calls_ && !calls_->uses(root)) swarm_unused(root);
}

void CacheRole::finish_repair(const crypto::Digest& root) {
  auto* content = library_.find(root);
  if (!content || !content->file) return;
  media_->engine().set_appetite(os::monotonic_now(), root, swarm::Appetite::none);
  if (auto saved = content->file->save(*media_->engine().held(root)); !saved)
    log(LogLevel::error, "cache", saved.error().message);
  mark(root, ObjectState::offered);
  content->trouble.clear();
  log(LogLevel::info, "cache", content::root_text(root) + " is whole again");
  // Not inside its own event.
  post([this, root] {
    stop_repair(root);
    refresh(root);
    repair_some();
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
    if (!allowed || !content->has_object()) return unexpected(std::string("Not entitled"));
    return uri();
  };
  auto admission = token_gate_.admit(os::monotonic_now(), os::unix_now(),
                                     {request.asserted_identity, tracking::inviter_hash(request.asserted_identity)},
                                     request.values(k_token_header), *trust_.tracker, expect);
  if (request.asserted_identity.empty() || admission.swarms.empty())
    return refuse_invitation(id, request, admission.status, admission.why, admission.retry_after);
  Status up;
  for (auto& root : admission.swarms) {
    up = take_up(root);
    if (!up) break;
  }
  if (!up) {
    for (auto& root : admission.swarms)
      if (!calls_->uses(root)) swarm_unused(root);
    log(LogLevel::warning, "cache", "an invitation is put off: " + up.error().message);
    return agent_->answer(id, {480, "The object cannot be opened now", {}, {}, {{"Retry-After", "5"}}});
  }
  for (auto& root : admission.swarms) {
    terms.admitted.push_back(root);
    terms.policy.secured_required =
        terms.policy.secured_required || content::is_secured(library_.find(root)->description.protection);
  }
  terms.service = is_cache_uri(request.asserted_identity, config_.domain);
  terms.life = std::chrono::seconds(admission.expires_at - os::unix_now());
  calls_->answer(id, request, terms);
  for (auto& root : terms.admitted) {
    if (calls_->uses(root))
      tell_keyinfo(root, *library_.find(root));
    else
      swarm_unused(root);  // the offer was refused
  }
}

void CacheRole::refuse_invitation(sip::CallId id, const sip::Request& request, int status, const std::string& why,
                                  int retry_after) {
  const auto& who = request.asserted_identity;
  log(LogLevel::info, "cache", "invitation by " + printable(who) + " refused: " + why);
  log_refusal({0, os::unix_now(), "invitation", who, who, {}, {}, status, printable(why, 200)});
  sip::Response refusal{status, printable(why, 120), {}, {}, {}};
  if (retry_after > 0) refusal.headers.push_back({"Retry-After", std::to_string(retry_after)});
  agent_->answer(id, std::move(refusal));
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
  for (auto& [root, repair] : repairs_)
    if (repair.peers) repair.peers->on_call_ended(id, reason);
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
  auto decision = key_service_->decide(os::monotonic_now(), os::unix_now(), request.asserted_identity, request.device,
                                       request.body, *this);
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
  if (decision.answer.empty()) {
    sip::Response refusal{a.status == 400 ? 400 : 403, printable(a.reason, 120), {}, {}, {}};
    if (decision.not_fresh)
      refusal.headers.push_back({"Warning", sdp::Refusal{k_not_fresh_rule, a.reason}.warning(config_.domain)});
    return agent_->reply(id, std::move(refusal));
  }
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

}  // namespace sealcast::roles
