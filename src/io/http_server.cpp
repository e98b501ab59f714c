#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/beast/http.hpp>
#include <cerrno>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/json.hpp"
#include "base/text.hpp"
#include "io/file.hpp"
#include "io/http.hpp"
#include "io/unix_socket.hpp"
#include "os/clock.hpp"

namespace sealcast::io {
namespace {

namespace http = boost::beast::http;
namespace asio = boost::asio;
namespace fs = std::filesystem;
using boost::beast::error_code;

constexpr std::size_t k_piece = 256 << 10;  // read in one turn of the loop, and given to a sink at once
constexpr std::uint32_t k_header_limit = 16 << 10;
constexpr int k_accepts = 16;        // in one turn
constexpr Duration k_farewell = 2s;  // how long a refused body is read on, so that the answer is not lost by a reset
constexpr Duration k_rest = 100ms;   // no descriptor left: try again then

// A request body that goes on as it comes, without a copy.
struct PieceBody {
  using value_type = std::function<void(ByteView)>;
  struct reader {
    template <bool is_request, class Fields>
    reader(http::header<is_request, Fields>&, value_type& to) : give(to) {}
    void init(const boost::optional<std::uint64_t>&, error_code& ec) { ec = {}; }
    template <class Buffers>
    std::size_t put(const Buffers& buffers, error_code& ec) {
      ec = {};
      std::size_t size = 0;
      for (auto at = asio::buffer_sequence_begin(buffers); at != asio::buffer_sequence_end(buffers); ++at) {
        asio::const_buffer buffer(*at);
        give({static_cast<const std::uint8_t*>(buffer.data()), buffer.size()});
        size += buffer.size();
      }
      return size;
    }
    void finish(error_code& ec) { ec = {}; }
    value_type& give;
  };
};
using Parser = http::request_parser<PieceBody>;

HttpResponse refusal(int status, std::string sentence) {
  return {status, json::Value(json::Object{{"error", std::move(sentence)}}).text(), {}};
}

std::optional<std::string> decode_percent(std::string_view text) {
  std::string out;
  auto digit = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size() || digit(text[i + 1]) < 0 || digit(text[i + 2]) < 0) return std::nullopt;
      c = static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    }
    if (c == '\0') return std::nullopt;
    out += c;
  }
  return out;
}

std::string serialize(const HttpResponse& from, bool head_only, bool keep_alive, unsigned version) {
  http::response<http::string_body> message;
  message.version(version);
  message.result(static_cast<unsigned>(from.status));
  message.set(http::field::content_type, "application/json");
  for (auto& [name, value] : from.headers) message.set(name, value);
  message.keep_alive(keep_alive);
  bool never_a_body = from.status == 204 || from.status == 304;
  if (!never_a_body) message.content_length(from.body.size());
  if (!never_a_body && !head_only) message.body() = from.body;
  std::string out;
  http::response_serializer<http::string_body> serializer(message);
  for (error_code ec; !ec && !serializer.is_done();)
    serializer.next(ec, [&](error_code&, const auto& buffers) {
      std::size_t size = 0;
      for (auto at = asio::buffer_sequence_begin(buffers); at != asio::buffer_sequence_end(buffers); ++at) {
        asio::const_buffer buffer(*at);
        out.append(static_cast<const char*>(buffer.data()), buffer.size());
        size += buffer.size();
      }
      serializer.consume(size);
    });
  return out;
}

HttpResponse refusal(error_code ec) {
  if (ec == http::error::header_limit)
    return refusal(431, "the request's header is larger than " + std::to_string(k_header_limit) + " octets");
  return refusal(400, "this is no HTTP request: " + ec.message());
}

}  // namespace

struct HttpServer::Impl {
  struct Connection;

  Impl(Loop& l, Handlers h, Limits m) : loop(l), handlers(std::move(h)), limits(m), scratch(k_piece) {}
  void accept();
  void adopt(int descriptor);
  void drop(Connection& connection);
  void sweep();
  void later(int id, void (Connection::*task)());
  Status replace_stale(const UnixAddress& address) const;
  Status bind(const UnixAddress& address);
  void close();

  Loop& loop;
  Handlers handlers;
  Limits limits;
  Bytes scratch;  // what was read last, of whatever connection
  fs::path path;
  int listening = -1;
  ino_t inode = 0;
  Loop::TimerId sweeper = 0, rest = 0;
  std::unordered_map<int, std::unique_ptr<Connection>> connections;  // by a number of its own: descriptors come again
  std::vector<std::unique_ptr<Connection>> dropped;                  // one of them may be running
  int next_id = 0;
  // Owners: this, and each posted task weakly, which may run after the server is gone.
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
};

