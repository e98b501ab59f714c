// A connection's octets: what the reader gives is whole, bounded, and the same however the octets were cut.
#include "sip/stream_reader.hpp"

#include "sip/frame_check.hpp"
#include "sip/header_lines.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace sealcast;

namespace {

std::string outcome(ByteView octets, std::size_t piece) {
  sip::StreamReader reader;
  std::string out;
  const sip::ReaderLimits limits;
  for (std::size_t at = 0; at < octets.size(); at += piece) {
    reader.feed(octets.subspan(at, std::min(piece, octets.size() - at)));
    while (auto next = reader.next()) {
      if (auto* refusal = std::get_if<sip::Refusal>(&*next)) {
        out += "refused " + refusal->reason;
        SEALCAST_ASSERT(reader.refused() && !reader.next());
        if (refusal->answer.empty()) continue;
        sip::StreamReader again;
        again.feed(view_of(refusal->answer));
        auto answer = again.next();
        SEALCAST_ASSERT(answer && !std::holds_alternative<sip::KeepAlive>(*answer));
      }
      auto* frame = std::get_if<sip::Frame>(&*next);
      if (frame == nullptr) continue;
      const auto header = std::string_view(frame->octets).substr(0, frame->body_at);
      SEALCAST_ASSERT(header.size() <= limits.header_octets + 4 && header.ends_with("\r\n\r\n"));
      SEALCAST_ASSERT(frame->octets.size() - frame->body_at <= limits.body_octets);
      SEALCAST_ASSERT(header.find('\0') == header.npos && header.find("\r\n\r\n") == header.size() - 4);
      for (std::size_t i = 0; i < header.size(); ++i) {
        if (header[i] == '\r') SEALCAST_ASSERT(header[i + 1] == '\n');
        if (header[i] == '\n')
          SEALCAST_ASSERT(i > 0 && header[i - 1] == '\r' && !header.substr(i + 1).starts_with(' '));
      }
      if (auto refusal = sip::check_frame(*frame)) SEALCAST_ASSERT(refusal->status >= 400);
      out += frame->octets;
    }
    SEALCAST_ASSERT(reader.held() <= limits.header_octets + limits.body_octets + limits.line_octets + piece + 16);
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input in(data, size);
  const std::size_t piece = 1 + in.u8();
  const auto octets = in.rest();
  SEALCAST_ASSERT(outcome(octets, piece) == outcome(octets, octets.size() + 1));
  return 0;
}
