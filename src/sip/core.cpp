#include "sip/core.hpp"

#include <openssl/ssl.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <limits>
#include <memory>

#include "base/assert.hpp"
#include "base/log.hpp"
#include "os/random.hpp"
#include "sip/core_impl.hpp"
#include "sip/sofia_thread.hpp"

namespace sealcast::sip {
namespace {

// RFC 3261 section 17: 64*T1, cut from 32 s: a service or UE that does not answer within it is as good as gone.
constexpr unsigned k_transaction_milliseconds = 8000;
// Of one message as the library sees it: whatever a TCP connection holds ready to be read counts, also the messages
// behind the first one.
constexpr std::size_t k_most_unread_octets = 1024 * 1024;
constexpr unsigned k_send_queue = 256;  // messages waiting on one connection

// The library starts without a usable certificate, too, and fails at each handshake then: so this is looked at first.
Status check_tls_files(const std::string& directory) {
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_method()), SSL_CTX_free);
  SEALCAST_ASSERT(context);
  const auto pair = directory + "/agent.pem", trust = directory + "/cafile.pem";
  if (SSL_CTX_use_certificate_file(context.get(), pair.c_str(), SSL_FILETYPE_PEM) != 1)
    return fail(pair + " holds no certificate that can be read");
  if (SSL_CTX_use_PrivateKey_file(context.get(), pair.c_str(), SSL_FILETYPE_PEM) != 1)
    return fail(pair + " holds no private key that fits its certificate");
  if (SSL_CTX_load_verify_locations(context.get(), trust.c_str(), nullptr) != 1)
    return fail(trust + " holds no certificate that can be read");
  return {};
}

// "127.0.0.1:0" -> "sips:127.0.0.1:*": the library's word for any port is "*", and it offers TLS under sips only.
std::string listen_uri(const std::string& address, const char* transport) {
  auto colon = address.rfind(':');
  auto port = address.substr(colon + 1);
  const bool tls = std::strcmp(transport, "tls") == 0;
  return (tls ? "sips:" : "sip:") + address.substr(0, colon) + ":" + (port == "0" ? "*" : port) +
         (tls ? "" : ";transport=tcp");
}

int message_came(CoreSide* side, nta_agent_t*, msg_t* message, sip_t*) {
  side->core->on_message(*side, Message(message));
  return 0;
}

void second_passed(su_root_magic_t*, su_timer_t*, su_timer_arg_t* core) {
  static_cast<CoreState*>(core)->on_second();
}

}  // namespace

std::int64_t seconds_now() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string peer_of(const tport_t* connection) {
  const auto* name = connection ? ::tport_name(connection) : nullptr;
  return name && name->tpn_host && name->tpn_port ? std::string(name->tpn_host) + ":" + name->tpn_port : "unknown";
}

CoreState::CoreState(CoreConfig config, SubscriberDirectory& subscribers, RandomSource& random)
    : config_(std::move(config)), subscribers_(subscribers), digest_(config_.domain, random), tokens_(random) {
  ue_ = {this, CoreSide::Kind::ue, nullptr, {}, {}};
  service_ = {this, CoreSide::Kind::service, nullptr, {}, {}};
}

Status CoreState::open(CoreSide& side, const std::string& address, const char* transport, unsigned verify) {
  auto colon = address.rfind(':');
  if (colon == std::string::npos || colon + 1 == address.size())
    return fail(ErrorCode::usage, "\"" + address + "\" is no address to listen on: host:port is wanted");
  const auto uri = listen_uri(address, transport);
  auto* where = reinterpret_cast<const url_string_t*>(uri.c_str());
  auto* none = reinterpret_cast<const url_string_t*>(-1);  // the library's word for: no listener yet
  if (!side.agent) {
    side.agent =
        ::nta_agent_create(root_, none, message_came, &side, NTATAG_UA(0), NTATAG_CANCEL_487(0), NTATAG_SERVER_RPORT(1),
                           NTATAG_PASS_100(1), NTATAG_PASS_408(1), NTATAG_SIP_T1X64(k_transaction_milliseconds),
                           NTATAG_MAXSIZE(k_most_unread_octets), NTATAG_USE_NAPTR(0), NTATAG_USE_SRV(0), TAG_END());
    SEALCAST_ASSERT(side.agent);
  }
  errno = 0;
  // A UE is heard of at least once in the life of its binding; a service may be silent for long.
  const unsigned idle = side.kind == CoreSide::Kind::ue ? static_cast<unsigned>(config_.max_expires + 60) * 1000U
                                                        : std::numeric_limits<unsigned>::max();
  if (::nta_agent_add_tport(side.agent, where, TPTAG_CERTIFICATE(config_.tls_directory.c_str()),
                            TPTAG_TLS_VERIFY_POLICY(verify), TPTAG_QUEUESIZE(k_send_queue), TPTAG_SDWN_ERROR(1),
                            TPTAG_IDLE(idle), TPTAG_LOG(0), TAG_END()) < 0) {
    // What errno says by then may be about the library's own clearing up.
    const bool telling = errno == EADDRINUSE || errno == EADDRNOTAVAIL || errno == EACCES;
    return fail(ErrorCode::network,
                "cannot listen on " + address + " (" + transport + "): " +
                    (telling ? std::strerror(errno) : "the port is taken, or the address is not one of this machine"));
  }
  return {};
}

