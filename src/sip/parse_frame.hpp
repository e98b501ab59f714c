#pragma once
// A frame of the reader as a message of the library, complete and without errors, or not at all.
#include "base/result.hpp"
#include "sip/library_message.hpp"
#include "sip/stream_reader.hpp"

namespace sealcast::sip {

// The error is a Refusal as the reader gives it, but the framing is not lost: the connection may go on.
Expected<Message, Refusal> parse_frame(const Frame& frame);

}  // namespace sealcast::sip
