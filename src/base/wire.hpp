#pragma once
// Bounded big-endian readers and writers: a read past the end fails and stays failed, a write past the end too.
#include "base/bytes.hpp"

namespace sealcast {

class Reader {
 public:
  explicit Reader(ByteView from) : rest_(from) {}

  bool ok() const { return ok_; }
  std::size_t remaining() const { return rest_.size(); }
  bool at_end() const { return rest_.empty(); }
  std::uint8_t u8() { return static_cast<std::uint8_t>(integer(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(integer(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(integer(4)); }
  std::uint64_t u64() { return integer(8); }
  // Empty and !ok() when fewer octets are left.
  ByteView take(std::size_t size) {
    if (size > rest_.size()) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    auto out = rest_.first(size);
    rest_ = rest_.subspan(size);
    return out;
  }
  ByteView rest() { return take(rest_.size()); }

 private:
  std::uint64_t integer(std::size_t size) {
    std::uint64_t out = 0;
    for (auto octet : take(size)) out = out << 8 | octet;
    return out;
  }
  ByteView rest_;
  bool ok_ = true;
};

class Writer {
 public:
  explicit Writer(MutableByteView into) : into_(into) {}

  bool ok() const { return ok_; }
  std::size_t size() const { return used_; }
  std::size_t room() const { return into_.size() - used_; }
  ByteView written() const { return into_.first(used_); }
  void u8(std::uint8_t v) { integer(v, 1); }
  void u16(std::uint16_t v) { integer(v, 2); }
  void u32(std::uint32_t v) { integer(v, 4); }
  void u64(std::uint64_t v) { integer(v, 8); }
  void bytes(ByteView from) {
    auto into = reserve(from.size());
    if (!into.empty()) std::memcpy(into.data(), from.data(), from.size());
  }
  // Room for `size` octets that the caller fills; empty and !ok() when they do not fit.
  MutableByteView reserve(std::size_t size) {
    if (size > room()) {
      ok_ = false;
      return {};
    }
    auto out = into_.subspan(used_, size);
    used_ += size;
    return out;
  }

 private:
  void integer(std::uint64_t v, std::size_t size) {
    auto into = reserve(size);
    for (std::size_t i = into.size(); i-- > 0; v >>= 8) into[i] = static_cast<std::uint8_t>(v);
  }
  MutableByteView into_;
  std::size_t used_ = 0;
  bool ok_ = true;
};

}  // namespace sealcast
