#include "roles/tracker/tracker_role.hpp"

#include <algorithm>

#include "base/encoding.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "content/uri.hpp"
#include "os/clock.hpp"
#include "roles/common/names.hpp"

namespace sealcast::roles {
namespace {

constexpr int k_least_expires = 60, k_most_expires = 3600;  // RFC 3903 section 6: 423 below
// What a subscriber leaves here ends by itself within the life of a token, whatever becomes of him.
constexpr int k_most_expires_of_ue = static_cast<int>(tracking::k_token_life);
constexpr int k_retry_after = 5;
// Work that one subscriber's requests may cost: a loop of short commands stays far below.
constexpr RateBudget::Limits k_requests{2000, 100};
constexpr double k_cost_of_list = 4, k_swarms_at_cost_of_one = 64;
// Lists are written in portions, so that what comes in is answered in between.
constexpr std::size_t k_portion = 32;
constexpr Duration k_between_portions = 10ms;

sip::Response response_of(int status, const std::string& reason, int retry_after) {
  sip::Response out{status, printable(reason, 200), {}, {}, {}};
  if (retry_after > 0) out.headers.push_back({"Retry-After", std::to_string(retry_after)});
  return out;
}

// A process of a subscriber: the user part of its Contact. The address is that of its connection, and changes with it.
std::string binding_of(const sip::Request& request) {
  auto contacts = request.values("Contact");
  if (contacts.empty()) return {};
  auto contact = contacts.front().substr(0, 512);
  auto scheme = contact.find("sip:"), at = contact.find('@');
  return scheme == contact.npos || at == contact.npos || at < scheme ? contact
                                                                     : contact.substr(scheme + 4, at - scheme - 4);
}

}  // namespace

TrackerRole::TrackerRole(io::Loop& loop, TrackerConfig config)
    : loop_(loop), config_(std::move(config)), requests_(k_requests) {}
TrackerRole::~TrackerRole() {
  stop();
}

Status TrackerRole::start() {
  SEALCAST_TRY_ASSIGN(auto trust, load_trust(config_.trust));
  SEALCAST_TRY_ASSIGN(auto key, load_or_make_key(config_.state / "tracker.pem", random_));
  key_.emplace(std::move(key));
  if (!trust.tracker || !(*trust.tracker == key_->public_key()))
    return fail(ErrorCode::usage, config_.trust.string() + ": \"tracker\" is not the public half of " +
                                      (config_.state / "tracker.pem").string());
  SEALCAST_TRY_ASSIGN(auto store, store::Catalogue::open(config_.state / "catalogue.db"));
  catalogue_.emplace(std::move(store), trust.providers, config_.domain);
  SEALCAST_TRY(catalogue_->take_over());
  catalogue_->set_patience(store::k_serving_patience);
  tracking::RegistryOptions options{"peers." + config_.domain};
  options.token_life = config_.token_life;
  registry_ = std::make_unique<tracking::Registry>(std::move(options), random_);
  return start_agent();
}

Status TrackerRole::start_agent() {
  sip::AgentConfig agent;
  agent.identity = config_.identity;
  agent.contact_user = "tracker";
  agent.listen = config_.listen;
  agent.next_hop = config_.core;
  agent.tls_directory = (config_.state / "tls").string();
  agent.require_client_certificate = true;
  agent.trusted_names = {config_.core_name};
  agent_ = std::make_unique<sip::Agent>(std::move(agent), loop_, static_cast<sip::Handler&>(*this));
  TrackerRelay::Questions questions;
  questions.may_take_part = [this](const crypto::Digest& root, const std::string& subscriber) -> Result<bool> {
    auto may = catalogue_->may_see(root, subscriber);
    if (!may && !is_passing(may.error())) return false;  // the content is gone
    return may;
  };
  questions.takes_part = [this](const std::string& subscriber, const crypto::Digest& root) {
    return is_cache(subscriber) || registry_->announces(subscriber, root) || subscriptions_.has(subscriber, root);
  };
  relay_ = std::make_unique<TrackerRelay>(
      loop_, *agent_, *registry_, *key_, std::move(questions),
      [this](const sip::Request& request, const crypto::Digest& root, const std::string& whom, int status,
             const std::string& reason) { audit("relay", request.asserted_identity, whom, root, status, reason); },
      config_.token_life);
  expire();
  return agent_->start();
}

void TrackerRole::stop() {
  for (auto* timer : {&notify_timer_, &portion_timer_, &expire_timer_}) {
    loop_.cancel(*timer);
    *timer = 0;
  }
  if (agent_) agent_->stop();
  relay_.reset();
  agent_.reset();
}

bool TrackerRole::is_cache(const std::string& who) const {
  return is_cache_uri(who, config_.domain);
}

// ---- refusals

// Sentences about files are for the log only.
TrackerRole::Verdict TrackerRole::verdict_of(const Error& error) const {
  if (is_passing(error)) {
    log(LogLevel::error, "tracker", error.message);
    return {503, "The catalogue is not available now", k_retry_after};
  }
  switch (error.code) {
    case ErrorCode::not_found:
      return {404, error.message};
    case ErrorCode::failure:
      log(LogLevel::error, "tracker", error.message);
      return {500, "Internal error", k_retry_after};
    default:
      return {403, error.message};
  }
}

std::optional<TrackerRole::Verdict> TrackerRole::over_budget(const std::string& subscriber, double cost) {
  auto now = os::monotonic_now();
  if (is_cache(subscriber) || requests_.take(now, subscriber, cost)) return std::nullopt;
  return Verdict{503, "Too many requests", requests_.wait(now, subscriber, cost)};
}

// Refusals come as fast as somebody likes: few lines for each subscriber, and the log says what it left out in its
// counters.
void TrackerRole::audit(const std::string& event, const std::string& who, const std::string& whom,
                        const crypto::Digest& root, int status, const std::string& reason) {
  // A cache that asks before its own announcement has come is refused nothing.
  if (status == 404 && is_cache(who)) return;
  auto text = root == crypto::Digest{} ? std::string() : content::root_text(root);
  auto line = event + " " + whom + " " + text + " " + std::to_string(status) + " " + reason;
  if (!audit_brake_.allows(os::monotonic_now(), who, line)) {
    ++audit_left_out_;
    return;
  }
  store::AuditRow row;
  row.time = os::unix_now();
  row.event = event;
  row.who = who;
  row.subscriber = whom.empty() ? who : whom;
  row.root = text;
  row.status = status;
  row.reason = printable(reason, 200);
  auto written = append_audit_ ? append_audit_(row) : catalogue_->audit_log().append(row);
  if (!written) log(LogLevel::error, "tracker", "audit: " + written.error().message);
}

std::optional<TrackerRole::Verdict> TrackerRole::entitlement(const crypto::Digest& root,
                                                             const std::string& subscriber) {
  auto may = catalogue_->may_see(root, subscriber);
  if (!may) return verdict_of(may.error());
  if (!*may) return Verdict{403, "Not entitled"};
  return std::nullopt;
}

// ---- announcements

void TrackerRole::on_request(sip::RequestId id, const sip::Request& request) {
  if (request.method != "PUBLISH")
    return agent_->reply(
        id, {405, "Method Not Allowed", {}, {}, {{"Allow", "PUBLISH, SUBSCRIBE, INVITE, ACK, BYE, CANCEL, NOTIFY"}}});
  agent_->reply(id, publish(request));
  gather_changes();
}

sip::Response TrackerRole::publish(const sip::Request& request) {
  if (request.asserted_identity.empty()) return {403, "No asserted identity", {}, {}, {}};
  if (request.event != k_peer_event) return {489, "Bad Event", {}, {}, {{"Allow-Events", k_peer_event}}};
  auto expires = std::min(request.expires.value_or(k_most_expires), k_most_expires);
  if (expires != 0 && expires < k_least_expires)
    return {423, "Interval Too Brief", {}, {}, {{"Min-Expires", std::to_string(k_least_expires)}}};
  if (!is_cache(request.asserted_identity)) expires = std::min(expires, k_most_expires_of_ue);
  std::optional<tracking::Announcement> announcement;
  if (!request.body.empty()) {
    auto parsed = tracking::parse_announcement(request.body);
    if (!parsed) return {400, printable(parsed.error().message, 120), {}, {}, {}};
    announcement = std::move(*parsed);
  }
  return publish(request, expires, std::move(announcement));
}

sip::Response TrackerRole::publish(const sip::Request& request, int expires,
                                   std::optional<tracking::Announcement> announcement) {
  auto& who = request.asserted_identity;
  auto swarms = announcement ? static_cast<double>(announcement->swarms.size()) : 0;
  auto verdict = over_budget(who, 1 + swarms / k_swarms_at_cost_of_one);
  tracking::PublishAnswer answer;
  if (!verdict && announcement) verdict = take(request, *announcement, answer.left_out);
  if (verdict) {
    log(LogLevel::warning, "tracker", "announcement by " + printable(who) + " refused: " + verdict->reason);
    auto root = swarms == 1 ? announcement->swarms.front().root : crypto::Digest{};
    // Of one swarm among others, or over its only one: the announcement is refused, not the request's target.
    if (verdict->status == 404) verdict->status = 403;
    audit("announce", who, {}, root, verdict->status, verdict->reason);
    auto out = response_of(verdict->status, verdict->reason, verdict->retry_after);
    if (verdict->status == 403 && !answer.left_out.empty())
      out.content_type = k_peer_body, out.body = tracking::write_publish_answer(answer);
    return out;
  }
  std::vector<crypto::Digest> roots;
  if (announcement)
    for (auto& swarm : announcement->swarms) roots.push_back(swarm.root);
  auto etag = request.values("SIP-If-Match");
  auto done = registry_->publish(os::monotonic_now(), who, is_cache(who), etag.empty() ? std::string() : etag.front(),
                                 expires, std::move(announcement));
  if (done.status == 200) {
    if (expires > 0 && !is_cache(who))
      for (auto& root : roots)
        if (auto name = registry_->pseudonym(os::monotonic_now(), who, root); !name.empty())
          answer.pseudonyms.emplace_back(root, std::move(name));
    sip::Response out{200, "OK", {}, {}, {{"SIP-ETag", done.etag}, {"Expires", std::to_string(expires)}}};
    if (!answer.left_out.empty() || !answer.pseudonyms.empty())
      out.content_type = k_peer_body, out.body = tracking::write_publish_answer(answer);
    return out;
  }
  if (done.status == 412) return {412, "Conditional Request Failed", {}, {}, {}};
  auto reason = done.status == 413 ? "Too much is announced by this subscriber" : "Too much is announced";
  audit("announce", who, {}, {}, done.status, reason);
  return response_of(done.status, reason, k_least_expires);
}

// What may not be announced is left out; the rest of the swarms must not suffer.
std::optional<TrackerRole::Verdict> TrackerRole::take(const sip::Request& request, tracking::Announcement& announcement,
                                                      std::vector<crypto::Digest>& left_out) {
  const auto& who = request.asserted_identity;
  std::optional<Verdict> last;
  std::vector<tracking::AnnouncedSwarm> allowed;
  bool changed = false;
  for (auto& swarm : announcement.swarms) {
    // Only caches bring descriptions, access lists and KEYINFO.
    auto refused = is_cache(who) ? take_from_cache(swarm, changed) : entitlement(swarm.root, who);
    if (refused && refused->status >= 500) return refused;
    if (!refused) {
      allowed.push_back(is_cache(who) ? std::move(swarm)
                                      : tracking::AnnouncedSwarm{swarm.root, swarm.state, {}, {}, std::nullopt, {}});
      continue;
    }
    if (announcement.swarms.size() > 1) audit("announce", who, {}, swarm.root, 403, refused->reason);
    left_out.push_back(swarm.root);
    last = std::move(refused);
  }
  if (changed) relay_->check();
  if (allowed.empty() && last) return last;
  announcement.swarms = std::move(allowed);
  return std::nullopt;
}

// A cache brings description and access list: the catalogue's only source.
std::optional<TrackerRole::Verdict> TrackerRole::take_from_cache(const tracking::AnnouncedSwarm& swarm,
                                                                 bool& anything_changed) {
  auto changed = catalogue_->take(swarm, os::unix_now());
  if (!changed) return verdict_of(changed.error());
  if (*changed) access_changed(swarm.root);
  anything_changed = anything_changed || *changed;
  return std::nullopt;
}

// Who is no longer entitled is no longer announced, told or called.
void TrackerRole::access_changed(const crypto::Digest& root) {
  registry_->withdraw(root, [&](const std::string& subscriber) {
    auto may = catalogue_->may_see(root, subscriber);
    return may ? *may : is_passing(may.error());
  });
}

// ---- subscriptions

void TrackerRole::on_subscribe(sip::SubscriptionId id, const sip::Request& request) {
  if (request.asserted_identity.empty()) return agent_->accept_subscription(id, 403, "No asserted identity", 0);
  if (request.event == k_peers_event) return subscribe_peers(id, request);
  if (request.event == k_content_event) return fetch_contents(id, request);
  agent_->accept_subscription(id, 489, "Bad Event", 0);
}

void TrackerRole::refuse(sip::SubscriptionId id, const sip::Request& request, const crypto::Digest& root,
                         const Verdict& verdict) {
  agent_->accept_subscription(id, verdict.status, printable(verdict.reason, 120), verdict.retry_after);
  audit(request.event == k_content_event ? "fetch" : "subscribe", request.asserted_identity, {}, root, verdict.status,
        verdict.reason);
}

std::optional<TrackerRole::Verdict> TrackerRole::new_subscription(sip::SubscriptionId id, const sip::Request& request,
                                                                  int expires, crypto::Digest& root) {
  auto query = tracking::parse_query(request.body);
  if (!query || !query->root) return Verdict{400, "The body names no content"};
  root = *query->root;
  if (auto refused = entitlement(root, request.asserted_identity)) return refused;
  auto added = subscriptions_.add(id, {root, request.asserted_identity, binding_of(request)},
                                  is_cache(request.asserted_identity),
                                  os::monotonic_now() + std::chrono::seconds(expires) + 60s);
  if (added.replaced != 0) agent_->notify(added.replaced, {}, {}, true);
  if (added.refusal) return Verdict{503, "Too many subscriptions", k_least_expires};
  return std::nullopt;
}

void TrackerRole::subscribe_peers(sip::SubscriptionId id, const sip::Request& request) {
  const auto& who = request.asserted_identity;
  auto expires =
      std::clamp(request.expires.value_or(k_least_expires), 0, is_cache(who) ? k_most_expires : k_most_expires_of_ue);
  crypto::Digest root{};
  auto* known = subscriptions_.find(id);
  auto verdict = over_budget(who, k_cost_of_list);
  if (!verdict && !known) verdict = new_subscription(id, request, expires, root);
  if (known) root = known->root;
  if (verdict) return refuse(id, request, root, *verdict);
  agent_->accept_subscription(id, 200, "OK", expires);
  subscriptions_.prolong(id, os::monotonic_now() + std::chrono::seconds(expires) + 60s);
  notify_peers(id, expires == 0);
}

void TrackerRole::fetch_contents(sip::SubscriptionId id, const sip::Request& request) {
  auto query = tracking::parse_query(request.body);
  if (!query) return agent_->accept_subscription(id, 400, "The body asks for nothing", 0);
  auto root = query->root.value_or(crypto::Digest{});
  if (auto busy = over_budget(request.asserted_identity, 1)) return refuse(id, request, root, *busy);
  tracking::ContentList out;
  if (query->root) {
    if (auto refused = entitlement(root, request.asserted_identity)) return refuse(id, request, root, *refused);
    auto description = catalogue_->description(root);
    if (!description) return refuse(id, request, root, verdict_of(description.error()));
    out.descriptions.push_back(std::move(*description));
  } else {
    auto page = catalogue_->page(query->after, request.asserted_identity);
    if (!page) return refuse(id, request, root, verdict_of(page.error()));
    out = std::move(*page);
  }
  agent_->accept_subscription(id, 200, "OK", 0);
  agent_->notify(id, k_peer_body, tracking::write_content_list(out), true);
}

void TrackerRole::on_subscription_ended(sip::SubscriptionId id) {
  subscriptions_.erase(id);
}

// The whole list; a last one ends the subscription. Whose entitlement was withdrawn hears that it is over.
void TrackerRole::notify_peers(sip::SubscriptionId id, bool last) {
  auto* found = subscriptions_.find(id);
  if (!found) return;
  auto s = *found;
  auto may = catalogue_->may_see(s.root, s.subscriber);
  if (may ? !*may : !is_passing(may.error())) {
    subscriptions_.erase(id);
    agent_->notify(id, {}, {}, true);
    return audit("subscribe", s.subscriber, {}, s.root, 403, "The entitlement was withdrawn");
  }
  if (last) subscriptions_.erase(id);
  auto list = registry_->list(os::monotonic_now(), os::unix_now(), s.root, s.subscriber, is_cache(s.subscriber), *key_);
  agent_->notify(id, k_peer_body, tracking::write_peer_list(list), last);
}

void TrackerRole::gather_changes() {
  auto now = os::monotonic_now();
  for (auto& root : registry_->take_changed()) pace_.changed(now, root);
  loop_.cancel(notify_timer_);
  notify_timer_ = 0;
  if (pace_.next() == k_never) return;
  notify_timer_ = loop_.at(pace_.next(), [this] {
    notify_timer_ = 0;
    for (auto& root : pace_.take_due(os::monotonic_now()))
      for (auto id : subscriptions_.of(root))
        if (waiting_.insert(id).second) to_notify_.push_back(id);
    if (portion_timer_ == 0) notify_some();
    gather_changes();
  });
}

void TrackerRole::notify_some() {
  portion_timer_ = 0;
  for (std::size_t i = 0; i < k_portion && !to_notify_.empty(); ++i) {
    auto id = to_notify_.front();
    to_notify_.pop_front();
    waiting_.erase(id);
    notify_peers(id, false);
  }
  if (!to_notify_.empty()) portion_timer_ = loop_.after(k_between_portions, [this] { notify_some(); });
}

void TrackerRole::expire() {
  auto now = os::monotonic_now();
  auto next = registry_->expire(now);
  (void)subscriptions_.expire(now);
  gather_changes();
  expire_timer_ = loop_.at(std::clamp(next, now + 1s, now + 60s), [this] { expire(); });
}

// ---- calls

void TrackerRole::on_invite(sip::CallId id, const sip::Request& request) {
  if (auto busy = over_budget(request.asserted_identity, 1)) {
    audit("relay", request.asserted_identity, {}, {}, busy->status, busy->reason);
    return agent_->answer(id, response_of(busy->status, busy->reason, busy->retry_after));
  }
  relay_->invite(id, request);
}
void TrackerRole::on_reinvite(sip::CallId id, const sip::Request& request) {
  relay_->reinvite(id, request);
}
void TrackerRole::on_call_ended(sip::CallId id, const std::string& reason) {
  relay_->ended(id, reason);
}

json::Object TrackerRole::status() {
  auto out = registry_->status();
  out["identity"] = config_.identity;
  out["contents"] = catalogue_->size().value_or(-1);
  out["subscriptions"] = static_cast<std::int64_t>(subscriptions_.size());
  out["calls"] = static_cast<std::int64_t>(relay_ ? relay_->calls() : 0);
  out["subscription_table"] = subscriptions_.status();
  if (relay_) out["call_table"] = relay_->status();
  out["requests"] = requests_.status();
  out["audit_left_out"] = audit_left_out_;
  return out;
}

}  // namespace sealcast::roles
