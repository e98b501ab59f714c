#pragma once
// What roles need of a SIP user agent, whoever it is: every call is made on the owner's thread, and every callback
// comes back on it.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/secret.hpp"
#include "sip/message.hpp"

namespace sealcast::sip {

using RequestId = std::uint64_t;
using CallId = std::uint64_t;          // an INVITE dialog, either side
using SubscriptionId = std::uint64_t;  // a SUBSCRIBE dialog, either side

struct Credentials {
  std::string user;  // digest username
  std::string realm;
  SecretBytes password;
};

struct RegistrationState {
  bool registered = false;
  int status = 0;      // last final answer; 0 = nobody answered
  std::string reason;  // sentence for people
  std::string associated_uri;
};

// Requests and dialogs that come in. Every request must be answered with Signalling::reply / answer /
// accept_subscription: after 8 s (INVITE: 30 s) the agent answers 500 itself, and a later answer is ignored.
class Handler {
 public:
  virtual ~Handler() = default;
  virtual void on_request(RequestId id, const Request& request) = 0;  // MESSAGE, PUBLISH
  virtual void on_invite(CallId id, const Request& request) = 0;      // body = SDP offer
  virtual void on_reinvite(CallId id, const Request& request) = 0;
  // BYE, CANCEL, or the dialog is lost; once, and not after our own bye() or refusal.
  virtual void on_call_ended(CallId id, const std::string& reason) = 0;
  virtual void on_subscribe(SubscriptionId id, const Request& request) = 0;  // first and refresh
  // Server side: expired, unsubscribed, or a NOTIFY failed; once, and not after our own refusal or terminating
  // notify().
  virtual void on_subscription_ended(SubscriptionId id) = 0;
};

class Signalling {
 public:
  virtual ~Signalling() = default;

  // REGISTER now, refreshed at half of expires, again when the connection is lost or nobody answers (pauses 1, 2, 4 ..
  // 15 s), not when the core refuses. on_change: told of each change. headers(): called on the owner's thread before
  // each attempt, not at stop(); an empty function means none.
  virtual void register_identity(Credentials credentials, int expires, std::function<std::vector<Header>()> headers,
                                 std::function<void(const RegistrationState&)> on_change) = 0;

  // MESSAGE or PUBLISH, out of dialog. Exactly one answer, within 10 s.
  virtual void send(Request request, std::function<void(const Response&)> on_response) = 0;
  virtual void reply(RequestId id, Response response) = 0;

  // Exactly one final answer; 2xx is acknowledged by the agent. Not 2xx: the call is over, without on_call_ended.
  virtual CallId invite(Request request, std::function<void(const Response&)> on_response) = 0;
  virtual void reinvite(CallId id, Request request, std::function<void(const Response&)> on_response) = 0;
  virtual void answer(CallId id, Response response) = 0;  // 200 with SDP, or a refusal
  // OPTIONS inside of an established call: is the other side still there? Exactly one answer; 481: there is no such
  // call.
  virtual void probe(CallId id, std::function<void(const Response&)> on_response) = 0;
  // Before the final answer of our INVITE: CANCEL, and on_response gets 487. Of theirs: 480.
  virtual void bye(CallId id, const std::string& reason) = 0;

  // on_notify: each NOTIFY, its Subscription-State in headers; on_end: once, terminated (200, its reason), refused, 481
  // or no answer (0).
  virtual SubscriptionId subscribe(Request request, std::function<void(const Request&)> on_notify,
                                   std::function<void(const Response&)> on_end) = 0;
  virtual void unsubscribe(SubscriptionId id) = 0;  // no callback of this subscription afterwards
  // expires: of a 423 Min-Expires, of a 503 Retry-After.
  virtual void accept_subscription(SubscriptionId id, int status, std::string reason, int expires) = 0;
  virtual void notify(SubscriptionId id, std::string content_type, std::string body, bool terminate) = 0;
};

}  // namespace sealcast::sip
