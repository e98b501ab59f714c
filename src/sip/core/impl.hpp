#pragma once
// Inside of the embedded core: all that it decides, without sockets, threads and clocks. Whoever drives it says what
// came and when (core.cpp: its thread; tests and fuzz harnesses: themselves).
#include <atomic>
#include <map>
#include <mutex>
#include <set>

#include "base/rate_budget.hpp"
#include "base/result.hpp"
#include "sip/connection.hpp"
#include "sip/core/bindings.hpp"
#include "sip/core/brake.hpp"
#include "sip/core/core.hpp"
#include "sip/core/digest.hpp"
#include "sip/core/relays.hpp"
#include "sip/core/token.hpp"
#include "sip/library_message.hpp"
#include "sip/stream_reader.hpp"

namespace sealcast::sip {

// An open connection.
struct Peer {
  ConnectionId id = k_no_connection;
  ConnectionFacts facts;
  StreamReader reader{};
  Instant stranger_since = k_never;  // k_never: registered, or a service
  bool dialled = false;
};

// A request as it came.
struct Incoming {
  Peer& peer;
  Message message;
  const sip_t* sip() const { return message.sip(); }
};

// An answer that the core gives itself.
struct Rejection {
  int status;
  std::string reason;
  std::string header = {};  // "Name: value", more of them on lines of their own
};

// What came in (core_state.cpp); what REGISTER is answered from, and how (core_registrar.cpp); who a request is from
// (core_identity.cpp); where it goes (core_routing.cpp); its way there and back (core_proxy.cpp, core_answers.cpp).
class CoreState {
 public:
  CoreState(CoreConfig config, SubscriberDirectory& subscribers, RandomSource& random, Wire& wire);

  struct Addresses {
    std::string ue_tls, ue_tcp, service_tls;  // "127.0.0.1:5061", as they were opened
  };
  void listening(const Addresses& addresses);
  void opened(ConnectionId id, ConnectionFacts facts, Instant now);
  void received(ConnectionId id, ByteView octets, Instant now);
  void closed(ConnectionId id, const std::string& why, Instant now);
  void tick(Instant now);  // a few times a second
  void set_services(std::vector<ServiceRoute> services) { config_.services = std::move(services); }

  CoreCounters counters() const;  // any thread
  json::Object status() const;    // any thread: tables, as they were at the last tick
  std::size_t under_way() const { return relays_.size(); }
  std::size_t connections() const { return peers_.size(); }

 private:
  template <class T>
  using Decision = Expected<T, Rejection>;

