#pragma once
// The one connection to the next hop: dialled when somebody wants it, kept open, dialled again with pauses.
#include <string>

#include "base/time.hpp"
#include "sip/agent/agent.hpp"
#include "sip/connection.hpp"

namespace sealcast::sip {

class AgentLink {
 public:
  AgentLink(const AgentConfig& config, Wire& wire) : config_(config), wire_(wire) {}

  bool is_open() const { return open_; }
  bool is(ConnectionId connection) const { return connection != k_no_connection && connection == id_; }
  ConnectionId id() const { return id_; }
  // Dials, unless it is open, under way, or rests after a failure.
  void want(Instant now);
  void opened();
  void heard() { heard_ = true; }
  // The sentence for whoever waited for it or used it.
  std::string closed(const std::string& why, Instant now);

 private:
  void rest(Instant now);

  const AgentConfig& config_;
  Wire& wire_;
  ConnectionId id_ = k_no_connection;
  bool open_ = false, heard_ = false;
  Instant not_before_{};
  Duration pause_{};
};

// Host of "host:port", without brackets: the name that its certificate must carry.
std::string host_of(const std::string& next_hop);
// `why`: as the transport gives it. open: the connection was up; heard: something had come over it.
struct LinkState {
  bool open = false, heard = false;
};
std::string failure_sentence(const AgentConfig& config, const std::string& why, LinkState state);

}  // namespace sealcast::sip
