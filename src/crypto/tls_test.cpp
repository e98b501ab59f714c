#include "crypto/tls.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>

#include "crypto/certificate.hpp"
#include "tests/support/seeded_random.hpp"

namespace sealcast::crypto {
namespace {

using Settings = TlsSettings;
using ::testing::Contains;
using ::testing::HasSubstr;

struct Pki {
  Pki() {
    test::SeededRandom random(5);
    const UnixSeconds now = std::time(nullptr);
    ca = *make_ca({"Test CA", {}, now - 7200, now + 3600}, random);
    other_ca = *make_ca({"Another CA", {}, now - 7200, now + 3600}, random);
    core = pem({"core.sealcast.test",
                {"DNS:core.sealcast.test", "DNS:127.0.0.1", "URI:sip:sealcast.test"},
                now - 3600,
                now + 3600},
               ca, random);
    tracker = pem({"tracker", {"DNS:tracker.sealcast.test", "IP:192.0.2.7"}, now - 3600, now + 3600}, ca, random);
    expired = pem({"core", {"DNS:core.sealcast.test"}, now - 3600, now - 60}, ca, random);
    stranger = pem({"tracker", {"DNS:tracker.sealcast.test"}, now - 3600, now + 3600}, other_ca, random);
  }
  static std::string pem(const CertificateRequest& request, const Certificate& issuer, RandomSource& random) {
    const auto issued = issue(request, issuer, random);
    return issued->certificate_pem + issued->key_pem;
  }
  Certificate ca, other_ca;
  std::string core, tracker, expired, stranger;
};

const Pki& pki() {
  static const Pki instance;
  return instance;
}

std::shared_ptr<const TlsContext> context(Settings::Side side, Settings::Verify verify, const std::string& own,
                                          const std::string& trust) {
  auto made = TlsContext::make({side, verify, own, trust});
  EXPECT_TRUE(made) << made.error().message;
  return made ? *made : nullptr;
}
std::shared_ptr<const TlsContext> server(Settings::Verify verify = Settings::Verify::none,
                                         const std::string& own = pki().core) {
  return context(Settings::Side::server, verify, own, pki().ca.certificate_pem);
}
std::shared_ptr<const TlsContext> client(const std::string& own = {}) {
  return context(Settings::Side::client, Settings::Verify::required, own, pki().ca.certificate_pem);
}

// A client and a server with a wire of `piece` octets at a time.
struct Pair {
  Pair(std::shared_ptr<const TlsContext> of_server, std::shared_ptr<const TlsContext> of_client,
       std::string name = "core.sealcast.test", std::size_t piece_size = 4096)
      : left(std::move(of_client), std::move(name)), right(std::move(of_server)), piece(piece_size) {
    left.feed({});
    settle();
  }
  void settle() {
    for (bool moved = true; moved;) moved = carry(left, right) | carry(right, left);
  }
  bool carry(TlsSession& from, TlsSession& to) const {
    const auto octets = from.take_output();
    for (std::size_t at = 0; at < octets.size(); at += piece)
      to.feed(ByteView(octets).subspan(at, std::min(piece, octets.size() - at)));
    return !octets.empty();
  }
  bool both_done() const { return left.handshake_done() && right.handshake_done(); }
  TlsSession left, right;
  std::size_t piece;
};

TEST(Tls, CarriesOctetsBothWaysInPiecesOfAnySize) {
  for (std::size_t piece : {1, 7, 4096}) {
    Pair pair(server(), client(), "core.sealcast.test", piece);
    ASSERT_TRUE(pair.both_done()) << pair.left.error() << pair.right.error();
    const std::string large(100'000, 'x');
    EXPECT_TRUE(pair.left.write(view_of("hello")));
    EXPECT_TRUE(pair.right.write(view_of(large)));
    pair.settle();
    EXPECT_EQ(string_of(pair.right.take_plaintext()), "hello");
    EXPECT_EQ(string_of(pair.left.take_plaintext()), large);
    EXPECT_TRUE(pair.right.take_plaintext().empty());
  }
}

TEST(Tls, NothingIsWrittenBeforeTheHandshake) {
  TlsSession session(client(), "core.sealcast.test");
  EXPECT_FALSE(session.write(view_of("early")));
  EXPECT_TRUE(session.error().empty());
}

TEST(Tls, NamesAreThoseOfAVerifiedCertificate) {
  Pair pair(server(Settings::Verify::required), client(pki().tracker));
  ASSERT_TRUE(pair.both_done());
  EXPECT_THAT(pair.right.peer_names(), ::testing::ElementsAre("tracker.sealcast.test", "192.0.2.7", "tracker"));
  EXPECT_THAT(pair.left.peer_names(), Contains("sealcast.test"));
  EXPECT_TRUE(has_name(pair.right.peer_names(), "TRACKER.sealcast.test"));
  EXPECT_FALSE(has_name(pair.right.peer_names(), "tracker.sealcast"));
  Pair unasked(server(), client(pki().tracker));
  ASSERT_TRUE(unasked.both_done());
  EXPECT_TRUE(unasked.right.peer_names().empty());
}

TEST(Tls, AServerThatWantsACertificateTakesNoneOfAnotherCaAndNoMissingOne) {
  Pair missing(server(Settings::Verify::required), client());
  EXPECT_FALSE(missing.right.handshake_done());
  EXPECT_FALSE(missing.right.error().empty());
  EXPECT_THAT(missing.left.error(), HasSubstr("certificate"));  // by the alert
  Pair foreign(server(Settings::Verify::required), client(pki().stranger));
  EXPECT_FALSE(foreign.right.handshake_done());
  EXPECT_EQ(foreign.right.error(), "the certificate is not signed by the CA that is trusted");
}

TEST(Tls, AClientSaysWhatIsWrongWithTheServersCertificate) {
  Pair name(server(), client(), "another.sealcast.test");
  EXPECT_EQ(name.left.error(), "the certificate is not for the name another.sealcast.test");
  EXPECT_FALSE(name.left.handshake_done());
  EXPECT_FALSE(name.left.write(view_of("secret")));
  Pair expired(server(Settings::Verify::none, pki().expired), client());
  EXPECT_EQ(expired.left.error(), "the certificate has expired");
  Pair foreign(server(Settings::Verify::none, pki().stranger), client(), "tracker.sealcast.test");
  EXPECT_EQ(foreign.left.error(), "the certificate is not signed by the CA that is trusted");
}

TEST(Tls, AnAddressCountsAsAName) {
  Pair pair(server(), client(), "127.0.0.1");
  EXPECT_TRUE(pair.both_done()) << pair.left.error();
}

TEST(Tls, GarbageFailsWithASentenceAndStaysFailed) {
  TlsSession session(server());
  EXPECT_FALSE(session.feed(view_of("OPTIONS sip:x SIP/2.0\r\n\r\n")));
  EXPECT_THAT(session.error(), HasSubstr("TLS: "));
  EXPECT_FALSE(session.feed({}));
  EXPECT_FALSE(session.handshake_done());
}

TEST(Tls, AGoodbyeIsHeardAndNothingAfterIt) {
  Pair pair(server(), client());
  pair.left.write(view_of("last"));
  pair.left.close();
  pair.settle();
  EXPECT_TRUE(pair.right.closed());
  EXPECT_EQ(string_of(pair.right.take_plaintext()), "last");
  EXPECT_TRUE(pair.right.error().empty());
  EXPECT_TRUE(pair.right.feed(view_of("more")));
  EXPECT_TRUE(pair.right.take_plaintext().empty());
}

TEST(Tls, AChangedOctetEndsTheConnection) {
  Pair pair(server(), client());
  pair.left.write(view_of("hello"));
  auto octets = pair.left.take_output();
  octets.back() ^= 1;
  EXPECT_FALSE(pair.right.feed(octets));
  EXPECT_TRUE(pair.right.take_plaintext().empty());
}

TEST(Tls, AContextSaysWhichOfItsFilesIsWrong) {
  auto no_key = TlsContext::make({Settings::Side::server, Settings::Verify::none, pki().ca.certificate_pem, {}});
  ASSERT_FALSE(no_key);
  EXPECT_EQ(no_key.error().side, "own");
  EXPECT_THAT(no_key.error().message, HasSubstr("no private key"));
  auto nothing = TlsContext::make({Settings::Side::server, Settings::Verify::none, {}, {}});
  ASSERT_FALSE(nothing);
  EXPECT_THAT(nothing.error().message, HasSubstr("no certificate"));
  auto no_trust = TlsContext::make({Settings::Side::client, Settings::Verify::required, {}, "garbage"});
  ASSERT_FALSE(no_trust);
  EXPECT_EQ(no_trust.error().side, "trust");
}

// The old context's sessions go on, the new one's show the new certificate.
TEST(Tls, SessionsOutliveTheirContext) {
  auto before = server();
  Pair old(before, client());
  before = nullptr;
  Pair renewed(server(Settings::Verify::none, pki().tracker), client(), "tracker.sealcast.test");
  EXPECT_TRUE(renewed.both_done());
  old.left.write(view_of("still here"));
  old.settle();
  EXPECT_EQ(string_of(old.right.take_plaintext()), "still here");
}

}  // namespace
}  // namespace sealcast::crypto
