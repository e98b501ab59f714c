// KEYINFO: foreign text, and chains whose links the right keys signed over spoilt payloads. Only the pinned key service
// makes a holder.
#include "keys/keyinfo.hpp"

#include "tests/fuzz/documents.hpp"

using namespace sealcast;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::Parties parties;
  static const auto certificate =
      keys::make_holder_certificate(fuzz::k_cache, parties.holder.public_key(), fuzz::k_now, 3600, parties.key_service);
  static const auto keyinfo =
      keys::make_keyinfo(certificate, parties.description, fuzz::k_cache, fuzz::k_now, 3600, parties.holder);
  static const auto first = fuzz::payload_of(certificate),
                    second = fuzz::payload_of(keyinfo.substr(certificate.size() + 1));
  fuzz::Input in(data, size);
  auto choice = in.u8();
  if (choice % 4 == 0) {
    (void)keys::verify_keyinfo(in.text(size), parties.description, fuzz::k_now);
    return 0;
  }
  // 1: both links right; 2: the certificate by the holder itself; 3: the information by another key.
  auto& issuer = choice % 4 == 2 ? parties.holder : parties.key_service;
  auto& speaker = choice % 4 == 3 ? parties.device : parties.holder;
  auto text = crypto::jws_sign(fuzz::spoil(first, in), "sealcast-holder+jwt", issuer) + "~" +
              crypto::jws_sign(fuzz::spoil(second, in), "sealcast-keyinfo+jwt", speaker);
  auto holder = keys::verify_keyinfo(text, parties.description, fuzz::k_now);
  SEALCAST_ASSERT(!holder || (choice % 4 == 1 && holder->key == parties.holder.public_key() && !holder->uri.empty()));
  (void)keys::verify_keyinfo(string_of(fuzz::damage(view_of(text), in)), parties.description, fuzz::k_now);
  return 0;
}
