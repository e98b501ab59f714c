#pragma once
// The running link: two networks, a direction each way, and the clock.
#include <array>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "settings.hpp"
#include "tun.hpp"

namespace sealcast::linklab {

struct Options {
  Settings down, up;
  std::vector<Planned> plan;  // by time
  std::string near_address = "10.77.0.1", far_address = "10.77.0.2";
  unsigned mtu = 1500;
  std::uint64_t seed = 1;
  bool real_time = true;  // ask for SCHED_FIFO
};

class Lab {
 public:
  // Makes both networks; the calling process ends up in the far one.
  static Result<Lab> make(Options options);

  // {"far":{"address":…,"namespace":"/proc/PID/fd/N"},"near":…,"priority":…}
  json::Value about() const;
  // Counters of both directions, and how late packets were delivered.
  json::Value statistics() const;
  // Moves packets until standard input ends, says "quit", or SIGINT or SIGTERM comes. Lines of standard input are
  // changes, or "stats", which is answered on standard output.
  void run();

 private:
  struct Way {
    Direction direction;
    int from, to;               // TUN devices
    std::uint64_t refused = 0;  // packets that the receiving network did not take
  };

  Lab(Options options, Network near, Network far, std::string priority);
  Time now() const;
  void read_packets(Way& way);
  void deliver(Way& way);
  void make_planned_changes();
  void apply(const Change& change);
  bool read_commands();
  bool command(const std::string& line);
  json::Value statistics_of(const Way& way) const;

  Options options_;
  Network near_, far_;
  std::string priority_;
  std::array<Way, 2> ways_;  // down, up
  Time began_{};
  std::size_t planned_ = 0;              // changes of the plan that are made
  std::string unread_;                   // of a line of standard input
  std::array<std::uint64_t, 5> late_{};  // packets by how late they were: up to 50, 100, 250, 1000 µs, more
  Time latest_{};
};

}  // namespace sealcast::linklab
