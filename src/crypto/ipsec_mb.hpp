#pragma once
// The ipsec-mb back end; for packet_cipher.cpp.
#include "crypto/packet_cipher.hpp"

namespace sealcast::crypto {

bool ipsec_mb_works();  // on this processor
std::unique_ptr<PacketCipher> make_ipsec_mb_gcm(ByteView key);

}  // namespace sealcast::crypto
