#pragma once
// Raw SIP over TCP and TLS for tests: sends text as it is, reads one message after another. Blocking, with timeouts.
// Never a product.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace sealcast::test {

struct SipMessage {
  std::string start;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;

  int status() const { return start.starts_with("SIP/2.0 ") ? std::stoi(start.substr(8, 3)) : 0; }
  std::string method() const { return start.substr(0, start.find(' ')); }
  std::string uri() const {
    auto from = start.find(' ') + 1;
    return start.substr(from, start.find(' ', from) - from);
  }
  // All values of a header, one per line.
  std::vector<std::string> all(const std::string& name) const {
    std::vector<std::string> out;
    for (auto& [key, value] : headers) {
      if (::strcasecmp(key.c_str(), name.c_str()) == 0) out.push_back(value);
    }
    return out;
  }
  std::string header(const std::string& name) const {
    auto values = all(name);
    return values.empty() ? "" : values.front();
  }
};

namespace detail {

inline sockaddr_in address_of(const std::string& text) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  auto colon = text.rfind(':');
  out.sin_port = htons(static_cast<std::uint16_t>(std::stoi(text.substr(colon + 1))));
  ::inet_pton(AF_INET, text.substr(0, colon).c_str(), &out.sin_addr);
  return out;
}

inline std::string local_address(int fd) {
  sockaddr_in name{};
  socklen_t size = sizeof name;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size);
  return "127.0.0.1:" + std::to_string(ntohs(name.sin_port));
}

using ContextPtr = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;

