#pragma once
// One line per event, for operators. Never a key, a password, or an unescaped string from the network (see text.hpp).
#include <functional>
#include <string>
#include <string_view>

namespace sealcast {

enum class LogLevel { debug, info, warning, error };

using LogSink = std::function<void(LogLevel, std::string_view component, std::string_view message)>;
// Installed once by main before any thread starts; without one, nothing is logged.
void set_log_sink(LogSink sink);
void log(LogLevel level, std::string_view component, std::string_view message);

}  // namespace sealcast
