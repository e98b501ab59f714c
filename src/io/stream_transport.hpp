#pragma once
// TCP and TLS connections in both directions on a loop, bounded so that strangers cannot use up descriptors, memory or
// time.
//
// A stream that came in is a stranger until admit(). Strangers live `stranger_life` and may send `stranger_octets` in
// all. When an address has too many of them, or all together are too many, the oldest stranger of the address that has
// most is closed for the newcomer: somebody honest is admitted within milliseconds, whoever sits there silently is not.
// Admitted streams are never closed for others. Without descriptors accepting rests and goes on by itself.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/bytes.hpp"
#include "crypto/tls.hpp"
#include "io/loop.hpp"

namespace sealcast::io {

using StreamId = std::uint64_t;  // never 0, never used again

struct StreamLimits {
  std::size_t streams = 4096;  // of all kinds; what the process may not open anyway is taken off, see kept_descriptors
  std::size_t kept_descriptors = 128;  // of RLIMIT_NOFILE: left for files, databases and the admin socket
  std::size_t strangers = 1024;        // not admitted, at most half of `streams`
  std::size_t strangers_per_address = 256;
  Duration stranger_life = 30s;
  std::size_t stranger_octets = 64 << 10;  // plaintext and handshake together
  std::size_t send_queue = 1 << 20;        // octets that wait for a slow reader; more closes the stream
  std::size_t send_total = 64 << 20;       // of all streams together
  Duration send_stall = 30s;               // a reader that takes nothing for so long is gone
  Duration dial_time = 10s;                // connection and handshake
};

struct StreamFacts {
  StreamId id = 0;
  Endpoint listener;  // as listen() returned it; port 0: dialled by us
  Endpoint remote, local;
  bool tls = false;
  std::vector<std::string> subjects;  // of the verified certificate of the other side (TlsSession::peer_names)
};

struct StreamCounters {
  std::uint64_t accepted = 0, dialled = 0, admitted = 0;
  std::uint64_t displaced = 0;   // strangers, for newcomers
  std::uint64_t expired = 0;     // strangers whose life was over
  std::uint64_t too_much = 0;    // strangers that sent more than they may
  std::uint64_t handshakes = 0;  // that failed
  std::uint64_t refused = 0;     // newcomers: all streams in use by the admitted
  std::uint64_t rests = 0;       // of accepting, for want of descriptors
  std::uint64_t overflows = 0;   // send queues that were full, readers that stalled
  std::size_t open = 0, strangers = 0;
};

// On the loop's thread. Every call of the transport is allowed from within, but not its end; views live for the call.
class StreamEvents {
 public:
  virtual ~StreamEvents() = default;
  virtual void on_open(const StreamFacts& facts) = 0;  // TCP connected, TLS handshake done
  virtual void on_octets(StreamId id, ByteView octets) = 0;
  // Once for each that was opened and each that was dialled, but not after close(). `why` is a sentence's end: "closed
  // by the other side", "the certificate has expired".
  virtual void on_closed(StreamId id, const std::string& why) = 0;
};

class StreamTransport {
 public:
  using Context = std::shared_ptr<const crypto::TlsContext>;  // null: plain TCP
  StreamTransport(Loop& loop, StreamLimits limits, StreamEvents& events);
  ~StreamTransport();  // closes everything, without events

  // Port 0: one is chosen. Several listeners are fine.
  Result<Endpoint> listen(const Endpoint& where, Context tls);
  // Renewed certificates: for connections from now on.
  void set_tls(const Endpoint& listener, Context tls);
  // on_open or on_closed follows, never from within the call. Dialled streams are admitted. `expected_name`: whose
  // certificate the other side must show.
  StreamId dial(const Endpoint& where, Context tls, const std::string& expected_name);
  // Queued and sent in order. False: no such stream, not yet open, or its queue is full; then it is closed (on_closed
  // follows, never from within the call).
  bool send(StreamId id, ByteView octets);
  bool send(StreamId id, std::string_view octets) { return send(id, view_of(octets)); }
  // Registered or otherwise known: no stranger any more. False: no such stream.
  bool admit(StreamId id);
  // What is queued still goes out, for a few seconds. No event of this stream any more.
  void close(StreamId id);
  StreamCounters counters() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sealcast::io
