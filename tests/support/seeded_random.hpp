#pragma once
#include <random>

#include "base/random.hpp"

namespace sealcast::test {

// The same octets for the same seed.
class SeededRandom final : public RandomSource {
 public:
  explicit SeededRandom(std::uint64_t seed) : engine_(seed) {}
  void fill(MutableByteView out) override {
    for (auto& octet : out) octet = static_cast<std::uint8_t>(engine_());
  }
  std::uint64_t below(std::uint64_t limit) { return engine_() % limit; }

 private:
  std::mt19937_64 engine_;
};

}  // namespace sealcast::test
