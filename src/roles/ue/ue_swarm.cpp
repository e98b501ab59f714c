#include "roles/ue/ue_swarm.hpp"

#include "base/log.hpp"
#include "base/text.hpp"
#include "content/uri.hpp"
#include "roles/common/names.hpp"

namespace sealcast::roles {
namespace {

constexpr Duration k_save_interval = 2s, k_ask_again = 2s, k_announce_again = 30s;

}  // namespace

UeSwarm::UeSwarm(UeNode& node, ContentState& state, const content::Description& description, swarm::Appetite appetite,
                 UeSwarmEvents events)
    : node_(node),
      state_(state),
      description_(description),
      appetite_(appetite),
      events_(std::move(events)),
      last_verified_(node_.timers().now()) {}

UeSwarm::~UeSwarm() {
  lifetime_.end();
  node_.timers().cancel(save_timer_);
  node_.timers().cancel(ask_timer_);
  if (!joined_) return;
  node_.leave(*this);
  peers_.reset();
  if (!in_engine_) return;
  node_.media().settle();
  if (auto saved = save(); !saved) log(LogLevel::error, "content", saved.error().message);
  node_.media().remove_swarm(description_.root);
  node_.media().pump();
}

bool UeSwarm::secured() const {
  return content::is_secured(description_.protection) || node_.config().require_srtp;
}

Status UeSwarm::enter_engine() {
  swarm::SwarmConfig config{description_.root, description_.geometry()};
  config.secured_only = secured();
  config.nodes = state_.object().nodes();
  config.held = state_.held();
  config.storage = &state_.object();
  config.appetite = appetite_;
  auto keyinfo = state_.keyinfo();
  if (!keyinfo.empty() && keys::verify_keyinfo(keyinfo, description_, node_.timers().unix_now()))
    config.keyinfo = keyinfo;
  SEALCAST_TRY(node_.media().engine().add_swarm(std::move(config)));
  in_engine_ = true;
  node_.woke(*this);
  return {};
}

Status UeSwarm::start() {
  SEALCAST_TRY(enter_engine());
  joined_ = true;
  node_.join(*this);
  follow_peers();
  node_.announce(*this);
  return {};
}

void UeSwarm::start_asleep() {
  sleeper_ = joined_ = true;
  node_.join(*this);
  node_.announce(*this);
}

// What was whole may have been damaged meanwhile: it is fetched again then. A file of the user's that is not what it
// was is served no more.
Status UeSwarm::wake() {
  if (in_engine_) return {};
  SEALCAST_TRY_ASSIGN(bool opened, state_.open_object(description_.geometry(), {}, Form::found));
  if (!opened) return fail(ErrorCode::unavailable, "another process has the content open");
  auto entered = state_.form() == Form::opened ? events_.open_output() : Status{};
  if (!entered && events_.on_failed) events_.on_failed(entered.error());
  if (entered) entered = enter_engine();
  if (!entered) {
    state_.close_object();
    return entered;
  }
  if (!complete()) follow_peers();
  return {};
}

bool UeSwarm::may_sleep() const {
  return sleeper_ && complete() && (!peers_ || peers_->calls_nobody());
}

void UeSwarm::sleep() {
  if (!in_engine_) return;
  node_.media().settle();
  if (auto saved = save(); !saved) log(LogLevel::error, "content", saved.error().message);
  peers_.reset();
  node_.media().remove_swarm(description_.root);
  in_engine_ = false;
  node_.slept(*this);
  state_.close_object();
}

void UeSwarm::follow_peers() {
  if (peers_) return peers_->seek();
  SwarmPeersConfig peers;
  peers.tracker = tracker_uri(node_.config().domain);
  peers.root = description_.root;
  peers.secured = secured();
  peers.inline_key_allowed = node_.config().tls() || node_.config().insecure_signalling;
  peers.idle = complete() && appetite_ == swarm::Appetite::all;  // nothing to fetch: others call us
  SwarmPeersEvents events;
  events.on_hopeless = [this](const Error& error) {
    if (events_.on_failed) events_.on_failed(error);
  };
  events.on_refused = [this](const sip::Response& response) { refused(response); };
  events.on_pseudonym = [this](const std::string& pseudonym) { called(pseudonym); };
  peers_ =
      std::make_unique<SwarmPeers>(node_.timers(), node_.agent(), node_.media(), std::move(peers), std::move(events));
}

// The first time the tracker is believed: nobody has asked it about this content before. Later, what it has forgotten
// a cache may tell it again.
void UeSwarm::left_out() {
  if (!sleeper_) return;  // the peer list says so too
  if (!pseudonym_.empty()) {
    node_.timers().cancel(ask_timer_);
    ask_timer_ = node_.timers().after(k_announce_again, [this] { node_.announce(*this); });
    return;
  }
  if (events_.on_failed) events_.on_failed(Error{ErrorCode::not_entitled, "the tracker refuses the announcement"});
}

// A core that has just come back says 403 to whoever it has not registered yet: that is no word about this content. A
// refusal counts when it comes again to a device that has registered anew since; from a tracker that has given a list
// before, only then when it is repeated once more.
void UeSwarm::refused(const sip::Response& response) {
  bool believed = confirmed_ && node_.registered() && (!list_seen() || ++refusals_ >= 2);
  if (response.status == 404 && !list_seen()) believed = true;
  if (!believed) {
    log(LogLevel::info, "peers",
        "peer list refused (" + std::to_string(response.status) + " " + printable(response.reason, 120) +
            "), asking again");
    node_.confirm_registration(lifetime_.guard([this](const Status& status) {
      confirmed_ = status.has_value();
      node_.timers().cancel(ask_timer_);
      ask_timer_ = node_.timers().after(status && !list_seen() ? Duration(0) : k_ask_again, [this] {
        if (peers_) peers_->ask_again();
      });
    }));
    return;
  }
  auto code = response.status == 404 ? ErrorCode::not_found : ErrorCode::not_entitled;
  if (events_.on_failed)
    events_.on_failed(Error{code, "the tracker refuses the peer list: " + std::to_string(response.status) + " " +
                                      printable(response.reason, 120)});
}

void UeSwarm::take_kept() {
  for (auto& range : state_.held().ranges())
    if (!held().test(range)) node_.media().engine().add_chunks(node_.timers().now(), description_.root, range);
}

void UeSwarm::begin() {
  appetite_ = swarm::Appetite::all;
  node_.media().engine().set_appetite(node_.timers().now(), description_.root, appetite_);
  if (!held().empty()) node_.announce(*this);
  node_.media().pump();
}

const content::Bitmap& UeSwarm::held() const {
  auto* held = in_engine_ ? node_.media().engine().held(description_.root) : nullptr;
  return held ? *held : state_.held();
}

std::uint64_t UeSwarm::octets_held() const {
  auto& bitmap = held();
  auto geometry = description_.geometry();
  auto whole = std::uint64_t{bitmap.count()} * geometry.chunk_size();
  auto last = geometry.chunks() - 1;
  return bitmap.test(last) ? whole - geometry.chunk_size() + geometry.size_of(last) : whole;
}

swarm::Traffic UeSwarm::traffic() const {
  return node_.media().engine().traffic(description_.root);
}

std::string UeSwarm::suite() const {
  auto newest = peers_ ? peers_->suite() : std::string();
  return newest.empty() ? last_suite_ : newest;
}

// What the user changed in his file says nothing about what was fetched.
Status UeSwarm::save() {
  if (!in_engine_ || !unsaved_ || (state_.opened() && state_.opened()->place().whole)) return {};
  SEALCAST_TRY(state_.object().save(held()));
  unsaved_ = false;
  return {};
}

void UeSwarm::schedule_save() {
  if (save_timer_ != 0) return;
  save_timer_ = node_.timers().after(k_save_interval, [this] {
    save_timer_ = 0;
    if (auto saved = save(); !saved && events_.on_failed) events_.on_failed(saved.error());
    // Others learn what is new here; not more often than this.
    if (held().count() != announced_chunks_) node_.announce(*this);
    announced_chunks_ = held().count();
  });
}

void UeSwarm::on_event(const swarm::Event& event) {
  switch (event.kind) {
    case swarm::EventKind::chunks_verified:
      refusals_ = 0;
      confirmed_ = false;
      unsaved_ = true;
      last_verified_ = node_.timers().now();
      schedule_save();
      break;
    case swarm::EventKind::keyinfo:
      if (events_.on_keyinfo) events_.on_keyinfo(event.text);
      break;
    case swarm::EventKind::swarm_complete:
      if (peers_) peers_->rest();
      if (auto saved = save(); !saved && events_.on_failed) return events_.on_failed(saved.error());
      node_.announce(*this);
      node_.look_for_unused();
      if (events_.on_complete) events_.on_complete();
      break;
    case swarm::EventKind::storage_failed:
      if (events_.on_failed) events_.on_failed(event.error);
      break;
    case swarm::EventKind::storage_corrupt:
      lost(event.range);
      break;
    case swarm::EventKind::integrity_failure:
      log(LogLevel::warning, "content", "a partner sent octets that do not verify: asked for again");
      break;
    default:
      break;
  }
}

// A file that is the user's is not mended.
void UeSwarm::lost(content::ChunkRange range) {
  if (auto* file = state_.opened(); file && file->place().whole) {
    auto trouble = state_.object().trouble();
    auto what = trouble ? trouble->message : printable(file->path().string(), 4096) + " is not what was fetched";
    if (events_.on_failed) events_.on_failed({ErrorCode::failure, what + ": it is served no more"});
    return;
  }
  log(LogLevel::warning, "content",
      "chunks " + std::to_string(range.first) + ".." + std::to_string(range.last) +
          " are damaged on disk: not served, fetched again");
  unsaved_ = true;
  follow_peers();
}

void UeSwarm::on_call_ended(sip::CallId id, const std::string& reason) {
  if (peers_) peers_->on_call_ended(id, reason);
}

// The tracker may have given us another one since it last told us.
void UeSwarm::wrongly_called() {
  if (peers_) return peers_->refresh();
  node_.announce(*this);
}

tracking::AnnouncedSwarm UeSwarm::announcement() const {
  tracking::AnnouncedSwarm out;
  out.root = description_.root;
  out.state = complete() ? tracking::PeerState::seed : tracking::PeerState::leech;
  out.have = held().ranges(8);
  return out;
}

sdp::Policy UeSwarm::policy() const {
  sdp::Policy out;
  out.secured_required = secured();
  out.inline_key_allowed = node_.config().tls() || node_.config().insecure_signalling;
  return out;
}

}  // namespace sealcast::roles
