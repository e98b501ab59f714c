// What comes in, and what goes out: connections, requests, answers.
#include <algorithm>

#include "base/log.hpp"
#include "base/text.hpp"
#include "crypto/tls.hpp"
#include "sip/agent/admission.hpp"
#include "sip/agent/impl.hpp"
#include "sip/agent/message.hpp"
#include "sip/header_lines.hpp"
#include "sip/parse_frame.hpp"

namespace sealcast::sip {
namespace {

// A catalogue, in a NOTIFY, is up to 256 KiB; check_size() asks for less of everything else.
constexpr ReaderLimits k_reader{96, 8 << 10, 32 << 10, 64, 320 << 10};

// Whether its dialog is one that a later request may belong to.
bool begins_dialog(sip_method_t method) {
  return method == sip_method_invite || method == sip_method_subscribe;
}

}  // namespace

DialogOwner::~DialogOwner() {
  if (!key_.empty()) agent.dialogs().erase(key_);
}

void DialogOwner::enter(Dialog begun) {
  dialog = std::move(begun);
  key_ = dialog_key(dialog.call_id, dialog.local_tag);
  agent.dialogs()[key_] = this;
}

UserAgent::UserAgent(const AgentConfig& config, RandomSource& random, Wire& wire, std::function<void(Report)> tell)
    : config_(config),
      random_(random),
      wire_(wire),
      tell_(std::move(tell)),
      link_(config, wire),
      clients_(config, random, wire, link_),
      servers_(wire) {}

// --- Connections ---

bool UserAgent::has_trusted_name(const ConnectionFacts& facts) const {
  return std::any_of(config_.trusted_names.begin(), config_.trusted_names.end(),
                     [&](const std::string& name) { return crypto::has_name(facts.subjects, name); });
}

void UserAgent::opened(ConnectionId id, ConnectionFacts facts, Instant now) {
  now_ = now;
  const bool dialled = link_.is(id);
  const bool named = has_trusted_name(facts);
  Peer peer{std::move(facts), StreamReader(k_reader), false, false};
  // The next hop was verified when it was dialled. Who dials in must have a name that is trusted, if there are any.
  peer.served = named || dialled || config_.trusted_names.empty();
  peer.believed = config_.trusted_names.empty() ? dialled : named;
  const bool verified = peer.served && !peer.facts.subjects.empty();
  auto& kept = peers_.insert_or_assign(id, std::move(peer)).first->second;
  if (dialled) return link_opened(kept.facts);
  if (verified) wire_.admit(id);
}

void UserAgent::link_opened(const ConnectionFacts& facts) {
  link_.opened();
  const auto own = address_seen_by(facts);
  clients_.link_opened({own, contact(own)});
  reached({});
}

// Others reach a listener of ours where it listens; one on every address, where they see us.
std::string UserAgent::address_seen_by(const ConnectionFacts& facts) const {
  if (listener_.empty()) return facts.own;
  const bool any = listener_.starts_with("0.0.0.0:") || listener_.starts_with("[::]:");
  return any ? facts.own.substr(0, facts.own.rfind(':')) + listener_.substr(listener_.rfind(':')) : listener_;
}

void UserAgent::received(ConnectionId id, ByteView octets, Instant now) {
  now_ = now;
  const auto find = [&] {
    const auto found = peers_.find(id);
    return found == peers_.end() ? nullptr : &found->second;
  };
  if (link_.is(id)) link_.heard();
  if (auto* peer = find()) peer->reader.feed(octets);
  for (;;) {
    auto* peer = find();  // what is handled may have closed it
    if (peer == nullptr) return;
    const auto next = peer->reader.next();
    if (!next) return;
    if (const auto* frame = std::get_if<Frame>(&*next)) {
      if (!peer->served) return on_unserved(id, *frame);
      on_frame(id, *peer, *frame);
    } else if (const auto* refusal = std::get_if<Refusal>(&*next)) {
      log(LogLevel::info, "sip",
          "refused a message of " + peer->facts.remote + ": " + std::to_string(refusal->status) + " " +
              printable(refusal->reason, 120));
      if (!refusal->answer.empty()) wire_.send(id, refusal->answer);
      return drop(id);  // nobody knows where the next one begins
    } else {
      wire_.send(id, "\r\n");
    }
  }
}

// Refused by the text of its header: the library sees nothing of a host that we do not serve.
void UserAgent::on_unserved(ConnectionId id, const Frame& frame) {
  log(LogLevel::warning, "sip", "refused a request of a host whose certificate has none of the trusted names");
  const auto answer = answer_to(std::string_view(frame.octets).substr(0, frame.body_at), 403, "Forbidden");
  if (!answer.empty()) wire_.send(id, answer);
  drop(id);
}

void UserAgent::on_frame(ConnectionId id, const Peer& peer, const Frame& frame) {
  if (auto refusal = check_size(frame)) {
    wire_.send(id, refusal->answer);
    return;
  }
  ++parsed_;
  const auto message = parse_frame(frame);
  if (!message) {
    if (!message.error().answer.empty()) wire_.send(id, message.error().answer);
    return;
  }
  if (message->sip()->sip_request != nullptr) {
    note_source(*message, peer.facts.remote);
    return on_request(id, peer, *message);
  }
  if (link_.is(id)) clients_.answered(*message);  // nobody else was asked anything
  check_closed();
}

void UserAgent::drop(ConnectionId id) {
  wire_.close(id);
  closed(id, "it sent what is no message", now_);
}

void UserAgent::closed(ConnectionId id, const std::string& why, Instant now) {
  now_ = now;
  peers_.erase(id);
  servers_.connection_closed(id);
  if (!link_.is(id)) return;
  const auto sentence = link_.closed(why, now);
  registration_.connection_closed(id, sentence);
  clients_.link_closed(sentence);
  reached(sentence);
  check_closed();
}

// It swallows what is sent, and must not be used again.
void UserAgent::drop_link() {
  if (!link_.is_open()) return;
  const auto id = link_.id();
  wire_.close(id);
  closed(id, "it does not answer", now_);
}

void UserAgent::reach(std::function<void(const std::string&)> done) {
  if (link_.is_open()) return done({});
  reaching_.push_back(std::move(done));
  link_.want(now_);
}

void UserAgent::reached(const std::string& sentence) {
  for (auto& each : std::exchange(reaching_, {})) each(sentence);
}

// --- Requests of ours ---

std::string UserAgent::contact(const std::string& own) const {
  return "<sip:" + (config_.contact_user.empty() ? "" : config_.contact_user + "@") + own +
         (config_.tls ? ";transport=tls>" : ";transport=tcp>");
}

std::optional<Dialog> UserAgent::new_dialog(const Request& request) {
  const auto& from = request.from.empty() ? config_.identity : request.from;
  const auto& to = request.to.empty() ? request.uri : request.to;
  if (!plain_address(from) || !plain_address(to)) return std::nullopt;
  return begin_dialog(random_, from, to, request.uri);
}

std::optional<Draft> UserAgent::draft_of(Dialog& dialog, const Request& request) const {
  Draft out;
  out.method = request.method;
  out.uri = request.uri.empty() ? dialog.target : request.uri;
  out.from = dialog.local;
  out.to = dialog.remote;
  out.call_id = dialog.call_id;
  out.number = dialog.number + 1;
  out.content_type = request.content_type;
  out.body = request.body;
  const bool registers = request.method == "REGISTER";
  out.contact = registers || request.method == "INVITE" || request.method == "SUBSCRIBE" || request.method == "NOTIFY";
  // RFC 5626 section 4.1: what the registrar tells devices, and processes of one device, apart by.
  if (registers && !config_.instance.empty()) out.contact_parameters = ";+sip.instance=\"<" + config_.instance + ">\"";
  std::vector<Header> headers;
  if (dialog.established) out.routes = dialog.routes;
  if (!dialog.established && !registers) {
    out.routes = registration_.service_route();
    if (!config_.icsi.empty()) headers.push_back({"P-Preferred-Service", config_.icsi});
  }
  if (!request.event.empty()) headers.push_back({"Event", request.event});
  if (request.expires) headers.push_back({"Expires", std::to_string(*request.expires)});
  if (request.method == "INVITE") headers.push_back({"Allow", k_allowed_methods});
  headers.insert(headers.end(), request.headers.begin(), request.headers.end());
  if (!append_headers(out.headers, headers) || !is_sendable(out)) return std::nullopt;
  return out;
}

TransactionId UserAgent::request(Dialog& dialog, const Request& request, std::function<void(const Answer&)> done) {
  if (request.secure && !config_.tls) return 0;
  for (const auto& address : {request.uri, request.from, request.to}) {
    if (!address.empty() && !plain_address(address)) return 0;
  }
  auto draft = draft_of(dialog, request);
  if (!draft) return 0;
  ++dialog.number;
  return clients_.begin(std::move(*draft), std::move(done), now_);
}

void UserAgent::acknowledge(const Dialog& dialog, const Answer& invite) {
  Draft ack;
  ack.method = "ACK";
  ack.uri = dialog.target;
  ack.routes = dialog.routes;
  ack.from = dialog.local;
  ack.to = dialog.remote;
  ack.call_id = dialog.call_id;
  ack.number = invite.sip->sip_cseq->cs_seq;
  if (is_sendable(ack)) clients_.acknowledge(ack, invite.branch, now_);
}

void UserAgent::send(std::uint64_t id, const Request& request) {
  TransactionId made = 0;
  if (auto dialog = new_dialog(request); dialog && !closing_) {
    made = this->request(*dialog, request, [this, id](const Answer& answer) {
      tell([id, response = answer.response](AgentReports& owner) { owner.response_arrived(id, response); });
    });
  }
  if (made != 0) return;
  Response response;
  response.reason = request.secure && !config_.tls ? "the request needs TLS, and the next hop has none"
                                                   : "the request to " + printable(request.uri) + " is malformed";
  tell([id, response](AgentReports& owner) { owner.response_arrived(id, response); });
}

// --- Requests of others ---

DialogOwner* UserAgent::owner_of(const sip_t* sip) const {
  const auto tag = text_or_empty(sip->sip_to->a_tag);
  const auto found = dialogs_.find(dialog_key(text_or_empty(sip->sip_call_id->i_id), tag));
  if (found == dialogs_.end()) return nullptr;
  const auto& dialog = found->second->dialog;
  const bool of_other = dialog.established && dialog.remote_tag != text_or_empty(sip->sip_from->a_tag);
  return of_other ? nullptr : found->second;
}

void UserAgent::on_request(ConnectionId id, const Peer& peer, const Message& message) {
  const auto* sip = message.sip();
  const auto method = sip->sip_request->rq_method;
  const auto key = upstream_key(id, sip);
  if (method == sip_method_ack) return on_ack(key, sip);
  if (method == sip_method_cancel) return on_cancel(id, key, message);
  if (servers_.repeated(id, key)) return;
  const auto tag = fresh_token(random_);
  const auto limit = method == sip_method_invite ? k_invite_answer_limit + 1s : k_answer_limit;
  const Incoming incoming{
      servers_.add(id, key, sip, tag, now_ + limit), id, message, tag, peer.believed, peer.facts.tls};
  if (incoming.id == 0) return servers_.refuse(id, sip, tag, 503, {}, "Retry-After: 5\r\n");
  if (admitted(incoming)) dispatch(incoming);
}

// Of a refusal it ends here; of a 2xx it is the dialog's.
void UserAgent::on_ack(const std::string& key, const sip_t* sip) {
  if (servers_.acknowledged(key)) return;
  if (auto* owner = owner_of(sip)) owner->on_ack(sip->sip_cseq->cs_seq);
}

// RFC 3261 section 9.2.
void UserAgent::on_cancel(ConnectionId id, const std::string& key, const Message& message) {
  const auto invite = servers_.under_way(key);
  if (invite == 0 && !servers_.acknowledged(key))
    return servers_.refuse(id, message.sip(), fresh_token(random_), 481, {});
  servers_.answer_cancel(id, message.sip(), invite);
  if (servers_.method_of(invite) == sip_method_invite) calls_.cancelled(invite);
}

// RFC 3261 section 8.2, in its order. False: it has its answer.
bool UserAgent::admitted(const Incoming& incoming) {
  const auto* sip = incoming.sip();
  const auto method = incoming.method();
  Admission verdict;
  if (!incoming.believed && !config_.trusted_names.empty()) verdict = {403};  // a next hop of another name
  if (verdict.status == 0) verdict = check_via(sip, incoming.tls);
  if (verdict.status == 0 && closing_ && method != sip_method_bye && method != sip_method_notify) verdict = {503};
  if (verdict.status == 0) verdict = check_scheme(sip);
  if (verdict.status == 0) verdict = check_require(sip);
  if (verdict.status == 0) verdict = check_content(sip);
  if (verdict.status == 0) return true;
  respond(incoming.id, {verdict.status, verdict.reason, {}, {}, verdict.headers});
  return false;
}

void UserAgent::dispatch(const Incoming& incoming) {
  const auto* sip = incoming.sip();
  int status = 0;
  if (sip->sip_to->a_tag == nullptr) {
    status = on_begin(incoming);
  } else if (auto* owner = owner_of(sip)) {
    status = in_order(owner->dialog, sip) ? owner->on_request(incoming) : 500;
  } else {
    status = 481;
  }
  if (status == 0) return;
  Response response;
  response.status = status;
  if (status == 405 || (status == 200 && incoming.method() == sip_method_options))
    response.headers.push_back({"Allow", k_allowed_methods});
  respond(incoming.id, response);
}

// Outside of dialogs. Returns the status to answer with; 0: the answer comes later.
int UserAgent::on_begin(const Incoming& incoming) {
  switch (incoming.method()) {
    case sip_method_message:
    case sip_method_publish:
      tell([id = incoming.id, request = read(incoming)](AgentReports& owner) { owner.request_arrived(id, request); });
      return 0;
    case sip_method_invite:
      return calls_.arrived(incoming);
    case sip_method_subscribe:
      return subscribers_.arrived(incoming);
    case sip_method_options:
      return 200;
    case sip_method_bye:
    case sip_method_notify:
    case sip_method_prack:  // these belong into a dialog
      return 481;
    default:
      return 405;
  }
}

Request UserAgent::read(const Incoming& incoming) const {
  auto out = request_of(incoming.message);
  const auto* sip = incoming.sip();
  if (incoming.believed) {
    if (const auto* identity = sip_p_asserted_identity(sip)) out.asserted_identity = address_text(*identity->paid_url);
    if (const auto* device = unknown_header(sip, "P2PCDS-Device")) out.device = device;
  }
  out.secure = incoming.tls;
  return out;
}

void UserAgent::respond(IncomingId id, const Response& response) {
  const bool good = response.status >= 200 && response.status < 700;
  const int status = good ? response.status : 500;
  std::string headers;
  if (!append_headers(headers, response.headers))
    log(LogLevel::warning, "sip", "a header of a response of ours is malformed and is left out");
  const auto peer = peers_.find(servers_.connection_of(id));
  if (peer == peers_.end()) return;
  if (status < 300 && begins_dialog(servers_.method_of(id)))
    headers += "Contact: " + contact(address_seen_by(peer->second.facts)) + "\r\n";
  servers_.answer(id, status, response.reason, headers, response.content_type, response.body, now_);
}

// --- Time ---

void UserAgent::tick(Instant now, std::uint64_t stops) {
  now_ = now;
  clients_.tick(now);
  registration_.tick(stops);
  calls_.tick();
  watches_.tick();
  subscribers_.tick();
  servers_.tick(now);
  if (!reaching_.empty()) link_.want(now);
  check_closed();
}

void UserAgent::begin_close(std::function<void()> done) {
  closing_ = true;
  closed_ = std::move(done);
  calls_.end_all();
  watches_.end_all();
  subscribers_.end_all();
  servers_.refuse_all(503, now_);
  registration_.withdraw();
  check_closed();
}

void UserAgent::check_closed() {
  if (!closing_ || !closed_ || !clients_.only_requests_without_end()) return;
  std::exchange(closed_, nullptr)();
}

}  // namespace sealcast::sip
