#pragma once
// Settings of a direction and changes of them in mid-transfer, as people and tests write them.
#include <string_view>

#include "base/result.hpp"
#include "direction.hpp"

namespace sealcast::linklab {

// Changes what `text` names, "rate=50M,delay=25ms,queue=16k": the names are those of k_settings_help.
Result<Settings> changed(Settings settings, std::string_view text);

// Which directions a line is for: down is from the far network to the near one, up the other way.
struct Change {
  bool down = false, up = false;
  std::string settings;
};
// "both mtu=1200", "down loss=0.01,jitter=3ms".
Result<Change> parse_change(std::string_view text);

struct Planned {
  Time at{};  // since the lab began
  Change change;
};
// "2.5s both mtu=1200": a change with the time at which it is made.
Result<Planned> parse_planned(std::string_view text);

inline constexpr const char* k_settings_help =
    "  rate=50M          bit/s of IP packets, with k, M, G (powers of 1000); 0: no limit\n"
    "  queue=16k         octets that may wait for the rate; what comes on top is dropped (tail drop)\n"
    "  delay=25ms        one way, after the queue; times have a unit: us, ms, s\n"
    "  jitter=3ms        up to so much more for each packet, evenly spread\n"
    "  order=kept        kept: jitter lets no packet pass another; mixed: it does\n"
    "  loss=0.01         probability for each packet, after the queue\n"
    "  early=0.01/12.5ms part of the packets that arrive so much sooner than their neighbours: reordering\n"
    "  duplicate=0.001   part of the packets that arrive twice\n"
    "  mtu=1200          larger packets are dropped (the devices' own MTU is --mtu)\n"
    "  icmp=on           and their sender is told with \"fragmentation needed\", as routers should; off: he is not\n"
    "  outage=on         what is sent or leaves the queue while it is on is lost; off: it is over\n";

}  // namespace sealcast::linklab
