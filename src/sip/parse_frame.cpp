#include "sip/parse_frame.hpp"

#include "sip/frame_check.hpp"
#include "sip/header_lines.hpp"
#include "sip/library_parser.hpp"

namespace sealcast::sip {
Expected<Message, Refusal> parse_frame(const Frame& frame) {
  if (auto refusal = check_frame(frame)) return unexpected(std::move(*refusal));
  const auto refused = [&](const char* reason) {
    return unexpected(Refusal{400, reason, answer_to(frame.octets, 400, reason)});
  };
  prepare_library_parser();
  Message message(::msg_make(::sip_default_mclass(), MSG_DO_EXTRACT_COPY, frame.octets.data(),
                             static_cast<ssize_t>(frame.octets.size())));
  if (!message || message.sip() == nullptr) return refused("Bad Message");
  const auto* sip = message.sip();
  const auto flags = sip->sip_flags;
  if ((flags & MSG_FLG_COMPLETE) == 0 || (flags & (MSG_FLG_ERROR | MSG_FLG_TRUNC | MSG_FLG_TOOLARGE)) != 0)
    return refused("Bad Message");
  if (sip->sip_error != nullptr) return refused("Bad Header Field");
  if ((sip->sip_request == nullptr) == (sip->sip_status == nullptr)) return refused("Bad Start Line");
  if (!sip->sip_via || !sip->sip_from || !sip->sip_to || !sip->sip_call_id || !sip->sip_cseq)
    return refused("Bad Header Field");
  const auto size = frame.octets.size() - frame.body_at;
  const auto read = sip->sip_payload == nullptr ? 0 : static_cast<std::size_t>(sip->sip_payload->pl_len);
  if (size != read || ::msg_next(message.get()) != nullptr) return refused("Bad Length");
  return message;
}

}  // namespace sealcast::sip