// Reads requests one after another and answers them; while an answer is on its way out nothing is read.
struct HttpServer::Impl::Connection {
  enum class Stage : std::uint8_t { head, body, answer, farewell, closed };

  Connection(Impl& s, int i, int fd) : server(s), id(i), descriptor(fd), active(os::monotonic_now()) { begin(); }
  ~Connection() { ::close(descriptor); }
  void begin();
  void ready(bool readable, bool writable);
  void read();
  void parse_input();
  std::size_t parse(ByteView data);
  void on_head();
  void on_piece(ByteView piece);
  void on_complete();
  void answer(const HttpResponse& response);
  void write();
  void written();
  void give_up();
  bool reading() const { return stage == Stage::head || stage == Stage::body; }
  bool idle(Instant now) const { return now >= active + (stage == Stage::farewell ? k_farewell : server.limits.idle); }
  // A drop at a time keeps a connection from being idle, and no longer.
  bool too_slow(Instant now) const {
    if (begun == Instant{} || stage == Stage::farewell) return false;
    const auto seconds =
        std::chrono::duration<double>(static_cast<double>(moved) / static_cast<double>(server.limits.slowest));
    return now >= begun + server.limits.request + std::chrono::duration_cast<Duration>(seconds);
  }

  Impl& server;
  int id, descriptor;
  Stage stage = Stage::head;
  Instant active;
  Instant begun{};          // of the request or answer under way; none: nothing has come yet
  std::uint64_t moved = 0;  // octets of it
  std::optional<Parser> parser;
  std::string input;  // read and not parsed
  std::string output;
  HttpRequest request;
  std::unique_ptr<BodySink> sink;
  std::optional<HttpResponse> failure;  // of the body
  bool keep_alive = false;
};

void HttpServer::Impl::Connection::begin() {
  stage = Stage::head;
  begun = {};
  moved = 0;
  request = {};
  failure.reset();
  sink.reset();
  parser.emplace();
  parser->header_limit(k_header_limit);
  parser->body_limit(boost::none);  // a sink takes any size, the others are counted in on_piece
  parser->get().body() = [this](ByteView piece) { on_piece(piece); };
}

void HttpServer::Impl::Connection::ready(bool readable, bool writable) {
  if (writable) write();
  if (readable && stage != Stage::closed) read();
}

// One piece a turn: an upload does not keep media datagrams waiting, and the partner feels how fast the sink is.
void HttpServer::Impl::Connection::read() {
  auto& scratch = server.scratch;
  auto got = ::recv(descriptor, scratch.data(), scratch.size(), 0);
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (got <= 0) {
    sink.reset();  // half a request is nobody's; told at once, since who lost the connection tries again
    return server.drop(*this);
  }
  if (stage == Stage::farewell) return;
  active = os::monotonic_now();
  if (begun == Instant{}) begun = active;
  moved += static_cast<std::uint64_t>(got);
  ByteView data(scratch.data(), static_cast<std::size_t>(got));
  if (input.empty()) {
    auto used = parse(data);
    input = string_of(data.subspan(used));
  } else {
    input.append(reinterpret_cast<const char*>(data.data()), data.size());
    parse_input();
  }
}

void HttpServer::Impl::Connection::parse_input() {
  if (!reading() || input.empty()) return;
  if (begun == Instant{}) begun = os::monotonic_now();
  auto data = std::exchange(input, {});
  auto used = parse(view_of(data));
  input = data.substr(used);
}

// Octets used. Goes on until more are needed or there is something to answer.
std::size_t HttpServer::Impl::Connection::parse(ByteView data) {
  std::size_t used = 0;
  while (reading() && used < data.size()) {
    error_code ec;
    used += parser->put(asio::const_buffer(data.data() + used, data.size() - used), ec);
    if (ec == http::error::need_more) break;
    if (ec) failure = refusal(ec);
    if (!ec && stage == Stage::head && parser->is_header_done()) on_head();
    if (stage == Stage::closed) break;
    if (!failure && !parser->is_done()) continue;
    if (failure)
      answer(*failure);
    else
      on_complete();
    break;  // the next request waits for its turn
  }
  return used;
}

