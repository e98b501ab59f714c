#pragma once
// One owned file descriptor.
#include <utility>

namespace sealcast::os {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int owned) : value_(owned) {}  // -1: none
  Descriptor(Descriptor&& other) noexcept : value_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  Descriptor(const Descriptor&) = delete;
  ~Descriptor() { reset(); }

  int get() const { return value_; }
  explicit operator bool() const { return value_ >= 0; }
  int release() { return std::exchange(value_, -1); }
  void reset(int owned = -1);  // closes what it had; errno stays

 private:
  int value_ = -1;
};

}  // namespace sealcast::os
