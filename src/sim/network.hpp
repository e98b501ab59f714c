#pragma once
// Engines, the links between them and virtual time: what io::MediaDriver does for one engine, for all of a scene. The
// same seed of the random source and the same calls give the same course, datagram by datagram.
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <queue>
#include <vector>

#include "sim/link.hpp"
#include "swarm/engine.hpp"

namespace sealcast::sim {

class Network {
 public:
  // `every` is what a link is that nothing else was said about.
  Network(LinkOptions every, RandomSource& random) : every_(every), random_(&random) {}

  using OnEvent = std::function<void(swarm::Event)>;
  // The engine is borrowed until cut().
  void add(const Endpoint& address, swarm::Engine& engine, OnEvent on_event);
  // What it sent is still on its way; what is sent to it arrives nowhere.
  void cut(const Endpoint& address) { nodes_.erase(address); }
  // From one node to another; made when it is first asked for.
  Link& link(const Endpoint& from, const Endpoint& to);
  // What all that the node sends goes through before it comes to the links: its up-link.
  void set_uplink(const Endpoint& node, LinkOptions options) { share_uplink({node}, options); }
  // The same, of several nodes in common.
  void share_uplink(std::initializer_list<Endpoint> nodes, LinkOptions options) {
    auto shared = std::make_shared<Link>(options);
    for (auto& node : nodes) uplinks_[node] = shared;
  }

  // How long each job of an engine takes that leaves storage to its driver: anything between the two, so that answers
  // come in any order. Others complete at once.
  void set_storage(const Endpoint& node, Duration least, Duration most) { nodes_.at(node).storage = {least, most}; }

  // Until `duration` is over or `done` says so, which is asked after each step.
  void run(
      Duration duration, const std::function<bool()>& done = [] { return false; });

  Instant now{1s};
  std::uint64_t datagrams = 0;  // that arrived
  // Sees, and may change, what is on its way.
  std::function<void(Bytes& octets, const Endpoint& from)> tamper;

 private:
  struct Place {
    swarm::Engine* engine = nullptr;
    OnEvent on_event;
    Instant deadline = k_never;
    bool touched = true;
    std::pair<Duration, Duration> storage{0us, 0us};
  };
  struct Flying {
    Instant at;
    std::uint64_t order;
    Endpoint from, to;
    Bytes octets;
    bool operator>(const Flying& other) const { return std::tie(at, order) > std::tie(other.at, other.order); }
  };
  struct Storing {
    Endpoint node;
    swarm::StorageJob job;
  };
  void pump(const Endpoint& address, Place& node);
  void launch(const Endpoint& from, const Endpoint& to, ByteView octets, bool fragment);
  void store();
  void step(Instant end);

  LinkOptions every_;
  RandomSource* random_;
  std::map<Endpoint, Place> nodes_;
  std::map<Endpoint, std::shared_ptr<Link>> uplinks_;
  std::map<std::pair<Endpoint, Endpoint>, Link> links_;
  std::priority_queue<Flying, std::vector<Flying>, std::greater<>> air_;
  // By their time; those of one time in an order that the seed chooses.
  std::multimap<std::pair<Instant, std::uint32_t>, Storing> storing_;
  std::uint64_t order_ = 0;
};

}  // namespace sealcast::sim
