#pragma once
// Whether a frame is a message by RFC 3261 section 25, as far as anybody must agree on it: start line, the fields that
// every message has, addresses. The library below reads more than the grammar allows, and each of its readings is one
// that somebody else may not share.
#include <optional>

#include "sip/stream_reader.hpp"

namespace sealcast::sip {

// Nothing: it is. The refusal has its answer.
std::optional<Refusal> check_frame(const Frame& frame);

}  // namespace sealcast::sip
