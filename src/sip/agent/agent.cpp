#include "sip/agent/agent.hpp"

#include <future>

#include "base/log.hpp"
#include "sip/agent/front.hpp"

namespace sealcast::sip {
namespace {

constexpr auto k_farewell_limit = 1800ms;  // of stop(): what has not been said by then stays unsaid

}  // namespace

// --- Agent: the public face ---

struct Agent::Impl : AgentFront {
  using AgentFront::AgentFront;
};

Agent::Agent(AgentConfig config, Executor& executor, Handler& handler)
    : impl_(std::make_unique<Impl>(std::move(config), executor, handler)) {}
Agent::~Agent() = default;
Status Agent::start() {
  return impl_->start();
}
void Agent::stop() {
  impl_->stop();
}
std::string Agent::local_address() const {
  return impl_->local_address();
}
Status Agent::reach(Duration patience) {
  return impl_->reach(patience);
}
Status Agent::renew_certificates() {
  return impl_->renew_certificates();
}
void Agent::register_identity(Credentials credentials, int expires, std::function<std::vector<Header>()> headers,
                              std::function<void(const RegistrationState&)> on_change) {
  impl_->register_identity(std::move(credentials), expires, std::move(headers), std::move(on_change));
}
void Agent::send(Request request, std::function<void(const Response&)> on_response) {
  impl_->send(std::move(request), std::move(on_response));
}
void Agent::reply(RequestId id, Response response) {
  impl_->reply(id, std::move(response));
}
CallId Agent::invite(Request request, std::function<void(const Response&)> on_response) {
  return impl_->invite(std::move(request), std::move(on_response));
}
void Agent::reinvite(CallId id, Request request, std::function<void(const Response&)> on_response) {
  impl_->reinvite(id, std::move(request), std::move(on_response));
}
void Agent::answer(CallId id, Response response) {
  impl_->answer(id, std::move(response));
}
void Agent::probe(CallId id, std::function<void(const Response&)> on_response) {
  impl_->probe(id, std::move(on_response));
}
void Agent::bye(CallId id, const std::string& reason) {
  impl_->bye(id, reason);
}
SubscriptionId Agent::subscribe(Request request, std::function<void(const Request&)> on_notify,
                                std::function<void(const Response&)> on_end) {
  return impl_->subscribe(std::move(request), std::move(on_notify), std::move(on_end));
}
void Agent::unsubscribe(SubscriptionId id) {
  impl_->unsubscribe(id);
}
void Agent::accept_subscription(SubscriptionId id, int status, std::string reason, int expires) {
  impl_->accept_subscription(id, status, std::move(reason), expires);
}
void Agent::notify(SubscriptionId id, std::string content_type, std::string body, bool terminate) {
  impl_->notify(id, std::move(content_type), std::move(body), terminate);
}

// --- Life ---

AgentFront::AgentFront(AgentConfig config, Executor& executor, Handler& handler)
    : config_(std::move(config)), executor_(executor), handler_(handler) {}

AgentFront::~AgentFront() {
  stop();
}

Result<AgentContexts> AgentFront::read_contexts() const {
  auto contexts = AgentContexts::read(config_);
  if (contexts) return contexts;
  auto error = contexts.error();
  // Whoever does not listen is a UE, and wanted to reach the core.
  error.code = config_.listen.empty() ? ErrorCode::network : ErrorCode::usage;
  return fail(std::move(error));
}

Status AgentFront::start() {
  SEALCAST_TRY_ASSIGN(auto contexts, read_contexts());
  thread_.start();
  Status status;
  *alive_ = true;
  thread_.call([&] {
    stack_ = std::make_unique<AgentThread>(config_, thread_.loop(), std::move(contexts),
                                           [this](UserAgent::Report report) { from_thread(std::move(report)); });
    status = stack_->listen();
    if (status) local_address_ = stack_->local_address();
    if (!status) stack_.reset();
  });
  if (!status) {
    *alive_ = false;
    thread_.stop();
  }
  return status;
}

void AgentFront::stop() {
  if (!*alive_) return;
  *alive_ = false;
  // Shared by this wait and by the thread, which may finish after the wait has ended.
  auto quiet = std::make_shared<std::promise<void>>();
  auto future = quiet->get_future();
  thread_.post([this, quiet] { stack_->agent().begin_close([quiet] { quiet->set_value(); }); });
  future.wait_for(k_farewell_limit);
  thread_.call([this] { stack_.reset(); });
  thread_.stop();
  responses_.clear();
  watches_.clear();
  calls_.clear();
  subscribers_.clear();
  register_headers_ = nullptr;
  on_registration_ = nullptr;
}

Status AgentFront::reach(Duration patience) {
  // Shared by this wait and by the thread, which may be told after the wait has ended.
  auto said = std::make_shared<std::promise<std::string>>();
  auto future = said->get_future();
  to_agent(
      [said](UserAgent& agent) { agent.reach([said](const std::string& sentence) { said->set_value(sentence); }); });
  if (future.wait_for(patience) != std::future_status::ready)
    return fail(ErrorCode::network, "no answer from " + config_.next_hop + ": timed out");
  const auto sentence = future.get();
  return sentence.empty() ? Status{} : Status(fail(ErrorCode::network, sentence));
}

Status AgentFront::renew_certificates() {
  SEALCAST_TRY_ASSIGN(auto contexts, read_contexts());
  if (*alive_) thread_.post([this, contexts = std::move(contexts)] { stack_->renew(contexts); });
  return {};
}

void AgentFront::to_agent(std::function<void(UserAgent&)> task) {
  if (!*alive_) return;
  thread_.post([this, task = std::move(task)] { task(stack_->agent()); });
}

void AgentFront::from_thread(UserAgent::Report report) {
  executor_.post([this, alive = alive_, report = std::move(report)] {
    if (*alive) report(*this);
  });
}

// --- Calls of the owner ---

void AgentFront::register_identity(Credentials credentials, int expires, std::function<std::vector<Header>()> headers,
                                   std::function<void(const RegistrationState&)> on_change) {
  register_headers_ = std::move(headers);
  on_registration_ = std::move(on_change);
  // Shared only because std::function copies what it holds; it has one user.
  auto shared = std::make_shared<Credentials>(std::move(credentials));
  to_agent([shared, expires](UserAgent& agent) { agent.registration().begin(std::move(*shared), expires); });
}

void AgentFront::send(Request request, std::function<void(const Response&)> on_response) {
  const auto id = next_id();
  responses_[id] = std::move(on_response);
  to_agent([id, request = std::move(request)](UserAgent& agent) { agent.send(id, request); });
}

void AgentFront::reply(RequestId id, Response response) {
  to_agent([id, response = std::move(response)](UserAgent& agent) { agent.reply(id, response); });
}

CallId AgentFront::invite(Request request, std::function<void(const Response&)> on_response) {
  const CallId id = next_id();
  responses_[id] = std::move(on_response);
  calls_.insert(id);
  to_agent([id, request = std::move(request)](UserAgent& agent) { agent.calls().invite(id, request); });
  return id;
}

void AgentFront::reinvite(CallId id, Request request, std::function<void(const Response&)> on_response) {
  const auto response_id = next_id();
  responses_[response_id] = std::move(on_response);
  to_agent([id, response_id, request = std::move(request)](UserAgent& agent) {
    agent.calls().reinvite(id, response_id, request);
  });
}

void AgentFront::probe(CallId id, std::function<void(const Response&)> on_response) {
  const auto response_id = next_id();
  responses_[response_id] = std::move(on_response);
  to_agent([id, response_id](UserAgent& agent) { agent.calls().probe(id, response_id); });
}

void AgentFront::answer(CallId id, Response response) {
  to_agent([id, response = std::move(response)](UserAgent& agent) { agent.calls().answer(id, response); });
}

void AgentFront::bye(CallId id, const std::string& reason) {
  if (calls_.erase(id) == 0) return;
  to_agent([id, reason](UserAgent& agent) { agent.calls().bye(id, reason); });
}

SubscriptionId AgentFront::subscribe(Request request, std::function<void(const Request&)> on_notify,
                                     std::function<void(const Response&)> on_end) {
  const SubscriptionId id = next_id();
  watches_[id] = {std::move(on_notify), std::move(on_end)};
  to_agent([id, request = std::move(request)](UserAgent& agent) { agent.watches().subscribe(id, request); });
  return id;
}

void AgentFront::unsubscribe(SubscriptionId id) {
  if (watches_.erase(id) == 0) return;
  to_agent([id](UserAgent& agent) { agent.watches().unsubscribe(id); });
}

void AgentFront::accept_subscription(SubscriptionId id, int status, std::string reason, int expires) {
  if (status >= 300) subscribers_.erase(id);
  to_agent([id, status, reason = std::move(reason), expires](UserAgent& agent) {
    agent.subscribers().accept(id, status, reason, expires);
  });
}

void AgentFront::notify(SubscriptionId id, std::string content_type, std::string body, bool terminate) {
  if (terminate && subscribers_.erase(id) == 0) return;
  to_agent([id, type = std::move(content_type), body = std::move(body), terminate](UserAgent& agent) {
    agent.subscribers().notify(id, type, body, terminate);
  });
}

// --- Reports of the agent ---

void AgentFront::response_arrived(std::uint64_t id, const Response& response) {
  auto node = responses_.extract(id);
  if (!node.empty() && node.mapped()) node.mapped()(response);
}

void AgentFront::registration_due() {
  std::vector<Header> headers;
  if (register_headers_) headers = register_headers_();
  to_agent([headers = std::move(headers)](UserAgent& agent) { agent.registration().attempt(headers); });
}

void AgentFront::registration_changed(const RegistrationState& state) {
  log(state.registered ? LogLevel::info : LogLevel::warning, "sip",
      (state.registered ? "registered " + config_.identity : config_.identity + " is not registered: " + state.reason));
  // A copy: the callback may register anew.
  if (auto tell = on_registration_) tell(state);
}

void AgentFront::invite_arrived(CallId id, const Request& request) {
  calls_.insert(id);
  handler_.on_invite(id, request);
}

void AgentFront::reinvite_arrived(CallId id, const Request& request) {
  if (calls_.contains(id)) handler_.on_reinvite(id, request);
}

void AgentFront::call_failed(CallId id, const Response& response) {
  calls_.erase(id);
  response_arrived(id, response);
}

void AgentFront::call_ended(CallId id, const std::string& reason) {
  if (calls_.erase(id) != 0) handler_.on_call_ended(id, reason);
}

void AgentFront::notify_arrived(SubscriptionId id, const Request& request) {
  auto watch = watches_.find(id);
  if (watch == watches_.end()) return;
  // A copy: the callback may unsubscribe.
  if (auto tell = watch->second.on_notify) tell(request);
}

void AgentFront::subscription_over(SubscriptionId id, const Response& response) {
  auto node = watches_.extract(id);
  if (!node.empty() && node.mapped().on_end) node.mapped().on_end(response);
}

void AgentFront::subscribe_arrived(SubscriptionId id, const Request& request, bool first) {
  if (first) subscribers_.insert(id);
  if (subscribers_.contains(id)) handler_.on_subscribe(id, request);
}

void AgentFront::subscription_ended(SubscriptionId id) {
  if (subscribers_.erase(id) != 0) handler_.on_subscription_ended(id);
}

}  // namespace sealcast::sip
