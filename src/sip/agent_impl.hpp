#pragma once
// Inside of the agent. AgentFront lives on the owner's thread and keeps the owner's callbacks; AgentStack and its parts
// live on the stack's thread and know ids only. The two talk by posts. Built on sofia's nta (transactions and dialogs),
// so that nothing is sent behind our back.
#include <atomic>
#include <chrono>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "os/clock.hpp"
#include "sip/agent.hpp"
#include "sip/sofia.hpp"
#include "sip/sofia_thread.hpp"

namespace sealcast::sip {
class AgentStack;
class LegOwner;
class Call;
struct Transaction;
}  // namespace sealcast::sip

#define NTA_AGENT_MAGIC_T sealcast::sip::AgentStack
#define NTA_LEG_MAGIC_T sealcast::sip::LegOwner
#define NTA_OUTGOING_MAGIC_T sealcast::sip::Transaction
#define NTA_INCOMING_MAGIC_T sealcast::sip::Call
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wold-style-cast"
#include <sofia-sip/nta.h>
#include <sofia-sip/nta_tport.h>
#pragma GCC diagnostic pop

namespace sealcast::sip {

// Ours, without the times in which nobody ran.
struct StackClock : MonotonicClock {
  static Instant now() { return os::monotonic_now(); }
};
using StackTime = StackClock::time_point;
using TransactionId = std::uint64_t;
inline constexpr StackTime k_no_time = StackTime::max();

// The owner's side. Every method but from_stack() and next_id() is called on the owner's thread.
class AgentFront {
 public:
  AgentFront(AgentConfig config, Executor& executor, Handler& handler);
  ~AgentFront();
  Status start();
  void stop();
  std::string local_address() const { return local_address_; }

  void register_identity(Credentials credentials, int expires, std::function<std::vector<Header>()> headers,
                         std::function<void(const RegistrationState&)> on_change);
  void send(Request request, std::function<void(const Response&)> on_response);
  CallId invite(Request request, std::function<void(const Response&)> on_response);
  void reinvite(CallId id, Request request, std::function<void(const Response&)> on_response);
  void probe(CallId id, std::function<void(const Response&)> on_response);
  void answer(CallId id, Response response);
  void bye(CallId id, const std::string& reason);
  void reply(RequestId id, Response response);
  SubscriptionId subscribe(Request request, std::function<void(const Request&)> on_notify,
                           std::function<void(const Response&)> on_end);
  void unsubscribe(SubscriptionId id);
  void accept_subscription(SubscriptionId id, int status, std::string reason, int expires);
  void notify(SubscriptionId id, std::string content_type, std::string body, bool terminate);

  // From the stack's thread: runs `task` on the owner's, unless the agent has stopped by then.
  void from_stack(std::function<void(AgentFront&)> task);
  std::uint64_t next_id() { return next_id_++; }

  // What the stack reports.
  void response_arrived(std::uint64_t id, const Response& response);
  void request_arrived(RequestId id, const Request& request) { handler_.on_request(id, request); }
  void registration_due();
  void registration_changed(const RegistrationState& state);
  void invite_arrived(CallId id, const Request& request);
  void reinvite_arrived(CallId id, const Request& request);
  void call_failed(CallId id, const Response& response);
  void call_ended(CallId id, const std::string& reason);
  void call_refused(CallId id) { calls_.erase(id); }  // by us
  void notify_arrived(SubscriptionId id, const Request& request);
  void subscription_over(SubscriptionId id, const Response& response);
  void subscribe_arrived(SubscriptionId id, const Request& request, bool first);
  void subscription_ended(SubscriptionId id);

 private:
  struct Watch {
    std::function<void(const Request&)> on_notify;
    std::function<void(const Response&)> on_end;
  };
  void to_stack(std::function<void(AgentStack&)> task);

  AgentConfig config_;
  Executor& executor_;
  Handler& handler_;
  SofiaThread thread_;
  std::unique_ptr<AgentStack> stack_;  // made and destroyed on thread_
  std::string local_address_;
  std::atomic<std::uint64_t> next_id_{1};
  // Owned by this and by the posts under way; read and written on the owner's thread only.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(false);

