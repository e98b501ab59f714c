#pragma once
#include "base/random.hpp"

namespace sealcast::os {

// getrandom(2).
class SystemRandom final : public RandomSource {
 public:
  void fill(MutableByteView out) override;
};

}  // namespace sealcast::os
