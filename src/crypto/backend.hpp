#pragma once
// Who does the work that is paid for by the octet: packet ciphers and SHA-256 of many inputs. ipsec-mb where this
// processor can and its answers to known questions are right, OpenSSL beside it for everything.
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace sealcast::crypto {

enum class Backend : std::uint8_t { automatic, ipsec_mb, openssl };

// What of the processor ipsec-mb may use: all that is there; no AVX-512 and vector AES; no AVX.
enum class Vectors : std::uint8_t { widest, avx2, sse };

// Before the first cipher is made. automatic: ipsec-mb where it works.
void set_backend(Backend backend, Vectors vectors = Vectors::widest);
std::string backend_name();  // "ipsec-mb", "ipsec-mb-avx2", "ipsec-mb-sse" or "openssl"

// Asks both back ends questions with known answers (FIPS 140-3 calls it so), in well under a millisecond. An error:
// OpenSSL does not answer rightly, or what was asked for by set_backend() cannot be used here.
Status self_test();
// Why ipsec-mb is not used although nobody asked for OpenSSL; empty: it is used, or OpenSSL was asked for.
std::string backend_trouble();

}  // namespace sealcast::crypto
