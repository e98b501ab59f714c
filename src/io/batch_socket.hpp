#pragma once
// A non-blocking UDP socket that speaks in batches: UDP_GRO and recvmmsg in, UDP_SEGMENT or sendmmsg out. Without a
// loop; MediaDriver has one.
#include <sys/socket.h>

#include <functional>
#include <vector>

#include "base/datagram.hpp"
#include "base/result.hpp"
#include "io/media_driver.hpp"
#include "os/socket_address.hpp"

namespace sealcast::io {

class BatchSocket {
 public:
  BatchSocket() = default;
  BatchSocket(const BatchSocket&) = delete;
  BatchSocket& operator=(const BatchSocket&) = delete;
  ~BatchSocket() { close(); }
  Status open(const Endpoint& local, const MediaOptions& options);
  void close();
  bool is_open() const { return descriptor_ >= 0; }
  int descriptor() const { return descriptor_; }
  const Endpoint& local() const { return local_; }
  bool segmentation() const { return segmentation_; }
  bool coalescing() const { return coalescing_; }

  // What one recvmmsg gives; empty when there is nothing. The batches are good until the next call.
  std::span<ReceivedBatch> receive(MediaCounters& counters);
  // Octets of the batch that are done with: sent, or refused for good by the system (counted). Less than all: the
  // socket is full, and the rest must come again, the very same octets.
  std::size_t send(const SendBatch& batch, MediaCounters& counters);

 private:
  enum class Outcome : std::uint8_t { sent, full, refused };
  Outcome send_segmented(const SendBatch& batch, os::SocketAddress& to, MediaCounters& counters);
  std::size_t send_single(const SendBatch& batch, os::SocketAddress& to, MediaCounters& counters);
  void take(const mmsghdr& message, std::size_t slot, MediaCounters& counters);

  std::function<int(int, mmsghdr*, unsigned, int)> send_messages_;
  int descriptor_ = -1;
  Endpoint local_;
  bool segmentation_ = false, coalescing_ = false, fragments_ = false;
  std::vector<std::uint8_t> room_;
  std::vector<ReceivedBatch> received_;
};

}  // namespace sealcast::io
