#include "roles/tracker_role.hpp"

#include <algorithm>

#include "base/encoding.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "content/uri.hpp"
#include "os/clock.hpp"
#include "roles/names.hpp"

namespace sealcast::roles {
namespace {

constexpr int k_least_expires = 60, k_most_expires = 3600;  // RFC 3903 section 6: 423 below
constexpr std::size_t k_most_subscriptions = 100000;
constexpr std::ptrdiff_t k_most_of_one_subscriber = 256;
constexpr std::size_t k_page = 24;  // descriptions in one NOTIFY: 64 KiB hold them
constexpr Duration k_notify_pause =
    250ms;  // changes are gathered: an announcing swarm must not make a NOTIFY for each step

}  // namespace

TrackerRole::TrackerRole(io::Loop& loop, TrackerConfig config) : loop_(loop), config_(std::move(config)) {}
TrackerRole::~TrackerRole() {
  stop();
}

Status TrackerRole::start() {
  SEALCAST_TRY_ASSIGN(trust_, load_trust(config_.trust));
  SEALCAST_TRY_ASSIGN(auto key, load_or_make_key(config_.state / "tracker.pem", random_));
  key_.emplace(std::move(key));
  if (!trust_.tracker || !(*trust_.tracker == key_->public_key()))
    return fail(ErrorCode::usage, config_.trust.string() + ": \"tracker\" is not the public half of " +
                                      (config_.state / "tracker.pem").string());
  SEALCAST_TRY_ASSIGN(auto store, store::Contents::open(config_.state / "catalogue.db"));
  store_.emplace(std::move(store));
  SEALCAST_TRY(load_catalogue());
  registry_ = std::make_unique<tracking::Registry>(tracking::RegistryOptions{"peers." + config_.domain}, random_);
  sip::AgentConfig agent;
  agent.identity = config_.identity;
  agent.contact_user = "tracker";
  agent.listen = config_.listen;
  agent.next_hop = config_.core;
  agent.tls_directory = (config_.state / "tls").string();
  agent.require_client_certificate = true;
  agent.trusted_names = {config_.core_name};
  agent_ = std::make_unique<sip::Agent>(std::move(agent), loop_, static_cast<sip::Handler&>(*this));
  relay_ = std::make_unique<TrackerRelay>(*agent_, *registry_, *key_,
                                          [this](const crypto::Digest& root, const std::string& subscriber) {
                                            auto entry = catalogue_.find(root);
                                            return entry != catalogue_.end() && may_see(entry->second, subscriber);
                                          });
  expire();
  return agent_->start();
}

void TrackerRole::stop() {
  loop_.cancel(notify_timer_);
  loop_.cancel(expire_timer_);
  if (agent_) agent_->stop();
  relay_.reset();
  agent_.reset();
}

// A description that no longer verifies (its provider was withdrawn) is left out, not forgotten. One that has expired
// stays: it binds its successors.
Status TrackerRole::load_catalogue() {
  SEALCAST_TRY_ASSIGN(auto rows, store_->list());
  for (auto& row : rows) {
    auto description = content::verify_kept_description(row.description, trust_.providers);
    auto access = tracking::parse_access(row.access);
    if (description && access)
      catalogue_[row.root] = {std::move(*description), row.description, std::move(*access)};
    else
      log(LogLevel::warning, "tracker",
          "not offered: " + content::root_text(row.root) + ": " +
              (description ? access.error().message : description.error().message));
  }
  return {};
}

bool TrackerRole::may_see(const Entry& entry, const std::string& subscriber) const {
  return entry.access.allows(subscriber) || is_cache_uri(subscriber, config_.domain);
}

void TrackerRole::on_request(sip::RequestId id, const sip::Request& request) {
  if (request.method != "PUBLISH")
    return agent_->reply(
        id, {405, "Method Not Allowed", {}, {}, {{"Allow", "PUBLISH, SUBSCRIBE, INVITE, ACK, BYE, CANCEL, NOTIFY"}}});
  agent_->reply(id, publish(request));
  schedule_notifications();
}

sip::Response TrackerRole::publish(const sip::Request& request) {
  if (request.asserted_identity.empty()) return {403, "No asserted identity", {}, {}, {}};
  if (request.event != k_peer_event) return {489, "Bad Event", {}, {}, {{"Allow-Events", k_peer_event}}};
  auto expires = std::min(request.expires.value_or(k_most_expires), k_most_expires);
  if (expires != 0 && expires < k_least_expires)
    return {423, "Interval Too Brief", {}, {}, {{"Min-Expires", std::to_string(k_least_expires)}}};
  bool is_cache = is_cache_uri(request.asserted_identity, config_.domain);
  std::optional<tracking::Announcement> announcement;
  if (!request.body.empty()) {
    auto parsed = tracking::parse_announcement(request.body);
    if (!parsed) return {400, printable(parsed.error().message, 120), {}, {}, {}};
    if (auto taken = is_cache ? take_from_cache(*parsed) : take_from_ue(*parsed, request.asserted_identity); !taken) {
      log(LogLevel::warning, "tracker",
          "announcement by " + request.asserted_identity + " refused: " + taken.error().message);
      return {403, printable(taken.error().message, 200), {}, {}, {}};
    }
    announcement = std::move(*parsed);
  }
  auto etag = request.values("SIP-If-Match");
  auto done = registry_->publish(os::unix_now(), request.asserted_identity, is_cache,
                                 etag.empty() ? std::string() : etag.front(), expires, std::move(announcement));
  if (done.status != 200)
    return {done.status, done.status == 412 ? "Conditional Request Failed" : "Request Entity Too Large", {}, {}, {}};
  return {200, "OK", {}, {}, {{"SIP-ETag", done.etag}, {"Expires", std::to_string(expires)}}};
}

// What a UE may not announce is left out; the rest of its swarms must not suffer. Only caches bring descriptions,
// access lists and KEYINFO.
Status TrackerRole::take_from_ue(tracking::Announcement& announcement, const std::string& subscriber) const {
  Status last;
  std::erase_if(announcement.swarms, [&](auto& swarm) {
    auto may = may_announce(swarm, subscriber);
    if (!may) last = may;
    return !may;
  });
  if (announcement.swarms.empty() && !last) return last;
  for (auto& swarm : announcement.swarms) {
    swarm.description.clear();
    swarm.keyinfo.clear();
    swarm.access.reset();
  }
  return {};
}

Status TrackerRole::take_from_cache(const tracking::Announcement& announcement) {
  for (auto& swarm : announcement.swarms) SEALCAST_TRY(take_from_cache(swarm));
  return {};
}

// A cache brings description and access list: the catalogue's only source. The provider's signature decides, not the
// cache.
Status TrackerRole::take_from_cache(const tracking::AnnouncedSwarm& swarm) {
  auto known = catalogue_.find(swarm.root);
  if (swarm.description.empty())
    return known != catalogue_.end() ? Status{}
                                     : Status(fail(ErrorCode::not_found, "a content without its description"));
  SEALCAST_TRY_ASSIGN(auto description,
                      content::verify_description(swarm.description, trust_.providers, os::unix_now()));
  if (description.root != swarm.root) return fail(ErrorCode::integrity, "the description is of another content");
  for (auto& [root, entry] : catalogue_) SEALCAST_TRY(content::check_against(entry.description, description));
  auto access = swarm.access                ? *swarm.access
                : known != catalogue_.end() ? known->second.access
                                            : tracking::AccessList{};
  auto access_text = tracking::write_access(access);
  if (known != catalogue_.end() && known->second.jws == swarm.description &&
      tracking::write_access(known->second.access) == access_text)
    return {};
  SEALCAST_TRY(store_->put_description(swarm.root, swarm.description));
  SEALCAST_TRY(store_->put_access(swarm.root, access_text));
  catalogue_[swarm.root] = {std::move(description), swarm.description, std::move(access)};
  registry_->touch(swarm.root);  // who may no longer see it is told
  return {};
}

Status TrackerRole::may_announce(const tracking::AnnouncedSwarm& swarm, const std::string& subscriber) const {
  auto entry = catalogue_.find(swarm.root);
  if (entry == catalogue_.end()) return fail(ErrorCode::not_found, "unknown content");
  if (!may_see(entry->second, subscriber)) return fail(ErrorCode::not_entitled, "not entitled");
  return {};
}

void TrackerRole::on_subscribe(sip::SubscriptionId id, const sip::Request& request) {
  if (request.asserted_identity.empty()) return agent_->accept_subscription(id, 403, "No asserted identity", 0);
  if (request.event == k_peers_event) return subscribe_peers(id, request);
  if (request.event == k_content_event) return fetch_contents(id, request);
  agent_->accept_subscription(id, 489, "Bad Event", 0);
}

void TrackerRole::subscribe_peers(sip::SubscriptionId id, const sip::Request& request) {
  auto expires = std::clamp(request.expires.value_or(k_least_expires), 0, k_most_expires);
  auto known = subscriptions_.find(id);
  if (known == subscriptions_.end()) {
    auto query = tracking::parse_query(request.body);
    if (!query || !query->root) return agent_->accept_subscription(id, 400, "The body names no content", 0);
    auto entry = catalogue_.find(*query->root);
    if (entry == catalogue_.end()) return agent_->accept_subscription(id, 404, "Unknown content", 0);
    if (!may_see(entry->second, request.asserted_identity))
      return agent_->accept_subscription(id, 403, "Not entitled", 0);
    auto own = std::count_if(subscriptions_.begin(), subscriptions_.end(),
                             [&](auto& each) { return each.second.subscriber == request.asserted_identity; });
    bool too_many = own >= k_most_of_one_subscriber && !is_cache_uri(request.asserted_identity, config_.domain);
    if (too_many || subscriptions_.size() >= k_most_subscriptions)
      return agent_->accept_subscription(id, 503, "Too many subscriptions", 0);
    known = subscriptions_.emplace(id, Subscription{*query->root, request.asserted_identity}).first;
  }
  agent_->accept_subscription(id, 200, "OK", expires);
  auto subscription = known->second;
  auto entry = catalogue_.find(subscription.root);
  if (entry == catalogue_.end() || !may_see(entry->second, subscription.subscriber))
    return notify_peers(id, subscription);  // a refresh after a withdrawal
  if (expires == 0) subscriptions_.erase(known);
  auto list = registry_->list(os::unix_now(), subscription.root, subscription.subscriber,
                              is_cache_uri(subscription.subscriber, config_.domain), *key_);
  agent_->notify(id, k_peer_body, tracking::write_peer_list(list), expires == 0);
}

void TrackerRole::fetch_contents(sip::SubscriptionId id, const sip::Request& request) {
  auto query = tracking::parse_query(request.body);
  if (!query) return agent_->accept_subscription(id, 400, "The body asks for nothing", 0);
  tracking::ContentList out;
  if (query->root) {
    auto entry = catalogue_.find(*query->root);
    if (entry == catalogue_.end()) return agent_->accept_subscription(id, 404, "Unknown content", 0);
    if (!may_see(entry->second, request.asserted_identity))
      return agent_->accept_subscription(id, 403, "Not entitled", 0);
    out.descriptions.push_back(entry->second.jws);
  } else {
    auto after = content::parse_root(query->after);
    for (auto at = after ? catalogue_.upper_bound(*after) : catalogue_.begin(); at != catalogue_.end(); ++at) {
      if (!may_see(at->second, request.asserted_identity)) continue;
      if (out.descriptions.size() == k_page) break;
      out.descriptions.push_back(at->second.jws);
      out.next = content::root_text(at->first);
    }
    if (out.descriptions.size() < k_page) out.next.clear();
  }
  agent_->accept_subscription(id, 200, "OK", 0);
  agent_->notify(id, k_peer_body, tracking::write_content_list(out), true);
}

void TrackerRole::on_subscription_ended(sip::SubscriptionId id) {
  subscriptions_.erase(id);
}

void TrackerRole::notify_peers(sip::SubscriptionId id, const Subscription& s) {
  auto entry = catalogue_.find(s.root);
  if (entry == catalogue_.end() || !may_see(entry->second, s.subscriber)) {  // entitlement was withdrawn
    agent_->notify(id, {}, {}, true);
    subscriptions_.erase(id);
    return;
  }
  auto list = registry_->list(os::unix_now(), s.root, s.subscriber, is_cache_uri(s.subscriber, config_.domain), *key_);
  agent_->notify(id, k_peer_body, tracking::write_peer_list(list), false);
}

void TrackerRole::schedule_notifications() {
  if (notify_timer_ == 0) notify_timer_ = loop_.after(k_notify_pause, [this] { notify_changed(); });
}

void TrackerRole::notify_changed() {
  notify_timer_ = 0;
  auto changed = registry_->take_changed();
  if (changed.empty()) return;
  auto subscriptions = subscriptions_;  // a terminated one leaves the map
  for (auto& [id, subscription] : subscriptions)
    if (changed.contains(subscription.root)) notify_peers(id, subscription);
}

void TrackerRole::expire() {
  auto now = os::unix_now();
  auto next = registry_->expire(now);
  schedule_notifications();
  expire_timer_ = loop_.after(std::chrono::seconds(std::clamp<UnixSeconds>(next - now, 1, 60)), [this] { expire(); });
}

void TrackerRole::on_invite(sip::CallId id, const sip::Request& request) {
  relay_->invite(id, request);
}
void TrackerRole::on_reinvite(sip::CallId id, const sip::Request& request) {
  relay_->reinvite(id, request);
}
void TrackerRole::on_call_ended(sip::CallId id, const std::string& reason) {
  relay_->ended(id, reason);
}

json::Object TrackerRole::status() const {
  return {{"identity", config_.identity},
          {"contents", static_cast<std::int64_t>(catalogue_.size())},
          {"subscriptions", static_cast<std::int64_t>(subscriptions_.size())},
          {"calls", static_cast<std::int64_t>(relay_ ? relay_->calls() : 0)}};
}

}  // namespace sealcast::roles
