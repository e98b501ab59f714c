#pragma once
// HTTP/1.1 over a UNIX socket (mode 0600, peer credentials checked: same user or root): the admin API and its client.
#include <filesystem>
#include <functional>
#include <memory>

#include "base/bytes.hpp"
#include "io/loop.hpp"

namespace sealcast::io {

struct HttpRequest {
  std::string method;
  std::string target;         // path only, decoded: "/api/v1/contents/…"
  std::string query;
  std::string content_range;  // "bytes a-b/len" or empty
  std::uint64_t content_length = 0;
  std::string body;           // whole body of requests that are not streamed
};
struct HttpResponse {
  int status = 200;
  std::string body;           // JSON
  std::vector<std::pair<std::string, std::string>> headers;
};

// Takes a request body in pieces, e.g. an object import.
class BodySink {
 public:
  virtual ~BodySink() = default;
  virtual Status write(ByteView piece) = 0;  // an error ends the request with 500 and its sentence
  virtual HttpResponse finish() = 0;         // body complete
  // Connection lost before the end: destructor only.
};

class HttpServer {
 public:
  // stream: called first, with the headers; a sink makes the body go there; nullptr: body is collected (<= 1 MiB) for handle.
  struct Handlers {
    std::function<std::unique_ptr<BodySink>(const HttpRequest&, HttpResponse& refusal)> stream;  // nullptr and refusal.status >= 400: refuse now
    std::function<HttpResponse(const HttpRequest&)> handle;
  };
  HttpServer(Loop& loop, Handlers handlers);  // both run on the loop's thread
  ~HttpServer();
  Status listen(const std::filesystem::path& socket);
  void close();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Blocking client for short-lived commands. One connection per call.
struct HttpCall {
  std::string method;
  std::string target;
  std::string body;
  std::string content_range;
  // Body from a source instead: called for pieces until it gives 0; content_length says how much there is in all.
  std::function<Result<std::size_t>(MutableByteView)> source;
  std::uint64_t content_length = 0;
};
Result<HttpResponse> http_call(const std::filesystem::path& socket, HttpCall call, Duration timeout);

}  // namespace sealcast::io
