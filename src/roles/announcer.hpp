#pragma once
// Keeps one announcement at the tracker alive: PUBLISH with soft state (RFC 3903), refreshed at half of its life, made
// anew when stale (412).
#include <string>

#include "io/loop.hpp"
#include "sip/agent.hpp"

namespace sealcast::roles {

class Announcer {
 public:
  // tracker: "sip:tracker@<domain>". Agent and loop outlive it.
  Announcer(io::Loop& loop, sip::Agent& agent, std::string tracker, int expires);
  ~Announcer();
  // Announces `body` now (or when the one under way is answered), and again until withdraw().
  void update(std::string body);
  void withdraw();
  // A refresh before its time: does the tracker still know us?
  void touch(Duration delay);
  bool announced() const { return !etag_.empty(); }
  // Told of every final answer.
  std::function<void(const sip::Response&)> on_answer;
  // The tracker has forgotten this announcement (it was started anew): it gets it again now.
  std::function<void()> on_forgotten;

 private:
  void send(int expires);
  void answered(const sip::Response& response);
  void again_after(Duration delay);

  io::Loop& loop_;
  sip::Agent& agent_;
  std::string tracker_, body_, etag_;
  int expires_;
  bool under_way_ = false, changed_ = false, withdrawn_ = false;
  Duration pause_ = 1s;
  io::Loop::TimerId timer_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace sealcast::roles
