#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/log.hpp"
#include "base/text.hpp"
#include "sip/agent_admission.hpp"
#include "sip/agent_impl.hpp"
#include "sip/agent_message.hpp"

namespace sealcast::sip {
namespace {

constexpr su_duration_t k_tick_ms = 250;
constexpr std::size_t k_most_pending = 1000;
constexpr std::size_t k_largest_body = 64 * 1024, k_largest_notify = 320 * 1024;  // a catalogue is up to 256 KiB
constexpr std::size_t k_largest_message = 512 * 1024;  // beyond it the library answers 413 and closes the connection

constexpr unsigned k_queue = 1024;  // messages that wait for the connection; the library's own 64 are a short burst

url_string_t* url_string(const std::string& text) {
  return reinterpret_cast<url_string_t*>(const_cast<char*>(text.c_str()));
}

}  // namespace

AgentStack::AgentStack(AgentFront& front, const AgentConfig& config, su_root_t* root)
    : LegOwner(*this), front_(front), config_(config), root_(root) {}

AgentStack::~AgentStack() {
  if (timer_ != nullptr) ::su_timer_destroy(timer_);
  if (agent_ == nullptr) return;
  registration_.release();
  calls_.clear();
  watches_.clear();
  subscribers_.clear();
  for (auto& [id, pending] : pending_) ::nta_incoming_destroy(pending.incoming);
  for (auto& [id, transaction] : transactions_) ::nta_outgoing_destroy(transaction->handle);
  ::nta_leg_destroy(default_leg_);
  ::nta_agent_destroy(agent_);
}

Status AgentStack::start() {
  ::su_root_threading(root_, 0);
  const std::string url = (config_.tls ? "sips:" : "sip:") + config_.listen + (config_.tls ? "" : ";transport=tcp");
  // Without SUBJECTS a certificate for any name of the same CA would do for the next hop.
  const unsigned policy = (config_.verify_peer ? unsigned{TPTLS_VERIFY_SUBJECTS_OUT} : 0U) |
                          (config_.require_client_certificate ? unsigned{TPTLS_VERIFY_INCOMING} : 0U);
  errno = 0;
  agent_ = ::nta_agent_create(
      root_, url_string(url), nullptr, this, NTATAG_UA(1), NTATAG_SIP_T1X64(k_request_limit.count()),
      NTATAG_MAXSIZE(k_largest_message), NTATAG_MAX_FORWARDS(70), NTATAG_SIPFLAGS(MSG_DO_EXTRACT_COPY), TPTAG_LOG(0),
      TPTAG_QUEUESIZE(k_queue), TAG_IF(config_.tls, TPTAG_CERTIFICATE(config_.tls_directory.c_str())),
      TAG_IF(config_.tls, TPTAG_TLS_VERIFY_POLICY(policy)), TAG_END());
  if (agent_ == nullptr) {
    const int error = su_errno();
    return fail(ErrorCode::network, "cannot listen on " + config_.listen +
                                        (error != 0 ? ": " + std::string(::su_strerror(error)) : std::string()) +
                                        (config_.tls ? " (certificates in " + config_.tls_directory + ")" : ""));
  }
  default_leg_ = ::nta_leg_tcreate(agent_, &AgentStack::on_leg_request, this, NTATAG_NO_DIALOG(1), TAG_END());
  timer_ = ::su_timer_create(::su_root_task(root_), k_tick_ms);
  const auto on_tick = [](su_root_magic_t*, su_timer_t*, su_timer_arg_t* self) {
    reinterpret_cast<AgentStack*>(self)->tick();
  };
  ::su_timer_run(timer_, on_tick, reinterpret_cast<su_timer_arg_t*>(this));
  return {};
}

std::string AgentStack::local_address() const {
  const auto* via = ::nta_agent_via(agent_);
  if (via == nullptr || via->v_host == nullptr) return {};
  return std::string(via->v_host) + ":" + (via->v_port != nullptr ? via->v_port : config_.tls ? "5061" : "5060");
}

std::string AgentStack::contact() const {
  return "<sip:" + (config_.contact_user.empty() ? "" : config_.contact_user + "@") + local_address() +
         (config_.tls ? ";transport=tls>" : ";transport=tcp>");
}

// The transport of the hop is part of the URI: never UDP, which would take long messages off TLS.
std::string AgentStack::next_hop_url() const {
  return "sip:" + config_.next_hop + (config_.tls ? ";transport=tls" : ";transport=tcp");
}

// --- Requests of ours ---

void AgentStack::add_addresses(msg_t* message, nta_leg_t* leg, const Request& request) {
  auto* sip = ::sip_object(message);
  const bool in_dialog = ::nta_leg_get_rtag(leg) != nullptr;
  if (leg == default_leg_) {
    const std::string from = "<" + (request.from.empty() ? config_.identity : request.from) + ">";
    const std::string to = "<" + (request.to.empty() ? request.uri : request.to) + ">";
    ::sip_add_tl(message, sip, SIPTAG_FROM_STR(from.c_str()), SIPTAG_TO_STR(to.c_str()), TAG_END());
  }
  if (request.method == "REGISTER" || request.method == "INVITE" || request.method == "SUBSCRIBE" ||
      request.method == "NOTIFY") {
    auto address = contact();
    // RFC 5626 section 4.1: what the registrar tells devices, and processes of one device, apart by.
    if (request.method == "REGISTER" && !config_.instance.empty())
      address += ";+sip.instance=\"<" + config_.instance + ">\"";
    ::sip_add_tl(message, sip, SIPTAG_CONTACT_STR(address.c_str()), TAG_END());
  }
  if (in_dialog || request.method == "REGISTER") return;
  for (const auto& route : registration_.service_route())
    ::sip_add_tl(message, sip, SIPTAG_ROUTE_STR(route.c_str()), TAG_END());
  if (!config_.icsi.empty()) add_headers(message, {{"P-Preferred-Service", config_.icsi}});
}

msg_t* AgentStack::message(nta_leg_t* leg, const Request& request) {
  msg_t* message = ::nta_msg_create(agent_, 0);
  if (message == nullptr) return nullptr;
  auto* sip = ::sip_object(message);
  add_addresses(message, leg, request);
  const auto expires = std::to_string(request.expires.value_or(0));
  ::sip_add_tl(message, sip, TAG_IF(!request.event.empty(), SIPTAG_EVENT_STR(request.event.c_str())),
               TAG_IF(request.expires.has_value(), SIPTAG_EXPIRES_STR(expires.c_str())),
               TAG_IF(request.method == "INVITE", SIPTAG_ALLOW_STR(k_allowed_methods)), TAG_END());
  const bool good = add_headers(message, request.headers);
  add_content(message, request.content_type, request.body);
  const auto method = ::sip_method_code(request.method.c_str());
  auto* uri = request.uri.empty() ? nullptr : url_string(request.uri);
  if (!good || ::nta_msg_request_complete(message, leg, method, request.method.c_str(), uri) < 0) {
    ::msg_destroy(message);
    return nullptr;
  }
  return message;
}

TransactionId AgentStack::request(nta_leg_t* leg, const Request& request, std::function<void(const Answer&)> done) {
  if (request.secure && !config_.tls) return 0;
  for (const auto& address : {request.uri, request.from, request.to}) {
    if (!address.empty() && !plain_address(address)) return 0;
  }
  msg_t* message = this->message(leg, request);
  if (message == nullptr) return 0;
  auto transaction = std::make_unique<Transaction>(*this);
  transaction->id = next_transaction_++;
  transaction->method = request.method;
  transaction->done = std::move(done);
  transaction->invite = request.method == "INVITE";
  if (transaction->invite) transaction->deadline = StackClock::now() + k_invite_limit;
  const auto hop = next_hop_url();
  transaction->handle =
      ::nta_outgoing_mcreate(agent_, &AgentStack::on_answer, transaction.get(), url_string(hop), message, TAG_END());
  if (transaction->handle == nullptr) {
    ::msg_destroy(message);
    return 0;
  }
  const auto id = transaction->id;
  transactions_[id] = std::move(transaction);
  return id;
}

void AgentStack::send(std::uint64_t id, const Request& request) {
  const auto made = closing_ ? 0 : this->request(default_leg_, request, [this, id](const Answer& answer) {
    front_.from_stack([id, response = answer.response](AgentFront& front) { front.response_arrived(id, response); });
  });
  if (made != 0) return;
  Response response;
  response.reason = request.secure && !config_.tls ? "the request needs TLS, and the next hop has none"
                                                   : "the request to " + printable(request.uri) + " is malformed";
  front_.from_stack([id, response](AgentFront& front) { front.response_arrived(id, response); });
}

int AgentStack::on_answer(Transaction* transaction, nta_outgoing_t* handle, const sip_t* sip) {
  if (transaction == nullptr) return 0;
  auto& stack = transaction->stack;
  if (sip == nullptr || ::nta_sip_is_internal(sip)) {
    const bool late = ::nta_outgoing_status(handle) == 408;
    stack.unanswered(*transaction, late ? "no answer from " + stack.config_.next_hop
                                        : "cannot reach " + stack.config_.next_hop + ": refused or lost");
    return 0;
  }
  if (sip->sip_status->st_status < 200) return 0;
  msg_t* message = ::nta_outgoing_getresponse(handle);
  const Answer answer{response_of(message, sip), sip, handle};
  stack.finish(transaction->id, answer);
  ::msg_destroy(message);
  return 0;
}

void AgentStack::unanswered(Transaction& transaction, const std::string& reason) {
  Answer answer;
  answer.response.reason = reason;
  answer.handle = transaction.handle;
  finish(transaction.id, answer);
}

void AgentStack::finish(TransactionId id, const Answer& answer) {
  auto node = transactions_.extract(id);
  if (node.empty()) return;
  auto& transaction = *node.mapped();
  log(LogLevel::debug, "sip",
      transaction.method + " answered " + std::to_string(answer.response.status) + " " +
          printable(answer.response.reason));
  if (transaction.done) transaction.done(answer);
  ::nta_outgoing_destroy(transaction.handle);
  check_closed();
}

void AgentStack::cancel(TransactionId id) {
  auto transaction = transactions_.find(id);
  if (transaction == transactions_.end() || transaction->second->cancelled) return;
  transaction->second->cancelled = true;
  // RFC 3261 section 9.1: the 487 comes from the other side; a side that is gone gets little time for it.
  transaction->second->deadline = StackClock::now() + 4s;
  ::nta_outgoing_tcancel(transaction->second->handle, nullptr, nullptr, TAG_END());
}

void AgentStack::forget(TransactionId id) {
  auto transaction = transactions_.find(id);
  if (transaction != transactions_.end()) transaction->second->done = nullptr;
}

void AgentStack::acknowledge(nta_leg_t* leg, nta_outgoing_t* invite) {
  msg_t* message = ::nta_msg_create(agent_, 0);
  if (message == nullptr) return;
  auto* cseq = ::sip_cseq_create(msg_home(message), ::nta_outgoing_cseq(invite), SIP_METHOD_ACK);
  ::msg_header_insert(message, ::msg_object(message), reinterpret_cast<msg_header_t*>(cseq));
  const auto hop = next_hop_url();
  nta_outgoing_t* ack = nullptr;
  if (::nta_msg_request_complete(message, leg, SIP_METHOD_ACK, nullptr) == 0) {
    ack = ::nta_outgoing_mcreate(agent_, nullptr, nullptr, url_string(hop), message, TAG_END());
  }
  if (ack == nullptr) ::msg_destroy(message);
  ::nta_outgoing_destroy(ack);  // the library keeps it as long as the 2xx may come again
}

nta_leg_t* AgentStack::make_leg(LegOwner& owner, const Request& request) {
  const std::string& from = request.from.empty() ? config_.identity : request.from;
  const std::string& to = request.to.empty() ? request.uri : request.to;
  if (!plain_address(from) || !plain_address(to)) return nullptr;
  auto* leg =
      ::nta_leg_tcreate(agent_, &AgentStack::on_leg_request, &owner, SIPTAG_FROM_STR(("<" + from + ">").c_str()),
                        SIPTAG_TO_STR(("<" + to + ">").c_str()), TAG_END());
  if (leg != nullptr) ::nta_leg_tag(leg, nullptr);
  return leg;
}

// --- Requests of others ---

int AgentStack::on_leg_request(LegOwner* owner, nta_leg_t*, nta_incoming_t* incoming, const sip_t* sip) {
  if (sip->sip_request->rq_method == sip_method_ack) {  // of no transaction that we know
    ::nta_incoming_destroy(incoming);
    return 0;
  }
  const int status = owner->stack.admit(incoming, sip);
  return status != 0 ? status : owner->on_request(incoming, sip);
}

bool AgentStack::from_trusted_name(msg_t* message) const {
  const auto* subjects = ::tport_delivered_from_subjects(::nta_agent_tports(agent_), message);
  return subjects != nullptr &&
         std::any_of(config_.trusted_names.begin(), config_.trusted_names.end(),
                     [&](const std::string& name) { return ::tport_subject_search(name.c_str(), subjects) != 0; });
}

// A connection that we opened to the next hop: one that others open to us has another port.
bool AgentStack::from_next_hop(msg_t* message) const {
  const auto* transport = ::tport_delivered_by(::nta_agent_tports(agent_), message);
  if (transport == nullptr || !::tport_is_secondary(transport)) return false;
  const auto* name = ::tport_name(transport);
  const auto is = [&](const char* host) {
    return host != nullptr && name->tpn_port != nullptr && std::string(host) + ":" + name->tpn_port == config_.next_hop;
  };
  return is(name->tpn_host) || is(name->tpn_canon);
}

// RFC 3261 section 8.2, in its order; what is no message comes first.
int AgentStack::admit(nta_incoming_t* incoming, const sip_t* sip) {
  const auto method = sip->sip_request->rq_method;
  msg_t* message = ::nta_incoming_getrequest(incoming);
  const bool trusted = config_.trusted_names.empty() || from_trusted_name(message);
  const auto limit = method == sip_method_notify ? k_largest_notify : k_largest_body;
  auto verdict = trusted ? check_octets(message, limit) : Admission{403};
  if (verdict.status == 0) verdict = check_via(sip, over_tls(message));
  ::msg_destroy(message);
  if (!trusted) {
    log(LogLevel::warning, "sip",
        std::string("refused a request of a host whose certificate has none of the trusted names"));
    return 403;
  }
  if (verdict.status == 0 && closing_ && method != sip_method_bye && method != sip_method_notify) verdict = {503};
  if (verdict.status == 0) verdict = check_scheme(sip);
  if (verdict.status == 0 && sip->sip_require != nullptr && method != sip_method_cancel) {
    ::nta_incoming_treply(incoming, SIP_420_BAD_EXTENSION,
                          SIPTAG_UNSUPPORTED(reinterpret_cast<sip_unsupported_t*>(sip->sip_require)), TAG_END());
    return 420;
  }
  if (verdict.status == 0) verdict = check_content(sip);
  if (verdict.status == 0) return 0;
  respond(incoming, {verdict.status, verdict.reason, {}, {}, verdict.headers});
  return verdict.status;
}

bool AgentStack::over_tls(msg_t* message) const {
  const auto* transport = ::tport_delivered_by(::nta_agent_tports(agent_), message);
  return transport != nullptr && ::tport_has_tls(transport) != 0;
}

Request AgentStack::read(nta_incoming_t* incoming, const sip_t* sip) {
  msg_t* message = ::nta_incoming_getrequest(incoming);
  Request out = request_of(message, sip);
  if (config_.trusted_names.empty() ? from_next_hop(message) : from_trusted_name(message)) {
    if (const auto* identity = sip_p_asserted_identity(sip)) out.asserted_identity = address_text(*identity->paid_url);
    out.device = unknown_header(sip, "P2PCDS-Device");
  }
  out.secure = over_tls(message);
  ::msg_destroy(message);
  return out;
}

int AgentStack::on_request(nta_incoming_t* incoming, const sip_t* sip) {
  const bool begins = sip->sip_to->a_tag == nullptr;
  switch (sip->sip_request->rq_method) {
    case sip_method_message:
    case sip_method_publish:
      return take(incoming, sip);
    case sip_method_invite:
      return begins ? calls_.arrived(incoming, sip) : 481;
    case sip_method_subscribe:
      return begins ? subscribers_.arrived(incoming, sip) : 481;
    case sip_method_options:
      ::nta_incoming_treply(incoming, SIP_200_OK, SIPTAG_ALLOW_STR(k_allowed_methods), TAG_END());
      return 200;
    case sip_method_bye:
    case sip_method_cancel:
    case sip_method_notify:
      return 481;
    default:
      ::nta_incoming_treply(incoming, SIP_405_METHOD_NOT_ALLOWED, SIPTAG_ALLOW_STR(k_allowed_methods), TAG_END());
      return 405;
  }
}

int AgentStack::take(nta_incoming_t* incoming, const sip_t* sip) {
  if (pending_.size() >= k_most_pending) return 503;
  const RequestId id = front_.next_id();
  pending_[id] = {incoming, StackClock::now() + k_answer_limit};
  front_.from_stack([id, request = read(incoming, sip)](AgentFront& front) { front.request_arrived(id, request); });
  return 0;
}

void AgentStack::reply(RequestId id, const Response& response) {
  auto node = pending_.extract(id);
  if (node.empty()) return;
  respond(node.mapped().incoming, response);
  ::nta_incoming_destroy(node.mapped().incoming);
}

void AgentStack::respond(nta_incoming_t* incoming, const Response& response) {
  const bool good = response.status >= 200 && response.status < 700;
  const int status = good ? response.status : 500;
  msg_t* message = ::nta_msg_create(agent_, 0);
  if (message == nullptr) return;
  if (!add_headers(message, response.headers))
    log(LogLevel::warning, "sip", "a header of a response of ours is malformed and is left out");
  const auto method = ::nta_incoming_method(incoming);
  if (status < 300 && (method == sip_method_invite || method == sip_method_subscribe)) {
    ::sip_add_tl(message, ::sip_object(message), SIPTAG_CONTACT_STR(contact().c_str()), TAG_END());
  }
  add_content(message, response.content_type, response.body);
  const char* phrase = response.reason.empty() ? ::sip_status_phrase(status)
                                               : ::su_strdup(msg_home(message), phrase_text(response.reason).c_str());
  if (::nta_incoming_complete_response(incoming, message, status, phrase, TAG_END()) < 0) {
    ::msg_destroy(message);
    ::nta_incoming_treply(incoming, SIP_500_INTERNAL_SERVER_ERROR, TAG_END());
    return;
  }
  ::nta_incoming_mreply(incoming, message);
}

nta_leg_t* AgentStack::accept_leg(LegOwner& owner, nta_incoming_t* incoming, const sip_t* sip) {
  su_home_t home[1] = {};
  home->suh_size = sizeof home;
  ::su_home_init(home);
  // The tag is there from the beginning: a leg that is tagged later takes requests without To tag as its own.
  auto* local = ::sip_to_dup(home, sip->sip_to);
  ::sip_to_tag(home, local, ::nta_incoming_tag(incoming, nullptr));
  auto* leg = ::nta_leg_tcreate(agent_, &AgentStack::on_leg_request, &owner, SIPTAG_CALL_ID(sip->sip_call_id),
                                SIPTAG_FROM(local), SIPTAG_TO(sip->sip_from), NTATAG_REMOTE_CSEQ(sip->sip_cseq->cs_seq),
                                TAG_END());
  ::su_home_deinit(home);
  if (leg != nullptr) ::nta_leg_server_route(leg, sip->sip_record_route, sip->sip_contact);
  return leg;
}

// --- Time ---

void AgentStack::tick_transactions(StackTime now) {
  std::vector<TransactionId> late, broken;
  for (const auto& [id, transaction] : transactions_) {
    auto* transport = ::nta_outgoing_transport(transaction->handle);
    // A failed TLS handshake closes the connection without a word to the transactions that wait for it.
    if (transport != nullptr && ::tport_is_secondary(transport) && ::tport_is_closed(transport))
      broken.push_back(id);
    else if (now >= transaction->deadline)
      late.push_back(id);
    if (transport != nullptr) ::tport_unref(transport);
  }
  for (auto id : broken) {
    if (auto found = transactions_.find(id); found != transactions_.end()) {
      unanswered(*found->second, "the connection to " + config_.next_hop + " was " +
                                     (config_.tls ? "refused by TLS or " : "") + "lost");
    }
  }
  for (auto id : late) {
    auto found = transactions_.find(id);
    if (found == transactions_.end()) continue;
    if (found->second->invite && !found->second->cancelled)
      cancel(id);
    else
      unanswered(*found->second, "no answer from " + config_.next_hop);
  }
}

void AgentStack::tick() {
  const auto now = StackClock::now();
  tick_transactions(now);
  registration_.tick(now);
  calls_.tick(now);
  watches_.tick(now);
  subscribers_.tick(now);
  std::vector<RequestId> overdue;
  for (const auto& [id, pending] : pending_) {
    if (now >= pending.until) overdue.push_back(id);
  }
  for (auto id : overdue) reply(id, {.status = 500, .reason = {}, .content_type = {}, .body = {}, .headers = {}});
}

void AgentStack::begin_close(std::function<void()> done) {
  closing_ = true;
  closed_ = std::move(done);
  for (auto& [id, pending] : pending_) {
    ::nta_incoming_treply(pending.incoming, SIP_503_SERVICE_UNAVAILABLE, TAG_END());
    ::nta_incoming_destroy(pending.incoming);
  }
  pending_.clear();
  calls_.end_all();
  watches_.end_all();
  subscribers_.end_all();
  registration_.withdraw();
  check_closed();
}

void AgentStack::check_closed() {
  if (!closing_ || !closed_) return;
  for (const auto& [id, transaction] : transactions_) {
    // What the owner asked is on its way, and nobody is told of the answer any more.
    if (transaction->method != "MESSAGE" && transaction->method != "PUBLISH") return;
  }
  auto done = std::move(closed_);
  closed_ = nullptr;
  done();
}

}  // namespace sealcast::sip