  std::unordered_map<std::uint64_t, std::function<void(const Response&)>> responses_;
  std::unordered_map<SubscriptionId, Watch> watches_;
  std::unordered_set<CallId> calls_;
  std::unordered_set<SubscriptionId> subscribers_;
  std::function<std::vector<Header>()> register_headers_;
  std::function<void(const RegistrationState&)> on_registration_;
};

// The final answer to a request of ours.
struct Answer {
  Response response;           // status 0: nobody answered
  const sip_t* sip = nullptr;  // null: nobody answered
  nta_outgoing_t* handle = nullptr;
};

// A request of ours under way. Lives until its final answer, even if nobody waits for it any more: stop() lets such
// requests out.
struct Transaction {
  explicit Transaction(AgentStack& owner) : stack(owner) {}
  AgentStack& stack;
  TransactionId id = 0;
  nta_outgoing_t* handle = nullptr;
  std::string method;
  std::function<void(const Answer&)> done;
  StackTime deadline = k_no_time;
  bool invite = false;
  bool cancelled = false;
};

// Takes the requests that arrive on a leg (a dialog, or the default leg). Returns the status to answer with, or 0 when
// it answers itself.
class LegOwner {
 public:
  explicit LegOwner(AgentStack& owner) : stack(owner) {}
  LegOwner(const LegOwner&) = delete;
  LegOwner& operator=(const LegOwner&) = delete;
  virtual ~LegOwner() = default;
  virtual int on_request(nta_incoming_t* incoming, const sip_t* sip) = 0;

  AgentStack& stack;
};

// Keeps the binding of the agent's identity at the registrar.
class Registration {
 public:
  explicit Registration(AgentStack& stack) : stack_(stack) {}
  ~Registration();
  void begin(Credentials credentials, int expires);
  void attempt(const std::vector<Header>& headers);  // with the headers that were asked for
  void withdraw();
  void tick(StackTime now);
  bool registered() const { return state_.registered; }
  const std::vector<std::string>& service_route() const { return service_route_; }
  void release();  // what belongs to the library

 private:
  struct Challenge {
    std::string realm, nonce, opaque;
    unsigned count = 0;  // nc
  };
  void send(int expires);
  void answered(const Answer& answer, int expires);
  void challenged(const Answer& answer, int expires);
  void accepted(const Answer& answer);
  void refused(int status, std::string reason);
  void retry_later(int status, const std::string& reason);
  std::string authorization(const std::string& uri);
  void change(RegistrationState state);
  void watch_connection(tport_t* connection);

  AgentStack& stack_;
  Credentials credentials_;
  int expires_ = 0;
  bool begun_ = false, withdrawing_ = false, reported_ = false;
  nta_leg_t* leg_ = nullptr;
  std::vector<Header> headers_;  // of the attempt under way
  std::optional<Challenge> challenge_;
  int challenges_ = 0;  // got in this attempt: a second one, if not for staleness, means a wrong password
  TransactionId transaction_ = 0;
  bool asked_for_headers_ = false, lost_ = false;
  std::uint64_t stops_ = os::stops_so_far();
  StackTime due_ = k_no_time;
  std::chrono::seconds pause_{1};
  tport_t* connection_ = nullptr;  // over which the core knows us
  RegistrationState state_;
  std::vector<std::string> service_route_;
};

// One INVITE dialog, either side.
class Call final : public LegOwner {
 public:
  Call(AgentStack& owner, CallId identifier) : LegOwner(owner), id(identifier) {}
  ~Call() override;
  int on_request(nta_incoming_t* incoming, const sip_t* sip) override;
  int on_invite(nta_incoming_t* incoming, const sip_t* sip, bool first);
  void answer(const Response& response);
  void refuse_pending(int status, const char* phrase);
  void forget_accepted();

  const CallId id;
  nta_leg_t* leg = nullptr;
  bool established = false, over = false;
  TransactionId invite = 0;           // our first INVITE, while it has no final answer
  bool cancelled = false;             // bye() came before it
  std::uint64_t reinvite = 0;         // our re-INVITE: id of the response that the owner waits for
  nta_incoming_t* pending = nullptr;  // their INVITE that waits for answer()
  StackTime pending_until = k_no_time;
  nta_incoming_t* accepted = nullptr;  // their INVITE that waits for ACK

