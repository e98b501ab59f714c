#include "io/stream_transport.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include "base/log.hpp"
#include "os/clock.hpp"
#include "os/descriptor.hpp"
#include "os/socket_address.hpp"

namespace sealcast::io {
namespace {

constexpr std::size_t k_piece = 16 << 10;  // read from one stream in one turn of the loop
constexpr int k_accepts = 16;              // in one turn
constexpr Duration k_rest = 100ms;         // no descriptor left: try again then
// An answer that says why, and then a close, would be lost by a reset if the other side still sends: so much is waited
// for its end.
constexpr Duration k_farewell = 3s;
constexpr Duration k_quiet = 60s;  // between two log lines about strangers

std::string system_text(int error) {
  return std::strerror(error);
}

// A network has as many IPv6 addresses as it likes: /64 counts as one.
IpAddress source_of(const IpAddress& address) {
  IpAddress out = address;
  if (out.is_v6()) std::fill(out.octets.begin() + 8, out.octets.end(), std::uint8_t{0});
  return out;
}

void set_option(int fd, int level, int name, int value) {
  ::setsockopt(fd, level, name, &value, sizeof value);
}

void set_stream_options(int fd, Duration stall) {
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  // A partner that is gone without a word is noticed after 90 s of silence.
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 60);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 10);
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
  set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT,
             static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(stall).count()));
}

StreamLimits fitted(StreamLimits limits) {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != RLIM_INFINITY) {
    const auto most = static_cast<std::size_t>(files.rlim_cur);
    const auto free = most > 2 * limits.kept_descriptors ? most - limits.kept_descriptors : most / 2;
    limits.streams = std::min(limits.streams, std::max<std::size_t>(free, 1));
  }
  limits.strangers = std::min(limits.strangers, std::max<std::size_t>(limits.streams / 2, 1));
  limits.strangers_per_address = std::min(limits.strangers_per_address, limits.strangers);
  return limits;
}

}  // namespace

struct StreamTransport::Impl {
  struct Listener {
    os::Descriptor socket;
    Endpoint where;
    Context tls;
  };
  struct Stream {
    StreamFacts facts;
    os::Descriptor socket;
    std::optional<crypto::TlsSession> tls;
    Bytes output;
    std::size_t sent = 0;  // of output
    std::size_t received = 0;
    Loop::TimerId timer = 0, stall = 0;
    bool dialled = false, connecting = false, open = false, stranger = false;
    bool closing = false;  // by us: nobody hears of it any more
    bool shut = false;     // our side of the closing is said
    bool gone = false;     // out of the table; somebody up the stack still holds it
    std::size_t waiting() const { return output.size() - sent; }
  };
  using Held = std::shared_ptr<Stream>;  // owners: the table, and who works on it now

  Impl(Loop& l, StreamLimits m, StreamEvents& e) : loop(l), limits(fitted(m)), events(e), scratch(k_piece) {}
  ~Impl();
  Result<Endpoint> listen(const Endpoint& where, Context tls);
  StreamId dial(const Endpoint& where, Context tls, const std::string& expected_name);
  bool send(StreamId id, ByteView octets);
  bool admit(StreamId id);
  void close(StreamId id);

  void accept(Listener& listener);
  bool make_room(const IpAddress& source);
  void adopt(Listener& listener, os::Descriptor socket, const Endpoint& remote);
  void rest();
  void resume();
  void insert(const Held& stream);
  void remove(Stream& stream);
  void fail(Stream& stream, const std::string& why);
  void fail_later(Stream& stream, std::string why);
  void farewell(Stream& stream);
  void ready(StreamId id, bool readable, bool writable);
  void connected(Stream& stream);
  void read(Stream& stream);
  void take(Stream& stream, ByteView octets);
  void announce(Stream& stream);
  void flush_tls(Stream& stream);
  void queue(Stream& stream, ByteView octets);
  void write(Stream& stream);
  void no_stranger(Stream& stream);
  void life_over(StreamId id);
  void stalled(StreamId id, std::size_t waiting);
  void arm_stall(Stream& stream);
  void set_timer(Stream& stream, Duration after);
  void say(const char* what, const std::string& about);
  std::size_t queue_limit(const Stream& stream) const {
    return stream.stranger ? limits.stranger_octets : limits.send_queue;
  }

