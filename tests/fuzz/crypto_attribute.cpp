// a=crypto: what is accepted is written and read again alike.
#include "sdp/crypto_attribute.hpp"

#include "tests/fuzz/fuzz.hpp"

using namespace sealcast;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto text = string_of({data, size});
  if (auto suite = rtp::parse_crypto_suite(text)) SEALCAST_ASSERT(rtp::name(*suite) == text);
  auto line = sdp::parse_crypto(text);
  if (!line) {
    SEALCAST_ASSERT(!line.error().rule.empty() && line.error().sentence.size() < 400);
    return 0;
  }
  auto again = sdp::parse_crypto(sdp::write_crypto(*line).substr(9));
  SEALCAST_ASSERT(again && again->tag == line->tag && again->key.suite == line->key.suite &&
                  again->lifetime == line->lifetime && again->window == line->window);
  SEALCAST_ASSERT(equal(again->key.key_and_salt.expose(), line->key.key_and_salt.expose()));
  return 0;
}
