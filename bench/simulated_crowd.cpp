// UEs that start together behind one cache whose up-link is narrow, in virtual time: how long it takes, how much the
// cache sends, how much comes twice, and what it costs. For work on swarm/; bench/crowd has real processes.
//
//     bench_simulated_crowd [UES [MIB [CACHE_MBIT [trace]]]]
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "tests/support/swarm_world.hpp"

namespace sealcast::swarm {
namespace {

constexpr std::size_t k_partners = 8;  // UEs that each invites, beside the cache

struct Crowd {
  std::size_t ues = 10;
  std::uint64_t octets = 8u << 20;
  std::uint64_t cache_rate = 8000000;  // bit/s
};

// What they have got, each half second.
void print_state(const Node& cache, const std::vector<std::unique_ptr<Node>>& ues, const Content& c, Duration at) {
  auto mb = [](std::uint64_t octets) { return static_cast<double>(octets) / 1e6; };
  std::printf("%5.1f s  cache sent %.2f MB; each from it and from others:", std::chrono::duration<double>(at).count(),
              mb(cache.engine.traffic(c.id).sent));
  for (auto& ue : ues) {
    auto traffic = ue->engine.traffic(c.id);
    std::printf(" %.2f+%.2f", mb(traffic.received_from_caches), mb(traffic.received_from_ues));
  }
  std::printf("\n");
}

struct Scene {
  Content c;
  Node cache;
  std::vector<std::unique_ptr<Node>> ues;
  World world;

  explicit Scene(const Crowd& crowd) : c(crowd.octets, 7), cache(1, c, true, true), world(access(), 1) {
    add(cache);
    LinkOptions narrow;
    narrow.rate = crowd.cache_rate;
    narrow.delay = 1ms;
    narrow.queue = 64 * 1024;
    world.set_uplink(cache.address, narrow);
    for (std::size_t i = 0; i < crowd.ues; ++i) {
      ues.push_back(std::make_unique<Node>(static_cast<std::uint16_t>(2 + i), c, false, true));
      add(*ues.back());
    }
    SeededRandom random(3);
    for (std::size_t i = 0; i < crowd.ues; ++i) {
      world.connect(*ues[i], cache, c.id, true);
      for (std::size_t k = 0; k < std::min(k_partners, crowd.ues - 1); ++k) {
        auto other = (i + 1 + random.u32() % (crowd.ues - 1)) % crowd.ues;
        world.connect(*ues[i], *ues[other], c.id, true, true, PartnerKind::ue);
      }
    }
  }
  static LinkOptions access() {
    LinkOptions out;
    out.delay = 5ms;
    out.rate = 100000000;
    return out;
  }
  // Without the engine's own checks: what it costs is measured.
  void add(Node& node) {
    world.sim::Network::add(node.address, node.engine,
                            [&node](Event event) { node.events.push_back(std::move(event)); });
  }
};

void measure(const Crowd& crowd, bool trace) {
  Scene scene(crowd);
  auto start = scene.world.now;
  std::vector<Duration> done(crowd.ues, Duration{0});
  auto all = [&] {
    bool every = true;
    for (std::size_t i = 0; i < crowd.ues; ++i) {
      if (done[i] == Duration{0} && scene.ues[i]->engine.held(scene.c.id)->full()) done[i] = scene.world.now - start;
      every = every && done[i] != Duration{0};
    }
    return every;
  };
  auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 1200 && !all(); ++i) {
    scene.world.run(500ms, all);
    if (trace) print_state(scene.cache, scene.ues, scene.c, scene.world.now - start);
  }
  auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  auto octets = static_cast<double>(crowd.octets), wanted = octets * static_cast<double>(crowd.ues);
  auto ideal = octets * 8 / static_cast<double>(crowd.cache_rate);
  auto sent = static_cast<double>(scene.cache.engine.traffic(scene.c.id).sent), all_sent = sent;
  for (auto& ue : scene.ues) all_sent += static_cast<double>(ue->engine.traffic(scene.c.id).sent);
  std::sort(done.begin(), done.end());
  auto seconds = [](Duration d) { return std::chrono::duration<double>(d).count(); };
  std::printf(
      "%3zu UEs, %.0f MiB: all done in %.2f of F/u (median %.2f), cache sends %.2f copies, %.1f %% twice, "
      "%.1f us a chunk\n",
      crowd.ues, octets / (1 << 20), seconds(done.back()) / ideal, seconds(done[crowd.ues / 2]) / ideal, sent / octets,
      (all_sent - wanted) / wanted * 100, took * 1e6 / (wanted / 1152));
}

}  // namespace
}  // namespace sealcast::swarm

int main(int argc, char** argv) {
  sealcast::swarm::Crowd crowd;
  if (argc > 1) crowd.ues = std::strtoul(argv[1], nullptr, 10);
  if (argc > 2) crowd.octets = std::strtoull(argv[2], nullptr, 10) << 20;
  if (argc > 3) crowd.cache_rate = std::strtoull(argv[3], nullptr, 10) * 1000000;
  sealcast::swarm::measure(crowd, argc > 4);
}