  Loop& loop;
  const StreamLimits limits;
  StreamEvents& events;
  Bytes scratch;
  std::vector<std::unique_ptr<Listener>> listeners;
  std::unordered_map<StreamId, Held> streams;
  std::map<IpAddress, std::set<StreamId>> strangers;  // by source; ids grow, so the first is the oldest
  StreamId next_id = 1;
  std::size_t queued = 0;  // of all streams
  Loop::TimerId rest_timer = 0;
  StreamCounters counters;
  std::map<std::string, std::pair<Instant, std::size_t>> said;
  // Owners: this, and each posted task weakly, which may run after the transport is gone.
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
};

StreamTransport::Impl::~Impl() {
  for (auto& listener : listeners) loop.unwatch(listener->socket.get());
  for (auto& [id, stream] : streams) {
    loop.unwatch(stream->socket.get());
    loop.cancel(stream->timer);
    loop.cancel(stream->stall);
  }
  loop.cancel(rest_timer);
}

// Once, and then once in a while with a count: strangers do not fill the log.
void StreamTransport::Impl::say(const char* what, const std::string& about) {
  auto [entry, first] = said.try_emplace(what);
  auto& [last, more] = entry->second;
  const auto now = os::monotonic_now();
  if (!first && now < last + k_quiet) {
    ++more;
    return;
  }
  log(LogLevel::warning, "stream",
      std::string(what) + ": " + about + (more > 0 ? " (and " + std::to_string(more) + " like it)" : ""));
  last = now;
  more = 0;
}

// --- Listening ---

