#include "roles/common/peer_watch.hpp"

#include <algorithm>
#include <utility>

#include "base/json.hpp"
#include "base/log.hpp"

namespace sealcast::roles {
namespace {

constexpr int k_expires = 240;  // below the life of a token (300 s): each refresh brings new ones
constexpr Duration k_longest_pause = 15s;

}  // namespace

PeerWatch::PeerWatch(Timers& timers, sip::Signalling& agent, std::string tracker, std::string root,
                     std::function<void(const std::string&)> on_list,
                     std::function<void(const sip::Response&)> on_refused, WatchKind kind)
    : timers_(timers),
      agent_(agent),
      tracker_(std::move(tracker)),
      root_(std::move(root)),
      on_list_(std::move(on_list)),
      on_refused_(std::move(on_refused)),
      kind_(kind) {
  subscribe();
}

PeerWatch::~PeerWatch() {
  lifetime_.end();
  quit();
}

void PeerWatch::quit() {
  timers_.cancel(timer_);
  if (auto mine = std::exchange(subscription_, 0); mine != 0) agent_.unsubscribe(mine);
}

void PeerWatch::refresh() {
  quit();
  subscribe();
}

void PeerWatch::set_kind(WatchKind kind) {
  if (std::exchange(kind_, kind) == kind) return;
  if (kind == WatchKind::standing) return refresh();
  // One that waits for its list still gets it, and then ends.
  if (heard_) quit();
}

void PeerWatch::subscribe() {
  sip::Request request;
  request.method = "SUBSCRIBE";
  request.uri = tracker_;
  request.event = "p2pcds-peers";
  const bool stands = kind_ == WatchKind::standing;
  request.expires = stands ? k_expires : 0;
  request.content_type = "application/vnd.p2pcds.peer+json";
  request.body = json::Value(json::Object{{"v", 1}, {"id", root_}}).text();
  heard_ = false;
  auto mine = std::make_shared<sip::SubscriptionId>(0);  // owners: the two callbacks, about no other one
  auto on_notify = [this, mine, stands](const sip::Request& notify) {
    if (subscription_ != *mine) return;
    pause_ = 1s;
    heard_ = true;
    if (stands && kind_ == WatchKind::once) quit();
    if (!notify.body.empty()) on_list_(notify.body);
  };
  auto on_end = [this, mine](const sip::Response& response) {
    if (subscription_ == *mine) ended(response);
  };
  *mine = subscription_ =
      agent_.subscribe(std::move(request), lifetime_.guard(std::move(on_notify)), lifetime_.guard(std::move(on_end)));
}

void PeerWatch::ended(const sip::Response& response) {
  subscription_ = 0;
  if (kind_ == WatchKind::once && heard_) return;
  // A refresh may be refused because a core or tracker that came back does not know the dialog: only the answer to a
  // new subscription decides.
  if (!heard_ && (response.status == 403 || response.status == 404 || response.status == 489))
    return on_refused_(response);
  log(LogLevel::info, "peers",
      "subscription ended (" + std::to_string(response.status) + " " + response.reason + "), subscribing again");
  timer_ = timers_.after(pause_, [this] { subscribe(); });
  pause_ = std::min(pause_ * 2, k_longest_pause);
}

}  // namespace sealcast::roles
