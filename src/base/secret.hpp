#pragma once
// Key material: move-only, wiped when it goes, never printed, compared in constant time.
#include <algorithm>
#include <array>

#include "base/bytes.hpp"

namespace sealcast {

// Overwrites memory in a way that the optimiser keeps.
void wipe(MutableByteView memory);
// Time depends on the lengths only.
bool equal_constant_time(ByteView a, ByteView b);

// N octets of key material.
template <std::size_t N>
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::span<const std::uint8_t, N> from) { std::copy(from.begin(), from.end(), octets_.begin()); }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  Secret(Secret&& other) noexcept : octets_(other.octets_) { wipe(other.octets_); }
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      octets_ = other.octets_;
      wipe(other.octets_);
    }
    return *this;
  }
  ~Secret() { wipe(octets_); }

  static constexpr std::size_t size() { return N; }
  // The caller must not keep what it sees.
  std::span<const std::uint8_t, N> expose() const { return octets_; }
  std::span<std::uint8_t, N> fill() { return octets_; }
  // A deliberate second owner.
  Secret duplicate() const { return Secret(expose()); }
  bool operator==(const Secret& other) const { return equal_constant_time(octets_, other.octets_); }

 private:
  std::array<std::uint8_t, N> octets_{};
};

// Key material of a length known at run time only (at most some hundred octets).
class SecretBytes {
 public:
  SecretBytes() = default;
  explicit SecretBytes(ByteView from) : octets_(from.begin(), from.end()) {}
  explicit SecretBytes(std::size_t size) : octets_(size) {}
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;
  SecretBytes(SecretBytes&& other) noexcept : octets_(std::move(other.octets_)) { other.octets_.clear(); }
  SecretBytes& operator=(SecretBytes&& other) noexcept {
    if (this != &other) {
      wipe(octets_);
      octets_ = std::move(other.octets_);
      other.octets_.clear();
    }
    return *this;
  }
  ~SecretBytes() { wipe(octets_); }

  std::size_t size() const { return octets_.size(); }
  bool empty() const { return octets_.empty(); }
  ByteView expose() const { return octets_; }
  MutableByteView fill() { return octets_; }
  SecretBytes duplicate() const { return SecretBytes(expose()); }

 private:
  Bytes octets_;
};

}  // namespace sealcast
