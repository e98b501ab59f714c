#pragma once
// Signals of a program, from its first instruction on: SIGINT, SIGTERM and SIGHUP are remembered until a Loop takes
// them (Loop::on_signal, Loop::on_reload), and none is lost in between.

namespace sealcast::io {

// Safe before main(), and to be called again. SIGPIPE and SIGXFSZ are ignored (a closed partner and a file that is too
// large are an errno), SIGHUP never kills, the second SIGINT or SIGTERM does, by its default.
void catch_signals();

// What SIGINT and SIGTERM do while no loop takes them.
enum class Interrupt {
  remembered,  // the default: for what must not be left half made
  ends,        // the process ends at once with ErrorCode::interrupted; one that has come already counts
};
void set_interrupt(Interrupt what);

// SIGINT or SIGTERM has come and no loop has taken it.
bool interrupted();

}  // namespace sealcast::io
