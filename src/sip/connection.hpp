#pragma once
// Connections as the logic of core and agents sees them: numbers, never sockets. Whoever drives them (a thread, a test,
// a fuzz harness) says what came and takes what goes.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sealcast::sip {

// Never 0, and never used again: a number that is remembered cannot come to mean another connection.
using ConnectionId = std::uint64_t;
inline constexpr ConnectionId k_no_connection = 0;

struct ConnectionFacts {
  enum class Side : std::uint8_t { ue, service };
  Side side = Side::ue;
  bool tls = false;
  std::string remote;                 // "192.0.2.1:40123", for logs
  std::string source;                 // whose budget it is: the address without its port
  std::string own;                    // "192.0.2.9:5061": where the peer reaches this side
  std::vector<std::string> subjects;  // of its verified certificate
};

// None of these calls back into the core before it returns.
class Wire {
 public:
  virtual ~Wire() = default;
  // One whole message. False: the connection is gone, or its peer does not read.
  virtual bool send(ConnectionId connection, std::string_view octets) = 0;
  virtual void close(ConnectionId connection) = 0;
  // What came over it proved who is there: the bounds for strangers hold no longer.
  virtual void admit(ConnectionId connection) = 0;
  // To the TLS listener of a configured service, whose certificate must carry `name`. What is sent before it is open
  // waits. k_no_connection: the address cannot be used.
  virtual ConnectionId dial(const std::string& address, const std::string& name, ConnectionFacts& facts) = 0;
};

}  // namespace sealcast::sip
