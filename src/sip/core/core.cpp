// The embedded core's thread: a loop, the streams on it, and the logic that they drive.
#include "sip/core/core.hpp"

#include <sys/socket.h>

#include <deque>
#include <future>
#include <map>
#include <memory>
#include <thread>

#include "base/log.hpp"
#include "io/loop.hpp"
#include "io/resolve.hpp"
#include "io/stream_transport.hpp"
#include "io/tls_files.hpp"
#include "os/clock.hpp"
#include "os/descriptor.hpp"
#include "os/random.hpp"
#include "os/socket_address.hpp"
#include "sip/core/impl.hpp"
#include "sip/library.hpp"

namespace sealcast::sip {
namespace {

constexpr Duration k_tick = 250ms;
constexpr std::size_t k_most_waiting = 256 << 10;  // octets for a service that is being dialled

// Whose budget a connection is: an IPv6 host has a whole /64 to choose addresses from.
std::string source_of_address(IpAddress address) {
  if (address.is_v6()) std::fill(address.octets.begin() + 8, address.octets.end(), std::uint8_t{0});
  return address.text();
}

bool is_any(const IpAddress& address) {
  return std::all_of(address.octets.begin(), address.octets.end(), [](auto octet) { return octet == 0; });
}

// The local address that packets to `remote` leave from.
std::optional<IpAddress> address_towards(const Endpoint& remote) {
  const os::SocketAddress to(remote);
  os::Descriptor fd(::socket(to.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd || ::connect(fd.get(), to.get(), to.size()) != 0) return std::nullopt;
  const auto local = os::local_endpoint(fd.get());
  return local ? std::optional(local->address) : std::nullopt;
}

Result<Endpoint> listen_endpoint(const std::string& text) {
  auto out = parse_endpoint(text);
  if (!out) return fail(ErrorCode::usage, "\"" + text + "\" is no address to listen on: address:port is wanted");
  return *out;
}

struct TlsContexts {
  io::StreamTransport::Context for_ues, for_services, towards_services;
};

Result<TlsContexts> tls_contexts_of(const std::string& directory) {
  using Settings = crypto::TlsSettings;
  TlsContexts out;
  SEALCAST_TRY_ASSIGN(out.for_ues, io::tls_context_of(directory, Settings::Side::server, Settings::Verify::none));
  // Who connects must have a certificate of the CA, and who is connected to must have the name of the service.
  SEALCAST_TRY_ASSIGN(out.for_services,
                      io::tls_context_of(directory, Settings::Side::server, Settings::Verify::required));
  SEALCAST_TRY_ASSIGN(out.towards_services,
                      io::tls_context_of(directory, Settings::Side::client, Settings::Verify::required));
  return out;
}

using Places = std::map<std::string, Endpoint>;  // of services, by their address as it is written

Places places_of(const std::vector<ServiceRoute>& services) {
  Places out;
  for (const auto& each : services) {
    if (out.contains(each.address)) continue;
    if (auto found = io::resolve(each.address))
      out.emplace(each.address, found->front());
    else
      log(LogLevel::error, "core", "the service's address " + each.address + ": " + found.error().message);
  }
  return out;
}

}  // namespace

struct Core::Impl final : io::StreamEvents, Wire {
  Impl(CoreConfig given, SubscriberDirectory& subscribers)
      : config(std::move(given)), state(config, subscribers, random, *this) {}

  // On the core's thread.
  Status open();
  Result<Endpoint> listen(const std::string& address, const char* transport, io::StreamTransport::Context tls);
  void tick();
  void close_all();

  void on_open(const io::StreamFacts& facts) override;
  void on_octets(io::StreamId id, ByteView octets) override { state.received(id, octets, os::monotonic_now()); }
  void on_closed(io::StreamId id, const std::string& why) override;

  bool send(ConnectionId connection, std::string_view octets) override;
  void close(ConnectionId connection) override;
  void admit(ConnectionId connection) override { streams->admit(connection); }
  ConnectionId dial(const std::string& address, const std::string& name, ConnectionFacts& facts) override;

