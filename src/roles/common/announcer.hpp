#pragma once
// Keeps one announcement at the tracker alive: PUBLISH with soft state (RFC 3903), refreshed at half of its life, made
// anew when stale (412).
#include <string>

#include "base/lifetime.hpp"
#include "base/timers.hpp"
#include "sip/signalling.hpp"

namespace sealcast::roles {

class Announcer {
 public:
  enum class Sent { body, refresh };
  // tracker: "sip:tracker@<domain>". body: asked when it is sent. farewell: the announcement's name and nothing else.
  // on_answer: told of every final answer. Agent and timers outlive it.
  Announcer(Timers& timers, sip::Signalling& agent, std::string tracker, int expires, std::function<std::string()> body,
            std::string farewell, std::function<void(const sip::Response&, Sent)> on_answer);
  ~Announcer();
  // Announces what the body is now (or when the one under way is answered), and again until withdraw().
  void update();
  void withdraw();
  // A refresh before its time: does the tracker still know us?
  void touch();
  bool announced() const { return !etag_.empty(); }
  // The tracker has forgotten this announcement (it was started anew): it gets it again now.
  std::function<void()> on_forgotten;

 private:
  sip::Request request(int expires) const;
  void send(int expires);
  void deliver(sip::Request request, Sent sent);
  void answered(const sip::Response& response, Sent sent);
  void again_after(Duration delay);

  Timers& timers_;
  sip::Signalling& agent_;
  std::string tracker_, etag_;
  int expires_;
  std::function<std::string()> body_;
  std::string farewell_;
  std::function<void(const sip::Response&, Sent)> on_answer_;
  bool under_way_ = false, changed_ = false, withdrawn_ = false;
  Duration pause_ = 1s;
  Timers::TimerId timer_ = 0;
  Lifetime lifetime_;
};

}  // namespace sealcast::roles
