#include "io/http.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <numeric>
#include <thread>

#include "io/unix_socket.hpp"
#include "os/clock.hpp"
#include "tests/support/seeded_random.hpp"
#include "tests/support/temporary_directory.hpp"

namespace sealcast::io {
namespace {

namespace fs = std::filesystem;

int connect_to(const fs::path& path) {
  auto address = UnixAddress::of(path);
  int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (!address || ::connect(fd, address->address(), address->size()) != 0) {
    ::close(fd);
    return -1;
  }
  return fd;
}

std::string read_to_end(int fd) {
  std::string out;
  char room[4096];
  for (ssize_t got; (got = ::read(fd, room, sizeof room)) > 0;) out.append(room, static_cast<std::size_t>(got));
  ::close(fd);
  return out;
}

std::size_t times(const std::string& text, std::string_view what) {
  std::size_t out = 0;
  for (auto at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++out;
  return out;
}

struct Http : testing::Test {
  // Counts what the sinks saw.
  struct Sink final : BodySink {
    explicit Sink(Http& t) : test(t) { ++test.sinks; }
    ~Sink() override { --test.sinks; }
    Status write(ByteView piece) override {
      test.largest_piece = std::max(test.largest_piece, piece.size());
      test.streamed += string_of(piece);
      if (test.streamed.size() > test.sink_room) return fail(test.sink_code, "the sink is full");
      return {};
    }
    HttpResponse finish() override { return {201, std::to_string(test.streamed.size()), {{"X-Done", "yes"}}}; }
    Http& test;
  };

  std::unique_ptr<BodySink> stream(const HttpRequest& request, HttpResponse& refusal) {
    seen = request;
    if (request.target == "/refuse") refusal = {409, R"({"error":"not now"})", {}};
    if (request.target != "/stream") return nullptr;
    return std::make_unique<Sink>(*this);
  }
  HttpResponse handle(const HttpRequest& request) {
    ++handled;
    seen = request;
    if (request.target == "/close") server->close();
    if (request.target == "/large") return {200, std::string(3'000'000, 'l'), {}};
    if (request.target == "/none") return {204, {}, {}};
    return {request.target == "/missing" ? 404 : 200, request.method + " " + request.body, {{"X-Test", "1"}}};
  }
  void start(HttpServer::Limits limits = {}) {
    server = std::make_unique<HttpServer>(
        loop,
        HttpServer::Handlers{[this](auto& q, auto& r) { return stream(q, r); }, [this](auto& q) { return handle(q); }},
        limits);
    auto status = server->listen(path);
    ASSERT_TRUE(status) << status.error().message;
  }
  // The client blocks: it has a thread, the loop this one.
  void beside(std::function<void()> client) {
    std::thread thread([&] {
      client();
      loop.post([this] { loop.stop(); });
    });
    loop.run();
    thread.join();
  }
  Result<HttpResponse> call(HttpCall request, Duration timeout = 5s) {
    Result<HttpResponse> out = fail("never");
    beside([&] { out = http_call(path, std::move(request), timeout); });
    return out;
  }
  // Sends the text as it is and reads until the server closes.
  std::string raw(std::string_view text) {
    std::string out;
    beside([&] {
      int fd = connect_to(path);
      EXPECT_GE(fd, 0);
      EXPECT_EQ(::send(fd, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
      out = read_to_end(fd);
    });
    return out;
  }
  HttpCall upload(const char* target, const std::string& body, std::uint64_t length) {
    HttpCall out{"PUT", target, {}, {}, {}, length};
    out.source = [&body, at = std::size_t{0}](MutableByteView into) mutable -> Result<std::size_t> {
      auto size = std::min(into.size(), body.size() - at);
      std::copy_n(body.begin() + static_cast<std::ptrdiff_t>(at), size, into.begin());
      at += size;
      return size;
    };
    return out;
  }

  test::TemporaryDirectory directory;
  fs::path path = directory.path() / "admin.sock";
  Loop loop;
  HttpRequest seen;
  std::string streamed;
  std::size_t largest_piece = 0, sink_room = SIZE_MAX;
  ErrorCode sink_code = ErrorCode::failure;
  int sinks = 0, handled = 0;
  std::unique_ptr<HttpServer> server;
};

TEST_F(Http, RequestAndAnswerGoThrough) {
  start();
  auto answer = call({"POST", "/api/v1/c%20d?x=%201&y", "{\"a\":1}", "bytes 0-6/9", {}, 0});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, "POST {\"a\":1}");
  EXPECT_NE(
      std::find(answer->headers.begin(), answer->headers.end(), std::pair<std::string, std::string>("X-Test", "1")),
      answer->headers.end());
  EXPECT_EQ(seen.target, "/api/v1/c d");
  EXPECT_EQ(seen.query, "x=%201&y");
  EXPECT_EQ(seen.content_range, "bytes 0-6/9");
  EXPECT_EQ(seen.content_length, 7u);
  EXPECT_EQ(call({"GET", "/missing", {}, {}, {}, 0})->status, 404);
  EXPECT_EQ(call({"GET", "/none", {}, {}, {}, 0})->status, 204);
  EXPECT_EQ(call({"GET", "/large", {}, {}, {}, 0})->body.size(), 3'000'000u);
}

TEST_F(Http, HeadHasNoBodyButItsLength) {
  start();
  auto answer = call({"HEAD", "/large", {}, {}, {}, 0});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(seen.method, "HEAD");
  EXPECT_TRUE(answer->body.empty());
  EXPECT_NE(std::find(answer->headers.begin(), answer->headers.end(),
                      std::pair<std::string, std::string>("Content-Length", "3000000")),
            answer->headers.end());
}

TEST_F(Http, SocketIsPrivateAndGoesWithTheServer) {
  start();
  struct stat about {};
  ASSERT_EQ(::stat(path.c_str(), &about), 0);
  EXPECT_TRUE(S_ISSOCK(about.st_mode));
  EXPECT_EQ(about.st_mode & 0777, 0600u);
  server->close();
  EXPECT_FALSE(fs::exists(path));
  EXPECT_TRUE(server->listen(path));
  EXPECT_EQ(call({"GET", "/", {}, {}, {}, 0})->status, 200);
}

TEST_F(Http, AStaleSocketIsReplacedALiveOneAndAFileAreNot) {
  start();
  HttpServer second(loop, {nullptr, [](auto&) { return HttpResponse{}; }});
  auto refused = second.listen(path);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("another process listens on " + path.string()), std::string::npos);
  EXPECT_EQ(call({"GET", "/", {}, {}, {}, 0})->status, 200);  // and was not disturbed
  auto stale = directory.path() / "stale";
  int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  auto address = UnixAddress::of(stale);
  ASSERT_EQ(::bind(fd, address->address(), address->size()), 0);
  ::close(fd);
  EXPECT_TRUE(second.listen(stale));
  std::ofstream(directory.path() / "file") << "x";
  EXPECT_FALSE(second.listen(directory.path() / "file"));
  EXPECT_TRUE(fs::exists(directory.path() / "file"));
  EXPECT_FALSE(second.listen(directory.path() / "missing" / "s"));
}

TEST_F(Http, LongPathsWork) {
  auto deep = directory.path() / std::string(100, 'd');
  fs::create_directory(deep);
  path = deep / "admin.sock";
  start();
  EXPECT_EQ(call({"GET", "/", {}, {}, {}, 0})->status, 200);
  server->close();
  EXPECT_FALSE(fs::exists(path));
}

TEST_F(Http, NobodyListeningIsSaidWithThePath) {
  auto none = http_call(path, {"GET", "/", {}, {}, {}, 0}, 1s);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::network);
  EXPECT_EQ(none.error().message, path.string() + ": nobody listens there (No such file or directory)");
  auto fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  auto address = UnixAddress::of(path);
  ASSERT_EQ(::bind(fd, address->address(), address->size()), 0);
  auto dead = http_call(path, {"GET", "/", {}, {}, {}, 0}, 1s);
  ASSERT_FALSE(dead);
  EXPECT_EQ(dead.error().message, path.string() + ": nobody listens there (Connection refused)");
  ASSERT_EQ(::listen(fd, 1), 0);
  auto silent = http_call(path, {"GET", "/", {}, {}, {}, 0}, 20ms);
  ASSERT_FALSE(silent);
  EXPECT_EQ(silent.error().message, path.string() + ": no answer came for 1 second");
  std::thread closer([&] {
    ::close(::accept(fd, nullptr, nullptr));
    ::close(::accept(fd, nullptr, nullptr));
  });
  auto closed = http_call(path, {"GET", "/", {}, {}, {}, 0}, 5s);
  closer.join();
  ::close(fd);
  ASSERT_FALSE(closed);
  EXPECT_EQ(closed.error().message, path.string() + ": the node closed the connection without an answer");
}

TEST_F(Http, NothingOddGetsIntoTheRequest) {
  for (auto target : {"", "/a b", "/a\r\nX: y", "/\x80"})
    EXPECT_EQ(http_call(path, {"GET", target, {}, {}, {}, 0}, 1s).error().code, ErrorCode::usage);
  EXPECT_EQ(http_call(path, {"GET", "/", {}, "bytes\r\n", {}, 0}, 1s).error().code, ErrorCode::usage);
}

TEST_F(Http, LargeBodiesAreStreamedInPieces) {
  start();
  Bytes octets(20'000'000);
  std::iota(octets.begin(), octets.end(), std::uint8_t{0});
  auto body = string_of(octets);
  int turns = 0;
  loop.on_turn([&] { ++turns; });
  auto answer = call(upload("/stream", body, body.size()));
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 201);
  EXPECT_EQ(answer->body, "20000000");
  EXPECT_TRUE(streamed == body);
  EXPECT_EQ(seen.content_length, body.size());
  EXPECT_LE(largest_piece, 256u << 10);
  EXPECT_GE(turns, 20'000'000 / (256 << 10));
  EXPECT_EQ(sinks, 0);
}

TEST_F(Http, ChunkedBodiesAreStreamedAndCollected) {
  start();
  auto answer =
      raw("PUT /stream HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n6;x=y\r\n "
          "world\r\n0\r\n\r\n");
  EXPECT_EQ(answer.find("HTTP/1.1 201"), 0u) << answer;
  EXPECT_EQ(streamed, "hello world");
  answer =
      raw("POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n");
  EXPECT_NE(answer.find("POST abc"), std::string::npos) << answer;
}

TEST_F(Http, ASinksErrorEndsTheRequestWhileTheClientStillSends) {
  start();
  std::string body(30'000'000, 'b');
  sink_room = 100'000;
  for (auto [code, status] : {std::pair{ErrorCode::disk_full, 507}, {ErrorCode::failure, 500}}) {
    sink_code = code;
    streamed.clear();
    auto answer = call(upload("/stream", body, body.size()));
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->status, status);
    EXPECT_EQ(answer->body, R"({"error":"the sink is full"})");
    EXPECT_EQ(sinks, 0);
  }
}