void HttpServer::Impl::Connection::on_head() {
  stage = Stage::body;
  auto& head = parser->get();
  auto view = [](auto text) { return std::string_view(text.data(), text.size()); };
  auto target = view(head.target());
  auto mark = target.find('?');
  if (mark != target.npos) request.query = target.substr(mark + 1);
  auto path = decode_percent(target.substr(0, mark));
  request.method = view(head.method_string());
  request.content_range = view(head[http::field::content_range]);
  request.content_length = parser->content_length().value_or(0);
  if (!path || !path->starts_with('/')) {
    failure = refusal(400, "\"" + printable(target) + "\" is no path");
    return;
  }
  request.target = std::move(*path);
  request.who = partner_text(descriptor);
  HttpResponse refused;
  if (server.handlers.stream) sink = server.handlers.stream(request, refused);
  if (stage == Stage::closed) return;
  if (!sink && refused.status >= 400)
    failure = std::move(refused);
  else if (!sink && request.content_length > server.limits.body)
    on_piece({});
  else if (!parser->is_done() && boost::beast::iequals(head[http::field::expect], "100-continue")) {
    output += "HTTP/1.1 100 Continue\r\n\r\n";
    write();
  }
}

void HttpServer::Impl::Connection::on_piece(ByteView piece) {
  if (failure || stage == Stage::closed) return;
  if (!sink) {
    if (std::max<std::uint64_t>(request.content_length, request.body.size() + piece.size()) > server.limits.body)
      failure = refusal(413, "the body is larger than " + std::to_string(server.limits.body) + " octets");
    else
      request.body.append(reinterpret_cast<const char*>(piece.data()), piece.size());
    return;
  }
  for (; !piece.empty() && stage != Stage::closed; piece = piece.subspan(std::min(piece.size(), k_piece))) {
    auto written = sink->write(piece.first(std::min(piece.size(), k_piece)));
    if (written) continue;
    failure = refusal(written.error().code == ErrorCode::disk_full ? 507 : 500, written.error().message);
    return;
  }
}

void HttpServer::Impl::Connection::on_complete() {
  auto response = sink ? sink->finish() : server.handlers.handle(request);
  if (stage != Stage::closed) answer(response);
}

void HttpServer::Impl::Connection::answer(const HttpResponse& response) {
  stage = Stage::answer;
  begun = os::monotonic_now();
  moved = 0;
  sink.reset();
  // A body that is still coming would be read as the next request; and who errs once may have lost the thread.
  keep_alive = !failure && parser->is_done() && parser->keep_alive();
  bool readable_head = parser->is_header_done();
  output += serialize(response, request.method == "HEAD", keep_alive, readable_head ? parser->get().version() : 11);
  write();
}

void HttpServer::Impl::Connection::write() {
  std::size_t done = 0;
  while (done < output.size()) {
    auto put = ::send(descriptor, output.data() + done, output.size() - done, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0 && errno == EAGAIN) break;
    if (put < 0) return server.drop(*this);
    done += static_cast<std::size_t>(put);
  }
  output.erase(0, done);
  if (done > 0) active = os::monotonic_now();
  moved += done;
  if (output.empty() && stage == Stage::answer) written();
  if (stage != Stage::closed) server.loop.rewatch(descriptor, stage != Stage::answer, !output.empty());
}

void HttpServer::Impl::Connection::written() {
  if (keep_alive) {
    begin();
    // The next request may be here already.
    server.later(id, &Connection::parse_input);
  } else if (parser->is_done()) {
    server.drop(*this);
  } else {
    stage = Stage::farewell;
    input.clear();
    ::shutdown(descriptor, SHUT_WR);
  }
}

void HttpServer::Impl::Connection::give_up() {
  if (!reading()) return server.drop(*this);
  failure = refusal(408, "the request takes too long");
  answer(*failure);
}

void HttpServer::Impl::later(int id, void (Connection::*task)()) {
  loop.post([this, id, task, weak = std::weak_ptr(alive)] {
    if (weak.expired()) return;
    auto at = connections.find(id);
    if (at != connections.end()) (at->second.get()->*task)();
  });
}

void HttpServer::Impl::drop(Connection& connection) {
  if (connection.stage == Connection::Stage::closed) return;
  connection.stage = Connection::Stage::closed;
  loop.unwatch(connection.descriptor);
  ::shutdown(connection.descriptor, SHUT_RDWR);
  auto node = connections.extract(connection.id);
  dropped.push_back(std::move(node.mapped()));
  loop.post([this, weak = std::weak_ptr(alive)] {
    if (!weak.expired()) std::exchange(dropped, {}).clear();
  });
}

void HttpServer::Impl::sweep() {
  auto now = os::monotonic_now();
  std::vector<Connection*> idle, slow;
  for (auto& [id, connection] : connections) {
    if (connection->idle(now))
      idle.push_back(connection.get());
    else if (connection->too_slow(now))
      slow.push_back(connection.get());
  }
  for (auto* connection : slow) connection->give_up();
  for (auto* connection : idle) drop(*connection);
  const auto pause = std::min({limits.idle / 4, limits.request / 4, Duration(500ms)});
  sweeper = connections.empty() ? 0 : loop.after(pause, [this] { sweep(); });
}

