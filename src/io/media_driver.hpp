#pragma once
// Drives a swarm::Engine from a UDP socket and the loop: receives with UDP_GRO (or recvmmsg), sends with UDP_SEGMENT (or sendmmsg).
#include <functional>
#include <memory>

#include "io/loop.hpp"
#include "swarm/engine.hpp"

namespace sealcast::io {

class MediaDriver {
 public:
  MediaDriver(Loop& loop, swarm::Engine& engine, std::function<void(const swarm::Event&)> on_event);
  ~MediaDriver();
  Status open(const Endpoint& local);  // port 0 = chosen; buffers enlarged as far as allowed
  Endpoint local() const;
  // After calls into the engine from outside: sends what they produced and sets the timer. Cheap; may be called often.
  void pump();
  void close();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sealcast::io
