#include "io/stream_transport.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ctime>
#include <fstream>
#include <map>

#include "crypto/certificate.hpp"
#include "io/tls_files.hpp"
#include "os/clock.hpp"
#include "os/descriptor.hpp"
#include "os/socket_address.hpp"
#include "tests/support/seeded_random.hpp"
#include "tests/support/temporary_directory.hpp"

namespace sealcast::io {
namespace {

using Side = crypto::TlsSettings::Side;
using Verify = crypto::TlsSettings::Verify;
using ::testing::HasSubstr;

const Endpoint k_any{IpAddress::v4(127, 0, 0, 1), 0};

// What happened, and hooks. Also the loop, with a bound so that no test hangs.
struct Fixture : StreamEvents {
  explicit Fixture(StreamLimits limits = {}) : transport(std::make_unique<StreamTransport>(loop, limits, *this)) {}
  void on_open(const StreamFacts& facts) override {
    opened.push_back(facts);
    if (when_open) when_open(facts);
  }
  void on_octets(StreamId id, ByteView octets) override {
    received[id] += string_of(octets);
    if (when_octets) when_octets(id);
  }
  void on_closed(StreamId id, const std::string& why) override { closed[id] = why; }

  // Runs until `done`; false: it never was.
  bool run_until(const std::function<bool()>& done, Duration most = 20s) {
    const auto end = os::monotonic_now() + most;
    bool is_done = done();
    while (!is_done && os::monotonic_now() < end) {
      const auto tick = loop.after(1ms, [this] { loop.stop(); });
      loop.run();
      loop.cancel(tick);
      is_done = done();
    }
    return is_done;
  }
  void run_for(Duration time) {
    run_until([] { return false; }, time);
  }
  Endpoint listen(StreamTransport::Context tls = nullptr) {
    auto where = transport->listen(k_any, std::move(tls));
    EXPECT_TRUE(where) << where.error().message;
    return where.value_or(Endpoint{});
  }

