#pragma once
// Which chunks of an object are held. Memory: chunks / 8 octets.
#include <vector>

#include "base/bytes.hpp"
#include "content/geometry.hpp"

namespace sealcast::content {

class Bitmap {
 public:
  Bitmap() = default;
  explicit Bitmap(std::uint32_t chunks, bool value = false);
  std::uint32_t size() const { return size_; }
  std::uint32_t count() const { return count_; }  // chunks held; kept, not computed
  bool full() const { return count_ == size_; }
  bool empty() const { return count_ == 0; }
  bool test(std::uint32_t chunk) const { return (words_[chunk >> 6] >> (chunk & 63) & 1) != 0; }
  bool test(ChunkRange range) const;      // all of it
  bool test_any(ChunkRange range) const;  // some of it
  void set(std::uint32_t chunk);
  void set(ChunkRange range);
  void reset(std::uint32_t chunk);
  void reset(ChunkRange range);
  // First chunk >= from that is held (missing); size() when there is none.
  std::uint32_t next_set(std::uint32_t from) const;
  std::uint32_t next_clear(std::uint32_t from) const;
  // Maximal ranges of held chunks, in order, at most `limit`.
  std::vector<ChunkRange> ranges(std::size_t limit = SIZE_MAX) const;
  // Little-endian 64-bit words, the form on disk; from_octets is empty when size or stray bits are wrong.
  Bytes octets() const;
  static std::optional<Bitmap> from_octets(std::uint32_t chunks, ByteView octets);
  const std::vector<std::uint64_t>& words() const { return words_; }

 private:
  std::vector<std::uint64_t> words_;
  std::uint32_t size_ = 0;
  std::uint32_t count_ = 0;
};

}  // namespace sealcast::content