  CoreConfig config;
  os::SystemRandom random;
  Library library;
  CoreState state;
  std::unique_ptr<io::Loop> loop;
  std::unique_ptr<io::StreamTransport> streams;
  io::StreamTransport::Context towards_services;
  std::optional<Endpoint> ue_tls, ue_tcp, service;
  Places places;
  std::map<ConnectionId, std::string> waiting;  // for connections that are being dialled
  std::thread thread;
  bool running = false;
};

Result<Endpoint> Core::Impl::listen(const std::string& address, const char* transport,
                                    io::StreamTransport::Context tls) {
  SEALCAST_TRY_ASSIGN(const auto where, listen_endpoint(address));
  auto out = streams->listen(where, std::move(tls));
  if (!out)
    return fail(ErrorCode::network, "cannot listen on " + address + " (" + transport + "): " + out.error().message);
  return out;
}

Status Core::Impl::open() {
  SEALCAST_TRY_ASSIGN(auto contexts, tls_contexts_of(config.tls_directory));
  towards_services = contexts.towards_services;
  streams = std::make_unique<io::StreamTransport>(*loop, io::StreamLimits{}, *this);
  SEALCAST_TRY_ASSIGN(ue_tls, listen(config.ue_listen, "tls", contexts.for_ues));
  if (!config.ue_listen_tcp.empty()) {
    SEALCAST_TRY_ASSIGN(ue_tcp, listen(config.ue_listen_tcp, "tcp", nullptr));
  }
  SEALCAST_TRY_ASSIGN(service, listen(config.service_listen, "tls", contexts.for_services));
  state.listening({ue_tls->text(), ue_tcp ? ue_tcp->text() : std::string(), service->text()});
  log(LogLevel::info, "core",
      "listening on " + ue_tls->text() + " (UEs, TLS), " + (ue_tcp ? ue_tcp->text() + " (UEs, TCP), " : "") +
          service->text() + " (services, TLS)");
  tick();
  return {};
}

void Core::Impl::tick() {
  state.tick(os::monotonic_now());
  loop->after(k_tick, [this] { tick(); });
}

void Core::Impl::close_all() {
  streams.reset();
  waiting.clear();
}

void Core::Impl::on_open(const io::StreamFacts& facts) {
  ConnectionFacts out;
  const bool dialled = facts.listener.port == 0;
  out.side = dialled || facts.listener == *service ? ConnectionFacts::Side::service : ConnectionFacts::Side::ue;
  out.tls = facts.tls;
  out.remote = facts.remote.text();
  out.source = source_of_address(facts.remote.address);
  out.own = facts.local.text();
  out.subjects = facts.subjects;
  state.opened(facts.id, std::move(out), os::monotonic_now());
  auto found = waiting.find(facts.id);
  if (found == waiting.end()) return;
  const auto octets = std::move(found->second);
  waiting.erase(found);
  if (!octets.empty()) streams->send(facts.id, octets);
}

void Core::Impl::on_closed(io::StreamId id, const std::string& why) {
  waiting.erase(id);
  state.closed(id, why, os::monotonic_now());
}

bool Core::Impl::send(ConnectionId connection, std::string_view octets) {
  auto found = waiting.find(connection);
  if (found == waiting.end()) return streams->send(connection, octets);
  if (found->second.size() + octets.size() > k_most_waiting) return false;
  found->second += octets;
  return true;
}

void Core::Impl::close(ConnectionId connection) {
  waiting.erase(connection);
  streams->close(connection);
}

ConnectionId Core::Impl::dial(const std::string& address, const std::string& name, ConnectionFacts& facts) {
  auto found = places.find(address);
  if (found == places.end()) return k_no_connection;
  const auto& where = found->second;
  // Where the service reaches this core: its listener, under an address that leads there.
  auto own = *service;
  if (is_any(own.address)) {
    if (auto local = address_towards(where)) own.address = *local;
  }
  facts.own = own.text();
  const auto id = streams->dial(where, towards_services, name);
  if (id != k_no_connection) waiting.emplace(id, std::string());
  return id;
}

Core::Core(CoreConfig config, SubscriberDirectory& subscribers)
    : impl_(std::make_unique<Impl>(std::move(config), subscribers)) {}

Core::~Core() {
  stop();
}

Status Core::start() {
  if (impl_->running) return {};
  auto& impl = *impl_;
  impl.places = places_of(impl.config.services);
  impl.loop = std::make_unique<io::Loop>();
  std::promise<Status> opened;
  impl.thread = std::thread([&impl, &opened] {
    auto status = impl.open();
    const bool good = status.has_value();
    opened.set_value(std::move(status));
    if (good) impl.loop->run();
    impl.close_all();
  });
  impl.running = true;
  auto status = opened.get_future().get();
  if (!status) stop();
  return status;
}

void Core::stop() {
  if (!impl_->running) return;
  impl_->loop->stop();
  impl_->thread.join();
  impl_->loop.reset();
  impl_->running = false;
}

std::string Core::ue_address() const {
  return impl_->ue_tls ? impl_->ue_tls->text() : std::string();
}
std::string Core::ue_tcp_address() const {
  return impl_->ue_tcp ? impl_->ue_tcp->text() : std::string();
}
std::string Core::service_address() const {
  return impl_->service ? impl_->service->text() : std::string();
}
void Core::set_services(std::vector<ServiceRoute> services) {
  auto places = places_of(services);  // on the caller's thread: names may take their time
  if (!impl_->running) {
    impl_->config.services = services;
    return impl_->state.set_services(std::move(services));
  }
  impl_->loop->post([this, places = std::move(places), services = std::move(services)]() mutable {
    impl_->places = std::move(places);
    impl_->state.set_services(std::move(services));
  });
}

Status Core::renew_certificates() {
  SEALCAST_TRY_ASSIGN(auto contexts, tls_contexts_of(impl_->config.tls_directory));
  if (!impl_->running) return {};
  impl_->loop->post([this, contexts = std::move(contexts)] {
    impl_->streams->set_tls(*impl_->ue_tls, contexts.for_ues);
    impl_->streams->set_tls(*impl_->service, contexts.for_services);
    impl_->towards_services = contexts.towards_services;
  });
  return {};
}

CoreCounters Core::counters() const {
  return impl_->state.counters();
}
json::Object Core::status() const {
  return impl_->state.status();
}

}  // namespace sealcast::sip