  Loop loop;
  std::unique_ptr<StreamTransport> transport;
  std::vector<StreamFacts> opened;
  std::map<StreamId, std::string> received, closed;
  std::function<void(const StreamFacts&)> when_open;
  std::function<void(StreamId)> when_octets;
};

// A plain socket of somebody else.
struct Client {
  explicit Client(const Endpoint& where) : socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const os::SocketAddress address(where);
    EXPECT_EQ(::connect(socket.get(), address.get(), address.size()), 0);
  }
  void write(const std::string& octets) const {
    EXPECT_EQ(::send(socket.get(), octets.data(), octets.size(), MSG_NOSIGNAL), static_cast<ssize_t>(octets.size()));
  }
  bool ended() const {
    char octet;
    const auto got = ::recv(socket.get(), &octet, 1, MSG_DONTWAIT | MSG_PEEK);
    return got == 0 || (got < 0 && errno != EAGAIN);
  }
  std::string read() const {
    char piece[4096];
    const auto got = ::recv(socket.get(), piece, sizeof piece, MSG_DONTWAIT);
    return got > 0 ? std::string(piece, static_cast<std::size_t>(got)) : std::string();
  }
  os::Descriptor socket;
};

StreamLimits short_lived() {
  StreamLimits limits;
  limits.stranger_life = 100ms;
  return limits;
}

TEST(StreamTransport, CarriesOctetsBothWays) {
  Fixture f;
  Client client(f.listen());
  client.write("hello");
  ASSERT_TRUE(f.run_until([&] { return !f.received.empty(); }));
  EXPECT_EQ(f.opened.at(0).listener.port, f.opened.at(0).local.port);
  EXPECT_FALSE(f.opened.at(0).tls);
  const auto id = f.opened.at(0).id;
  EXPECT_EQ(f.received[id], "hello");
  EXPECT_TRUE(f.transport->send(id, std::string_view("good day")));
  EXPECT_TRUE(f.run_until([&] { return client.read() == "good day"; }));
  client.socket.reset();
  EXPECT_TRUE(f.run_until([&] { return f.closed.contains(id); }));
  EXPECT_EQ(f.closed[id], "closed by the other side");
  EXPECT_FALSE(f.transport->send(id, std::string_view("more")));
  EXPECT_EQ(f.transport->counters().open, 0U);
}

TEST(StreamTransport, SilentStrangersLiveForATimeAndTheAdmittedForGood) {
  EXPECT_EQ(StreamLimits{}.stranger_life, 30s);
  Fixture f(short_lived());
  const auto where = f.listen();
  Client silent(where), known(where);
  ASSERT_TRUE(f.run_until([&] { return f.opened.size() == 2; }));
  const auto id = f.opened[1].id;
  ASSERT_TRUE(f.transport->admit(id));
  ASSERT_TRUE(f.run_until([&] { return f.closed.contains(f.opened[0].id); }));
  EXPECT_TRUE(f.run_until([&] { return silent.ended(); }));
  f.run_for(150ms);
  EXPECT_FALSE(f.closed.contains(id));
  EXPECT_EQ(f.transport->counters().expired, 1U);
  EXPECT_EQ(f.transport->counters().strangers, 0U);
}

TEST(StreamTransport, StrangersSendSoMuchAndTheAdmittedMore) {
  EXPECT_EQ(StreamLimits{}.stranger_octets, 64U << 10);
  Fixture f;
  const auto where = f.listen();
  Client stranger(where), known(where);
  ASSERT_TRUE(f.run_until([&] { return f.opened.size() == 2; }));
  f.transport->admit(f.opened[1].id);
  stranger.write(std::string((64 << 10) + 1, 'x'));
  known.write(std::string(100'000, 'x'));
  ASSERT_TRUE(f.run_until([&] { return f.received[f.opened[1].id].size() == 100'000; }));
  ASSERT_TRUE(f.run_until([&] { return f.closed.contains(f.opened[0].id); }));
  EXPECT_LE(f.received[f.opened[0].id].size(), 64U << 10);
  EXPECT_EQ(f.transport->counters().too_much, 1U);
}

TEST(StreamTransport, TheOldestStrangerOfAnAddressMakesRoomAndNobodyElse) {
  StreamLimits limits;
  limits.strangers_per_address = 4;
  Fixture f(limits);
  const auto where = f.listen();
  std::vector<std::unique_ptr<Client>> clients;
  clients.push_back(std::make_unique<Client>(where));
  ASSERT_TRUE(f.run_until([&] { return f.opened.size() == 1; }));
  f.transport->admit(f.opened[0].id);
  for (int i = 0; i < 20; ++i) clients.push_back(std::make_unique<Client>(where));
  ASSERT_TRUE(f.run_until([&] { return f.opened.size() == 21; }));
  EXPECT_EQ(f.transport->counters().strangers, 4U);
  EXPECT_EQ(f.transport->counters().displaced, 16U);
  EXPECT_FALSE(f.closed.contains(f.opened[0].id));
  for (std::size_t i = 17; i < 21; ++i) EXPECT_FALSE(f.closed.contains(f.opened[i].id)) << i;
}

TEST(StreamTransport, WhenAllAreTooManyTheAddressWithMostGivesWay) {
  StreamLimits limits;
  limits.strangers = 8;
  limits.strangers_per_address = 8;
  Fixture f(limits);
  const auto where = f.transport->listen({IpAddress::v4(0, 0, 0, 0), 0}, nullptr);
  ASSERT_TRUE(where);
  Client alone({IpAddress::v4(127, 0, 0, 2), where->port});  // comes from 127.0.0.1, too; see below
  const auto from = [&](std::uint8_t last) {
    os::Descriptor socket(::socket(AF_INET, SOCK_STREAM, 0));
    const os::SocketAddress source({IpAddress::v4(127, 0, 0, last), 0});
    EXPECT_EQ(::bind(socket.get(), source.get(), source.size()), 0);
    const os::SocketAddress target({IpAddress::v4(127, 0, 0, 1), where->port});
    EXPECT_EQ(::connect(socket.get(), target.get(), target.size()), 0);
    return socket;
  };
  std::vector<os::Descriptor> sockets;
  sockets.push_back(from(9));
  ASSERT_TRUE(f.run_until([&] { return f.opened.size() == 2; }));
  for (int i = 0; i < 30; ++i) sockets.push_back(from(3));
  ASSERT_TRUE(f.run_until([&] { return f.opened.size() == 32; }));
  for (const auto& facts : f.opened) {
    if (facts.remote.address.octets[3] == 9) {
      EXPECT_FALSE(f.closed.contains(facts.id));
    }
  }
  EXPECT_LE(f.transport->counters().strangers, 8U);
}

TEST(StreamTransport, TheAdmittedAreNeverDisplaced) {
  StreamLimits limits;
  limits.streams = 4;
  Fixture f(limits);
  f.when_open = [&](const StreamFacts& facts) { f.transport->admit(facts.id); };
  const auto where = f.listen();
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 8; ++i) clients.push_back(std::make_unique<Client>(where));
  ASSERT_TRUE(f.run_until([&] { return f.transport->counters().refused == 4; }));
  EXPECT_EQ(f.opened.size(), 4U);
  EXPECT_TRUE(f.closed.empty());
  EXPECT_TRUE(f.run_until([&] { return clients.back()->ended(); }));
}

TEST(StreamTransport, WithoutDescriptorsAcceptingRestsAndGoesOn) {
  Fixture f;
  const auto where = f.listen();
  f.run_for(2ms);  // UndefinedBehaviorSanitizer needs a descriptor where it sees a call for the first time
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  std::vector<os::Descriptor> all;
  Client first(where), second(where);  // in the backlog
  const os::Descriptor probe(::dup(0));
  rlimit low = before;
  low.rlim_cur = static_cast<rlim_t>(probe.get());
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  int turns = 0;
  f.loop.on_turn([&] { ++turns; });
  f.run_until([&] { return f.transport->counters().rests >= 2; });
  EXPECT_TRUE(f.opened.empty());
  const auto rests = f.transport->counters().rests;
  EXPECT_GE(rests, 2U);
  ::setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_TRUE(f.run_until([&] { return f.opened.size() == 2; }));
  EXPECT_LE(f.transport->counters().rests, rests + 1);
}

TEST(StreamTransport, ASlowReaderIsClosedWhenItsQueueIsFull) {
  StreamLimits limits;
  limits.send_queue = 1 << 20;
  Fixture f(limits);
  Client client(f.listen());
  ASSERT_TRUE(f.run_until([&] { return f.opened.size() == 1; }));
  const auto id = f.opened[0].id;
  f.transport->admit(id);
  const std::string piece(64 << 10, 'x');
  std::size_t queued = 0;
  while (f.transport->send(id, piece) && queued < (64U << 20)) queued += piece.size();
  EXPECT_LT(queued, 32U << 20);         // the kernel's buffers and ours
  EXPECT_FALSE(f.closed.contains(id));  // never from within the call
  EXPECT_TRUE(f.run_until([&] { return f.closed.contains(id); }));
  EXPECT_EQ(f.closed[id], "it reads too slowly");
  EXPECT_EQ(f.transport->counters().overflows, 1U);
}

TEST(StreamTransport, AReaderThatTakesNothingIsGone) {
  StreamLimits limits;
  limits.send_stall = 100ms;
  limits.send_queue = 32 << 20;
  Fixture f(limits);
  Client client(f.listen());
  ASSERT_TRUE(f.run_until([&] { return f.opened.size() == 1; }));
  const auto id = f.opened[0].id;
  f.transport->admit(id);
  ASSERT_TRUE(f.transport->send(id, std::string(16 << 20, 'x')));
  EXPECT_TRUE(f.run_until([&] { return f.closed.contains(id); }));
}

TEST(StreamTransport, WhatIsQueuedGoesOutBeforeAClose) {
  Fixture f;
  f.when_octets = [&](StreamId id) {
    f.transport->send(id, std::string_view("refused"));
    f.transport->close(id);
    EXPECT_FALSE(f.transport->send(id, std::string_view("more")));
  };
  Client client(f.listen());
  client.write(std::string(10'000, 'x'));
  std::string got;
  EXPECT_TRUE(f.run_until([&] {
    got += client.read();
    return got == "refused";
  }));
  client.write("unread octets do not reset the connection");
  client.socket.reset();
  EXPECT_TRUE(f.run_until([&] { return f.transport->counters().open == 0; }));
  EXPECT_TRUE(f.closed.empty());
}

// --- TLS and dialling ---

struct Files {
  Files() {
    test::SeededRandom random(7);
    const UnixSeconds now = std::time(nullptr);
    const auto ca = *crypto::make_ca({"Test CA", {}, now - 60, now + 3600}, random);
    for (std::string name : {"core", "tracker"}) {
      const auto issued = *crypto::issue({name, {"DNS:" + name + ".sealcast.test"}, now - 60, now + 3600}, ca, random);
      std::filesystem::create_directories(directory.path() / name);
      std::ofstream(directory.path() / name / "agent.pem") << issued.certificate_pem << issued.key_pem;
      std::ofstream(directory.path() / name / "cafile.pem") << ca.certificate_pem;
    }
    std::filesystem::create_directories(directory.path() / "ue");
    std::ofstream(directory.path() / "ue" / "cafile.pem") << ca.certificate_pem;
  }
  StreamTransport::Context context(const char* name, Side side, Verify verify) const {
    auto made = tls_context_of(directory.path() / name, side, verify);
    EXPECT_TRUE(made) << made.error().message;
    return made.value_or(nullptr);
  }
  test::TemporaryDirectory directory;
};

TEST(StreamTransport, DialsOverTlsAndBothKnowEachOther) {
  const Files files;
  Fixture f;
  const auto where = f.listen(files.context("core", Side::server, Verify::required));
  const auto id =
      f.transport->dial(where, files.context("tracker", Side::client, Verify::required), "core.sealcast.test");
  EXPECT_FALSE(f.transport->send(id, std::string_view("early")));
  ASSERT_TRUE(f.run_until([&] { return f.opened.size() == 2; }));
  for (const auto& facts : f.opened)
    EXPECT_TRUE(crypto::has_name(facts.subjects, facts.id == id ? "core.sealcast.test" : "tracker.sealcast.test"));
  const std::string large(300'000, 'x');
  EXPECT_TRUE(f.transport->send(id, large));
  const auto other = f.opened[0].id == id ? f.opened[1].id : f.opened[0].id;
  f.transport->admit(other);
  EXPECT_TRUE(f.run_until([&] { return f.received[other] == large; }));
  f.transport->close(id);
  EXPECT_TRUE(f.run_until([&] { return f.closed.contains(other); }));
  EXPECT_EQ(f.closed[other], "closed by the other side");
  EXPECT_FALSE(f.closed.contains(id));
}

TEST(StreamTransport, AFailedDialSaysWhy) {
  const Files files;
  Fixture f;
  const auto where = f.listen(files.context("core", Side::server, Verify::none));
  const auto wrong = f.transport->dial(where, files.context("ue", Side::client, Verify::required), "other.test");
  os::Descriptor unused(::socket(AF_INET, SOCK_STREAM, 0));
  const os::SocketAddress any(k_any);
  ASSERT_EQ(::bind(unused.get(), any.get(), any.size()), 0);
  const auto nobody = f.transport->dial(*os::local_endpoint(unused.get()), nullptr, {});
  EXPECT_TRUE(f.closed.empty());
  ASSERT_TRUE(f.run_until([&] { return f.closed.contains(wrong) && f.closed.contains(nobody); }));
  EXPECT_EQ(f.closed[wrong], "the certificate is not for the name other.test");
  EXPECT_EQ(f.closed[nobody], "Connection refused");
}

TEST(StreamTransport, ADialThatNobodyAnswersEnds) {
  const Files files;
  StreamLimits limits;
  limits.dial_time = 100ms;
  Fixture f(limits);
  const auto where = f.listen();  // speaks no TLS
  const auto id = f.transport->dial(where, files.context("ue", Side::client, Verify::required), "core.sealcast.test");
  EXPECT_TRUE(f.run_until([&] { return f.closed.contains(id); }));
  EXPECT_EQ(f.closed[id], "no answer in time");
}

TEST(StreamTransport, UnfinishedHandshakesAreStrangers) {
  const Files files;
  Fixture f(short_lived());
  Client client(f.listen(files.context("core", Side::server, Verify::none)));
  client.write(std::string("\x16\x03\x01\x02", 4));
  EXPECT_TRUE(f.run_until([&] { return client.ended(); }));
  EXPECT_TRUE(f.opened.empty());
  EXPECT_TRUE(f.closed.empty());  // nobody heard of it before
}

TEST(StreamTransport, RenewedCertificatesAreForNewConnections) {
  const Files files;
  Fixture f;
  const auto where = f.listen(files.context("core", Side::server, Verify::none));
  const auto trust = files.context("ue", Side::client, Verify::required);
  const auto first = f.transport->dial(where, trust, "core.sealcast.test");
  ASSERT_TRUE(f.run_until([&] { return f.opened.size() == 2; }));
  f.transport->set_tls(where, files.context("tracker", Side::server, Verify::none));
  f.transport->dial(where, trust, "tracker.sealcast.test");
  ASSERT_TRUE(f.run_until([&] { return f.opened.size() == 4; }));
  EXPECT_TRUE(f.transport->send(first, std::string_view("still here")));
}

TEST(StreamTransport, ATakenPortIsNamed) {
  Fixture f;
  const auto where = f.listen();
  const auto again = f.transport->listen(where, nullptr);
  ASSERT_FALSE(again);
  EXPECT_THAT(again.error().message, HasSubstr("cannot listen on " + where.text()));
}

TEST(TlsFiles, AFailureNamesTheFile) {
  const Files files;
  const auto none = tls_context_of(files.directory.path() / "nowhere", Side::client, Verify::required);
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("cafile.pem"));
  std::ofstream(files.directory.path() / "core" / "agent.pem") << "garbage";
  const auto garbage = tls_context_of(files.directory.path() / "core", Side::server, Verify::none);
  ASSERT_FALSE(garbage);
  EXPECT_THAT(garbage.error().message, HasSubstr("agent.pem holds no certificate that can be read"));
}

}  // namespace
}  // namespace sealcast::io