// A certificate only if the directory holds agent.pem.
inline ContextPtr make_context(const std::string& directory, bool verify) {
  ContextPtr out(SSL_CTX_new(TLS_method()), SSL_CTX_free);
  const auto pair = directory + "/agent.pem", trust = directory + "/cafile.pem";
  if (::access(pair.c_str(), R_OK) == 0) {
    if (SSL_CTX_use_certificate_file(out.get(), pair.c_str(), SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_use_PrivateKey_file(out.get(), pair.c_str(), SSL_FILETYPE_PEM) != 1)
      throw std::runtime_error(pair);
  }
  SSL_CTX_load_verify_locations(out.get(), trust.c_str(), nullptr);
  if (verify) SSL_CTX_set_verify(out.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return out;
}

}  // namespace detail

// One connection, either end.
class SipConnection {
 public:
  static SipConnection tcp(const std::string& address) { return SipConnection(connected(address, 0), nullptr, false); }
  // Throws when the handshake fails. `directory`: cafile.pem, and agent.pem for a client certificate.
  // window: octets that the system takes in unread, 0 = as many as it likes.
  static SipConnection tls(const std::string& address, const std::string& directory, int window = 0) {
    auto context = detail::make_context(directory, true);
    return SipConnection(connected(address, window), context.get(), false);
  }
  static SipConnection accepted(int fd, SSL_CTX* context) { return SipConnection(fd, context, true); }

  SipConnection(SipConnection&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)),
        ssl_(std::exchange(other.ssl_, nullptr)),
        buffer_(std::move(other.buffer_)) {}
  SipConnection& operator=(SipConnection&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(ssl_, other.ssl_);
    std::swap(buffer_, other.buffer_);
    return *this;
  }
  ~SipConnection() { close(); }

  void close() {
    if (ssl_) {
      SSL_shutdown(ssl_);
      SSL_free(ssl_);
    }
    if (fd_ >= 0) ::close(fd_);
    ssl_ = nullptr;
    fd_ = -1;
  }
  std::string local() const { return detail::local_address(fd_); }
  const char* transport() const { return ssl_ ? "TLS" : "TCP"; }

  // False: the other end is gone.
  bool send(const std::string& text) {
    for (std::size_t sent = 0; sent < text.size();) {
      auto n = ssl_ ? SSL_write(ssl_, text.data() + sent, static_cast<int>(text.size() - sent))
                    : static_cast<int>(::send(fd_, text.data() + sent, text.size() - sent, MSG_NOSIGNAL));
      if (n <= 0) return false;
      sent += static_cast<std::size_t>(n);
    }
    return true;
  }

  // nullopt: nothing in time, or closed.
  std::optional<SipMessage> receive(std::chrono::milliseconds timeout = std::chrono::seconds(5)) {
    const auto until = std::chrono::steady_clock::now() + timeout;
    for (;;) {
      if (auto message = take()) return message;
      if (!read_some(until)) return std::nullopt;
    }
  }
  bool closed(std::chrono::milliseconds timeout = std::chrono::seconds(5)) {
    const auto until = std::chrono::steady_clock::now() + timeout;
    while (read_some(until)) {
    }
    return std::chrono::steady_clock::now() < until;
  }

 private:
  SipConnection(int fd, SSL_CTX* context, bool server) : fd_(fd) {
    if (!context) return;
    ssl_ = SSL_new(context);
    SSL_set_fd(ssl_, fd_);
    SSL_clear_mode(ssl_, SSL_MODE_AUTO_RETRY);  // a session ticket is no data: back to poll()
    if ((server ? SSL_accept(ssl_) : SSL_connect(ssl_)) != 1) {
      close();
      throw std::runtime_error("TLS handshake failed");
    }
  }

  static int connected(const std::string& address, int window) {
    auto to = detail::address_of(address);
    int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (window > 0) ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof window);
    timeval limit{5, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) {
      ::close(fd);
      throw std::runtime_error("cannot connect to " + address);
    }
    return fd;
  }

  bool read_some(std::chrono::steady_clock::time_point until) {
    char block[4096];
    if (fd_ < 0) return false;
    if (!ssl_ || SSL_pending(ssl_) == 0) {
      auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()).count();
      pollfd wait{fd_, POLLIN, 0};
      if (left <= 0 || ::poll(&wait, 1, static_cast<int>(left)) <= 0) return false;
    }
    auto n = ssl_ ? SSL_read(ssl_, block, sizeof block) : static_cast<int>(::recv(fd_, block, sizeof block, 0));
    if (n <= 0) return ssl_ && SSL_get_error(ssl_, n) == SSL_ERROR_WANT_READ;
    buffer_.append(block, static_cast<std::size_t>(n));
    return true;
  }

  std::optional<SipMessage> take() {
    while (buffer_.starts_with("\r\n")) buffer_.erase(0, 2);
    auto end = buffer_.find("\r\n\r\n");
    if (end == std::string::npos) return std::nullopt;
    SipMessage out;
    std::size_t length = 0, at = buffer_.find("\r\n");
    out.start = buffer_.substr(0, at);
    while (at < end) {
      auto next = buffer_.find("\r\n", at + 2);
      auto line = buffer_.substr(at + 2, next - at - 2);
      auto colon = line.find(':');
      auto value = line.substr(std::min(line.find_first_not_of(' ', colon + 1), line.size()));
      out.headers.emplace_back(line.substr(0, colon), value);
      at = next;
    }
    if (auto text = out.header("Content-Length"); !text.empty()) length = std::stoul(text);
    if (buffer_.size() < end + 4 + length) return std::nullopt;
    out.body = buffer_.substr(end + 4, length);
    buffer_.erase(0, end + 4 + length);
    return out;
  }

  int fd_ = -1;
  SSL* ssl_ = nullptr;
  std::string buffer_;
};

// TLS listener of a service that does not exist.
class SipListener {
 public:
  explicit SipListener(const std::string& directory)
      : context_(detail::make_context(directory, true)), fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    auto any = detail::address_of("127.0.0.1:0");
    if (::bind(fd_, reinterpret_cast<sockaddr*>(&any), sizeof any) != 0 || ::listen(fd_, 8) != 0)
      throw std::runtime_error("cannot listen");
  }
  ~SipListener() { ::close(fd_); }
  SipListener(const SipListener&) = delete;
  SipListener& operator=(const SipListener&) = delete;
  std::string address() const { return detail::local_address(fd_); }
  std::optional<SipConnection> accept(std::chrono::milliseconds timeout = std::chrono::seconds(5)) {
    pollfd wait{fd_, POLLIN, 0};
    if (::poll(&wait, 1, static_cast<int>(timeout.count())) <= 0) return std::nullopt;
    return SipConnection::accepted(::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC), context_.get());
  }

 private:
  detail::ContextPtr context_;
  int fd_;
};

}  // namespace sealcast::test