void HttpServer::Impl::accept() {
  for (int i = 0; i < k_accepts; ++i) {
    int descriptor = ::accept4(listening, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor >= 0) {
      adopt(descriptor);
      continue;
    }
    int reason = errno;
    if (reason == EMFILE || reason == ENFILE || reason == ENOBUFS || reason == ENOMEM) {
      loop.rewatch(listening, false, false);
      rest = loop.after(k_rest, [this] { loop.rewatch(listening, true, false); });
    }
    if (reason != EINTR && reason != ECONNABORTED) return;
  }
}

void HttpServer::Impl::adopt(int descriptor) {
  if (!partner_trusted(descriptor)) {
    ::close(descriptor);
    return;
  }
  if (connections.size() >= limits.connections) {
    auto text = serialize(refusal(429, "there are " + std::to_string(limits.connections) + " connections already"),
                          false, false, 11);
    [[maybe_unused]] auto ignored = ::send(descriptor, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    ::close(descriptor);
    return;
  }
  auto id = next_id++;
  auto& connection = connections[id];
  connection = std::make_unique<Connection>(*this, id, descriptor);
  auto* it = connection.get();
  loop.watch(descriptor, true, false, [it](bool readable, bool writable) { it->ready(readable, writable); });
  if (sweeper == 0) sweep();
}

// A socket that a process left when it was killed stands in the way of the next one.
Status HttpServer::Impl::replace_stale(const UnixAddress& address) const {
  struct stat about {};
  if (::lstat(path.c_str(), &about) != 0) return {};  // bind says what else is wrong
  if (!S_ISSOCK(about.st_mode))
    return fail(ErrorCode::usage,
                "cannot listen on " + printable(path.string(), 4096) + ": it is a file and no socket");
  int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int reason = ::connect(probe, address.address(), address.size()) == 0 ? 0 : errno;
  ::close(probe);
  if (reason == 0 || reason == EAGAIN)
    return fail(ErrorCode::failure, "another process listens on " + printable(path.string(), 4096));
  if (reason != ECONNREFUSED) return fail(system_error("cannot listen on", path, reason));
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail(system_error("cannot remove", path, errno));
  return {};
}

Status HttpServer::Impl::bind(const UnixAddress& address) {
  listening = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  // The mode of a socket before bind is that of its file after it: there is no moment in which others may connect.
  if (listening < 0 || ::fchmod(listening, 0600) != 0 || ::bind(listening, address.address(), address.size()) != 0)
    return fail(system_error("cannot listen on", path, errno));
  struct stat about {};
  if (::lstat(path.c_str(), &about) == 0) inode = about.st_ino;
  if (::listen(listening, SOMAXCONN) != 0) return fail(system_error("cannot listen on", path, errno));
  return {};
}

void HttpServer::Impl::close() {
  while (!connections.empty()) drop(*connections.begin()->second);
  loop.cancel(std::exchange(sweeper, 0));
  loop.cancel(std::exchange(rest, 0));
  if (listening < 0) return;
  loop.unwatch(listening);
  ::close(std::exchange(listening, -1));
  struct stat about {};
  // Unless another server has taken its place.
  if (inode != 0 && ::lstat(path.c_str(), &about) == 0 && about.st_ino == inode) ::unlink(path.c_str());
  inode = 0;
}

HttpServer::HttpServer(Loop& loop, Handlers handlers) : HttpServer(loop, std::move(handlers), Limits{}) {}
HttpServer::HttpServer(Loop& loop, Handlers handlers, Limits limits)
    : impl_(std::make_unique<Impl>(loop, std::move(handlers), limits)) {}
HttpServer::~HttpServer() {
  impl_->close();
}
void HttpServer::close() {
  impl_->close();
}

Status HttpServer::listen(const fs::path& socket) {
  auto& i = *impl_;
  i.close();
  i.path = socket;
  SEALCAST_TRY_ASSIGN(auto address, UnixAddress::of(socket));
  SEALCAST_TRY(i.replace_stale(address));
  auto bound = i.bind(address);
  if (!bound) {
    if (i.listening >= 0) ::close(std::exchange(i.listening, -1));
    if (std::exchange(i.inode, 0) != 0) ::unlink(i.path.c_str());
    return bound;
  }
  i.loop.watch(i.listening, true, false, [&i](bool, bool) { i.accept(); });
  return {};
}

}  // namespace sealcast::io
