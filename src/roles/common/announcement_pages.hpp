#pragma once
// What a node announces, however many swarms it takes part in: pages that each fit a message, a few under way at a
// time. What changes sends the page that it is on; a page is refreshed without its body. Bodies are written when they
// are sent, and not kept.
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "roles/common/announcer.hpp"
#include "tracking/messages.hpp"

namespace sealcast::roles {

class AnnouncementPages {
 public:
  struct Limits {
    std::size_t swarms = 256;        // on a page
    std::size_t octets = 48 * 1024;  // of its body: a message holds 64 KiB
    std::size_t under_way = 4;       // pages whose answer has not come
    int least_expires = 60;          // seconds, and one more for each page
    Duration pause = 250ms;          // between two bodies of one page
  };
  struct Events {
    // What is to be said of a swarm when its page is written; nothing: not now.
    std::function<std::optional<tracking::AnnouncedSwarm>(const crypto::Digest& root)> describe;
    // Every final answer; may be empty.
    std::function<void(const sip::Response&)> on_answer;
    // What the tracker says of a page that it has looked at; may be empty.
    std::function<void(const tracking::PublishAnswer&)> on_taken;
  };
  // name_of: the instance of page i. A service has the same ones in each run: what was left behind is replaced.
  AnnouncementPages(Timers& timers, sip::Signalling& agent, std::string tracker,
                    std::function<std::string(std::size_t page)> name_of, Limits limits, Events events);
  ~AnnouncementPages();

  // Announced from now on, or something about it is new. octets: about what it takes of a page.
  void put(const crypto::Digest& root, std::size_t octets);
  void remove(const crypto::Digest& root);
  // Everything is written and sent again, some at a time.
  void put_all_again();
  // All is withdrawn, and nothing comes after it.
  void withdraw();
  // A refresh of some page now: does the tracker still know us?
  void touch();

  bool announced(const crypto::Digest& root) const;  // the tracker has taken it as it stands here
  bool settled() const;                              // every page as it stands was answered; false when there is none
  std::size_t taken() const;                         // swarms that the tracker has taken
  std::size_t pages() const { return pages_.size(); }

 private:
  struct Page {
    std::map<crypto::Digest, std::size_t> roots;  // and their octets
    std::size_t octets = 0;
    bool waits = false;                // in queue_
    bool answered = false;             // taken once, or too much
    std::vector<crypto::Digest> sent;  // with the body that is under way
    Instant not_before{};
    std::unique_ptr<Announcer> announcer;
  };
  struct Place {
    std::size_t page = 0;
    bool changed = true;  // since its page was written
    bool taken = false;
  };
  std::size_t find_room(std::size_t octets);
  void changed(std::size_t index);
  void take_out(const crypto::Digest& root, std::size_t index);
  void go_on();  // with what waits for its turn
  void send_some();
  void send(std::size_t index);
  std::string body_of(std::size_t index);
  void taken(std::size_t index, bool any, const tracking::PublishAnswer& answer);
  void answered(std::size_t index, const sip::Response& response, Announcer::Sent sent);

  Timers& timers_;
  sip::Signalling& agent_;
  std::string tracker_;
  std::function<std::string(std::size_t)> name_of_;
  Limits limits_;
  Events events_;
  std::vector<std::unique_ptr<Page>> pages_;
  std::map<crypto::Digest, Place> places_;
  std::deque<std::size_t> queue_;  // pages that are to be sent
  std::set<std::size_t> under_way_;
  std::set<std::size_t> roomy_;  // pages with room again
  std::size_t touched_ = 0;
  bool withdrawn_ = false;
  Timers::TimerId timer_ = 0;
};

}  // namespace sealcast::roles