TEST_F(Http, ARefusalComesBeforeTheBody) {
  start();
  std::string body(30'000'000, 'b');
  auto answer = call(upload("/refuse", body, body.size()));
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 409);
  EXPECT_EQ(answer->body, R"({"error":"not now"})");
  EXPECT_EQ(handled, 0);
  auto large = call(upload("/other", body, body.size()));
  ASSERT_TRUE(large) << large.error().message;
  EXPECT_EQ(large->status, 413);
  EXPECT_EQ(handled, 0);
}

TEST_F(Http, CollectedBodiesHaveALimitWhateverTheirForm) {
  HttpServer::Limits limits;
  limits.body = 10;
  start(limits);
  EXPECT_EQ(call({"POST", "/", "0123456789", {}, {}, 0})->status, 200);
  EXPECT_EQ(call({"POST", "/", "0123456789a", {}, {}, 0})->status, 413);
  auto answer = raw("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n01234567\r\n8\r\n01234567\r\n");
  EXPECT_EQ(answer.find("HTTP/1.1 413"), 0u) << answer;
  EXPECT_NE(answer.find(R"({"error":"the body is larger than 10 octets"})"), std::string::npos) << answer;
}

TEST_F(Http, MalformedRequestsGetASentence) {
  start();
  for (std::string_view text : {"rubbish\r\n\r\n", "GET / HTTP/3.7\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n",
                                "GET nopath HTTP/1.1\r\n\r\n", "GET /%zz HTTP/1.1\r\n\r\n", "GET /%00 HTTP/1.1\r\n\r\n",
                                "POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
                                "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"}) {
    auto answer = raw(text);
    EXPECT_EQ(answer.find("HTTP/1.1 400"), 0u) << text << answer;
    EXPECT_NE(answer.find("{\"error\":\""), std::string::npos) << answer;
  }
  auto answer = raw("GET / HTTP/1.1\r\nX: " + std::string(17000, 'x') + "\r\n\r\n");
  EXPECT_EQ(answer.find("HTTP/1.1 431"), 0u) << answer;
  EXPECT_EQ(handled, 0);
}

