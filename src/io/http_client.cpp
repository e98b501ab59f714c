#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/beast/http.hpp>
#include <cerrno>
#include <optional>
#include <system_error>
#include <utility>

#include "base/text.hpp"
#include "io/http.hpp"
#include "io/unix_socket.hpp"
#include "os/clock.hpp"

namespace sealcast::io {
namespace {

namespace http = boost::beast::http;
namespace asio = boost::asio;
namespace fs = std::filesystem;
using boost::beast::error_code;
using Parser = http::response_parser<http::string_body>;

constexpr std::size_t k_piece = 256 << 10;
constexpr std::uint64_t k_answer_limit = 64 << 20;

// One call: connects, sends, receives. Every wait is for at most `timeout`.
class Client {
 public:
  Client(const fs::path& socket, HttpCall& call, Duration timeout) : path_(socket), call_(call), timeout_(timeout) {}
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Status connect();
  Status send();
  Result<HttpResponse> receive();

 private:
  tl::unexpected<Error> network(const std::string& what) const {
    return fail(ErrorCode::network, printable(path_.string(), 4096) + ": " + what);
  }
  tl::unexpected<Error> network(int reason) const { return network(std::generic_category().message(reason)); }
  std::string seconds() const;
  Result<short> wait(short events, const char* missing) const;
  std::string head() const;
  Status refill();
  Result<std::size_t> put();
  Result<HttpResponse> parse();

  const fs::path& path_;
  HttpCall& call_;
  Duration timeout_;
  int descriptor_ = -1;
  std::uint64_t left_ = 0;  // of the source
  std::string pending_;
  std::optional<Parser> parser_;
  std::string input_;
  bool at_end_ = false;
};

std::string Client::seconds() const {
  auto whole = std::chrono::ceil<std::chrono::seconds>(timeout_).count();
  return std::to_string(whole) + (whole == 1 ? " second" : " seconds");
}

Result<short> Client::wait(short events, const char* missing) const {
  auto end = os::monotonic_now() + timeout_;
  for (;;) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(end - os::monotonic_now()).count();
    pollfd ready{descriptor_, events, 0};
    int count = ::poll(&ready, 1, static_cast<int>(std::clamp<std::int64_t>(left, 0, 1 << 30)));
    if (count > 0) return ready.revents;
    if (count < 0 && errno != EINTR) return network(errno);
    if (count == 0 && left <= 0) return network(std::string(missing) + " for " + seconds());
  }
}

Status Client::connect() {
  auto address = UnixAddress::of(path_);
  if (!address) return fail(std::move(address).error());
  descriptor_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor_ < 0) return network(errno);
  // A full backlog makes a blocking connect wait; the send timeout bounds that.
  auto whole = std::chrono::floor<std::chrono::seconds>(timeout_);
  timeval limit{whole.count(), std::max<suseconds_t>((timeout_ - whole).count(), 1)};
  ::setsockopt(descriptor_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  int reason;
  do reason = ::connect(descriptor_, address->address(), address->size()) == 0 ? 0 : errno;
  while (reason == EINTR);
  if (reason == EAGAIN) return network("the node took no connection for " + seconds());
  if (reason == ENOENT || reason == ECONNREFUSED)
    return network("nobody listens there (" + std::generic_category().message(reason) + ")");
  if (reason != 0) return network(reason);
  // A socket that another user put there gets no octet of ours; root may talk to everybody's node.
  if (::geteuid() != 0 && !partner_trusted(descriptor_)) return network("the socket belongs to another user");
  ::fcntl(descriptor_, F_SETFL, O_NONBLOCK);
  return {};
}

std::string Client::head() const {
  auto length = call_.source ? call_.content_length : call_.body.size();
  auto out = call_.method + " " + call_.target + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
  if (length > 0 || (call_.method != "GET" && call_.method != "HEAD"))
    out += "Content-Length: " + std::to_string(length) + "\r\n";
  if (!call_.content_range.empty()) out += "Content-Range: " + call_.content_range + "\r\n";
  return out + "\r\n";
}

Status Client::refill() {
  pending_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(left_, k_piece)));
  auto size = call_.source({reinterpret_cast<std::uint8_t*>(pending_.data()), pending_.size()});
  if (!size) return fail(std::move(size).error());
  if (*size == 0) return fail("the source ended " + std::to_string(left_) + " octets before its end");
  pending_.resize(*size);
  left_ -= *size;
  return {};
}

