// IP addresses and transport addresses as text.
#include "base/address.hpp"

#include "tests/fuzz/fuzz.hpp"

using namespace sealcast;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto text = string_of({data, size});
  if (auto address = parse_ip_address(text)) {
    auto again = parse_ip_address(address->text());
    SEALCAST_ASSERT(again && *again == *address);
  }
  if (auto endpoint = parse_endpoint(text)) {
    auto again = parse_endpoint(endpoint->text());
    SEALCAST_ASSERT(again && *again == *endpoint);
  }
  return 0;
}
