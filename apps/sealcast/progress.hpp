#pragma once
// Progress on stderr: a bar on a terminal, a line every few seconds elsewhere.
#include <cstdint>
#include <deque>
#include <string>

#include "base/time.hpp"

namespace sealcast::app {

enum class ProgressStyle { automatic, bar, plain, json, none };

struct ProgressSample {
  std::string phase;                              // "registering", "key", "chunks", "opening"
  std::uint64_t total = 0, done = 0;              // octets of the object
  std::uint64_t from_caches = 0, from_peers = 0;  // octets taken in this run
};

class Progress {
 public:
  explicit Progress(ProgressStyle style);
  void update(Instant now, const ProgressSample& sample);
  void finish();  // ends the bar's line

  // "64%  41.0/64.0 MiB  120.3 MiB/s  ETA 1s  cache 40% peers 60%"
  static std::string line(const ProgressSample& sample, double octets_per_second);

 private:
  double rate(Instant now, std::uint64_t done);
  void draw(const ProgressSample& sample, double octets_per_second);

  ProgressStyle style_;
  Instant last_{};
  bool shown_ = false;
  std::deque<std::pair<Instant, std::uint64_t>> window_;  // the last five seconds
};

}  // namespace sealcast::app
