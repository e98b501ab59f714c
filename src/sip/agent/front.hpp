#pragma once
// The agent on the owner's thread: keeps the owner's callbacks, and talks by posts with what lives on the agent's own.
#include <unordered_map>
#include <unordered_set>

#include "io/loop_thread.hpp"
#include "sip/agent/thread.hpp"

namespace sealcast::sip {

class AgentFront : private AgentReports {
 public:
  AgentFront(AgentConfig config, Executor& executor, Handler& handler);
  ~AgentFront() override;
  Status start();
  void stop();
  std::string local_address() const { return local_address_; }
  Status reach(Duration patience);
  Status renew_certificates();

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

 private:
  struct Watch {
    std::function<void(const Request&)> on_notify;
    std::function<void(const Response&)> on_end;
  };
  void response_arrived(std::uint64_t id, const Response& response) override;
  void request_arrived(RequestId id, const Request& request) override { handler_.on_request(id, request); }
  void registration_due() override;
  void registration_changed(const RegistrationState& state) override;
  void invite_arrived(CallId id, const Request& request) override;
  void reinvite_arrived(CallId id, const Request& request) override;
  void call_failed(CallId id, const Response& response) override;
  void call_ended(CallId id, const std::string& reason) override;
  void call_refused(CallId id) override { calls_.erase(id); }
  void notify_arrived(SubscriptionId id, const Request& request) override;
  void subscription_over(SubscriptionId id, const Response& response) override;
  void subscribe_arrived(SubscriptionId id, const Request& request, bool first) override;
  void subscription_ended(SubscriptionId id) override;

  Result<AgentContexts> read_contexts() const;
  void to_agent(std::function<void(UserAgent&)> task);
  // From the agent's thread: runs `report` on the owner's, unless the agent has stopped by then.
  void from_thread(UserAgent::Report report);
  std::uint64_t next_id() { return next_id_ += 2; }  // odd; the agent's own are even

  AgentConfig config_;
  Executor& executor_;
  Handler& handler_;
  io::LoopThread thread_;
  std::unique_ptr<AgentThread> stack_;  // made and destroyed on thread_
  std::string local_address_;
  std::uint64_t next_id_ = 1;
  // Owned by this and by the posts under way; read and written on the owner's thread only.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(false);

  std::unordered_map<std::uint64_t, std::function<void(const Response&)>> responses_;
  std::unordered_map<SubscriptionId, Watch> watches_;
  std::unordered_set<CallId> calls_;
  std::unordered_set<SubscriptionId> subscribers_;
  std::function<std::vector<Header>()> register_headers_;
  std::function<void(const RegistrationState&)> on_registration_;
};

}  // namespace sealcast::sip
