#pragma once
#include "base/random.hpp"

namespace sealcast::io {

// getrandom(2).
class SystemRandom final : public RandomSource {
 public:
  void fill(MutableByteView out) override;
};

}  // namespace sealcast::io
