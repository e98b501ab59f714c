#pragma once
// Drives a swarm::Engine from a UDP socket and the loop: receives with UDP_GRO (or recvmmsg), sends with UDP_SEGMENT
// (or sendmmsg).
#include <functional>
#include <memory>

#include "io/loop.hpp"
#include "swarm/engine.hpp"

struct mmsghdr;

namespace sealcast::io {

struct MediaOptions {
  bool segmentation = true;  // UDP_SEGMENT, where the kernel has it
  bool coalescing = true;    // UDP_GRO, where the kernel has it
  std::function<int(int, ::mmsghdr*, unsigned, int)> send_messages =
      {};  // sendmmsg when empty; tests put a full or broken socket here
  // Runs that have come are hashed and written by a thread beside the loop's: of an engine whose jobs are polled.
  bool storage_thread = true;

  // What a node of this process opens with: the fastest way that there is, or what was set here before the first one.
  static const MediaOptions& of_process();
  static void set_of_process(MediaOptions options);
};

struct MediaCounters {
  std::uint64_t received_batches = 0, received_segments = 0, receive_errors = 0;
  std::uint64_t sent_batches = 0, sent_segments = 0;
  std::uint64_t send_errors = 0;  // datagrams that the system refused: no route, too large for the path, ...
  std::uint64_t too_large = 0;    // of these, too large for the way (EMSGSIZE)
  std::uint64_t send_waits = 0;   // times the socket was full
};

// Work in one turn of the loop is bounded, so timers and signals stay alive under load. Loop, engine and driver share a
// thread; loop and engine outlive the driver. on_event is called from the loop only, never from within pump(): it may
// call the engine, pump() and close(), but it must not destroy the driver.
class MediaDriver {
 public:
  MediaDriver(Loop& loop, swarm::Engine& engine, std::function<void(const swarm::Event&)> on_event);
  ~MediaDriver();
  Status open(const Endpoint& local, MediaOptions options = {});  // port 0 = chosen; buffers enlarged as far as allowed
  Endpoint local() const;
  // After calls into the engine from outside: sends what they produced and sets the timer. Cheap; may be called often.
  void pump();
  // Returns when all runs that were handed out are with the engine again: before what they are written to goes.
  void settle();
  // Sends what the engine still has, as far as the socket takes it at once.
  void close();
  const MediaCounters& counters() const;
  bool segmentation() const;  // false once the kernel has refused it
  bool coalescing() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sealcast::io
