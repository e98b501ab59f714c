#include "sip/agent/thread.hpp"

#include "io/resolve.hpp"
#include "io/tls_files.hpp"
#include "os/clock.hpp"

namespace sealcast::sip {
namespace {

constexpr Duration k_tick = 250ms;
// Numbers of connections that we dial: apart from those of the streams that come in.
constexpr ConnectionId k_first_dialled = ConnectionId{1} << 48;

// A tracker tells many at once, over one connection: what it asks for waits here, not in a peer's favour.
io::StreamLimits limits() {
  io::StreamLimits out;
  out.send_queue = 32 << 20;
  out.dial_time = 8s;  // less than a request's patience, so that the reason is known
  return out;
}

}  // namespace

Result<AgentContexts> AgentContexts::read(const AgentConfig& config) {
  using Settings = crypto::TlsSettings;
  AgentContexts out;
  if (!config.tls) return out;
  const auto verified = [](bool yes) { return yes ? Settings::Verify::required : Settings::Verify::none; };
  SEALCAST_TRY_ASSIGN(out.dialling,
                      io::tls_context_of(config.tls_directory, Settings::Side::client, verified(config.verify_peer)));
  if (!config.listen.empty()) {
    SEALCAST_TRY_ASSIGN(out.listening, io::tls_context_of(config.tls_directory, Settings::Side::server,
                                                          verified(config.require_client_certificate)));
  }
  return out;
}

AgentThread::AgentThread(const AgentConfig& config, io::Loop& loop, AgentContexts contexts,
                         std::function<void(UserAgent::Report)> tell)
    : config_(config),
      loop_(loop),
      contexts_(std::move(contexts)),
      streams_(std::make_unique<io::StreamTransport>(loop, limits(), *this)),
      next_dialled_(k_first_dialled),
      agent_(config, random_, *this, std::move(tell)) {
  tick();
}

AgentThread::~AgentThread() {
  loop_.cancel(timer_);
  for (auto& [id, dialled] : dialled_) streams_->close(dialled.stream);
}

UserAgent& AgentThread::agent() {
  return agent_.at(os::monotonic_now());
}

Status AgentThread::listen() {
  if (config_.listen.empty()) return {};
  const auto where = parse_endpoint(config_.listen);
  if (!where)
    return fail(ErrorCode::usage, "\"" + config_.listen + "\" is no address to listen on: address:port is wanted");
  SEALCAST_TRY_ASSIGN(listener_, streams_->listen(*where, contexts_.listening));
  agent_.listening(listener_->text());
  return {};
}

void AgentThread::renew(AgentContexts contexts) {
  contexts_ = std::move(contexts);
  if (listener_) streams_->set_tls(*listener_, contexts_.listening);
}

void AgentThread::tick() {
  agent_.tick(os::monotonic_now(), os::stops_so_far());
  timer_ = loop_.after(k_tick, [this] { tick(); });
}

// --- Streams ---

ConnectionId AgentThread::connection_of(io::StreamId stream) const {
  for (const auto& [id, dialled] : dialled_) {
    if (dialled.stream == stream) return id;
  }
  return stream;
}

void AgentThread::on_open(const io::StreamFacts& facts) {
  const auto id = connection_of(facts.id);
  if (auto dialled = dialled_.find(id); dialled != dialled_.end()) dialled->second.open = true;
  ConnectionFacts out;
  out.tls = facts.tls;
  out.remote = facts.remote.text();
  out.own = facts.local.text();
  out.subjects = facts.subjects;
  agent_.opened(id, std::move(out), os::monotonic_now());
}

void AgentThread::on_octets(io::StreamId id, ByteView octets) {
  agent_.received(connection_of(id), octets, os::monotonic_now());
}

void AgentThread::on_closed(io::StreamId id, const std::string& why) {
  const auto connection = connection_of(id);
  if (auto found = dialled_.find(connection); found != dialled_.end()) {
    auto& dialled = found->second;
    if (!dialled.open && dialled.next < dialled.places.size()) return try_next(dialled);
    dialled_.erase(found);
  }
  agent_.closed(connection, why, os::monotonic_now());
}

// --- Wire ---

bool AgentThread::send(ConnectionId connection, std::string_view octets) {
  const auto dialled = dialled_.find(connection);
  return streams_->send(dialled == dialled_.end() ? connection : dialled->second.stream, octets);
}

void AgentThread::close(ConnectionId connection) {
  const auto dialled = dialled_.find(connection);
  if (dialled == dialled_.end()) return streams_->close(connection);
  streams_->close(dialled->second.stream);
  dialled_.erase(dialled);
}

void AgentThread::try_next(Dialled& dialled) {
  dialled.stream = streams_->dial(dialled.places[dialled.next++], contexts_.dialling, dialled.name);
}

// The name is looked up each time: the core may have moved.
ConnectionId AgentThread::dial(const std::string& address, const std::string& name, ConnectionFacts&) {
  const auto id = next_dialled_++;
  auto places = io::resolve(address);
  auto& dialled = dialled_[id];
  dialled.name = name;
  if (places) {
    dialled.places = std::move(*places);
    try_next(dialled);
    return id;
  }
  loop_.post([this, id, why = places.error().message, here = std::weak_ptr<bool>(alive_)] {
    if (here.expired() || dialled_.erase(id) == 0) return;
    agent_.closed(id, why, os::monotonic_now());
  });
  return id;
}

}  // namespace sealcast::sip
