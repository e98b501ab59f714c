#pragma once
// `seed`: a subscriber stays in swarms, fetches what it lacks and serves what it holds. What is kept sealed needs no
// key; what lies opened in the user's file is sealed again with it, and is served as long as it is what was fetched.
#include <functional>

#include "base/lifetime.hpp"
#include "content/uri.hpp"
#include "roles/ue/content_session.hpp"

namespace sealcast::roles {

class Seeder final : private SessionUser {
 public:
  // node is started. roots empty: everything that the subscriber holds something of, without what turns out damaged or
  // refused. on_ready: once, when all is announced. on_end: once, when it cannot go on.
  // kept_only: nothing that lies opened.
  Seeder(UeNode& node, std::vector<crypto::Digest> roots, bool kept_only, std::function<void()> on_ready,
         std::function<void(const Error&)> on_end);
  ~Seeder() override;
  void start();
  struct Totals {
    std::size_t contents = 0, complete = 0, waiting = 0;
    std::uint64_t sent = 0;
  };
  Totals totals() const;

 private:
  struct Content {
    std::unique_ptr<ContentSession> session;
    bool waiting = false;  // another process of the subscriber is fetching it: served by us afterwards
  };
  void key_released(ContentSession& session) override;
  void key_refused(ContentSession& session, const Error& error) override;
  void key_holders_silent(ContentSession& session) override;
  void swarm_failed(ContentSession& session, const Error& error) override;

  void ask_for_more();
  bool join_asleep(ContentSession& session);
  Status join(Content& content);
  Status open_and_start(ContentSession& session);
  Status start_swarm(ContentSession& session, swarm::Appetite appetite);
  void give_up(const crypto::Digest& root, const Error& error);
  void look_whether_ready();
  void tell_whether_ready();
  void look_for_the_waiting();
  void end(Error error);

  UeNode& node_;
  std::vector<crypto::Digest> roots_;
  std::size_t next_ = 0, asked_ = 0;  // roots before next_ were asked for; descriptions that are not there yet
  bool all_ = false;                  // none was named
  bool kept_only_;
  std::function<void()> on_ready_;
  std::function<void(const Error&)> on_end_;
  std::map<crypto::Digest, Content> contents_;  // by root
  Timers::TimerId timer_ = 0, waiting_timer_ = 0;
  Lifetime lifetime_;
};

}  // namespace sealcast::roles
