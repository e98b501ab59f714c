#pragma once
// What a long-running command does around its roles: the ready line, systemd, signals.
#include <functional>
#include <string>

#include "io/loop.hpp"

namespace sealcast::app {

// One line beginning "ready" on stdout, and READY=1 to systemd when it asked for it (Type=notify).
Status tell_ready(const std::string& line);

// Runs the loop until SIGINT or SIGTERM; a second signal kills.
Status run_until_signal(io::Loop& loop);

}  // namespace sealcast::app