 private:
  static int on_ack_or_cancel(Call* call, nta_incoming_t* incoming, const sip_t* sip);
};

class Calls {
 public:
  explicit Calls(AgentStack& stack) : stack_(stack) {}
  void invite(CallId id, Request request);
  void reinvite(CallId id, std::uint64_t response_id, Request request);
  void probe(CallId id, std::uint64_t response_id);
  void answer(CallId id, const Response& response);
  void bye(CallId id, const std::string& reason);
  int arrived(nta_incoming_t* incoming, const sip_t* sip);
  void lost(CallId id, const std::string& reason);  // tells the owner, and forgets
  void end_all();
  void tick(StackTime now);
  void clear() { calls_.clear(); }

 private:
  void invite_answered(CallId id, const Answer& answer);
  void reinvite_answered(CallId id, std::uint64_t response_id, const Answer& answer);
  void acknowledge(Call& call, const Answer& answer);
  void send_bye(Call& call, const std::string& reason);
  void erase(CallId id);

  AgentStack& stack_;
  std::unordered_map<CallId, std::unique_ptr<Call>> calls_;
};

// Our SUBSCRIBE dialogs.
class Watches {
 public:
  explicit Watches(AgentStack& stack) : stack_(stack) {}
  void subscribe(SubscriptionId id, Request request);
  void unsubscribe(SubscriptionId id);
  void refresh_all();  // after the core came back
  void end_all();
  void tick(StackTime now);
  void clear() { watches_.clear(); }

 private:
  struct Watch final : LegOwner {
    Watch(Watches& owner, SubscriptionId identifier) : LegOwner(owner.stack_), all(owner), id(identifier) {}
    ~Watch() override { ::nta_leg_destroy(leg); }
    int on_request(nta_incoming_t* incoming, const sip_t* sip) override { return all.notified(*this, incoming, sip); }
    Watches& all;
    const SubscriptionId id;
    Request request;
    nta_leg_t* leg = nullptr;
    bool under_way = false, established = false, quiet = false, notified_once = false;
    StackTime refresh_at = k_no_time, gone_at = k_no_time;
  };
  void send(Watch& watch, int expires);
  void answered(SubscriptionId id, int expires, const Answer& answer);
  int notified(Watch& watch, nta_incoming_t* incoming, const sip_t* sip);
  void over(SubscriptionId id, Response response);
  void leave(Watch& watch);

  AgentStack& stack_;
  std::unordered_map<SubscriptionId, std::unique_ptr<Watch>> watches_;
};

// SUBSCRIBE dialogs of others with us.
class Subscribers {
 public:
  explicit Subscribers(AgentStack& stack) : stack_(stack) {}
  int arrived(nta_incoming_t* incoming, const sip_t* sip);
  void accept(SubscriptionId id, int status, const std::string& reason, int expires);
  void notify(SubscriptionId id, const std::string& content_type, const std::string& body, bool terminate);
  void end_all();
  void tick(StackTime now);
  void clear() { subscribers_.clear(); }

 private:
  struct Subscriber final : LegOwner {
    Subscriber(Subscribers& owner, SubscriptionId identifier) : LegOwner(owner.stack_), all(owner), id(identifier) {}
    ~Subscriber() override;
    int on_request(nta_incoming_t* incoming, const sip_t* sip) override { return all.refreshed(*this, incoming, sip); }
    Subscribers& all;
    const SubscriptionId id;
    std::string event;
    nta_leg_t* leg = nullptr;
    bool active = false;
    nta_incoming_t* pending = nullptr;  // SUBSCRIBE that waits for accept()
    StackTime pending_until = k_no_time, expires_at = k_no_time;
  };
  int refreshed(Subscriber& subscriber, nta_incoming_t* incoming, const sip_t* sip);
  int await_answer(Subscriber& subscriber, nta_incoming_t* incoming, const sip_t* sip, bool first);
  void send(Subscriber& subscriber, const std::string& state, const std::string& content_type, const std::string& body,
            bool watched);
  void ended(SubscriptionId id);

