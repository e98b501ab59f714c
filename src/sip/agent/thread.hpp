#pragma once
// The agent's thread: a loop, the streams on it, and the logic that they drive. Everything but the constructor is
// called on the loop's thread.
#include <map>
#include <memory>
#include <optional>

#include "io/loop.hpp"
#include "io/stream_transport.hpp"
#include "os/random.hpp"
#include "sip/agent/impl.hpp"
#include "sip/library.hpp"

namespace sealcast::sip {

// What the files of a TLS directory say. Null: plain TCP, or nothing listens.
struct AgentContexts {
  io::StreamTransport::Context listening, dialling;
  static Result<AgentContexts> read(const AgentConfig& config);
};

class AgentThread final : public io::StreamEvents, public Wire {
 public:
  AgentThread(const AgentConfig& config, io::Loop& loop, AgentContexts contexts,
              std::function<void(UserAgent::Report)> tell);
  ~AgentThread() override;
  Status listen();
  std::string local_address() const { return listener_ ? listener_->text() : std::string(); }
  void renew(AgentContexts contexts);
  UserAgent& agent();  // now

  void on_open(const io::StreamFacts& facts) override;
  void on_octets(io::StreamId id, ByteView octets) override;
  void on_closed(io::StreamId id, const std::string& why) override;
  bool send(ConnectionId connection, std::string_view octets) override;
  void close(ConnectionId connection) override;
  void admit(ConnectionId connection) override { streams_->admit(connection); }
  ConnectionId dial(const std::string& address, const std::string& name, ConnectionFacts& facts) override;

 private:
  // A connection under way to one of the addresses of the next hop.
  struct Dialled {
    std::vector<Endpoint> places;
    std::size_t next = 0;
    std::string name;
    io::StreamId stream = 0;
    bool open = false;
  };
  void try_next(Dialled& dialled);
  ConnectionId connection_of(io::StreamId stream) const;
  void tick();

  const AgentConfig& config_;
  io::Loop& loop_;
  AgentContexts contexts_;
  os::SystemRandom random_;
  Library library_;
  std::unique_ptr<io::StreamTransport> streams_;
  std::optional<Endpoint> listener_;
  std::map<ConnectionId, Dialled> dialled_;
  ConnectionId next_dialled_;
  io::Loop::TimerId timer_ = 0;
  UserAgent agent_;
  // Owners: this, and posts under way weakly, which may run after it is gone.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace sealcast::sip
