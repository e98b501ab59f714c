// base64, base64url and hex: what is accepted has one meaning.
#include "base/encoding.hpp"

#include "tests/fuzz/fuzz.hpp"

using namespace sealcast;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteView octets(data, size);
  auto text = string_of(octets);
  if (auto out = parse_base64url(text)) SEALCAST_ASSERT(parse_base64url(base64url(*out)) == out && out->size() <= size);
  if (auto out = parse_base64(text)) SEALCAST_ASSERT(parse_base64(base64(*out)) == out && out->size() <= size);
  if (auto out = parse_hex(text)) SEALCAST_ASSERT(parse_hex(hex(*out)) == out);
  SEALCAST_ASSERT(equal(*parse_base64url(base64url(octets)), octets) && equal(*parse_base64(base64(octets)), octets) &&
                  equal(*parse_hex(hex(octets)), octets));
  return 0;
}
