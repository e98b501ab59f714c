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
    auto session = ContentSession::open(node_, root, "seed", *this);
    if (!session) {
      give_up(root, session.error());
      continue;
    }
    auto& content = contents_[root];
    content.session = std::move(*session);
    if (all_ && join_asleep(*content.session)) continue;
    ++asked_;
    content.session->describe(ContentSession::Earlier::while_away, [this, root](const Status& described) {
      --asked_;
      if (on_end_) {
        auto joined = described ? join(contents_.at(root)) : described;
        joined ? look_whether_ready() : give_up(root, joined.error());
      }
      ask_for_more();
    });
  }
}

// Of all that is kept, what is whole needs nothing of the tracker but that it takes the announcement, which says too
// whether we may have it.
bool Seeder::join_asleep(ContentSession& session) {
  if (!session.recall() || !session.state().looks_whole(session.description().geometry())) return false;
  session.join_asleep();
  look_whether_ready();
  return true;
}

Status Seeder::join(Content& content) {
  auto& session = *content.session;
  content.waiting = false;
  if (session.state().looks_whole(session.description().geometry())) {
    session.join_asleep();
    look_whether_ready();
    return {};
  }
  // Of what has to be open so much is at a time as may be; the others wait.
  bool opened = false;
  if (node_.has_room()) {
    SEALCAST_TRY_ASSIGN(opened, session.state().open_object(session.description().geometry(), {}, Form::found));
  }
  if (!opened) {
    content.waiting = true;
    node_.timers().cancel(waiting_timer_);
    waiting_timer_ = node_.timers().after(k_look_again, [this] { look_for_the_waiting(); });
    return {};
  }
  if (session.state().form() == Form::kept) return start_swarm(session, swarm::Appetite::all);
  if (kept_only_)
    return fail(ErrorCode::not_found, "the content was opened when it was fetched: get --keep keeps it as it comes");
  if (!session.sealed()) return open_and_start(session);
  session.seek_key();
  // Who holds the key may have to be learnt from peers.
  return session.quest()->under_way() ? Status{} : start_swarm(session, swarm::Appetite::none);
}

Status Seeder::open_and_start(ContentSession& session) {
  SEALCAST_TRY(session.open_output());
  if (!session.swarm()) return start_swarm(session, swarm::Appetite::all);
  session.swarm()->take_kept();
  session.swarm()->begin();
  return {};
}

Status Seeder::start_swarm(ContentSession& session, swarm::Appetite appetite) {
  SEALCAST_TRY(session.join(appetite));
  session.swarm()->allow_sleep();
  node_.look_for_unused();
  return {};
}

void Seeder::key_released(ContentSession& session) {
  if (auto started = open_and_start(session); !started) give_up(session.state().root(), started.error());
}

void Seeder::key_refused(ContentSession& session, const Error& error) {
  give_up(session.state().root(), error);
}

void Seeder::key_holders_silent(ContentSession& session) {
  if (session.swarm()) return;
  if (auto started = start_swarm(session, swarm::Appetite::none); !started)
    give_up(session.state().root(), started.error());
}

void Seeder::swarm_failed(ContentSession& session, const Error& error) {
  give_up(session.state().root(), error);
}

// The other process has ended, or has all of it, by and by.
void Seeder::look_for_the_waiting() {
  for (auto& [root, content] : contents_) {
    if (!content.waiting) continue;
    auto joined = content.session->describe_again();
    if (joined) joined = join(content);
    if (!joined) give_up(root, joined.error());
  }
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
    const auto* swarm = content.session->swarm();
    const bool asks = content.session->quest() && content.session->quest()->under_way();
    ready = content.waiting || (!asks && swarm && swarm->settled());
    holds_something = holds_something || (swarm && !swarm->held().empty());
  }
  if (ready && (!holds_something || node_.announced())) return std::exchange(on_ready_, nullptr)();
  look_whether_ready();
}

Seeder::Totals Seeder::totals() const {
  Totals out;
  for (auto& [root, content] : contents_) {
    ++out.contents;
    if (content.waiting) ++out.waiting;
    const auto* swarm = content.session->swarm();
    if (!swarm) continue;
    if (swarm->complete()) ++out.complete;
    out.sent += swarm->traffic().sent;
  }
  return out;
}

void Seeder::end(Error error) {
  if (!on_end_) return;
  // Events of a swarm may have brought us here.
  node_.timers().post([done = std::exchange(on_end_, nullptr), error = std::move(error)] { done(error); });
}

}  // namespace sealcast::roles
