#pragma once
// Inside of the agent: all that it decides, without sockets, threads and clocks. Whoever drives it says what came and
// when, and takes what goes (agent_thread.cpp; tests and the fuzz harness: themselves).
#include <functional>
#include <map>
#include <set>

#include "sip/agent/parts.hpp"
#include "sip/stream_reader.hpp"

namespace sealcast::sip {

// What the owner is told. Ids that the owner made are odd, ours are even.
class AgentReports {
 public:
  virtual ~AgentReports() = default;
  virtual void response_arrived(std::uint64_t id, const Response& response) = 0;
  virtual void request_arrived(RequestId id, const Request& request) = 0;
  virtual void registration_due() = 0;  // attempt() is to follow, with headers
  virtual void registration_changed(const RegistrationState& state) = 0;
  virtual void invite_arrived(CallId id, const Request& request) = 0;
  virtual void reinvite_arrived(CallId id, const Request& request) = 0;
  virtual void call_failed(CallId id, const Response& response) = 0;
  virtual void call_ended(CallId id, const std::string& reason) = 0;
  virtual void call_refused(CallId id) = 0;  // by us
  virtual void notify_arrived(SubscriptionId id, const Request& request) = 0;
  virtual void subscription_over(SubscriptionId id, const Response& response) = 0;
  virtual void subscribe_arrived(SubscriptionId id, const Request& request, bool first) = 0;
  virtual void subscription_ended(SubscriptionId id) = 0;
};

// Shorter than the other side's patience, so that it hears our 500.
inline constexpr Duration k_answer_limit = 8s, k_invite_answer_limit = 30s;

class UserAgent {
 public:
  using Report = std::function<void(AgentReports&)>;
  // `tell`: takes reports, in their order; runs them later or at once.
  UserAgent(const AgentConfig& config, RandomSource& random, Wire& wire, std::function<void(Report)> tell);

  // What comes. `own`: of the listener, or empty.
  void listening(const std::string& own) { listener_ = own; }
  void opened(ConnectionId id, ConnectionFacts facts, Instant now);
  void received(ConnectionId id, ByteView octets, Instant now);
  void closed(ConnectionId id, const std::string& why, Instant now);
  void tick(Instant now, std::uint64_t stops);  // a few times a second

  // What the owner wants: at(now).calls().invite(...).
  UserAgent& at(Instant now) {
    now_ = now;
    return *this;
  }
  // MESSAGE and PUBLISH; the answer goes to the owner under `id`.
  void send(std::uint64_t id, const Request& request);
  void reply(RequestId id, const Response& response) { respond(id, response); }
  // `done`: with the sentence that says why the next hop cannot be reached, or nothing.
  void reach(std::function<void(const std::string&)> done);
  // Unregisters, ends what is open; `done` is called when nothing is under way any more.
  void begin_close(std::function<void()> done);
  Registration& registration() { return registration_; }
  Calls& calls() { return calls_; }
  Watches& watches() { return watches_; }
  Subscribers& subscribers() { return subscribers_; }

  // For the parts.
  std::optional<Dialog> new_dialog(const Request& request);
  // A request inside or outside of a dialog. 0 when it could not be made: `done` has not been and will not be called.
  TransactionId request(Dialog& dialog, const Request& request, std::function<void(const Answer&)> done);
  void acknowledge(const Dialog& dialog, const Answer& invite);
  void respond(IncomingId id, const Response& response);
  Request read(const Incoming& incoming) const;
  void tell(Report report) { tell_(std::move(report)); }
  std::uint64_t next_id() { return next_id_ += 2; }
  void drop_link();
  ClientTransactions& clients() { return clients_; }
  ServerTransactions& servers() { return servers_; }
  const AgentLink& link() const { return link_; }
  const AgentConfig& config() const { return config_; }
  RandomSource& random() { return random_; }
  Instant now() const { return now_; }
  bool closing() const { return closing_; }
  std::map<std::string, DialogOwner*>& dialogs() { return dialogs_; }

  std::size_t connections() const { return peers_.size(); }
  std::uint64_t parsed() const { return parsed_; }  // messages that the library has seen

 private:
  struct Peer {
    ConnectionFacts facts;
    StreamReader reader;
    bool served = false, believed = false;
  };
  void link_opened(const ConnectionFacts& facts);
  bool has_trusted_name(const ConnectionFacts& facts) const;
  void on_frame(ConnectionId id, const Peer& peer, const Frame& frame);
  void on_unserved(ConnectionId id, const Frame& frame);
  void on_request(ConnectionId id, const Peer& peer, const Message& message);
  void on_ack(const std::string& key, const sip_t* sip);
  void on_cancel(ConnectionId id, const std::string& key, const Message& message);
  bool admitted(const Incoming& incoming);
  void dispatch(const Incoming& incoming);
  int on_begin(const Incoming& incoming);
  DialogOwner* owner_of(const sip_t* sip) const;
  void drop(ConnectionId id);
  std::optional<Draft> draft_of(Dialog& dialog, const Request& request) const;
  std::string address_seen_by(const ConnectionFacts& facts) const;
  std::string contact(const std::string& own) const;
  void check_closed();
  void reached(const std::string& sentence);

  const AgentConfig& config_;
  RandomSource& random_;
  Wire& wire_;
  std::function<void(Report)> tell_;
  Instant now_{};
  std::string listener_;
  std::map<ConnectionId, Peer> peers_;
  AgentLink link_;
  ClientTransactions clients_;
  ServerTransactions servers_;
  std::map<std::string, DialogOwner*> dialogs_;  // by dialog_key()
  std::vector<std::function<void(const std::string&)>> reaching_;
  std::uint64_t next_id_ = 0, parsed_ = 0;
  bool closing_ = false;
  std::function<void()> closed_;
  Registration registration_{*this};
  Calls calls_{*this};
  Watches watches_{*this};
  Subscribers subscribers_{*this};
};

}  // namespace sealcast::sip
