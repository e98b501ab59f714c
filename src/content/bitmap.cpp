#include "content/bitmap.hpp"

#include <algorithm>
#include <bit>

namespace sealcast::content {
namespace {

// Bits first..last of one word.
std::uint64_t mask(std::uint32_t first, std::uint32_t last) {
  auto upper = last == 63 ? ~std::uint64_t{0} : (std::uint64_t{1} << (last + 1)) - 1;
  return upper & ~((std::uint64_t{1} << first) - 1);
}

// Calls step(word index, mask) for each word of the range until it returns false.
template <class Step>
bool each_word(ChunkRange range, Step step) {
  for (std::uint32_t w = range.first >> 6; w <= range.last >> 6; ++w) {
    auto from = w == range.first >> 6 ? range.first & 63 : 0;
    auto to = w == range.last >> 6 ? range.last & 63 : 63;
    if (!step(w, mask(from, to))) return false;
  }
  return true;
}

}  // namespace

Bitmap::Bitmap(std::uint32_t chunks, bool value) : words_((std::uint64_t{chunks} + 63) / 64), size_(chunks) {
  if (value && chunks > 0) set(ChunkRange{0, chunks - 1});
}

bool Bitmap::test(ChunkRange range) const {
  return each_word(range, [&](std::uint32_t w, std::uint64_t m) { return (words_[w] & m) == m; });
}

bool Bitmap::test_any(ChunkRange range) const {
  return !each_word(range, [&](std::uint32_t w, std::uint64_t m) { return (words_[w] & m) == 0; });
}

void Bitmap::set(std::uint32_t chunk) {
  set(ChunkRange{chunk, chunk});
}
void Bitmap::reset(std::uint32_t chunk) {
  reset(ChunkRange{chunk, chunk});
}

void Bitmap::set(ChunkRange range) {
  each_word(range, [&](std::uint32_t w, std::uint64_t m) {
    count_ += static_cast<std::uint32_t>(std::popcount(m & ~words_[w]));
    words_[w] |= m;
    return true;
  });
}

void Bitmap::reset(ChunkRange range) {
  each_word(range, [&](std::uint32_t w, std::uint64_t m) {
    count_ -= static_cast<std::uint32_t>(std::popcount(m & words_[w]));
    words_[w] &= ~m;
    return true;
  });
}

std::uint32_t Bitmap::next_set(std::uint32_t from) const {
  if (from >= size_) return size_;
  auto word = words_[from >> 6] & ~((std::uint64_t{1} << (from & 63)) - 1);
  for (std::size_t w = from >> 6;; word = words_[w]) {
    if (word != 0) return static_cast<std::uint32_t>(w * 64 + static_cast<std::size_t>(std::countr_zero(word)));
    if (++w == words_.size()) return size_;
  }
}

std::uint32_t Bitmap::next_clear(std::uint32_t from) const {
  if (from >= size_) return size_;
  auto word = ~words_[from >> 6] & ~((std::uint64_t{1} << (from & 63)) - 1);
  for (std::size_t w = from >> 6;; word = ~words_[w]) {
    if (word != 0)
      return std::min(size_, static_cast<std::uint32_t>(w * 64 + static_cast<std::size_t>(std::countr_zero(word))));
    if (++w == words_.size()) return size_;
  }
}

std::vector<ChunkRange> Bitmap::ranges(std::size_t limit) const {
  std::vector<ChunkRange> out;
  for (auto from = next_set(0); from < size_ && out.size() < limit;) {
    auto end = next_clear(from);
    out.push_back({from, end - 1});
    from = next_set(end);
  }
  return out;
}

Bytes Bitmap::octets() const {
  Bytes out;
  out.reserve(words_.size() * 8);
  for (auto word : words_)
    for (int shift = 0; shift < 64; shift += 8) out.push_back(static_cast<std::uint8_t>(word >> shift));
  return out;
}

std::optional<Bitmap> Bitmap::from_octets(std::uint32_t chunks, ByteView octets) {
  Bitmap out(chunks);
  if (octets.size() != out.words_.size() * 8) return std::nullopt;
  for (std::size_t i = 0; i < octets.size(); ++i) out.words_[i / 8] |= std::uint64_t{octets[i]} << (i % 8 * 8);
  if (chunks % 64 != 0 && (out.words_.back() & ~mask(0, chunks % 64 - 1)) != 0) return std::nullopt;
  for (auto word : out.words_) out.count_ += static_cast<std::uint32_t>(std::popcount(word));
  return out;
}

}  // namespace sealcast::content
