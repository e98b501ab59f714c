#pragma once
// Does a path swallow large datagrams while small ones pass (RFC 8899 section 4.3)? From the fate of packets alone.
#include <algorithm>
#include <cstdint>

namespace sealcast::swarm {

class BlackHole {
 public:
  // largest: octets of the largest packet that was sent. What is more than half of it counts as large, if it
  // does not pass everywhere.
  void on_acknowledged(std::uint32_t octets, std::uint32_t largest) {
    if (is_large(octets, largest))
      *this = {};
    else if (large_lost_ >= k_in_row)
      small_passed_ = true;
  }
  void on_lost(std::uint32_t octets, std::uint32_t largest) {
    if (is_large(octets, largest)) ++large_lost_;
  }
  bool found() const { return small_passed_; }

 private:
  static constexpr int k_in_row = 8;             // at a loss of one in five: once in 400,000
  static constexpr std::uint32_t k_small = 700;  // octets that pass everywhere
  static bool is_large(std::uint32_t octets, std::uint32_t largest) { return octets > std::max(largest / 2, k_small); }
  int large_lost_ = 0;
  bool small_passed_ = false;
};

}  // namespace sealcast::swarm
