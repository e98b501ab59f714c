#pragma once
// HTTP/1.1 over a UNIX socket (mode 0600, peer credentials checked: same user or root): the admin API and its client.
#include <filesystem>
#include <functional>
#include <memory>

#include "base/bytes.hpp"
#include "io/loop.hpp"

namespace sealcast::io {

struct HttpRequest {
  std::string method;         // HEAD too: its answer's body is left out, its length is told
  std::string target;         // path only, decoded: "/api/v1/contents/…"
  std::string query;          // as it came
  std::string content_range;  // "bytes a-b/len" or empty
  std::uint64_t content_length = 0;
  std::string body;  // whole body of requests that are not streamed
  std::string who;   // the partner's user and process, as the kernel says
};
struct HttpResponse {
  int status = 200;
  std::string body;  // JSON
  std::vector<std::pair<std::string, std::string>> headers;
};

// Takes a request body in pieces, e.g. an object import.
class BodySink {
 public:
  virtual ~BodySink() = default;
  virtual Status write(
      ByteView piece) = 0;  // at most 256 KiB; an error ends the request with 500 (507: disk full) and its sentence
  virtual HttpResponse finish() = 0;  // body complete
  // Connection lost before the end: destructor only.
};

// Errors of its own (400, 408, 413, 429, 431) are {"error": sentence} too. The handlers may close() the server but not
// destroy it.
class HttpServer {
 public:
  // stream: called first, with the headers; a sink makes the body go there; nullptr: body is collected (<= 1 MiB) for
  // handle.
  struct Handlers {
    std::function<std::unique_ptr<BodySink>(const HttpRequest&, HttpResponse& refusal)>
        stream;  // nullptr and refusal.status >= 400: refuse now
    std::function<HttpResponse(const HttpRequest&)> handle;
  };
  struct Limits {
    std::size_t connections = 64;
    std::size_t body = std::size_t{1} << 20;  // collected for handle
    Duration idle = 30s;                      // without an octet in either direction
    // For a request, from its first octet, and for its answer; on top of that what their octets take at `slowest` a
    // second. Who is slower gets 408.
    Duration request = 30s;
    std::uint64_t slowest = 4096;
  };
  HttpServer(Loop& loop, Handlers handlers);  // both run on the loop's thread
  HttpServer(Loop& loop, Handlers handlers, Limits limits);
  ~HttpServer();
  // In a directory that exists. A socket that is left there is replaced when nobody answers on it.
  Status listen(const std::filesystem::path& socket);
  void close();  // connections too; the socket's file is removed

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Blocking client for short-lived commands. One connection per call.
struct HttpCall {
  std::string method;
  std::string target;  // path and query, encoded
  std::string body;
  std::string content_range;
  // Body from a source instead: called for pieces until it gives 0; content_length says how much there is in all.
  std::function<Result<std::size_t>(MutableByteView)> source;
  std::uint64_t content_length = 0;
};
// timeout: the longest time without progress. Nobody listening, or nobody answering, is ErrorCode::network; any status
// that comes is a result, also one that came before the body was sent. An error of `source` comes back as it is.
Result<HttpResponse> http_call(const std::filesystem::path& socket, HttpCall call, Duration timeout);

}  // namespace sealcast::io
