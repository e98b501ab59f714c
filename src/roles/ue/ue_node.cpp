#include "roles/ue/ue_node.hpp"

#include <algorithm>
#include <utility>

#include "base/encoding.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "content/uri.hpp"
#include "io/file.hpp"
#include "os/limits.hpp"
#include "roles/common/names.hpp"
#include "roles/ue/ue_swarm.hpp"

namespace sealcast::roles {
namespace {

constexpr int k_registration = 600, k_announcement = 60;  // seconds
constexpr Duration k_core_patience = 5s, k_busy_patience = 10s;
constexpr Duration k_least_between_confirmations = 30s;
constexpr int k_believed_refusals = 2;       // in a row, before an identity that was registered counts as taken back
constexpr std::size_t k_swarm_octets = 150;  // about, on a page
constexpr Duration k_refresh_pause = 10ms, k_look_for_unused = 15s;

std::string random_user(RandomSource& random) {
  std::array<std::uint8_t, 9> octets;
  random.fill(octets);
  return hex(octets);
}

// RFC 4122 section 4.4, of this process and this run: processes of one subscriber must not take each other's place.
std::string random_instance(RandomSource& random) {
  std::array<std::uint8_t, 16> octets;
  random.fill(octets);
  octets[6] = static_cast<std::uint8_t>((octets[6] & 0x0f) | 0x40);
  octets[8] = static_cast<std::uint8_t>((octets[8] & 0x3f) | 0x80);
  auto text = hex(octets);
  return "urn:uuid:" + text.substr(0, 8) + "-" + text.substr(8, 4) + "-" + text.substr(12, 4) + "-" +
         text.substr(16, 4) + "-" + text.substr(20);
}

}  // namespace

UeNode::UeNode(io::Loop& loop, UeConfig config)
    : loop_(loop), config_(std::move(config)), open_(OpenPool::most_for(os::descriptor_limit())) {}
UeNode::~UeNode() {
  stop();
}

Status UeNode::load_identity() {
  SEALCAST_TRY_ASSIGN(trust_, load_trust(config_.trust));
  if (!trust_.tracker) return fail(ErrorCode::usage, config_.trust.string() + ": \"tracker\" is missing");
  auto password = io::read_file(config_.state / "password", 1024);
  if (!password)
    return fail(ErrorCode::authentication, "no password for " + config_.name + " is kept here (" +
                                               (config_.state / "password").string() + "): sealcast subscriber add " +
                                               config_.name);
  while (!password->empty() && (password->back() == '\n' || password->back() == '\r')) password->pop_back();
  password_ = SecretBytes(*password);
  wipe(*password);
  SEALCAST_TRY_ASSIGN(auto device, load_or_make_key(config_.state / "device.pem", random_));
  device_.emplace(std::move(device));
  return {};
}

Status UeNode::start() {
  SEALCAST_TRY(load_identity());
  sip::AgentConfig agent;
  agent.identity = identity();
  agent.contact_user = random_user(random_);
  agent.instance = random_instance(random_);
  agent.next_hop = config_.core;
  agent.tls = config_.tls();
  agent.tls_directory = (config_.state / "tls").string();
  agent_ = std::make_unique<sip::Agent>(std::move(agent), loop_, static_cast<sip::Handler&>(*this));
  SEALCAST_TRY(agent_->start());
  SEALCAST_TRY(agent_->reach(k_core_patience));
  swarm::EngineOptions options;
  options.download_limit = config_.download_limit;
  options.upload_limit = config_.upload_limit;
  options.memory_limit = config_.memory_limit;
  media_ = std::make_unique<MediaNode>(loop_, random_, options, [this](const swarm::Event& event) { on_event(event); });
  SEALCAST_TRY(media_->open(config_.media));
  auto confirm = [this](std::function<void(Status)> done) { confirm_registration(std::move(done)); };
  key_requests_ = std::make_unique<KeyRequests>(loop_, *agent_, random_,
                                                KeyRequests::Device{identity(), *device_, std::move(confirm)});
  calls_ = std::make_unique<AnsweredCalls>(loop_, *agent_, *media_, config_.domain);
  calls_->on_unused = [this](const swarm::SwarmId& root) { swarm_unused(root); };
  start_pages();
  return {};
}

void UeNode::stop() {
  key_requests_.reset();
  waiting_.clear();
  loop_.cancel(busy_timer_);
  if (pages_) pages_->withdraw();
  loop_.cancel(refresh_timer_);
  loop_.cancel(unused_timer_);
  calls_.reset();
  if (media_) media_->pump();
  if (agent_) agent_->stop();
  agent_.reset();
  pages_.reset();
  if (media_) media_->close();
  media_.reset();
}

// ---- registration

void UeNode::register_identity(std::function<void(Status)> done, std::function<void(const Error&)> expelled) {
  confirm_registration([this, done = std::move(done), expelled = std::move(expelled)](const Status& status) {
    if (status) on_expelled_ = expelled;
    done(status);
  });
}

void UeNode::confirm_registration(std::function<void(Status)> done) {
  waiting_.push_back(std::move(done));
  if (waiting_.size() > 1) return;
  busy_ = fail(ErrorCode::network, "registration failed: no answer from " + config_.core);
  busy_timer_ = loop_.after(k_busy_patience, [this] { registration_told(busy_); });
  register_now();
}

void UeNode::registration_told(const Status& status) {
  loop_.cancel(busy_timer_);
  for (auto& each : std::exchange(waiting_, {})) each(status);
}

void UeNode::register_now() {
  sip::Credentials credentials{config_.name + "@" + config_.domain, config_.domain, password_.duplicate()};
  agent_->register_identity(
      std::move(credentials), k_registration,
      [this]() -> std::vector<sip::Header> {
        return {{k_enrolment_header, keys::make_enrolment(identity(), loop_.unix_now(), *device_)}};
      },
      [this](const sip::RegistrationState& state) { registration_changed(state); });
}

void UeNode::registration_changed(const sip::RegistrationState& state) {
  is_registered_ = state.registered;
  log(LogLevel::info, "ue",
      state.registered ? "registered as " + identity()
                       : "not registered: " + std::to_string(state.status) + " " + printable(state.reason));
  bool refused = state.status == 401 || state.status == 403 || state.status == 404 || state.status == 407;
  Error refusal{ErrorCode::authentication, printable(state.reason, 400)};
  if (state.registered) refusals_ = 0;
  if (refused && on_expelled_ && ++refusals_ >= k_believed_refusals) std::exchange(on_expelled_, nullptr)(refusal);
  if (waiting_.empty()) return;
  if (state.registered) return registration_told({});
  if (refused) return registration_told(fail(refusal));
  auto said = (state.status == 0 ? std::string() : std::to_string(state.status) + " ") + printable(state.reason, 200);
  busy_ = fail(ErrorCode::network, "registration failed: " + said);
  // No answer, or "not now": the agent asks again, and gets some seconds for it.
  if (state.status != 0 && state.status < 500) return registration_told(busy_);
  log(LogLevel::warning, "ue", "registration failed, and is tried again: " + said);
}

// ---- tracker

void UeNode::fetch_description(const crypto::Digest& root, std::function<void(Result<std::string>)> done) {
  ask_description(root, false, std::move(done));
}

void UeNode::ask_description(const crypto::Digest& root, bool confirmed,
                             std::function<void(Result<std::string>)> done) {
  sip::Request request;
  request.method = "SUBSCRIBE";
  request.uri = tracker_uri(config_.domain);
  request.event = k_content_event;
  request.expires = 0;
  request.content_type = k_peer_body;
  request.body = tracking::write_query({root, false, {}});
  auto once =
      std::make_shared<std::function<void(Result<std::string>)>>(std::move(done));  // owners: the two callbacks below
  auto finish = [once](Result<std::string> result) {
    if (*once) std::exchange(*once, nullptr)(std::move(result));
  };
  agent_->subscribe(
      std::move(request),
      [finish](const sip::Request& notify) {
        if (notify.body.empty()) return;
        auto list = tracking::parse_content_list(notify.body);
        if (!list)
          finish(fail(ErrorCode::network, "the tracker's answer cannot be read: " + list.error().message));
        else if (list->descriptions.empty())
          finish(fail(ErrorCode::not_found, "the tracker knows no such content"));
        else
          finish(list->descriptions.front());
      },
      [this, root, confirmed, once, finish](const sip::Response& response) {
        if (response.status == 404) return finish(fail(ErrorCode::not_found, "the tracker knows no such content"));
        if (response.status == 403 && !confirmed && *once)
          return confirm_registration([this, root, again = std::exchange(*once, nullptr)](const Status& status) {
            if (!status) return again(fail(status.error()));
            ask_description(root, true, again);
          });
        if (response.status == 403) return finish(fail(ErrorCode::not_entitled, "not entitled to this content"));
        finish(fail(ErrorCode::network,
                    "the tracker does not answer: " +
                        (response.status == 0 ? std::string() : std::to_string(response.status) + " ") +
                        printable(response.reason, 120)));
      });
}

void UeNode::start_pages() {
  AnnouncementPages::Events events;
  events.describe = [this](const crypto::Digest& root) -> std::optional<tracking::AnnouncedSwarm> {
    auto at = swarms_.find(root);
    return at == swarms_.end() ? std::nullopt : std::optional(at->second->announcement());
  };
  events.on_answer = [this](const sip::Response& response) { announcement_answered(response); };
  events.on_taken = [this](const tracking::PublishAnswer& answer) {
    for (auto& [root, pseudonym] : answer.pseudonyms)
      if (auto at = swarms_.find(root); at != swarms_.end()) at->second->called(pseudonym);
    for (auto& root : answer.left_out)
      if (auto at = swarms_.find(root); at != swarms_.end()) at->second->left_out();
  };
  AnnouncementPages::Limits limits;
  limits.least_expires = k_announcement;
  // Each process of a subscriber has pages of its own.
  pages_ = std::make_unique<AnnouncementPages>(
      loop_, *agent_, tracker_uri(config_.domain),
      [run = random_user(random_)](std::size_t page) { return run + " " + std::to_string(page); }, limits,
      std::move(events));
}

void UeNode::announce(const UeSwarm& swarm) {
  if (pages_ && !swarm.held().empty()) pages_->put(swarm.description().root, k_swarm_octets);
}

void UeNode::announcement_answered(const sip::Response& response) {
  auto now = loop_.now();
  if (response.status != 403 || now < next_confirmation_) return;
  next_confirmation_ = now + k_least_between_confirmations;
  confirm_registration([](const Status&) {});  // the announcer asks again by itself
}

// One after the other: a tracker that came back must not be asked for thousands of lists at once.
void UeNode::refresh_some() {
  loop_.cancel(refresh_timer_);
  refresh_timer_ = 0;
  if (to_refresh_.empty()) return;
  auto root = *to_refresh_.begin();
  to_refresh_.erase(to_refresh_.begin());
  if (auto swarm = swarms_.find(root); swarm != swarms_.end()) swarm->second->wrongly_called();
  refresh_timer_ = loop_.after(k_refresh_pause, [this] { refresh_some(); });
}

// ---- keys

void UeNode::on_request(sip::RequestId id, const sip::Request& request) {
  if (request.method != "MESSAGE" || request.content_type != k_key_body)
    return agent_->reply(id, {request.method == "MESSAGE" ? 415 : 405, "Not for a UE", {}, {}, {}});
  // 404: another device of this subscriber may have asked.
  if (!key_requests_->expects(request.body)) return agent_->reply(id, {404, "No such key request", {}, {}, {}});
  agent_->reply(id, {200, "OK", {}, {}, {}});
  key_requests_->take(request.body);
}

// ---- invitations

void UeNode::join(UeSwarm& swarm) {
  swarms_[swarm.description().root] = &swarm;
}

void UeNode::leave(UeSwarm& swarm) {
  swarms_.erase(swarm.description().root);
  awake_.erase(swarm.description().root);
  open_.closed(swarm.description().root);
  if (pages_) pages_->remove(swarm.description().root);
  to_refresh_.erase(swarm.description().root);
  if (calls_) calls_->hang_up(swarm.description().root, "leaving the swarm");
}

// The token names us by our pseudonym of the swarm, and the inviter by its own, which is what From says.
UeSwarm* UeNode::invited_swarm(const sip::Request& request, tracking::Admission& admission) {
  // The core asserts the tracker, or the inviter's pseudonym: nobody but the tracker may speak for those.
  bool by_pseudonym = request.asserted_identity == request.from && request.from.ends_with("@peers." + config_.domain);
  if (!by_pseudonym && request.asserted_identity != tracker_uri(config_.domain)) {
    admission.addressed = true;
    admission.why = "Invitations come through the tracker";
    return nullptr;
  }
  auto expect = [this](const tracking::Token& claims) -> Expected<std::string, std::string> {
    auto at = swarms_.find(claims.root);
    if (at == swarms_.end()) return unexpected(std::string("Not in this swarm"));
    // The tracker may have given us another one since it was last asked; the caller tries again soon.
    if (claims.audience != at->second->own_pseudonym() && to_refresh_.insert(claims.root).second && refresh_timer_ == 0)
      refresh_timer_ = loop_.after(k_refresh_pause, [this] { refresh_some(); });
    return at->second->own_pseudonym();
  };
  admission = token_gate_.admit(loop_.now(), loop_.unix_now(), {request.from, request.from},
                                request.values(k_token_header), *trust_.tracker, expect);
  return admission.swarms.empty() ? nullptr : swarms_.at(admission.swarms.front());
}

void UeNode::on_invite(sip::CallId id, const sip::Request& request) {
  tracking::Admission admission;
  auto* swarm = invited_swarm(request, admission);
  if (!swarm) {
    log(LogLevel::info, "ue", "invitation refused: " + admission.why);
    sip::Response refusal{admission.addressed ? admission.status : 404, printable(admission.why, 120), {}, {}, {}};
    if (admission.retry_after > 0) refusal.headers.push_back({"Retry-After", std::to_string(admission.retry_after)});
    return agent_->answer(id, std::move(refusal));
  }
  if (auto up = take_up(*swarm); !up) {
    log(LogLevel::warning, "ue", "an invitation is put off: " + up.error().message);
    return agent_->answer(id, {480, "The content cannot be opened now", {}, {}, {{"Retry-After", "5"}}});
  }
  AnsweredCalls::Terms terms{swarm->policy(), {swarm->description().root}, swarm::PartnerKind::ue, request.from};
  terms.life = std::chrono::seconds(admission.expires_at - loop_.unix_now());
  calls_->answer(id, request, terms);
  if (!calls_->uses(root_of(*swarm))) swarm_unused(root_of(*swarm));  // the offer was refused
}

const crypto::Digest& UeNode::root_of(const UeSwarm& swarm) {
  return swarm.description().root;
}

Status UeNode::take_up(UeSwarm& swarm) {
  const auto& root = root_of(swarm);
  if (!open_.contains(root) && swarm.awake()) return {};  // one that does not sleep
  if (!open_.contains(root)) {
    auto room = open_.room();
    if (room.room == OpenPool::Room::none)
      return fail(ErrorCode::unavailable, "too many contents are in use (" + std::to_string(open_.most()) + ")");
    if (room.room == OpenPool::Room::after_closing) {
      swarms_.at(room.close)->sleep();
      open_.closed(room.close);
    }
    SEALCAST_TRY(swarm.wake());
  }
  open_.use(root);
  return {};
}

// One that turned out damaged is fetched again, and stays.
void UeNode::swarm_unused(const crypto::Digest& root) {
  auto at = swarms_.find(root);
  if (at != swarms_.end() && at->second->may_sleep()) open_.leave(root, loop_.now());
  look_for_unused();
}

void UeNode::look_for_unused() {
  if (unused_timer_ == 0) unused_timer_ = loop_.after(k_look_for_unused, [this] { put_unused_away(); });
}

void UeNode::put_unused_away() {
  unused_timer_ = 0;
  const auto now = loop_.now();
  for (auto& [root, swarm] : awake_) {
    if (!swarm->may_sleep() || calls_->uses(root)) continue;
    if (!open_.contains(root)) open_.use(root);
    open_.leave(root, now);
  }
  for (auto& root : open_.overdue(now)) {
    open_.closed(root);
    if (auto at = swarms_.find(root); at != swarms_.end()) at->second->sleep();
  }
  if (!awake_.empty()) look_for_unused();
}

void UeNode::on_reinvite(sip::CallId id, const sip::Request&) {
  calls_->refuse_reinvite(id);
}

void UeNode::on_call_ended(sip::CallId id, const std::string& reason) {
  if (calls_) calls_->on_call_ended(id);
  auto swarms = awake_;
  for (auto& [root, swarm] : swarms) swarm->on_call_ended(id, reason);
}

void UeNode::on_event(const swarm::Event& event) {
  if (auto at = swarms_.find(event.swarm); at != swarms_.end()) at->second->on_event(event);
}

void UeNode::on_subscribe(sip::SubscriptionId id, const sip::Request&) {
  agent_->accept_subscription(id, 489, "Bad Event", 0);
}
void UeNode::on_subscription_ended(sip::SubscriptionId) {}

}  // namespace sealcast::roles
