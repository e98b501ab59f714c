#pragma once
// Connections without sockets, for the logic of the core and of agents: what is sent is kept, cut into messages.
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/assert.hpp"
#include "sip/connection.hpp"
#include "sip/stream_reader.hpp"

namespace sealcast::test {

// By connection. Whatever is no whole message ends the process.
class MemoryWire final : public sip::Wire {
 public:
  bool send(sip::ConnectionId connection, std::string_view octets) override {
    SEALCAST_ASSERT(!octets.empty());
    if (!open.contains(connection) || deaf.contains(connection)) return false;
    if (octets == "\r\n") return true;  // to a keep-alive
    sip::ReaderLimits limits;
    limits.body_octets = 320 << 10;
    sip::StreamReader reader(limits);
    reader.feed(view_of(octets));
    auto message = reader.next();
    const auto* frame = message ? std::get_if<sip::Frame>(&*message) : nullptr;
    SEALCAST_ASSERT(frame && frame->octets.size() == octets.size());
    inbox[connection].push_back(frame->octets);
    return true;
  }
  void close(sip::ConnectionId connection) override { open.erase(connection); }
  void admit(sip::ConnectionId connection) override { admitted.insert(connection); }
  sip::ConnectionId dial(const std::string& address, const std::string&, sip::ConnectionFacts& facts) override {
    if (!reachable) return sip::k_no_connection;
    facts.own = "192.0.2.1:5070";
    open.insert(++last);
    dialled.emplace_back(last, address);
    return last;
  }

  // The oldest message to `id` that nobody has looked at; empty: none.
  std::string take(sip::ConnectionId id) {
    auto& messages = inbox[id];
    if (messages.empty()) return {};
    auto out = std::move(messages.front());
    messages.pop_front();
    return out;
  }

  sip::ConnectionId last = 0;
  std::set<sip::ConnectionId> open, deaf, admitted;
  std::vector<std::pair<sip::ConnectionId, std::string>> dialled;
  std::map<sip::ConnectionId, std::deque<std::string>> inbox;
  bool reachable = true;
};

inline std::string header_of(const std::string& message, const std::string& name) {
  const auto at = message.find("\r\n" + name + ": ");
  if (at == std::string::npos) return {};
  const auto from = at + 4 + name.size();
  return message.substr(from, message.find("\r\n", from) - from);
}

inline int status_of(const std::string& message) {
  return message.starts_with("SIP/2.0 ") ? std::stoi(message.substr(8, 3)) : 0;
}

// Every line of these headers, as they are.
inline std::string lines_of(const std::string& message, std::initializer_list<const char*> names) {
  std::string out;
  for (std::size_t at = 0; at < message.size();) {
    const auto end = message.find("\r\n", at);
    if (end == std::string::npos || end == at) break;
    for (const char* name : names) {
      if (message.compare(at, std::string(name).size() + 1, std::string(name) + ":") == 0)
        out += message.substr(at, end + 2 - at);
    }
    at = end + 2;
  }
  return out;
}

}  // namespace sealcast::test
