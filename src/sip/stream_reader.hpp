#pragma once
// From a stream of octets to whole SIP messages, before anything parses them (RFC 3261 section 18.3). What the library
// below would read in another way than the rest of the world, or at a cost out of proportion, never reaches it.
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "base/bytes.hpp"

namespace sealcast::sip {

struct ReaderLimits {
  std::size_t header_lines = 96;  // start line and continuation lines count
  std::size_t line_octets = 8 << 10;
  std::size_t header_octets = 32 << 10;
  std::size_t values = 64;  // that commas separate, outside of quotes and <>, in all header fields together
  std::size_t body_octets = 64 << 10;
};

// A whole message: start line, header, empty line, body. Lines end in CRLF and are not folded any more.
struct Frame {
  std::string octets;
  std::size_t body_at = 0;  // the body begins here
};

// Something that is no message. The framing is lost: whoever reads sends `answer` (when there is one) and closes.
struct Refusal {
  int status = 400;    // RFC 3261 section 21.4; 413, 513 for what is too large
  std::string reason;  // "Line Too Long": fit for a status line and a log
  // To a request whose header is whole and has what an answer needs; made of lines that were checked. Else empty.
  std::string answer;
};

struct KeepAlive {};  // CRLF CRLF (RFC 5626 section 4.4.1): whoever reads answers CRLF

// One for each connection. Pure; memory is bounded by the limits, work is linear in what is fed.
class StreamReader {
 public:
  explicit StreamReader(ReaderLimits limits = {}) : limits_(limits) {}

  void feed(ByteView octets);  // ignored after a refusal
  // Nothing: more octets are needed. After a refusal nothing comes any more.
  std::optional<std::variant<Frame, Refusal, KeepAlive>> next();
  bool refused() const { return refused_; }
  std::size_t held() const { return input_.size() + frame_.octets.size(); }

 private:
  using Outcome = std::optional<std::variant<Frame, Refusal, KeepAlive>>;
  Outcome skip_empty_lines();
  Outcome read_header();
  Outcome read_body();
  std::optional<Refusal> take_line(std::string_view line);
  std::optional<Refusal> end_of_header();
  Refusal refuse(int status, std::string reason);

  ReaderLimits limits_;
  std::string input_;
  std::size_t at_ = 0;       // of input_: what is before it was looked at
  std::size_t scanned_ = 0;  // of the line that begins at at_: octets without an end of line
  Frame frame_;              // the header so far
  std::size_t lines_ = 0, values_ = 0, body_size_ = 0;
  std::size_t empty_ = 0;  // lines before the start line
  bool in_body_ = false, refused_ = false;
};

}  // namespace sealcast::sip
