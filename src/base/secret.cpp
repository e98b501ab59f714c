#include "base/secret.hpp"

namespace sealcast {

void wipe(MutableByteView memory) {
  if (memory.empty()) return;
  std::memset(memory.data(), 0, memory.size());
  // The compiler must assume that somebody reads the memory after the memset.
  asm volatile("" : : "r"(memory.data()) : "memory");
}

bool equal_constant_time(ByteView a, ByteView b) {
  if (a.size() != b.size()) return false;
  unsigned difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) difference |= static_cast<unsigned>(a[i] ^ b[i]);
  asm volatile("" : "+r"(difference));
  return difference == 0;
}

}  // namespace sealcast
