#pragma once
// Inside of the embedded core. Everything here lives on the core's own thread.
#include <atomic>
#include <list>
#include <set>

#include "base/result.hpp"
#include "sip/core.hpp"
#include "sip/core_bindings.hpp"
#include "sip/core_digest.hpp"
#include "sip/core_message.hpp"
#include "sip/core_token.hpp"

namespace sealcast::sip {
struct CoreSide;
struct CoreTransaction;
}  // namespace sealcast::sip

// Context types of the library's callbacks: named before its header, so that callbacks need no casts.
#define NTA_AGENT_MAGIC_T sealcast::sip::CoreSide
#define NTA_OUTGOING_MAGIC_T sealcast::sip::CoreTransaction
#define NTA_INCOMING_MAGIC_T sealcast::sip::CoreTransaction
#include <sofia-sip/nta.h>
#include <sofia-sip/nta_stateless.h>
#include <sofia-sip/nta_tport.h>

namespace sealcast::sip {

class CoreState;

// The UEs' listeners, or the services'. Two agents of the library, because they differ in whose certificate they want
// to see, and so that no connection of one side can be taken for one of the other. No legs: requests come to us before
// the library keeps any state for them, and state is made only for what is relayed. What is refused must cost nothing,
// and strangers must not reach the library's server transactions: it aborts on an ACK for a response that could not be
// sent.
struct CoreSide {
  enum class Kind { ue, service };
  CoreState* core = nullptr;
  Kind kind = Kind::ue;
  nta_agent_t* agent = nullptr;
  std::string tls_address, tcp_address;  // "127.0.0.1:5061", after start()
};

// A request as it came, with the connection that it came over (never null).
struct Incoming {
  CoreSide& side;
  Message message;
  tport_t* connection;
  const sip_t* sip() const { return message.sip(); }
};

// Who sent a request: a subscriber over his registered connection, or a service over TLS with its certificate.
struct Source {
  Party party;
  std::string identity;  // what the core asserts: "sip:alice@domain"
  bool tls = false;
};

// Where a request goes.
struct Target {
  Party party;
  tport_t* connection = nullptr;  // of the UE; alive
  bool tls = true;
  std::string request_uri;  // empty: as it came
  std::string route;        // of the service: URI of its listener
};

struct Refusal {
  int status;
  std::string reason;
  std::string header = {};  // "Name: value"
};

// A request that is on its way, until its final response.
struct CoreTransaction {
  CoreState* core = nullptr;
  CoreSide* to = nullptr;
  Connection sender;
  nta_incoming_t* server = nullptr;
  nta_outgoing_t* client = nullptr;
  Connection connection;  // towards a UE: for a CANCEL too
  std::string route;      // towards a service
  bool from_tls = false, to_tls = false;
  bool invite = false;
  bool proceeding = false;  // a provisional response came: only now may a CANCEL be sent (RFC 3261 section 9.1)
  bool cancelled = false, cancel_sent = false;
  std::int64_t deadline = 0;  // of an INVITE: no answer, or none to its CANCEL
  // For a subscriber with several devices: the request as it was before it was made for one of them, and who was tried.
  std::optional<Message> original;
  Source source;
  std::set<std::uint64_t> tried;  // bindings
  std::string callee;
  std::list<CoreTransaction>::iterator self;
};

// What REGISTER is answered from, and how (core_registrar.cpp); who a request is from (core_identity.cpp); where it
// goes (core_routing.cpp); its way there and back (core_proxy.cpp).
class CoreState {
 public:
  CoreState(CoreConfig config, SubscriberDirectory& subscribers, RandomSource& random);
  Status start(su_root_t* root);  // core.cpp
  void stop();

  void on_message(CoreSide& side, Message message);
  void on_response(CoreTransaction& transaction, nta_outgoing_t* client, const sip_t* sip);
  void on_cancel(CoreTransaction& transaction, const sip_t* sip);
  void set_services(std::vector<ServiceRoute> services) { config_.services = std::move(services); }
  void on_second();  // timer

  const CoreSide& ue() const { return ue_; }
  const CoreSide& service() const { return service_; }
  CoreCounters counters() const;  // any thread

 private:
  template <class T>
  using Decision = Expected<T, Refusal>;

  // core.cpp
  Status open(CoreSide& side, const std::string& address, const char* transport, unsigned verify);
  void note_addresses(CoreSide& side);
  // core_registrar.cpp
  void on_register(Incoming& incoming);
  Decision<std::string> authenticate(const sip_t* sip, const std::string& peer);
  Decision<void> check_registration(const sip_t* sip, const std::string& user);
  Decision<void> enrol(const sip_t* sip, const std::string& user);
  Decision<void> bind(const sip_t* sip, const std::string& user, tport_t* connection);
  void confirm(Incoming& incoming, const std::string& user);
  std::optional<int> expires_of(const sip_contact_t* contact, const sip_t* sip) const;
  // core_identity.cpp
  Decision<Source> source_of(const Incoming& incoming) const;
  Decision<Source> subscriber_on(const sip_t* sip, tport_t* connection) const;
  Decision<Source> service_with(const su_strlst_t* subjects, const sip_t* sip) const;
  void assert_identity(const Message& message, const Source& source, const Target& target);
  bool may_carry(const sip_t* sip, bool both_tls) const;
  // core_routing.cpp
  Decision<void> check_form(const CoreSide& side, const sip_t* sip) const;
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
  void record_route(const Message& message, const Source& source, const Target& target, bool from_tls);
  std::string route_uri(const CoreSide& side, bool tls, const std::string& user) const;
  // core_proxy.cpp
  void on_request(Incoming& incoming);
  Decision<void> forward(Incoming& incoming, const Source& source);
  Decision<void> prepare(const Message& message, const Source& source, const Target& target);
  Decision<void> start(Incoming& incoming, Message message, const Source& source, const Target& target,
                       Message original);
  bool try_next_device(CoreTransaction& transaction);
  void send_ack(CoreSide& to, Message message, const Target& target);
  void relay_response(CoreTransaction& transaction, nta_outgoing_t* client);
  void answer_failure(CoreTransaction& transaction, int status);
  void send_cancel(CoreTransaction& transaction);
  void finish(CoreTransaction& transaction);
  void refuse(Incoming& incoming, const Refusal& refusal);
  void answer(Incoming& incoming, const Refusal& answer);
  void sweep_transactions(std::int64_t now);

  CoreSide& side_of(const Party& party) { return party.kind == Party::Kind::service ? service_ : ue_; }
  std::string impu(const std::string& user) const { return "sip:" + user + "@" + config_.domain; }

  CoreConfig config_;
  SubscriberDirectory& subscribers_;
  su_root_t* root_ = nullptr;
  su_timer_t* timer_ = nullptr;
  CoreSide ue_, service_;
  std::set<std::string> own_addresses_;  // "host:port" of every listener
  DigestServer digest_;
  GuessingBrake brake_;
  DialogTokens tokens_;
  BindingTable bindings_;
  std::list<CoreTransaction> transactions_;
  std::atomic<std::uint64_t> registrations_{0}, challenges_{0}, refused_{0}, relayed_{0}, bound_{0};
};

std::int64_t seconds_now();                              // monotonic
std::string peer_of(const tport_t* connection);          // "192.0.2.1:40123", for logs
inline constexpr std::size_t k_most_octets = 64 * 1024;  // of a body

}  // namespace sealcast::sip
