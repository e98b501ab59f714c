#pragma once
// Follows the peer list of one swarm at the tracker (SUBSCRIBE p2pcds-peers), anew after a restart of the tracker (481)
// or a lost dialog.
#include "base/lifetime.hpp"
#include "base/timers.hpp"
#include "sip/signalling.hpp"

namespace sealcast::roles {

// standing: kept alive. once: one list and no more, for who has all and only wants to know its own pseudonym.
enum class WatchKind { standing, once };

class PeerWatch {
 public:
  // root: base64url. on_list gets each NOTIFY body; on_refused an answer that will not change by asking again (403,
  // 404).
  PeerWatch(Timers& timers, sip::Signalling& agent, std::string tracker, std::string root,
            std::function<void(const std::string& body)> on_list, std::function<void(const sip::Response&)> on_refused,
            WatchKind kind = WatchKind::standing);
  ~PeerWatch();
  // Asks again now: tokens live 300 s, and a swarm that lost its peers should not wait.
  void refresh();
  void set_kind(WatchKind kind);

 private:
  void subscribe();
  void quit();
  void ended(const sip::Response& response);

  Timers& timers_;
  sip::Signalling& agent_;
  std::string tracker_, root_;
  std::function<void(const std::string&)> on_list_;
  std::function<void(const sip::Response&)> on_refused_;
  WatchKind kind_;
  sip::SubscriptionId subscription_ = 0;
  bool heard_ = false;  // of this subscription
  Duration pause_ = 1s;
  Timers::TimerId timer_ = 0;
  Lifetime lifetime_;
};

}  // namespace sealcast::roles
