// Enrolment of a device key: foreign headers, and proofs that the device signed over a spoilt payload.
#include "tests/fuzz/documents.hpp"

using namespace sealcast;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto device = fuzz::key(4);
  static const auto good = fuzz::payload_of(keys::make_enrolment(fuzz::k_alice, fuzz::k_now, device));
  fuzz::Input in(data, size);
  auto jws =
      in.u8() % 4 == 0 ? in.text(size) : crypto::jws_sign(fuzz::spoil(good, in), "sealcast-enrol+jwt", device, true);
  auto thumbprint = keys::verify_enrolment(jws, fuzz::k_alice, fuzz::k_now);
  SEALCAST_ASSERT(!thumbprint || *thumbprint == device.public_key().thumbprint());
  return 0;
}
