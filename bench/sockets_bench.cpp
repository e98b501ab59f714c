// A batch of datagrams over loopback, by the steps that a kernel may lack: with and without segmentation at the sender
// and coalescing at the receiver. Octets are those that arrived.
#include <benchmark/benchmark.h>
#include <poll.h>

#include "io/batch_socket.hpp"

namespace sealcast {
namespace {

void loopback(benchmark::State& state, bool segmentation, bool coalescing) {
  io::MediaOptions options;
  options.segmentation = segmentation;
  options.coalescing = coalescing;
  io::BatchSocket sender, receiver;
  const auto local = parse_endpoint("127.0.0.1:0");
  if (!local || !sender.open(*local, options) || !receiver.open(*local, options))
    return state.SkipWithError("no socket");
  const auto segment = static_cast<std::size_t>(state.range(0));
  const auto segments = std::min(k_batch_segments, k_batch_octets / segment);
  Bytes data(segment * segments, 3);
  io::MediaCounters counters;
  std::size_t arrived = 0;
  for (auto _ : state) {
    if (sender.send({receiver.local(), segment, data}, counters) != data.size()) state.SkipWithError("socket full");
    for (std::size_t got = 0; got < data.size();) {
      pollfd waiting{receiver.descriptor(), POLLIN, 0};
      if (::poll(&waiting, 1, 1000) != 1) return state.SkipWithError("lost");
      for (auto& batch : receiver.receive(counters)) got += batch.data.size();
    }
    arrived += data.size();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(arrived));
}

BENCHMARK_CAPTURE(loopback, gso_and_gro, true, true)->Arg(1204)->Arg(8192);
BENCHMARK_CAPTURE(loopback, gso_only, true, false)->Arg(1204);
BENCHMARK_CAPTURE(loopback, gro_only, false, true)->Arg(1204);
BENCHMARK_CAPTURE(loopback, neither, false, false)->Arg(1204);

}  // namespace
}  // namespace sealcast
