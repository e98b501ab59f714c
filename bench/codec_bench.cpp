// PPSPP datagrams, written and read.
#include <benchmark/benchmark.h>

#include "ppspp/message.hpp"

namespace sealcast {
namespace {

void write_data(benchmark::State& state) {
  Bytes chunk(1152, 7), datagram(1400);
  std::uint32_t number = 0;
  for (auto _ : state) {
    Writer w(datagram);
    w.u32(1);
    ppspp::write_data(w, number++, 99, chunk);
    benchmark::DoNotOptimize(w.written().data());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * chunk.size()));
}

void read_data(benchmark::State& state) {
  Bytes chunk(1152, 7), datagram(1400);
  Writer w(datagram);
  ppspp::write_data(w, 5, 99, chunk);
  for (auto _ : state) {
    ppspp::Decoder decoder(w.written());
    benchmark::DoNotOptimize(decoder.next());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * chunk.size()));
}

void read_control(benchmark::State& state) {
  Bytes datagram(1204);
  Writer w(datagram);
  std::int64_t messages = 0;
  for (std::uint32_t i = 0; w.room() >= 2 * ppspp::k_ack_message; ++i, messages += 2) {
    ppspp::write_range(w, ppspp::MessageType::have, {i * 32, i * 32 + 31});
    ppspp::write_ack(w, {i * 32, i * 32 + 31}, 12);
  }
  for (auto _ : state) {
    ppspp::Decoder decoder(w.written());
    while (auto message = decoder.next()) benchmark::DoNotOptimize(message);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * messages);
}

BENCHMARK(write_data);
BENCHMARK(read_data);
BENCHMARK(read_control);

}  // namespace
}  // namespace sealcast
