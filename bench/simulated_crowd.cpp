// UEs that start together behind one cache whose up-link is narrow, in virtual time: how long it takes, how much the
// cache sends, how much comes twice, and what it costs. For work on swarm/; bench/crowd has real processes.
//
//     bench_simulated_crowd [UES [MIB [CACHE_MBIT]]]
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

void measure(const Crowd& crowd) {
  Content c(crowd.octets, 7);
  Node cache(1, c, true, true);
  std::vector<std::unique_ptr<Node>> ues;
  LinkOptions access, narrow;
  access.delay = 5ms;
  access.rate = 100000000;
  narrow.rate = crowd.cache_rate;
  narrow.delay = 1ms;
  narrow.queue = 64 * 1024;
  World world(access, 1);
  auto add = [&](Node& node) {
    world.sim::Network::add(node.address, node.engine,
                            [&node](Event event) { node.events.push_back(std::move(event)); });
  };
  add(cache);
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
  auto start = world.now;
  std::vector<Duration> done(crowd.ues, Duration{0});
  auto all = [&] {
    bool every = true;
    for (std::size_t i = 0; i < crowd.ues; ++i) {
      if (done[i] == Duration{0} && ues[i]->engine.held(c.id)->full()) done[i] = world.now - start;
      every = every && done[i] != Duration{0};
    }
    return every;
  };
  if (std::getenv("TRACE")) {
    for (int i = 0; i < 60 && !all(); ++i) {
      world.run(500ms);
      std::printf("%.1f cache sent %.2f;", (i + 1) * 0.5, static_cast<double>(cache.engine.traffic(c.id).sent) / 1e6);
      for (auto& ue : ues) {
        auto t = ue->engine.traffic(c.id);
        std::printf(" [c %.2f u %.2f s %.2f]", static_cast<double>(t.received_from_caches) / 1e6,
                    static_cast<double>(t.received_from_ues) / 1e6, static_cast<double>(t.sent) / 1e6);
      }
      std::printf("\n");
    }
  }
  auto began = std::chrono::steady_clock::now();
  world.run(600s, all);
  auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  auto octets = static_cast<double>(c.octets.size());
  auto ideal = octets * 8 / static_cast<double>(crowd.cache_rate);
  auto sent = static_cast<double>(cache.engine.traffic(c.id).sent), all_sent = sent;
  std::uint64_t work = cache.engine.work();
  for (auto& ue : ues) {
    all_sent += static_cast<double>(ue->engine.traffic(c.id).sent);
    work += ue->engine.work();
  }
  std::sort(done.begin(), done.end());
  auto wanted = octets * static_cast<double>(crowd.ues);
  auto seconds = [](Duration d) { return std::chrono::duration<double>(d).count(); };
  std::printf(
      "%3zu UEs, %.0f MiB: all done in %.2f of F/u (median %.2f), cache sends %.2f copies, %.1f %% twice, "
      "%.1f us of work a chunk\n",
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
  sealcast::swarm::measure(crowd);
}
