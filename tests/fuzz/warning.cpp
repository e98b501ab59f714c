// The Warning header of a refusal, foreign and our own.
#include "sdp/offer_answer.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace sealcast;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto text = string_of({data, size});
  auto foreign = sdp::parse_warning(text);
  SEALCAST_ASSERT(foreign.rule.size() <= 40);
  auto ours = sdp::Refusal{"fmtp-mismatch", text}.warning("sealcast.test");
  for (char c : ours) SEALCAST_ASSERT(static_cast<unsigned char>(c) >= 0x20);
  SEALCAST_ASSERT(sdp::parse_warning(ours).rule == "fmtp-mismatch");
  return 0;
}
