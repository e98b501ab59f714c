// Strings from outside made harmless for terminals, logs and file systems.
#include "base/text.hpp"

#include <algorithm>

#include "tests/fuzz/fuzz.hpp"

using namespace sealcast;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input in(data, size);
  auto limit = std::size_t{in.u8()};
  auto text = in.text(size);
  auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  auto shown = printable(text, limit);
  SEALCAST_ASSERT(is_utf8(shown) && std::none_of(shown.begin(), shown.end(), control) && shown.size() <= limit + 3);
  SEALCAST_ASSERT(printable(shown, 4096) == shown);
  auto name = safe_file_name(text, "content");
  SEALCAST_ASSERT(!name.empty() && name.size() <= 200 && name.front() != '.' && name.find('/') == name.npos &&
                  is_utf8(name));
  SEALCAST_ASSERT(std::none_of(name.begin(), name.end(), control));
  return 0;
}
