// What congestion control makes of links that lose, reorder and queue, in virtual time: the same seed gives the same
// table. The links of bench/links, without TCP beside us and without a kernel: for work on swarm/, in seconds.
//
//     bench_simulated_links [WORD [trace]]      only rows whose name contains the word; and what happens in them
#include <cstdio>
#include <cstring>

#include "swarm/new_reno.hpp"
#include "tests/support/swarm_world.hpp"

namespace sealcast::swarm {
namespace {

constexpr double k_goodput = 1152.0 / (1152 + 28 + 12 + 16 + 17);  // of a link: headers of IP, UDP, RTP, SRTP, PPSPP

struct Row {
  const char* name;
  double megabit;
  Duration round_trip;
  double queue;  // octets; below 100: bandwidth-delay products
  double loss = 0;
  double early = 0;
  std::size_t largest = SIZE_MAX;
};

LinkOptions link_of(const Row& row) {
  LinkOptions out;
  out.rate = static_cast<std::uint64_t>(row.megabit * 1e6);
  out.delay = row.round_trip / 2;
  auto product = row.megabit * 1e6 / 8 * std::chrono::duration<double>(row.round_trip).count();
  out.queue = static_cast<std::size_t>(row.queue < 100 ? row.queue * product : row.queue);
  out.loss = row.loss;
  out.early = row.early;
  out.early_by = 12500us;
  out.largest = row.largest;
  return out;
}

struct Outcome {
  double share = 0;  // of what the link can carry
  std::uint64_t queue_full = 0, declared_lost = 0, datagrams = 0;
};

void print_state(Duration at, const Node& cache, const Node& ue, const Content& c) {
  for (auto& state : cache.engine.associations())
    std::printf("%5.1f s  window %5llu  in flight %5llu  round trip %6.1f ms  taken lost %5llu  %7.2f MB verified\n",
                std::chrono::duration<double>(at).count(), static_cast<unsigned long long>(state.congestion_window),
                static_cast<unsigned long long>(state.in_flight),
                std::chrono::duration<double, std::milli>(state.round_trip).count(),
                static_cast<unsigned long long>(state.packets_lost),
                static_cast<double>(ue.engine.traffic(c.id).received_from_caches) / 1e6);
}

// One cache, one UE, ten seconds.
Outcome alone(const Row& row, EngineOptions options, bool trace) {
  constexpr auto k_time = 10s;
  auto octets = row.megabit * 1e6 / 8 * 12;
  Content c(static_cast<std::uint64_t>(octets), 7);
  Node cache(1, c, true, true, Appetite::none, options), ue(2, c, false, true);
  World world(link_of(row), {&cache, &ue});
  world.connect(ue, cache, c.id, true);
  for (auto step = 0ms; step < k_time; step += 100ms) {
    world.run(100ms);
    if (trace) print_state(step + 100ms, cache, ue, c);
  }
  auto got = static_cast<double>(ue.engine.traffic(c.id).received_from_caches);
  auto most = row.megabit * 1e6 / 8 * 10 * k_goodput;
  auto states = cache.engine.associations();
  return {got / most, world.link(cache.address, ue.address).counters().queue_full,
          states.empty() ? 0 : states[0].packets_lost, world.datagrams};
}

// Two UEs behind one bottleneck, the second served by another kind of congestion control, or the same.
std::pair<double, double> together(const Row& row, EngineOptions first, EngineOptions second) {
  constexpr auto k_time = 30s;
  Content c(static_cast<std::uint64_t>(row.megabit * 1e6 / 8 * 32), 7);
  Node one(1, c, true, true, Appetite::none, first), two(2, c, true, true, Appetite::none, second);
  Node alice(3, c, false, true), bob(4, c, false, true);
  LinkOptions plain;
  plain.delay = row.round_trip / 2;
  World world(plain, {&one, &two, &alice, &bob});
  auto narrow = link_of(row);
  narrow.delay = 0us;
  world.share_uplink({one.address, two.address}, narrow);
  world.connect(alice, one, c.id, true);
  world.connect(bob, two, c.id, true);
  world.run(k_time);
  auto a = static_cast<double>(alice.engine.traffic(c.id).received_from_caches);
  auto b = static_cast<double>(bob.engine.traffic(c.id).received_from_caches);
  auto most = row.megabit * 1e6 / 8 * 30 * k_goodput;
  return {a / most, b / most};
}

constexpr Row k_rows[] = {
    {"queue 1 BDP", 50, 50ms, 1},
    {"queue 16 kB", 50, 50ms, 16e3},
    {"queue 32 kB", 50, 50ms, 32e3},
    {"queue 64 kB", 50, 50ms, 64e3},
    {"loss 0.1 %", 50, 50ms, 1, 0.001},
    {"loss 1 %", 50, 50ms, 1, 0.01},
    {"loss 5 %", 50, 50ms, 1, 0.05},
    {"loss 20 %", 50, 50ms, 1, 0.20},
    {"reordering", 50, 50ms, 1, 0, 0.01},
    {"200 Mbit/s, 10 ms", 200, 10ms, 1},
    {"200 Mbit/s, 100 ms", 200, 100ms, 1},
    {"200 Mbit/s, 100 ms, 1 %", 200, 100ms, 1, 0.01},
    {"50 Mbit/s, 10 ms, 16 kB", 50, 10ms, 16e3},
    {"2 Mbit/s, 100 ms", 2, 100ms, 1},
    {"2 Mbit/s, 20 ms, deep", 2, 20ms, 256e3},
};

int print_table(const char* word, bool trace) {
  EngineOptions reno;
  reno.congestion_control = [] { return std::make_unique<NewReno>(); };
  std::printf("%-26s %8s %8s %10s %10s\n", "link", "share", "NewReno", "overflow", "taken lost");
  for (auto& row : k_rows) {
    if (word && !std::strstr(row.name, word)) continue;
    auto ours = alone(row, {}, trace), other = alone(row, reno, false);
    std::printf("%-26s %8.3f %8.3f %10llu %10llu\n", row.name, ours.share, other.share,
                static_cast<unsigned long long>(ours.queue_full), static_cast<unsigned long long>(ours.declared_lost));
  }
  for (auto& row : {k_rows[0], k_rows[2]}) {
    if (word && !std::strstr(row.name, word)) continue;
    auto [a, b] = together(row, {}, {});
    auto [c, d] = together(row, {}, reno);
    std::printf("%-26s two of us %.3f %.3f; beside NewReno %.3f %.3f\n", row.name, a, b, c, d);
  }
  return 0;
}

}  // namespace
}  // namespace sealcast::swarm

int main(int argc, char** argv) {
  return sealcast::swarm::print_table(argc > 1 ? argv[1] : nullptr, argc > 2);
}
