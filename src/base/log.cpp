#include "base/log.hpp"

namespace sealcast {
namespace {
LogSink& sink() {
  static LogSink instance;
  return instance;
}
}  // namespace

void set_log_sink(LogSink next) {
  sink() = std::move(next);
}

void log(LogLevel level, std::string_view component, std::string_view message) {
  if (sink()) sink()(level, component, message);
}

}  // namespace sealcast