  AgentStack& stack_;
  std::unordered_map<SubscriptionId, std::unique_ptr<Subscriber>> subscribers_;
};

// The library's agent: listener, connection to the next hop, requests out of and into no dialog. On the stack's thread.
class AgentStack final : public LegOwner {
 public:
  AgentStack(AgentFront& front, const AgentConfig& config, su_root_t* root);
  ~AgentStack() override;
  Status start();
  std::string local_address() const;

  // MESSAGE and PUBLISH; the answer goes to the owner under `id`.
  void send(std::uint64_t id, const Request& request);
  void reply(RequestId id, const Response& response);
  // Unregisters, ends what is open; `done` is called when nothing is under way any more.
  void begin_close(std::function<void()> done);

  // For the parts.
  // Makes a leg for a dialog that we begin; null when an address is no SIP URI.
  nta_leg_t* make_leg(LegOwner& owner, const Request& request);
  // Makes the leg of a dialog that somebody begins with us, tags the transaction.
  nta_leg_t* accept_leg(LegOwner& owner, nta_incoming_t* incoming, const sip_t* sip);
  // A request inside or (leg without dialog) outside of a dialog. 0 when it could not be made: `done` has not been and
  // will not be called.
  TransactionId request(nta_leg_t* leg, const Request& request, std::function<void(const Answer&)> done);
  void acknowledge(nta_leg_t* leg, nta_outgoing_t* invite);
  void cancel(TransactionId id);
  void forget(TransactionId id);  // its answer is of no interest any more
  void respond(nta_incoming_t* incoming, const Response& response);
  Request read(nta_incoming_t* incoming, const sip_t* sip);
  AgentFront& front() { return front_; }
  const AgentConfig& config() const { return config_; }
  nta_agent_t* handle() { return agent_; }
  Watches& watches() { return watches_; }
  Calls& calls() { return calls_; }
  bool closing() const { return closing_; }

  int on_request(nta_incoming_t* incoming, const sip_t* sip) override;
  // Checks that hold for every request before it is looked at; 0 = go on.
  int admit(nta_incoming_t* incoming, const sip_t* sip);

 private:
  friend class AgentFront;
  struct Pending {
    nta_incoming_t* incoming;
    StackTime until;
  };
  static int on_leg_request(LegOwner* owner, nta_leg_t*, nta_incoming_t* incoming, const sip_t* sip);
  static int on_answer(Transaction* transaction, nta_outgoing_t* handle, const sip_t* sip);
  msg_t* message(nta_leg_t* leg, const Request& request);
  void add_addresses(msg_t* message, nta_leg_t* leg, const Request& request);
  bool from_next_hop(msg_t* message) const;
  bool from_trusted_name(msg_t* message) const;
  bool over_tls(msg_t* message) const;
  int take(nta_incoming_t* incoming, const sip_t* sip);
  void finish(TransactionId id, const Answer& answer);
  void tick();
  void tick_transactions(StackTime now);
  void unanswered(Transaction& transaction, const std::string& reason);
  void check_closed();
  std::string contact() const;
  std::string next_hop_url() const;

  AgentFront& front_;
  const AgentConfig& config_;
  su_root_t* root_;
  nta_agent_t* agent_ = nullptr;
  nta_leg_t* default_leg_ = nullptr;
  su_timer_t* timer_ = nullptr;
  std::map<TransactionId, std::unique_ptr<Transaction>> transactions_;
  std::unordered_map<RequestId, Pending> pending_;
  std::uint64_t next_transaction_ = 1;
  bool closing_ = false;
  std::function<void()> closed_;
  Registration registration_{*this};
  Calls calls_{*this};
  Watches watches_{*this};
  Subscribers subscribers_{*this};
};

inline constexpr const char* k_allowed_methods =
    "INVITE, ACK, CANCEL, BYE, MESSAGE, PUBLISH, SUBSCRIBE, NOTIFY, OPTIONS";

// RFC 3261 section 17.1.2.2 lets a request go on for 32 s; people wait less.
inline constexpr std::chrono::milliseconds k_request_limit{9500};
inline constexpr std::chrono::seconds k_invite_limit{35};
// Shorter than the other side's patience, so that it hears our 500.
inline constexpr std::chrono::seconds k_answer_limit{8}, k_invite_answer_limit{30};

}  // namespace sealcast::sip
