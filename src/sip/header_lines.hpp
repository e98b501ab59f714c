#pragma once
// Reading the header of a message as text, as RFC 3261 section 7.3.1 writes it. No library, no copies.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sealcast::sip {

struct HeaderLine {
  std::string_view name;   // empty: the line has no name, or a name that is no token
  std::string_view value;  // without white space around it
};

// The header fields of a message whose lines end in CRLF and are not folded; the start line is skipped.
class HeaderLines {
 public:
  explicit HeaderLines(std::string_view message);
  std::optional<HeaderLine> next();  // nothing: the empty line, or the end

 private:
  std::string_view rest_;
};

std::string_view start_line(std::string_view message);
bool is_token(std::string_view text);  // section 25.1
std::string_view trimmed(std::string_view text);
// Names are compared without case; `compact` is the short form (section 7.3.3), 0: there is none.
bool is_header(std::string_view name, std::string_view full, char compact = 0);
// How often `separator` stands outside of quoted strings and <>; in a quote or a < that is never closed it counts.
std::size_t separators(std::string_view value, char separator);
// The parts between them, trimmed; one empty part for an empty value.
std::vector<std::string_view> split_outside(std::string_view value, char separator);
// RFC 3261 section 8.2.6 for a request of which the first `header` lines are known, with a To tag that says nothing.
// Of From, To and Call-ID what is there. Empty: an ACK, a response, or a header without Via or CSeq.
std::string answer_to(std::string_view header, int status, std::string_view reason,
                      const std::vector<std::string>& more = {});

}  // namespace sealcast::sip
