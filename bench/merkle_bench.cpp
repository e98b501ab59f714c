// Hashing of chunks: one by one, side by side, and with the nodes of their run; octets are those of the chunks.
#include <benchmark/benchmark.h>

#include <memory>

#include "content/merkle_tree.hpp"
#include "crypto/backend.hpp"

namespace sealcast {
namespace {

using content::Digest;

struct Run {
  explicit Run(std::size_t chunk, std::size_t count = 32) : octets(chunk * count, 0x5a), leaves(count) {
    for (std::size_t i = 0; i < count; ++i) chunks.push_back(ByteView(octets).subspan(i * chunk, chunk));
  }
  Bytes octets;
  std::vector<ByteView> chunks;
  std::vector<Digest> leaves;
};

void count(benchmark::State& state, const Run& run) {
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * run.octets.size()));
}

void leaves(benchmark::State& state, crypto::Backend backend) {
  crypto::set_backend(backend);
  Run run(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) crypto::sha256_batch(run.chunks, run.leaves);
  count(state, run);
  crypto::set_backend(crypto::Backend::automatic);
}

void whole_run(benchmark::State& state, crypto::Backend backend) {
  crypto::set_backend(backend);
  Run run(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    crypto::sha256_batch(run.chunks, run.leaves);
    benchmark::DoNotOptimize(content::Subtree(run.leaves, content::k_run_layer).root());
  }
  count(state, run);
  crypto::set_backend(crypto::Backend::automatic);
}

// What a receiver does with a run and its uncles, in a tree of 2^20 chunks.
void verify_run(benchmark::State& state) {
  constexpr std::uint32_t k_chunks = 1 << 20;
  std::vector<Digest> nodes(content::MerkleTree::octets(k_chunks) / sizeof(Digest));
  Run run(static_cast<std::size_t>(state.range(0)));
  crypto::sha256_batch(run.chunks, run.leaves);
  content::MerkleTreeBuilder builder(nodes, k_chunks);
  for (std::uint32_t i = 0; i < k_chunks; i += 32) builder.add(run.leaves);
  const auto root = builder.finish();
  content::MerkleTree sender(nodes, k_chunks, root);
  std::vector<Digest> known(nodes.size());
  std::uint32_t next = 0;
  auto receiver = std::make_unique<content::MerkleTree>(known, k_chunks, root);
  for (auto _ : state) {
    const auto target = content::bin::at(content::k_run_layer, next++ % (k_chunks / 32));
    crypto::sha256_batch(run.chunks, run.leaves);
    const content::Subtree subtree(run.leaves, content::k_run_layer);
    const auto uncles = sender.uncles(target, [&](content::Bin b) { return receiver->known(b); });
    if (!receiver->verify(target, subtree.root(), uncles)) state.SkipWithError("does not verify");
    receiver->store_subtree(target, subtree);
  }
  count(state, run);
}

using enum crypto::Backend;
BENCHMARK_CAPTURE(leaves, ipsec_mb, ipsec_mb)->Arg(1024)->Arg(1152)->Arg(8192)->Arg(65536);
BENCHMARK_CAPTURE(leaves, openssl, openssl)->Arg(1024)->Arg(1152)->Arg(8192)->Arg(65536);
BENCHMARK_CAPTURE(whole_run, ipsec_mb, ipsec_mb)->Arg(1152)->Arg(8192);
BENCHMARK_CAPTURE(whole_run, openssl, openssl)->Arg(1152)->Arg(8192);
BENCHMARK(verify_run)->Arg(1152)->Arg(8192);

}  // namespace
}  // namespace sealcast
