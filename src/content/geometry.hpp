#pragma once
// How an object is cut into chunks (RFC 7574 section 4): fixed size, the last one may be shorter.
#include <cstdint>
#include <optional>

namespace sealcast::content {

// Inclusive, as on the wire: one chunk has first == last.
struct ChunkRange {
  std::uint32_t first = 0;
  std::uint32_t last = 0;
  std::uint64_t size() const { return std::uint64_t{last} - first + 1; }
  bool operator==(const ChunkRange&) const = default;
};

inline constexpr std::uint32_t k_min_chunk_size = 512;
inline constexpr std::uint32_t k_max_chunk_size = 8192;
inline constexpr std::uint32_t k_default_chunk_size = 1152;
inline constexpr std::uint64_t k_max_chunks = (std::uint64_t{1} << 32) - 2;

class Geometry {
 public:
  // Empty when length is 0, the chunk size is outside 512..8192, or there would be more than 2^32 - 2 chunks.
  static std::optional<Geometry> make(std::uint64_t length, std::uint32_t chunk_size) {
    if (length == 0 || chunk_size < k_min_chunk_size || chunk_size > k_max_chunk_size) return std::nullopt;
    if ((length - 1) / chunk_size >= k_max_chunks) return std::nullopt;
    return Geometry(length, chunk_size);
  }
  std::uint64_t length() const { return length_; }  // octets of the object
  std::uint32_t chunk_size() const { return chunk_size_; }
  std::uint32_t chunks() const { return static_cast<std::uint32_t>((length_ - 1) / chunk_size_ + 1); }
  std::uint64_t offset_of(std::uint32_t chunk) const { return std::uint64_t{chunk} * chunk_size_; }
  std::uint32_t size_of(std::uint32_t chunk) const {
    return chunk + 1 < chunks() ? chunk_size_ : static_cast<std::uint32_t>(length_ - offset_of(chunk));
  }
  // Octets of chunks first..last.
  std::uint64_t size_of(ChunkRange r) const { return offset_of(r.last) + size_of(r.last) - offset_of(r.first); }
  bool operator==(const Geometry&) const = default;

 private:
  Geometry(std::uint64_t length, std::uint32_t chunk_size) : length_(length), chunk_size_(chunk_size) {}
  std::uint64_t length_;
  std::uint32_t chunk_size_;
};

}  // namespace sealcast::content
