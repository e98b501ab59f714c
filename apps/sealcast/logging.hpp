#pragma once
#include <string>

#include "base/result.hpp"

namespace sealcast::app {

// Installs the log sink: lines with time, level and component on stderr. level: "debug", "info", "warning", "error",
// "off".
void start_logging(const std::string& level);

// Any thread, any time afterwards.
void set_log_level(const std::string& level);

// Prints "sealcast: <sentence>" on stderr, unless it is empty, and gives the exit code.
int report(const Error& error);

}  // namespace sealcast::app