TEST_F(Http, OneConnectionCarriesManyRequests) {
  start();
  std::string text;
  for (int i = 0; i < 50; ++i) text += "POST /n HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
  text += "GET /last HTTP/1.1\r\nConnection: close\r\n\r\nGET /never HTTP/1.1\r\n\r\n";
  auto answer = raw(text);
  EXPECT_EQ(times(answer, "HTTP/1.1 200"), 51u);
  EXPECT_EQ(times(answer, "POST abc"), 50u);
  EXPECT_EQ(handled, 51);
  EXPECT_EQ(seen.target, "/last");
  // HTTP/1.0 closes unless told otherwise.
  EXPECT_EQ(raw("GET /old HTTP/1.0\r\n\r\n").find("HTTP/1.0 200"), 0u);
}

TEST_F(Http, ARequestMayComeOctetByOctet) {
  start();
  std::string answer;
  beside([&] {
    int fd = connect_to(path);
    for (char c : std::string(
             "PUT /stream HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\nhello"))
      EXPECT_EQ(::write(fd, &c, 1), 1);
    answer = read_to_end(fd);
  });
  EXPECT_EQ(answer.find("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201"), 0u) << answer;
  EXPECT_EQ(streamed, "hello");
}

TEST_F(Http, ALostConnectionIsToldToTheSink) {
  start();
  beside([&] {
    int fd = connect_to(path);
    std::string_view text = "PUT /stream HTTP/1.1\r\nContent-Length: 500\r\n\r\nhello";
    EXPECT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    ::close(fd);
  });
  for (auto end = os::monotonic_now() + 5s; (streamed.empty() || sinks > 0) && os::monotonic_now() < end;) {
    loop.stop();
    loop.run();  // one turn
  }
  EXPECT_EQ(streamed, "hello");
  EXPECT_EQ(sinks, 0);
}

