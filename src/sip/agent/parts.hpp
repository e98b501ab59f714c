#pragma once
// What a user agent does: keeps its registration, holds calls, watches and is watched. Each part lives inside of a
// UserAgent (agent_impl.hpp), knows ids instead of callbacks, and is told the time.
#include <unordered_map>

#include "sip/agent/clients.hpp"
#include "sip/agent/servers.hpp"

namespace sealcast::sip {

class UserAgent;

// Takes the requests that arrive in a dialog, for as long as it lives.
class DialogOwner {
 public:
  explicit DialogOwner(UserAgent& owner) : agent(owner) {}
  DialogOwner(const DialogOwner&) = delete;
  DialogOwner& operator=(const DialogOwner&) = delete;
  virtual ~DialogOwner();
  // Returns the status to answer with, or 0 when it answers itself. It may be gone afterwards.
  virtual int on_request(const Incoming& incoming) = 0;
  virtual void on_ack(std::uint32_t) {}
  void enter(Dialog begun);  // from now on requests come here

  UserAgent& agent;
  Dialog dialog;

 private:
  std::string key_;
};

// Keeps the binding of the agent's identity at the registrar.
class Registration {
 public:
  explicit Registration(UserAgent& agent) : agent_(agent) {}
  void begin(Credentials credentials, int expires);
  void attempt(const std::vector<Header>& headers);  // with the headers that were asked for
  void withdraw();
  void tick(std::uint64_t stops);  // how often nobody ran, so far
  void connection_closed(ConnectionId connection, const std::string& sentence);
  const std::vector<std::string>& service_route() const { return service_route_; }

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
  void ask_for_headers();

  UserAgent& agent_;
  Credentials credentials_;
  int expires_ = 0;
  bool begun_ = false, withdrawing_ = false, reported_ = false;
  Dialog dialog_;                // the Call-ID and the numbers of all registrations (RFC 3261 section 10.2)
  std::vector<Header> headers_;  // of the attempt under way
  std::optional<Challenge> challenge_;
  int challenges_ = 0;  // got in this attempt: a second one, if not for staleness, means a wrong password
  TransactionId transaction_ = 0;
  bool asked_for_headers_ = false, lost_ = false;
  std::optional<std::uint64_t> stops_;
  Instant due_ = k_never;
  Duration pause_ = 1s;
  ConnectionId connection_ = k_no_connection;  // over which the core knows us
  RegistrationState state_;
  std::vector<std::string> service_route_;
};

// One INVITE dialog, either side.
class Call final : public DialogOwner {
 public:
  Call(UserAgent& owner, CallId identifier) : DialogOwner(owner), id(identifier) {}
  ~Call() override;
  int on_request(const Incoming& incoming) override;
  void on_ack(std::uint32_t number) override;
  int on_invite(const Incoming& incoming, bool first);
  void answer(const Response& response);
  void refuse_pending(int status);

  const CallId id;
  bool established = false;
  TransactionId invite = 0;    // our first INVITE, while it has no final answer
  bool cancelled = false;      // bye() came before it
  std::uint64_t reinvite = 0;  // our re-INVITE: id of the response that the owner waits for
  IncomingId pending = 0;      // their INVITE that waits for answer()
  Instant pending_until = k_never;
  Instant acknowledged_until = k_never;  // their INVITE was accepted, and waits for its ACK

 private:
  std::uint32_t invite_number_ = 0;  // CSeq of their INVITE
};

class Calls {
 public:
  explicit Calls(UserAgent& agent) : agent_(agent) {}
  void invite(CallId id, Request request);
  void reinvite(CallId id, std::uint64_t response_id, Request request);
  void probe(CallId id, std::uint64_t response_id);
  void answer(CallId id, const Response& response);
  void bye(CallId id, const std::string& reason);
  int arrived(const Incoming& incoming);
  void cancelled(IncomingId invite);                // by its sender
  void lost(CallId id, const std::string& reason);  // tells the owner, and forgets
  void end_all();
  void tick();
  std::size_t size() const { return calls_.size(); }

 private:
  void invite_answered(CallId id, const Answer& answer);
  void reinvite_answered(CallId id, std::uint64_t response_id, const Answer& answer);
  void acknowledge(Call& call, const Answer& answer);
  void send_bye(Call& call, const std::string& reason);
  void tell(std::uint64_t response_id, Response response);
  void erase(CallId id);

  UserAgent& agent_;
  std::unordered_map<CallId, std::unique_ptr<Call>> calls_;
};

// Our SUBSCRIBE dialogs.
class Watches {
 public:
  explicit Watches(UserAgent& agent) : agent_(agent) {}
  void subscribe(SubscriptionId id, Request request);
  void unsubscribe(SubscriptionId id);
  void refresh_all();  // after the core came back
  void end_all();
  void tick();
  std::size_t size() const { return watches_.size(); }

 private:
  struct Watch final : DialogOwner {
    Watch(Watches& owner, SubscriptionId identifier) : DialogOwner(owner.agent_), all(owner), id(identifier) {}
    int on_request(const Incoming& incoming) override { return all.notified(*this, incoming); }
    Watches& all;
    const SubscriptionId id;
    Request request;
    bool under_way = false, quiet = false, notified_once = false;
    Instant refresh_at = k_never, gone_at = k_never;
  };
  void send(Watch& watch, int expires);
  void answered(SubscriptionId id, int expires, const Answer& answer);
  int notified(Watch& watch, const Incoming& incoming);
  void over(SubscriptionId id, Response response);
  void leave(Watch& watch);

  UserAgent& agent_;
  std::unordered_map<SubscriptionId, std::unique_ptr<Watch>> watches_;
};

// SUBSCRIBE dialogs of others with us.
class Subscribers {
 public:
  explicit Subscribers(UserAgent& agent) : agent_(agent) {}
  int arrived(const Incoming& incoming);
  void accept(SubscriptionId id, int status, const std::string& reason, int expires);
  void notify(SubscriptionId id, const std::string& content_type, const std::string& body, bool terminate);
  void end_all();
  void tick();
  std::size_t size() const { return subscribers_.size(); }

 private:
  struct Subscriber final : DialogOwner {
    Subscriber(Subscribers& owner, SubscriptionId identifier) : DialogOwner(owner.agent_), all(owner), id(identifier) {}
    int on_request(const Incoming& incoming) override { return all.refreshed(*this, incoming); }
    Subscribers& all;
    const SubscriptionId id;
    std::string event;
    bool active = false;
    IncomingId pending = 0;  // SUBSCRIBE that waits for accept()
    Instant pending_until = k_never, expires_at = k_never;
  };
  int refreshed(Subscriber& subscriber, const Incoming& incoming);
  int await_answer(Subscriber& subscriber, const Incoming& incoming, bool first);
  void send(Subscriber& subscriber, const std::string& state, const std::string& content_type, const std::string& body,
            bool watched);
  void ended(SubscriptionId id);

  UserAgent& agent_;
  std::unordered_map<SubscriptionId, std::unique_ptr<Subscriber>> subscribers_;
};

}  // namespace sealcast::sip