void CoreState::note_addresses(CoreSide& side) {
  for (auto* via = ::nta_agent_via(side.agent); via; via = via->v_next) {
    const bool tls = same_word(text_or_empty(via->v_protocol), "SIP/2.0/TLS");
    const auto address = std::string(via->v_host) + ":" + (via->v_port ? via->v_port : tls ? "5061" : "5060");
    own_addresses_.insert(address);
    // What UEs may write in Route instead: the domain, and loopback when the listener is on every address.
    const auto port = address.substr(address.rfind(':'));
    for (const auto& name : {config_.domain, std::string("127.0.0.1"), std::string("[::1]")})
      own_addresses_.insert(name + port);
    auto& out = tls ? side.tls_address : side.tcp_address;
    if (out.empty()) out = address;
  }
}

Status CoreState::start(su_root_t* root) {
  root_ = root;
  own_addresses_.clear();
  for (auto* side : {&ue_, &service_}) side->tls_address = side->tcp_address = {};
  SEALCAST_TRY(check_tls_files(config_.tls_directory));
  SEALCAST_TRY(open(ue_, config_.ue_listen, "tls", TPTLS_VERIFY_NONE));
  if (!config_.ue_listen_tcp.empty()) SEALCAST_TRY(open(ue_, config_.ue_listen_tcp, "tcp", TPTLS_VERIFY_NONE));
  // Who connects must have a certificate of the CA, and who is connected to must have the name that was dialled.
  SEALCAST_TRY(open(service_, config_.service_listen, "tls", TPTLS_VERIFY_INCOMING | TPTLS_VERIFY_SUBJECTS_OUT));
  note_addresses(ue_);
  note_addresses(service_);
  timer_ = ::su_timer_create(::su_root_task(root_), 1000);
  ::su_timer_set_for_ever(timer_, second_passed, this);
  log(LogLevel::info, "core",
      "listening on " + ue_.tls_address + " (UEs, TLS), " +
          (ue_.tcp_address.empty() ? "" : ue_.tcp_address + " (UEs, TCP), ") + service_.tls_address +
          " (services, TLS)");
  return {};
}

void CoreState::stop() {
  if (timer_) ::su_timer_destroy(timer_);
  timer_ = nullptr;
  while (!transactions_.empty()) finish(transactions_.front());
  bindings_.clear();  // its references must go before the transports they count
  for (auto* side : {&ue_, &service_}) {
    if (side->agent) ::nta_agent_destroy(side->agent);
    side->agent = nullptr;
  }
}

void CoreState::on_second() {
  const auto now = seconds_now();
  if (auto gone = bindings_.sweep(now))
    log(LogLevel::info, "core", std::to_string(gone) + " registrations expired or lost their connection");
  bound_ = bindings_.size();
  digest_.forget_old(now);
  sweep_transactions(now);
}

CoreCounters CoreState::counters() const {
  return {registrations_.load(), challenges_.load(), refused_.load(), relayed_.load(), bound_.load()};
}

struct Core::Impl {
  Impl(CoreConfig config, SubscriberDirectory& subscribers) : state(std::move(config), subscribers, random) {}
  os::SystemRandom random;
  CoreState state;
  SofiaThread thread;
  bool running = false;
};

Core::Core(CoreConfig config, SubscriberDirectory& subscribers)
    : impl_(std::make_unique<Impl>(std::move(config), subscribers)) {}

Core::~Core() {
  stop();
}

Status Core::start() {
  if (impl_->running) return {};
  impl_->thread.start();
  impl_->running = true;
  Status status;
  impl_->thread.call([&] { status = impl_->state.start(impl_->thread.root()); });
  if (!status) stop();
  return status;
}

void Core::stop() {
  if (!impl_->running) return;
  impl_->thread.call([this] { impl_->state.stop(); });
  impl_->thread.stop();
  impl_->running = false;
}

std::string Core::ue_address() const {
  return impl_->state.ue().tls_address;
}
std::string Core::ue_tcp_address() const {
  return impl_->state.ue().tcp_address;
}
std::string Core::service_address() const {
  return impl_->state.service().tls_address;
}
void Core::set_services(std::vector<ServiceRoute> services) {
  if (!impl_->running) return impl_->state.set_services(std::move(services));
  impl_->thread.post(
      [this, services = std::move(services)]() mutable { impl_->state.set_services(std::move(services)); });
}
CoreCounters Core::counters() const {
  return impl_->state.counters();
}

}  // namespace sealcast::sip
