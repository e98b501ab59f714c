// Two engines and nothing between them but memory: what a packet of DATA costs both sides in time and in allocations,
// behind a quarter of the content, when buffers and queues have their size. Octets are those of the content; keys,
// SRTP, hashing and the copy from one engine's batch to the other's are in it, the kernel is not. What is allocated is
// allocated for a run (32 packets); a packet alone costs none.
#include <benchmark/benchmark.h>

#include "tests/support/swarm_world.hpp"

std::uint64_t allocations_so_far();  // of the process: counted_new.cpp

namespace sealcast::swarm {
namespace {

constexpr std::uint64_t k_content = 64 << 20;

struct Pair {
  explicit Pair(std::uint32_t chunk, bool secured)
      : content(k_content, 1, chunk), cache(1, content, true, secured), ue(2, content, false, secured) {
    world.connect(ue, cache, content.id, secured);
  }
  std::uint64_t chunks() const { return ue.engine.held(content.id)->count(); }
  // One turn of each side.
  void turn() {
    now += 100us;
    pass(ue, cache);
    pass(cache, ue);
    for (auto* node : {&cache, &ue}) {
      if (node->engine.deadline() <= now) node->engine.on_deadline(now);
      while (node->engine.poll_event()) continue;
    }
  }
  void pass(Node& from, Node& to) {
    while (auto batch = from.engine.output(now)) {
      std::copy(batch->data.begin(), batch->data.end(), wire.begin());
      to.engine.input(now, {from.address, batch->segment, MutableByteView(wire).first(batch->data.size())});
    }
  }

  Content content;
  Node cache, ue;
  World world{{}};
  Bytes wire = Bytes(k_batch_octets);
  Instant now{1s};
};

void transfer(benchmark::State& state, bool secured) {
  double packets = 0, allocations = 0, octets = 0;
  for (auto _ : state) {
    Pair pair(static_cast<std::uint32_t>(state.range(0)), secured);
    const auto all = pair.content.geometry.chunks();
    while (pair.chunks() < all / 4) pair.turn();
    const auto first = pair.chunks(), before = allocations_so_far();
    const auto start = std::chrono::steady_clock::now();
    while (pair.chunks() < all) pair.turn();
    state.SetIterationTime(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    packets += static_cast<double>(all - first);
    octets += static_cast<double>(all - first) * static_cast<double>(state.range(0));
    allocations += static_cast<double>(allocations_so_far() - before);
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(octets));
  state.counters["allocations/packet"] = allocations / packets;
}

BENCHMARK_CAPTURE(transfer, srtp, true)->Arg(1152)->UseManualTime()->Iterations(5);
BENCHMARK_CAPTURE(transfer, clear, false)->Arg(1152)->UseManualTime()->Iterations(5);

}  // namespace
}  // namespace sealcast::swarm