  // core_state.cpp
  void on_frame(Peer& peer, const Frame& frame);
  void on_refusal(Peer& peer, const Refusal& refusal, bool lost);
  void drop(ConnectionId id);
  void forget(ConnectionId id, const std::string& why);
  void settle(Peer& peer);
  void close_strangers();
  void look_for_removed_subscribers();
  void remove_subscriber(const std::string& user);
  void publish_status();
  void delay(ConnectionId id, std::string octets, Duration pause);
  void say_refused(const Peer& peer, const std::string& what);
  bool transmit(ConnectionId id, const Message& message);
  bool transmit(ConnectionId id, const std::string& octets);
  // core_registrar.cpp
  void on_register(Incoming& incoming);
  Decision<std::string> authenticate(Incoming& incoming, Duration& pause);
  Decision<void> check_registration(const sip_t* sip, const std::string& user);
  Decision<void> within_rate(const sip_t* sip, const std::string& user, const Peer& peer);
  Decision<void> enrol(const sip_t* sip, const std::string& user);
  Decision<void> bind(const sip_t* sip, const std::string& user, const Peer& peer);
  void confirm(Incoming& incoming, const std::string& user);
  std::optional<int> expires_of(const sip_contact_t* contact, const sip_t* sip) const;
  // core_identity.cpp
  Decision<Source> source_of(const Incoming& incoming) const;
  Decision<Source> subscriber_on(const sip_t* sip, const Peer& peer) const;
  Decision<Source> service_with(const Peer& peer, const sip_t* sip) const;
  Decision<void> assert_identity(const Message& message, const Source& source, const Target& target);
  bool may_carry(const sip_t* sip, bool both_tls) const;
  // core_routing.cpp
  Decision<void> check_form(const Peer& peer, const sip_t* sip) const;
  Decision<void> check_loops(const Peer& peer, const sip_t* sip) const;
  Decision<Target> target_of(const Message& message, const Source& source);
  Decision<std::string> pop_own_routes(const Message& message) const;
  Decision<Target> target_in_dialog(const std::string& token, const Source& source);
  int likeness(const Party& end, const Party& source) const;
  Decision<Target> target_of_uri(const url_t* url) const;
  Decision<Target> to_subscriber(const std::string& user, std::uint64_t binding, bool keep_uri) const;
  Target to_service(const ServiceRoute& route) const;
  const ServiceRoute* service_of(const url_t* url) const;
  const ServiceRoute* service_named(const std::string& name) const;
  bool is_own_address(const url_t* url) const;
  void record_route(const Message& message, const Source& source, const Peer& from, const Target& target,
                    const Peer& to);
  std::string route_uri(const Peer& peer, const std::string& user) const;
  void note_own(const std::string& address);
  // core_proxy.cpp
  void on_request(Incoming& incoming);
  void on_own(Incoming& incoming);
  bool seen_before(Incoming& incoming);
  Decision<void> forward(Incoming& incoming, const Source& source);
  Decision<Peer*> peer_for(const Target& target);
  Decision<void> prepare(const Message& message, const Source& source, const Peer& from, const Target& target,
                         const Peer& to, const std::string& branch);
  void launch(const std::string& branch, Relay relay, const Message& message);
  bool try_next_device(const std::string& branch);
  void on_cancel(Incoming& incoming);
  void cancel(const std::string& branch, Relay& relay);
  void send_cancel(Relay& relay);
  void abandon(const std::string& branch, Relay& relay);
  Rejection key_needs_tls() const;
  // core_answers.cpp
  void on_response(Peer& peer, const Message& message);
  void on_late_response(Peer& peer, const Message& message, const std::string& branch);
  void relay_response(const Relay& relay, const Message& response);
  void acknowledge(const Relay& relay, const sip_t* response);
  void fail_relay(const std::string& branch, const Rejection& why);
  void conclude(const std::string& branch, Relay relay, const Rejection& why);
  std::optional<Relay> finish(const std::string& branch, bool accepted);
  void sweep_relays();
  void answer(Incoming& incoming, const Rejection& out, Duration pause = Duration::zero());
  void refuse(Incoming& incoming, const Rejection& rejection, Duration pause = Duration::zero());
  Rejection too_many(const TableRefusal& refusal, const std::string& what) const;

  std::string impu(const std::string& user) const { return "sip:" + user + "@" + config_.domain; }
  std::uint64_t generation_of(const std::string& user) const;
  Rejection store_failed(const Error& error);
  std::string fresh_branch();
  std::string fresh_tag();
  Peer* peer_of(ConnectionId id);

  CoreConfig config_;
  SubscriberDirectory& subscribers_;
  RandomSource& random_;
  Wire& wire_;
  Instant now_{};
  Addresses addresses_;
  std::set<std::string> own_addresses_;  // "host:port" of every listener
  std::map<ConnectionId, Peer> peers_;
  std::map<std::string, ConnectionId> dialled_;  // by the service's address
  DigestServer digest_;
  GuessingBrake brake_;
  // Registrations that are new, for a subscriber; those that are known, for the connection that they came over.
  RateBudget new_bindings_{{200, 5, 50'000}}, refreshes_{{30, 1, 100'000}};
  LogBrake log_brake_;
  DialogTokens tokens_;
  BindingTable bindings_;
  RelayTable relays_;
  std::multimap<Instant, std::pair<ConnectionId, std::string>> delayed_;  // answers that are held back
  std::uint64_t directory_revision_ = 0;
  std::vector<std::string> to_look_up_;           // subscribers that may have been removed
  std::map<std::string, std::uint64_t> removed_;  // subscriber: how often
  Instant next_status_{};
  mutable std::mutex status_mutex_;
  json::Object status_;
  std::uint64_t malformed_ = 0, unmatched_ = 0, repeated_ = 0, strangers_closed_ = 0, subscribers_removed_ = 0,
                store_failures_ = 0;
  std::atomic<std::uint64_t> registrations_{0}, challenges_{0}, refused_{0}, relayed_{0}, bound_{0};
};

}  // namespace sealcast::sip