// Until all is sent, or the node answers before: then the rest is of no use.
Status Client::send() {
  pending_ = head();
  if (!call_.source) pending_ += call_.body;
  left_ = call_.source ? call_.content_length : 0;
  for (std::size_t at = 0;;) {
    if (at == pending_.size()) {
      if (left_ == 0) return {};
      SEALCAST_TRY(refill());
      at = 0;
    }
    SEALCAST_TRY_ASSIGN(auto events, wait(POLLIN | POLLOUT, "the node took nothing"));
    if ((events & POLLIN) != 0) return {};
    auto put = ::send(descriptor_, pending_.data() + at, pending_.size() - at, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put >= 0)
      at += static_cast<std::size_t>(put);
    else if (errno == EPIPE || errno == ECONNRESET)
      return {};  // an answer may have come before
    else if (errno != EAGAIN && errno != EINTR)
      return network(errno);
  }
}

Result<HttpResponse> Client::parse() {
  HttpResponse out;
  auto& message = parser_->get();
  out.status = static_cast<int>(message.result_int());
  for (auto& field : message)
    out.headers.emplace_back(std::string(field.name_string().data(), field.name_string().size()),
                             std::string(field.value().data(), field.value().size()));
  out.body = std::move(message.body());
  return out;
}

Result<HttpResponse> Client::receive() {
  Bytes room(k_piece);
  for (;;) {
    if (!parser_) {
      parser_.emplace();
      parser_->eager(true);
      parser_->body_limit(k_answer_limit);
      parser_->skip(call_.method == "HEAD");
    }
    error_code ec;
    if (!input_.empty()) input_.erase(0, parser_->put(asio::const_buffer(input_.data(), input_.size()), ec));
    if (ec == http::error::need_more) ec = {};
    if (!ec && at_end_ && !parser_->got_some()) return network("the node closed the connection without an answer");
    if (!ec && at_end_ && !parser_->is_done()) parser_->put_eof(ec);
    if (ec) return network("the answer is broken (" + ec.message() + ")");
    if (parser_->is_done()) {
      if (parser_->get().result_int() >= 200) return parse();
      parser_.reset();  // 100 Continue and its like
      continue;
    }
    SEALCAST_TRY(wait(POLLIN, "no answer came"));
    auto got = ::recv(descriptor_, room.data(), room.size(), 0);
    if (got > 0)
      input_.append(reinterpret_cast<const char*>(room.data()), static_cast<std::size_t>(got));
    else if (got == 0 || errno == ECONNRESET || errno == EPIPE)
      at_end_ = true;
    else if (errno != EINTR && errno != EAGAIN)
      return network(errno);
  }
}

bool printable_word(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

}  // namespace

Result<HttpResponse> http_call(const fs::path& socket, HttpCall call, Duration timeout) {
  // Nothing that a user typed becomes a header.
  bool clean =
      std::all_of(call.content_range.begin(), call.content_range.end(), [](char c) { return c >= ' ' && c < 0x7f; });
  if (!printable_word(call.method) || !printable_word(call.target) || !clean)
    return fail(ErrorCode::usage, "\"" + printable(call.target) + "\" cannot be asked for");
  Client client(socket, call, timeout);
  SEALCAST_TRY(client.connect());
  SEALCAST_TRY(client.send());
  return client.receive();
}

}  // namespace sealcast::io
