#pragma once
// What the harnesses share: reading decisions from the input, fixed keys, and signed documents whose payload the input
// spoils. A broken property ends the process like a crash (SEALCAST_ASSERT).
#include <string>

#include "base/assert.hpp"
#include "base/random.hpp"
#include "base/time.hpp"
#include "crypto/jose.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace sealcast::fuzz {

inline constexpr UnixSeconds k_now = 1800000000;

// Decisions, one after another; zeros when the input is used up.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}
  bool empty() const { return rest_.empty(); }
  std::uint8_t u8() { return static_cast<std::uint8_t>(integer(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(integer(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(integer(4)); }
  std::uint64_t u64() { return integer(8); }
  bool flag() { return (u8() & 1) != 0; }
  std::size_t below(std::size_t limit) { return limit == 0 ? 0 : u16() % limit; }
  // At most `size` octets.
  ByteView take(std::size_t size) {
    auto out = rest_.first(std::min(size, rest_.size()));
    rest_ = rest_.subspan(out.size());
    return out;
  }
  ByteView rest() { return take(rest_.size()); }
  std::string text(std::size_t size) { return string_of(take(size)); }

 private:
  std::uint64_t integer(std::size_t size) {
    std::uint64_t out = 0;
    for (auto octet : take(size)) out = out << 8 | octet;
    return out;
  }
  ByteView rest_;
};

// The same octets in every run.
class FixedRandom final : public RandomSource {
 public:
  explicit FixedRandom(std::uint64_t seed = 1) : state_(seed) {}
  void fill(MutableByteView out) override {
    for (auto& octet : out) {
      state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
      octet = static_cast<std::uint8_t>(state_ >> 56);
    }
  }

 private:
  std::uint64_t state_;
};

// Key number 1, 2, 3, … of the tests; the same in every run.
inline crypto::PrivateKey key(std::uint8_t number) {
  std::array<std::uint8_t, 32> scalar{};
  scalar[31] = number;
  return std::move(*crypto::PrivateKey::from_scalar(scalar));
}

// A JSON value of any type, with a liking for the edges.
inline json::Value value_of(Input& in, int depth = 3) {
  static constexpr std::int64_t edges[] = {
      0, 1, -1, 2, 42, 255, 65535, 65536, INT32_MAX, INT64_C(1) << 32, INT64_C(1) << 62, INT64_MAX, INT64_MIN, k_now};
  switch (in.u8() % 8) {
    case 0:
      return edges[in.below(std::size(edges))];
    case 1:
      return static_cast<std::int64_t>(in.u64());
    case 2:
      return in.text(in.u8());
    case 3:
      return in.flag();
    case 4:
      return nullptr;
    case 5:
      return 1e300 * in.u8();
    case 6: {
      json::Array out;
      for (auto n = in.u8() % 4; n > 0 && depth > 0; --n) out.push_back(value_of(in, depth - 1));
      return out;
    }
    default:
      return std::string(in.u16() % 2048, 'A');
  }
}

// A good payload, some members of which the input drops, changes or adds.
inline json::Object spoil(json::Object good, Input& in) {
  for (auto times = in.u8() % 4; times > 0 && !good.empty(); --times) {
    auto member = std::next(good.begin(), static_cast<std::ptrdiff_t>(in.below(good.size())));
    switch (in.u8() % 4) {
      case 0:
        good.erase(member);
        break;
      case 1:
        good[in.text(in.u8() % 8)] = value_of(in);
        break;
      case 2:
        if (auto* text = member->second.as_string(); text && !text->empty()) {
          auto changed = *text;
          changed[in.below(changed.size())] = static_cast<char>(in.u8());
          member->second = changed;
          break;
        }
        [[fallthrough]];
      default:
        member->second = value_of(in);
    }
  }
  return good;
}

// Changes, cuts or lengthens a few octets.
inline Bytes damage(ByteView good, Input& in) {
  Bytes out(good.begin(), good.end());
  for (auto times = in.u8() % 4; times > 0 && !out.empty(); --times) out[in.below(out.size())] ^= in.u8();
  if (in.u8() % 8 == 0) out.resize(in.below(out.size() + 8));
  return out;
}

}  // namespace sealcast::fuzz
