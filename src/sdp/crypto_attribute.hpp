#pragma once
// a=crypto of SDP (RFC 4568 section 9): one line, and why it cannot be used.
#include "sdp/offer_answer.hpp"

namespace sealcast::sdp {

// value: what follows "crypto:".
Expected<CryptoLine, Refusal> parse_crypto(std::string_view value);
std::string write_crypto(const CryptoLine& line);

}  // namespace sealcast::sdp