Result<Endpoint> StreamTransport::Impl::listen(const Endpoint& where, Context tls) {
  const auto failure = [&](int error) {
    return sealcast::fail(ErrorCode::network, "cannot listen on " + where.text() + ": " + system_text(error));
  };
  const os::SocketAddress address(where);
  os::Descriptor socket(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return failure(errno);
  set_option(socket.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (where.address.is_v6()) set_option(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (::bind(socket.get(), address.get(), address.size()) != 0 || ::listen(socket.get(), SOMAXCONN) != 0)
    return failure(errno);
  const auto bound = os::local_endpoint(socket.get());
  if (!bound) return failure(errno);
  auto& listener = *listeners.emplace_back(std::make_unique<Listener>());
  listener = {std::move(socket), *bound, std::move(tls)};
  loop.watch(listener.socket.get(), rest_timer == 0, false, [this, &listener](bool, bool) { accept(listener); });
  return *bound;
}

void StreamTransport::Impl::accept(Listener& listener) {
  for (int i = 0; i < k_accepts; ++i) {
    os::SocketAddress from;
    socklen_t size = os::SocketAddress::room;
    os::Descriptor socket(::accept4(listener.socket.get(), from.get(), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) return rest();
      if (errno == EAGAIN || errno == EWOULDBLOCK) return;
      continue;  // that connection is gone already
    }
    const auto remote = from.endpoint();
    if (!remote) continue;
    if (!make_room(source_of(remote->address))) {
      ++counters.refused;
      say("connection refused: all are in use", remote->text());
      continue;
    }
    adopt(listener, std::move(socket), *remote);
  }
}

// The oldest stranger of the address that has most goes, if one must.
bool StreamTransport::Impl::make_room(const IpAddress& source) {
  auto same = strangers.find(source);
  auto victims = strangers.end();
  if (same != strangers.end() && same->second.size() >= limits.strangers_per_address)
    victims = same;
  else if (counters.strangers >= limits.strangers || streams.size() >= limits.streams)
    victims = std::max_element(strangers.begin(), strangers.end(),
                               [](const auto& a, const auto& b) { return a.second.size() < b.second.size(); });
  else
    return true;
  if (victims == strangers.end()) return false;
  const auto victim = streams.find(*victims->second.begin())->second;
  ++counters.displaced;
  say("too many connections that nobody registers on", victim->facts.remote.text());
  fail(*victim, "displaced by a newer connection");
  return streams.size() < limits.streams;
}

void StreamTransport::Impl::adopt(Listener& listener, os::Descriptor socket, const Endpoint& remote) {
  auto stream = std::make_shared<Stream>();
  stream->socket = std::move(socket);
  stream->stranger = true;
  stream->facts = {next_id++, listener.where, remote, listener.where, listener.tls != nullptr, {}};
  if (auto local = os::local_endpoint(stream->socket.get())) stream->facts.local = *local;
  if (listener.tls) stream->tls.emplace(listener.tls);
  strangers[source_of(remote.address)].insert(stream->facts.id);
  ++counters.strangers;
  ++counters.accepted;
  insert(stream);
  set_timer(*stream, limits.stranger_life);
  if (!stream->tls) announce(*stream);
}

void StreamTransport::Impl::rest() {
  ++counters.rests;
  say("no descriptor left for connections", system_text(errno));
  for (auto& listener : listeners) loop.rewatch(listener->socket.get(), false, false);
  if (rest_timer == 0) rest_timer = loop.after(k_rest, [this] { resume(); });
}

void StreamTransport::Impl::resume() {
  rest_timer = 0;
  for (auto& listener : listeners) loop.rewatch(listener->socket.get(), true, false);
}

// --- The life of a stream ---

void StreamTransport::Impl::insert(const Held& stream) {
  const auto id = stream->facts.id;
  set_stream_options(stream->socket.get(), limits.send_stall);
  streams[id] = stream;
  loop.watch(stream->socket.get(), !stream->connecting, stream->connecting,
             [this, id](bool readable, bool writable) { ready(id, readable, writable); });
}

void StreamTransport::Impl::no_stranger(Stream& stream) {
  if (!stream.stranger) return;
  stream.stranger = false;
  --counters.strangers;
  auto entry = strangers.find(source_of(stream.facts.remote.address));
  entry->second.erase(stream.facts.id);
  if (entry->second.empty()) strangers.erase(entry);
}

void StreamTransport::Impl::remove(Stream& stream) {
  if (stream.gone) return;
  stream.gone = true;
  no_stranger(stream);
  queued -= stream.waiting();
  loop.cancel(stream.timer);
  loop.cancel(stream.stall);
  if (stream.socket) loop.unwatch(stream.socket.get());
  stream.socket.reset();
  streams.erase(stream.facts.id);
}

void StreamTransport::Impl::fail(Stream& stream, const std::string& why) {
  if (stream.gone) return;
  const auto held = streams.at(stream.facts.id);
  const bool told = !stream.closing && (stream.open || stream.dialled);
  remove(stream);
  if (told) events.on_closed(stream.facts.id, why);
}

void StreamTransport::Impl::fail_later(Stream& stream, std::string why) {
  loop.post([this, id = stream.facts.id, why = std::move(why), here = std::weak_ptr<bool>(alive)] {
    if (here.expired()) return;
    if (auto at = streams.find(id); at != streams.end()) fail(*std::shared_ptr(at->second), why);
  });
}

void StreamTransport::Impl::set_timer(Stream& stream, Duration after) {
  loop.cancel(stream.timer);
  stream.timer = loop.after(after, [this, id = stream.facts.id] { life_over(id); });
}

void StreamTransport::Impl::life_over(StreamId id) {
  auto at = streams.find(id);
  if (at == streams.end()) return;
  const auto stream = at->second;
  stream->timer = 0;
  if (stream->closing) return remove(*stream);
  if (stream->dialled) return fail(*stream, "no answer in time");
  // Who could not be heard because this process was stopped is heard first.
  if (!stream->connecting) read(*stream);
  if (stream->gone || !stream->stranger) return;
  ++counters.expired;
  fail(*stream, "nobody registered on it in time");
}

StreamId StreamTransport::Impl::dial(const Endpoint& where, Context tls, const std::string& expected_name) {
  auto stream = std::make_shared<Stream>();
  const os::SocketAddress address(where);
  stream->facts = {next_id++, {}, where, {}, tls != nullptr, {}};
  stream->dialled = stream->connecting = true;
  if (tls) stream->tls.emplace(std::move(tls), expected_name);
  ++counters.dialled;
  const auto id = stream->facts.id;
  int error = streams.size() >= limits.streams ? EMFILE : 0;
  if (error == 0) {
    stream->socket.reset(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!stream->socket) error = errno;
  }
  if (error == 0 && ::connect(stream->socket.get(), address.get(), address.size()) != 0 && errno != EINPROGRESS)
    error = errno;
  if (error != 0) {
    streams[id] = stream;
    stream->socket.reset();
    fail_later(*stream, system_text(error));
    return id;
  }
  insert(stream);
  set_timer(*stream, limits.dial_time);
  return id;
}

void StreamTransport::Impl::connected(Stream& stream) {
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(stream.socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return fail(stream, system_text(error));
  stream.connecting = false;
  if (auto local = os::local_endpoint(stream.socket.get())) stream.facts.local = *local;
  loop.rewatch(stream.socket.get(), true, false);
  if (!stream.tls) return announce(stream);
  stream.tls->feed({});
  flush_tls(stream);
}

void StreamTransport::Impl::announce(Stream& stream) {
  stream.open = true;
  if (stream.dialled) {
    loop.cancel(stream.timer);
    stream.timer = 0;
  }
  if (stream.tls) stream.facts.subjects = stream.tls->peer_names();
  events.on_open(stream.facts);
}

bool StreamTransport::Impl::admit(StreamId id) {
  auto at = streams.find(id);
  if (at == streams.end() || at->second->closing) return false;
  auto& stream = *at->second;
  if (!stream.stranger) return true;
  no_stranger(stream);
  ++counters.admitted;
  loop.cancel(stream.timer);
  stream.timer = 0;
  return true;
}

void StreamTransport::Impl::close(StreamId id) {
  auto at = streams.find(id);
  if (at == streams.end() || at->second->closing) return;
  const auto stream = at->second;
  stream->closing = true;
  if (!stream->open) return remove(*stream);
  if (stream->tls) {
    stream->tls->close();
    flush_tls(*stream);
  }
  if (stream->gone) return;
  set_timer(*stream, k_farewell);
  farewell(*stream);
}

void StreamTransport::Impl::farewell(Stream& stream) {
  if (stream.gone || stream.shut || stream.waiting() > 0) return;
  stream.shut = true;
  ::shutdown(stream.socket.get(), SHUT_WR);
}

// --- Octets ---

void StreamTransport::Impl::ready(StreamId id, bool readable, bool writable) {
  auto at = streams.find(id);
  if (at == streams.end()) return;
  const auto stream = at->second;
  if (stream->connecting) {
    if (writable || readable) connected(*stream);
    return;
  }
  if (writable) write(*stream);
  if (readable && !stream->gone) read(*stream);
}

void StreamTransport::Impl::read(Stream& stream) {
  const auto got = ::recv(stream.socket.get(), scratch.data(), scratch.size(), 0);
  if (got < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK)) return;
  if (got <= 0) return fail(stream, got == 0 ? "closed by the other side" : system_text(errno));
  if (stream.closing) return;  // only waits for the end
  const auto size = static_cast<std::size_t>(got);
  stream.received += size;
  if (stream.stranger && stream.received > limits.stranger_octets) {
    ++counters.too_much;
    say("too many octets before anybody registered", stream.facts.remote.text());
    return fail(stream, "too many octets before anybody registered");
  }
  if (!stream.tls) return events.on_octets(stream.facts.id, ByteView(scratch).first(size));
  take(stream, ByteView(scratch).first(size));
}

void StreamTransport::Impl::take(Stream& stream, ByteView octets) {
  const bool good = stream.tls->feed(octets);
  const auto plaintext = stream.tls->take_plaintext();
  flush_tls(stream);
  if (stream.gone) return;
  if (!stream.open && stream.tls->handshake_done()) announce(stream);
  if (!stream.gone && !stream.closing && !plaintext.empty()) events.on_octets(stream.facts.id, plaintext);
  if (stream.gone || stream.closing) return;
  if (!good) {
    if (!stream.open && !stream.dialled) {
      ++counters.handshakes;
      say("handshake failed", stream.facts.remote.text() + ": " + stream.tls->error());
    }
    return fail(stream, stream.tls->error());
  }
  if (stream.tls->closed()) fail(stream, "closed by the other side");
}

void StreamTransport::Impl::flush_tls(Stream& stream) {
  const auto octets = stream.tls->take_output();
  if (!octets.empty()) queue(stream, octets);
}

bool StreamTransport::Impl::send(StreamId id, ByteView octets) {
  auto at = streams.find(id);
  if (at == streams.end() || !at->second->open || at->second->closing) return false;
  const auto stream = at->second;
  if (stream->waiting() + octets.size() > queue_limit(*stream) || queued + octets.size() > limits.send_total) {
    ++counters.overflows;
    say("too slow a reader", stream->facts.remote.text());
    fail_later(*stream, "it reads too slowly");
    return false;
  }
  if (!stream->tls) {
    queue(*stream, octets);
  } else {
    if (!stream->tls->write(octets)) return false;
    flush_tls(*stream);
  }
  return true;
}

// Never calls back: a socket that fails says so at its next reading.
void StreamTransport::Impl::queue(Stream& stream, ByteView octets) {
  std::size_t done = 0;
  if (stream.waiting() == 0) {
    const auto put = ::send(stream.socket.get(), octets.data(), octets.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put > 0) done = static_cast<std::size_t>(put);
    if (put < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) return;
    stream.output.clear();
    stream.sent = 0;
  }
  if (done == octets.size()) return;
  const bool idle = stream.waiting() == 0;
  stream.output.insert(stream.output.end(), octets.begin() + static_cast<std::ptrdiff_t>(done), octets.end());
  queued += octets.size() - done;
  if (!idle) return;
  loop.rewatch(stream.socket.get(), true, true);
  arm_stall(stream);
}

void StreamTransport::Impl::write(Stream& stream) {
  while (stream.waiting() > 0) {
    const auto put =
        ::send(stream.socket.get(), stream.output.data() + stream.sent, stream.waiting(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (put < 0) return fail(stream, system_text(errno));
    stream.sent += static_cast<std::size_t>(put);
    queued -= static_cast<std::size_t>(put);
  }
  if (stream.sent > stream.output.size() / 2) {
    stream.output.erase(stream.output.begin(), stream.output.begin() + static_cast<std::ptrdiff_t>(stream.sent));
    stream.sent = 0;
  }
  if (stream.waiting() > 0) return;
  loop.cancel(stream.stall);
  stream.stall = 0;
  loop.rewatch(stream.socket.get(), true, false);
  if (stream.closing) farewell(stream);
}

void StreamTransport::Impl::arm_stall(Stream& stream) {
  loop.cancel(stream.stall);
  stream.stall =
      loop.after(limits.send_stall, [this, id = stream.facts.id, waiting = stream.waiting()] { stalled(id, waiting); });
}

void StreamTransport::Impl::stalled(StreamId id, std::size_t waiting) {
  auto at = streams.find(id);
  if (at == streams.end()) return;
  const auto stream = at->second;
  stream->stall = 0;
  write(*stream);  // this process may have been stopped
  if (stream->gone || stream->waiting() == 0) return;
  if (stream->waiting() < waiting) return arm_stall(*stream);
  ++counters.overflows;
  say("too slow a reader", stream->facts.remote.text());
  fail(*stream, "it reads nothing");
}

// --- The handle ---

StreamTransport::StreamTransport(Loop& loop, StreamLimits limits, StreamEvents& events)
    : impl_(std::make_unique<Impl>(loop, limits, events)) {}
StreamTransport::~StreamTransport() = default;

Result<Endpoint> StreamTransport::listen(const Endpoint& where, Context tls) {
  return impl_->listen(where, std::move(tls));
}
void StreamTransport::set_tls(const Endpoint& listener, Context tls) {
  for (auto& each : impl_->listeners)
    if (each->where == listener) each->tls = tls;
}
StreamId StreamTransport::dial(const Endpoint& where, Context tls, const std::string& expected_name) {
  return impl_->dial(where, std::move(tls), expected_name);
}
bool StreamTransport::send(StreamId id, ByteView octets) {
  return impl_->send(id, octets);
}
bool StreamTransport::admit(StreamId id) {
  return impl_->admit(id);
}
void StreamTransport::close(StreamId id) {
  impl_->close(id);
}
StreamCounters StreamTransport::counters() const {
  auto out = impl_->counters;
  out.open = impl_->streams.size();
  return out;
}

}  // namespace sealcast::io
