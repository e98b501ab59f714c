#pragma once
// Octet sequences. Views live for the call only.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sealcast {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;
using MutableByteView = std::span<std::uint8_t>;

inline ByteView view_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline Bytes bytes_of(std::string_view text) {
  return {text.begin(), text.end()};
}
inline Bytes bytes_of(ByteView view) {
  return {view.begin(), view.end()};
}
inline std::string string_of(ByteView view) {
  return {reinterpret_cast<const char*>(view.data()), view.size()};
}
inline bool equal(ByteView a, ByteView b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

inline bool is_zeros(ByteView data) {
  return data.empty() || (data[0] == 0 && std::memcmp(data.data(), data.data() + 1, data.size() - 1) == 0);
}

}  // namespace sealcast
