#pragma once
// Strings from outside, made harmless for terminals and logs; and sizes and times for people.
#include <chrono>

#include "base/bytes.hpp"

namespace sealcast {

bool is_utf8(std::string_view text);
// Printable UTF-8 stays; control characters, bidirectional and other format marks and octets that are no UTF-8 become
// \xHH or \u{HHHH}. At most `limit` octets, then "...".
std::string printable(std::string_view text, std::size_t limit = 256);
// A single path component that a file system can hold: no separator, control or format character, no leading dot,
// not empty (then `fallback`), at most 200 octets.
std::string safe_file_name(std::string_view name, std::string_view fallback);

std::string human_size(double octets);                     // "64.0 MiB"
std::string human_duration(std::chrono::seconds seconds);  // "1m05s"

}  // namespace sealcast
