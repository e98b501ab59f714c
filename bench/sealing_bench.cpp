// Records of sealed objects (RFC 8188), sealed and opened; octets are those of the plaintext.
#include <benchmark/benchmark.h>

#include "content/sealing.hpp"

namespace sealcast {
namespace {

struct Sealing {
  Sealing() {
    for (std::size_t i = 0; i < key.size(); ++i) key.fill()[i] = static_cast<std::uint8_t>(i + 3);
    header = content::make_sealed_header({}, key);
  }
  content::ContentKey key;
  content::SealedHeader header{};
  Bytes plain = Bytes(content::k_record_plain, 0x33);
};

void seal(benchmark::State& state) {
  Sealing s;
  content::RecordSealer sealer(s.header, s.key);
  Bytes out;
  for (auto _ : state) {
    out.clear();
    sealer.seal(s.plain, false, out);
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * s.plain.size()));
}

void open(benchmark::State& state) {
  Sealing s;
  Bytes record, out;
  content::RecordSealer(s.header, s.key).seal(s.plain, false, record);
  content::RecordOpener opener(s.header, s.key);
  for (auto _ : state)
    if (!opener.open(0, record, false, out)) state.SkipWithError("does not open");
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * s.plain.size()));
}

BENCHMARK(seal);
BENCHMARK(open);

}  // namespace
}  // namespace sealcast