TEST_F(Http, IdleConnectionsAreClosedAndTooManyRefused) {
  HttpServer::Limits limits;
  limits.connections = 2;
  limits.idle = 40ms;
  start(limits);
  std::string first, third;
  beside([&] {
    int a = connect_to(path), b = connect_to(path), c = connect_to(path);
    third = read_to_end(c);
    first = read_to_end(a);
    read_to_end(b);
    EXPECT_TRUE(http_call(path, {"GET", "/", {}, {}, {}, 0}, 5s));
  });
  EXPECT_EQ(first, "");
  EXPECT_EQ(third.find("HTTP/1.1 429"), 0u) << third;
}

// One octet now and then is not idle; a connection is not held with it for ever.
TEST_F(Http, WhoDripsHasNoMoreTimeThanOthers) {
  HttpServer::Limits limits;
  limits.request = 100ms;
  limits.slowest = 1'000'000;
  start(limits);
  for (std::string_view begin : {"GET / HTTP/1.1\r\nX-Slow: ", "PUT / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n",
                                 "PUT /stream HTTP/1.1\r\nContent-Length: 100000\r\n\r\n"}) {
    std::string answer;
    beside([&] {
      int fd = connect_to(path);
      EXPECT_EQ(::send(fd, begin.data(), begin.size(), MSG_NOSIGNAL), static_cast<ssize_t>(begin.size()));
      while (::send(fd, "x", 1, MSG_NOSIGNAL) == 1) {
        char room[4096];
        const auto got = ::recv(fd, room, sizeof room, MSG_DONTWAIT);
        if (got > 0) answer.append(room, static_cast<std::size_t>(got));
        if (!answer.empty()) break;
        std::this_thread::sleep_for(5ms);
      }
      ::close(fd);
    });
    EXPECT_EQ(answer.find("HTTP/1.1 408"), 0u) << begin << answer;
  }
  EXPECT_TRUE(call({"GET", "/", {}, {}, {}, 0}));
}

