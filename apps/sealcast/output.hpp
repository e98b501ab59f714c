#pragma once
// Standard output of every command: the only place that writes to it, so that what cannot be written is an error.
#include "base/result.hpp"

namespace sealcast::app {

// As printf. Kept until flush_output(), or until there is much of it; after a failure nothing more is written.
__attribute__((format(printf, 1, 2))) void print(const char* format, ...);
// ErrorCode::disk_full where that is the reason; an empty sentence when the reader has gone (EPIPE).
Status flush_output();
// Standard output was closed when the program began: writing to it is an error, as ever.
void set_output_was_closed(bool closed);
bool output_was_closed();
// At the end of the program: its exit code, `code` unless that is 0 and something could not be written.
int finish_output(int code);

}  // namespace sealcast::app
