#include "roles/ue/content_session.hpp"

#include "base/log.hpp"
#include "base/text.hpp"

namespace sealcast::roles {

Result<std::unique_ptr<ContentSession>> ContentSession::open(UeNode& node, const crypto::Digest& root, const char* who,
                                                             SessionUser& user) {
  SEALCAST_TRY_ASSIGN(auto state, ContentState::open(node.config().state, root));
  return std::unique_ptr<ContentSession>(new ContentSession(node, who, user, std::move(state)));
}

ContentSession::~ContentSession() {
  lifetime_.end();
}

// ---- description

void ContentSession::describe(Earlier earlier, std::function<void(const Status&)> done) {
  node_.fetch_description(
      state_->root(), lifetime_.guard([this, earlier, done = std::move(done)](const Result<std::string>& jws) {
        if (jws) return done(accept(*jws));
        auto known = earlier == Earlier::while_away && jws.error().code == ErrorCode::network ? state_->description()
                                                                                              : std::string();
        done(known.empty() ? Status(fail(jws.error())) : accept(known));
      }));
}

Status ContentSession::describe_again() {
  return accept(state_->description());
}

Status ContentSession::accept(const std::string& jws) {
  SEALCAST_TRY_ASSIGN(description_,
                      state_->accept_description(jws, node_.trust().providers, node_.timers().unix_now()));
  return {};
}

bool ContentSession::recall() {
  auto known = content::verify_description(state_->description(), node_.trust().providers, node_.timers().unix_now());
  if (!known || known->root != state_->root()) return false;
  description_ = std::move(*known);
  return true;
}

// ---- key

void ContentSession::seek_key() {
  KeyQuestEvents events;
  events.on_keyinfo = [this](const std::string& keyinfo) { hand_on(keyinfo); };
  events.on_key = [this] { user_.key_released(*this); };
  events.on_refused = [this](const Error& error) { user_.key_refused(*this, error); };
  events.on_silence = [this] { user_.key_holders_silent(*this); };
  quest_ = std::make_unique<KeyQuest>(node_.timers(), node_.key_requests(), *description_, who_, std::move(events));
  if (auto known = state_->keyinfo(); !known.empty()) quest_->take_keyinfo(known);
}

void ContentSession::stop_seeking() {
  if (quest_) quest_->end();
}

// From a partner.
void ContentSession::take_keyinfo(const std::string& keyinfo) {
  if (quest_) return quest_->take_keyinfo(keyinfo);
  if (keys::verify_keyinfo(keyinfo, *description_, node_.timers().unix_now())) hand_on(keyinfo);
}

// One that verifies goes with our bitmap to those who get it from us.
void ContentSession::hand_on(const std::string& keyinfo) {
  if (auto kept = state_->keep_keyinfo(keyinfo); !kept) log(LogLevel::warning, who_, kept.error().message);
  node_.media().engine().set_keyinfo(description_->root, keyinfo);
}

Result<content::Metadata> ContentSession::metadata() const {
  if (!sealed()) return content::Metadata{description_->name, description_->type};
  auto opened = content::open_metadata(description_->metadata, *description_->header, *key(), description_->root);
  if (!opened) return fail(ErrorCode::integrity, "the description's sealed name does not open with the content's key");
  return std::move(*opened);
}

ObjectReader ContentSession::reader() {
  auto& object = state_->object();
  return {object, object.nodes(), *description_, key()};
}

// ---- swarm

void ContentSession::make_swarm(swarm::Appetite appetite) {
  UeSwarmEvents events;
  events.open_output = [this] { return open_output(); };
  events.on_keyinfo = [this](const std::string& keyinfo) { take_keyinfo(keyinfo); };
  events.on_complete = [this] { user_.all_held(*this); };
  events.on_failed = [this](const Error& error) { user_.swarm_failed(*this, error); };
  swarm_ = std::make_unique<UeSwarm>(node_, *state_, *description_, appetite, std::move(events));
}

Status ContentSession::join(swarm::Appetite appetite) {
  make_swarm(appetite);
  return swarm_->start();
}

void ContentSession::join_asleep() {
  make_swarm(swarm::Appetite::all);
  swarm_->start_asleep();
}

void ContentSession::leave() {
  swarm_.reset();
}

Error ContentSession::obstacle() const {
  if (lacks_key()) {
    if (quest_->busy()) return {ErrorCode::key_not_released, "the key holder has been too busy to release the key"};
    if (auto& trouble = quest_->trouble())
      return {trouble->code, "no peer gives the key or says credibly who holds it (" + trouble->message + ")"};
    if (swarm_->connected() > 0) return {ErrorCode::key_not_released, "no peer says who holds the key"};
  }
  if (swarm_->listed() == 0) return {ErrorCode::network, "the tracker names no peer that has this content"};
  if (auto trouble = swarm_->path_trouble(); !trouble.empty())
    return {ErrorCode::network, "no chunk has come (" + printable(trouble, 200) + ")"};
  return {ErrorCode::network, swarm_->connected() == 0 ? "no peer has answered" : "no chunk has come"};
}

}  // namespace sealcast::roles