TEST_F(Http, WhoReadsDropByDropIsNotWaitedFor) {
  HttpServer::Limits limits;
  limits.request = 100ms;
  limits.slowest = 100'000'000;
  start(limits);
  std::size_t got = 0;
  beside([&] {
    int fd = connect_to(path);
    std::string_view text = "GET /large HTTP/1.1\r\n\r\n";
    EXPECT_EQ(::send(fd, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
    char room[2000];
    for (ssize_t part; (part = ::recv(fd, room, sizeof room, 0)) > 0; got += static_cast<std::size_t>(part))
      std::this_thread::sleep_for(5ms);
    ::close(fd);
  });
  EXPECT_LT(got, 3'000'000u);
  EXPECT_TRUE(call({"GET", "/", {}, {}, {}, 0}));
}

// The time is that of one request, not of a connection.
TEST_F(Http, AConnectionThatIsKeptMayBeOld) {
  HttpServer::Limits limits;
  limits.request = 100ms;
  start(limits);
  std::string answers;
  beside([&] {
    int fd = connect_to(path);
    for (int i = 0; i < 4; ++i) {
      std::string_view text = i < 3 ? "GET / HTTP/1.1\r\n\r\n" : "GET / HTTP/1.1\r\nConnection: close\r\n\r\n";
      EXPECT_EQ(::send(fd, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
      std::this_thread::sleep_for(60ms);
    }
    answers = read_to_end(fd);
  });
  EXPECT_EQ(times(answers, "HTTP/1.1 200"), 4u);
}

TEST_F(Http, AHandlerMayCloseTheServer) {
  start();
  auto answer = call({"GET", "/close", {}, {}, {}, 0});
  EXPECT_FALSE(answer);
  EXPECT_FALSE(fs::exists(path));
}

TEST_F(Http, ASourceThatFailsOrEndsEarlyIsTheClientsError) {
  start();
  std::string body(1000, 'b');
  auto early = call(upload("/stream", body, 2000));
  ASSERT_FALSE(early);
  EXPECT_NE(early.error().message.find("1000 octets before"), std::string::npos);
  HttpCall broken{"PUT",
                  "/stream",
                  {},
                  {},
                  [](MutableByteView) -> Result<std::size_t> { return fail(ErrorCode::integrity, "it changed"); },
                  5};
  EXPECT_EQ(call(std::move(broken)).error().code, ErrorCode::integrity);
}

TEST_F(Http, OtherUsersAreNotServed) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  start();
  fs::permissions(directory.path(), fs::perms(0755));
  fs::permissions(path, fs::perms(0666));  // the credentials are checked all the same
  int status = 0;
  auto child = ::fork();
  if (child == 0) {
    if (::setuid(65534) != 0) ::_exit(9);
    int fd = connect_to(path);
    char octet;
    std::string_view text = "GET / HTTP/1.1\r\n\r\n";
    [[maybe_unused]] auto ignored = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    ::_exit(fd >= 0 && ::read(fd, &octet, 1) <= 0 ? 7 : 8);
  }
  beside([&] { ::waitpid(child, &status, 0); });
  EXPECT_EQ(WEXITSTATUS(status), 7);
  EXPECT_EQ(handled, 0);
}

}  // namespace
}  // namespace sealcast::io
