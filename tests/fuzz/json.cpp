// JSON from outside: what is accepted is written and read again alike.
#include "base/json.hpp"

#include "tests/fuzz/fuzz.hpp"

using namespace sealcast;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto value = json::parse(string_of({data, size}));
  if (!value) return 0;
  auto text = value->text();
  auto again = json::parse(text, {std::size_t{1} << 24, 8});
  SEALCAST_ASSERT(again && again->text() == text);
  SEALCAST_ASSERT(json::parse(value->pretty(), {std::size_t{1} << 24, 8}));
  return 0;
}
