#include "logging.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdio>

#include "base/log.hpp"
#include "base/text.hpp"

namespace sealcast::app {

void set_log_level(const std::string& level) {
  if (auto logger = spdlog::get("sealcast")) logger->set_level(spdlog::level::from_str(level));
}

void start_logging(const std::string& level) {
  auto logger = spdlog::stderr_logger_mt("sealcast");
  logger->set_level(spdlog::level::from_str(level));
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
  logger->flush_on(spdlog::level::debug);
  set_log_sink([logger](LogLevel at, std::string_view component, std::string_view message) {
    static constexpr spdlog::level::level_enum levels[] = {spdlog::level::debug, spdlog::level::info,
                                                           spdlog::level::warn, spdlog::level::err};
    auto text = printable(message, 4096);
    logger->log(levels[static_cast<int>(at)], "{}: {}", spdlog::string_view_t(component.data(), component.size()),
                text);
  });
}

int report(const Error& error) {
  if (error.message.empty()) return static_cast<int>(error.code);
  auto text = printable(error.message, 2048);
  std::fprintf(stderr, "sealcast: %s\n", text.c_str());
  return static_cast<int>(error.code);
}

}  // namespace sealcast::app
