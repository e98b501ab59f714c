#pragma once
// What each back end brings; for the .cpp files of this folder.
#include "crypto/aead.hpp"
#include "crypto/backend.hpp"
#include "crypto/hash.hpp"
#include "crypto/packet_cipher.hpp"

namespace sealcast::crypto {

struct Primitives {
  std::unique_ptr<PacketCipher> (*gcm)(ByteView key);
  std::unique_ptr<GcmStream> (*gcm_stream)(ByteView key);
  std::unique_ptr<PacketCipher> (*ctr_hmac)(ByteView key, ByteView authentication_key);
  // Inputs are not empty.
  void (*sha256)(std::span<const ByteView> inputs, std::span<Digest> out);
};
extern const Primitives k_openssl, k_ipsec_mb;

Vectors vectors_allowed();
bool ipsec_mb_can();   // on this processor
bool uses_ipsec_mb();  // it can, its answers are right, and nobody chose otherwise
inline const Primitives& primitives() {
  return uses_ipsec_mb() ? k_ipsec_mb : k_openssl;
}
// Which answer is wrong, as a sentence's end; empty: none.
std::string wrong_answers(const Primitives& by);

// The parts of k_openssl, where OpenSSL's other uses are.
std::unique_ptr<PacketCipher> make_openssl_gcm(ByteView key);
std::unique_ptr<GcmStream> make_openssl_gcm_stream(ByteView key);
std::unique_ptr<PacketCipher> make_openssl_ctr_hmac(ByteView key, ByteView authentication_key);
void openssl_sha256(std::span<const ByteView> inputs, std::span<Digest> out);

}  // namespace sealcast::crypto
