#include "roles/ue/seeder.hpp"

#include <utility>

#include "base/log.hpp"

namespace sealcast::roles {
namespace {

constexpr Duration k_look_again = 2s, k_look = 50ms;
constexpr std::size_t k_asked_at_once = 16, k_looked_at_at_once = 32;

}  // namespace

Seeder::Seeder(UeNode& node, std::vector<crypto::Digest> roots, bool kept_only, std::function<void()> on_ready,
               std::function<void(const Error&)> on_end)
    : node_(node),
      roots_(std::move(roots)),
      kept_only_(kept_only),
      on_ready_(std::move(on_ready)),
      on_end_(std::move(on_end)) {}

Seeder::~Seeder() {
  lifetime_.end();
  node_.timers().cancel(timer_);
  node_.timers().cancel(waiting_timer_);
}

void Seeder::start() {
  all_ = roots_.empty();
  if (all_) roots_ = ContentState::list(node_.config().state);
  if (roots_.empty())
    return end(
        {ErrorCode::not_found, node_.config().name + " holds no content to seed: get one first, or name its URI"});
  auto done = [this](const Status& status) {
    if (!status) return end(status.error());
    ask_for_more();
  };
  node_.register_identity(lifetime_.guard(done), lifetime_.guard([this](const Error& error) { end(error); }));
}

// Some at a time: thousands at once would be refused, or crowd out what others ask.
void Seeder::ask_for_more() {
  std::size_t looked_at = 0;
  while (on_end_ && asked_ < k_asked_at_once && next_ < roots_.size()) {
    // Who calls meanwhile is served in between.
    if (++looked_at > k_looked_at_at_once) return node_.timers().post(lifetime_.guard([this] { ask_for_more(); }));
    auto root = roots_[next_++];
    if (contents_.contains(root)) continue;
    auto state = ContentState::open(node_.config().state, root);
    if (!state) {
      give_up(root, state.error());
      continue;
    }
    contents_[root].state = std::move(*state);
    if (all_ && join_asleep(root)) continue;
    ++asked_;
    node_.fetch_description(root, lifetime_.guard([this, root](const Result<std::string>& jws) {
      --asked_;
      join(root, jws);
      ask_for_more();
    }));
  }
}

// Of all that is kept, what is whole needs nothing of the tracker but that it takes the announcement, which says too
// whether we may have it.
bool Seeder::join_asleep(const crypto::Digest& root) {
  auto& content = contents_.at(root);
  auto description =
      content::verify_description(content.state->description(), node_.trust().providers, node_.timers().unix_now());
  if (!description || description->root != root || !content.state->looks_whole(description->geometry())) return false;
  content.description = std::move(*description);
  sleep_in_swarm(root);
  return true;
}

void Seeder::sleep_in_swarm(const crypto::Digest& root) {
  auto& content = contents_.at(root);
  content.swarm =
      std::make_unique<UeSwarm>(node_, *content.state, *content.description, swarm::Appetite::all, events_of(root));
  content.swarm->start_asleep();
  look_whether_ready();
}

UeSwarmEvents Seeder::events_of(const crypto::Digest& root) {
  UeSwarmEvents events;
  events.open_output = [this, root] { return open_output(root); };
  events.on_failed = [this, root](const Error& error) { give_up(root, error); };
  events.on_keyinfo = [this, root](const std::string& keyinfo) {
    auto& its = contents_.at(root);
    if (its.quest) return its.quest->take_keyinfo(keyinfo);
    // Handed on with our bitmap, if it verifies.
    if (!keys::verify_keyinfo(keyinfo, *its.description, node_.timers().unix_now())) return;
    (void)its.state->keep_keyinfo(keyinfo);
    node_.media().engine().set_keyinfo(root, keyinfo);
  };
  return events;
}

// The description of an earlier run serves while the tracker is away; its refusal counts.
void Seeder::join(const crypto::Digest& root, const Result<std::string>& from_tracker) {
  if (!on_end_) return;
  auto& content = contents_.at(root);
  auto jws = from_tracker ? *from_tracker : content.state->description();
  if (!from_tracker && (from_tracker.error().code != ErrorCode::network || jws.empty()))
    return give_up(root, from_tracker.error());
  if (auto joined = join_checked(root, jws); !joined) return give_up(root, joined.error());
  look_whether_ready();
}

Status Seeder::join_checked(const crypto::Digest& root, const std::string& jws) {
  auto& content = contents_.at(root);
  SEALCAST_TRY_ASSIGN(content.description,
                      content.state->accept_description(jws, node_.trust().providers, node_.timers().unix_now()));
  if (content.state->looks_whole(content.description->geometry())) {
    content.waiting.clear();
    sleep_in_swarm(root);
    return {};
  }
  // Of what has to be open so much is at a time as may be; the others wait.
  bool opened = false;
  if (node_.has_room()) {
    SEALCAST_TRY_ASSIGN(opened, content.state->open_object(content.description->geometry(), {}, Form::found));
  }
  if (!opened) {
    content.waiting = jws;
    node_.timers().cancel(waiting_timer_);
    waiting_timer_ = node_.timers().after(k_look_again, [this] { look_for_the_waiting(); });
    return {};
  }
  content.waiting.clear();
  if (content.state->form() == Form::kept) return start_swarm(root, swarm::Appetite::all);
  if (kept_only_)
    return fail(ErrorCode::not_found, "the content was opened when it was fetched: get --keep keeps it as it comes");
  if (!content::is_sealed(content.description->protection)) return open_and_start(root);
  seek_key(root);
  // Who holds the key may have to be learnt from peers.
  return content.quest->under_way() ? Status{} : start_swarm(root, swarm::Appetite::none);
}

Status Seeder::open_and_start(const crypto::Digest& root) {
  auto& content = contents_.at(root);
  SEALCAST_TRY(open_output(root));
  if (!content.swarm) return start_swarm(root, swarm::Appetite::all);
  content.swarm->take_kept();
  content.swarm->begin();
  return {};
}

Status Seeder::open_output(const crypto::Digest& root) {
  auto& content = contents_.at(root);
  return content.state->open_output(opening_of(*content.description, content.quest ? content.quest->key() : nullptr));
}

void Seeder::seek_key(const crypto::Digest& root) {
  auto& content = contents_.at(root);
  KeyQuestEvents events;
  events.on_keyinfo = [this, root](const std::string& keyinfo) {
    (void)contents_.at(root).state->keep_keyinfo(keyinfo);
    node_.media().engine().set_keyinfo(root, keyinfo);
  };
  events.on_key = [this, root] {
    if (auto started = open_and_start(root); !started) give_up(root, started.error());
  };
  events.on_refused = [this, root](const Error& error) { give_up(root, error); };
  events.on_silence = [this, root] {
    if (contents_.at(root).swarm) return;
    if (auto started = start_swarm(root, swarm::Appetite::none); !started) give_up(root, started.error());
  };
  content.quest =
      std::make_unique<KeyQuest>(node_.timers(), node_.key_requests(), *content.description, "seed", std::move(events));
  if (auto known = content.state->keyinfo(); !known.empty()) content.quest->take_keyinfo(known);
}

Status Seeder::start_swarm(const crypto::Digest& root, swarm::Appetite appetite) {
  auto& content = contents_.at(root);
  content.swarm = std::make_unique<UeSwarm>(node_, *content.state, *content.description, appetite, events_of(root));
  content.swarm->allow_sleep();
  SEALCAST_TRY(content.swarm->start());
  node_.look_for_unused();
  return {};
}

// The other process has ended, or has all of it, by and by.
void Seeder::look_for_the_waiting() {
  std::vector<std::pair<crypto::Digest, std::string>> waiting;
  for (auto& [root, content] : contents_)
    if (!content.waiting.empty()) waiting.emplace_back(root, content.waiting);
  for (auto& [root, jws] : waiting)
    if (auto joined = join_checked(root, jws); !joined) give_up(root, joined.error());
}

// A content that was named must be there; of all that are kept, the others go on.
void Seeder::give_up(const crypto::Digest& root, const Error& error) {
  if (!all_) return end(error);
  log(LogLevel::warning, "seed", content::root_text(root) + " is left out: " + error.message);
  node_.timers().post(lifetime_.guard([this, root, error] {
    contents_.erase(root);
    if (contents_.empty() && next_ >= roots_.size())
      end(error);
    else
      look_whether_ready();
  }));
}

void Seeder::look_whether_ready() {
  if (on_ready_ && timer_ == 0) timer_ = node_.timers().after(k_look, [this] { tell_whether_ready(); });
}

void Seeder::tell_whether_ready() {
  timer_ = 0;
  if (!on_ready_) return;
  bool ready = next_ >= roots_.size(), holds_something = false;
  for (auto& [root, content] : contents_) {
    if (!ready) break;
    const bool asks = content.quest && content.quest->under_way();
    ready = !content.waiting.empty() || (!asks && content.swarm && content.swarm->settled());
    holds_something = holds_something || (content.swarm && !content.swarm->held().empty());
  }
  if (ready && (!holds_something || node_.announced())) return std::exchange(on_ready_, nullptr)();
  look_whether_ready();
}

Seeder::Totals Seeder::totals() const {
  Totals out;
  for (auto& [root, content] : contents_) {
    ++out.contents;
    if (!content.waiting.empty()) ++out.waiting;
    if (!content.swarm) continue;
    if (content.swarm->complete()) ++out.complete;
    out.sent += content.swarm->traffic().sent;
  }
  return out;
}

void Seeder::end(Error error) {
  if (!on_end_) return;
  // Events of a swarm may have brought us here.
  node_.timers().post([done = std::exchange(on_end_, nullptr), error = std::move(error)] { done(error); });
}

}  // namespace sealcast::roles
