// Membership tokens: foreign text, and tokens that the tracker signed over a spoilt payload.
#include "tests/fuzz/documents.hpp"
#include "tracking/admission.hpp"

using namespace sealcast;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto tracker = fuzz::key(5);
  static const auto subject = tracking::inviter_hash(fuzz::k_alice);
  static const auto good = fuzz::payload_of(
      tracking::make_token({{1, 2, 3}, subject, fuzz::k_cache, fuzz::k_now, fuzz::k_now + 300}, tracker));
  fuzz::Input in(data, size);
  auto jws = in.u8() % 4 == 0 ? in.text(size) : crypto::jws_sign(fuzz::spoil(good, in), "sealcast-token+jwt", tracker);
  auto token = tracking::verify_token(jws, tracker.public_key(), subject, fuzz::k_cache, fuzz::k_now);
  SEALCAST_ASSERT(!token || (token->subject == subject && token->audience == fuzz::k_cache &&
                             token->expires_at > fuzz::k_now - 60));
  // The gate admits what the signature admits, and nothing else.
  tracking::TokenGate gate;
  auto admission = gate.admit({}, fuzz::k_now, {fuzz::k_alice, subject}, {jws}, tracker.public_key(),
                              [](const tracking::Token&) { return Expected<std::string, std::string>(fuzz::k_cache); });
  SEALCAST_ASSERT(admission.swarms.empty() == !token.has_value());
  return 0;
}
