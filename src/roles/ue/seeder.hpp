#pragma once
// `seed`: a subscriber stays in swarms, fetches what it lacks and serves what it holds. What is kept sealed needs no
// key; what lies opened in the user's file is sealed again with it, and is served as long as it is what was fetched.
#include <functional>

#include "base/lifetime.hpp"
#include "content/uri.hpp"
#include "roles/ue/key_quest.hpp"
#include "roles/ue/ue_swarm.hpp"

namespace sealcast::roles {

class Seeder {
 public:
  // node is started. roots empty: everything that the subscriber holds something of, without what turns out damaged or
  // refused. on_ready: once, when all is announced. on_end: once, when it cannot go on.
  // kept_only: nothing that lies opened.
  Seeder(UeNode& node, std::vector<crypto::Digest> roots, bool kept_only, std::function<void()> on_ready,
         std::function<void(const Error&)> on_end);
  ~Seeder();
  void start();
  struct Totals {
    std::size_t contents = 0, complete = 0, waiting = 0;
    std::uint64_t sent = 0;
  };
  Totals totals() const;

 private:
  struct Content {
    std::unique_ptr<ContentState> state;
    std::optional<content::Description> description;
    std::unique_ptr<KeyQuest> quest;  // sealed, and opened in a file
    std::unique_ptr<UeSwarm> swarm;
    std::string waiting;  // description of what another process of the subscriber is fetching: served by us afterwards
  };
  void ask_for_more();
  void join(const crypto::Digest& root, const Result<std::string>& from_tracker);
  Status join_checked(const crypto::Digest& root, const std::string& jws);
  bool join_asleep(const crypto::Digest& root);
  void sleep_in_swarm(const crypto::Digest& root);
  UeSwarmEvents events_of(const crypto::Digest& root);
  Status open_and_start(const crypto::Digest& root);
  Status open_output(const crypto::Digest& root);
  Status start_swarm(const crypto::Digest& root, swarm::Appetite appetite);
  void seek_key(const crypto::Digest& root);
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
  std::map<crypto::Digest, Content> contents_;
  Timers::TimerId timer_ = 0, waiting_timer_ = 0;
  Lifetime lifetime_;
};

}  // namespace sealcast::roles
