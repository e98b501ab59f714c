// Registrar: digest, bindings, device keys; and the parts of the core that need no socket.
#include <thread>

#include "crypto/ec.hpp"
#include "keys/request.hpp"
#include "sip/core/brake.hpp"
#include "sip/core/digest.hpp"
#include "sip/core/token.hpp"
#include "tests/support/core_fixture.hpp"

namespace sealcast::sip {
namespace {

using namespace std::chrono_literals;
using test::CoreTest;

// RFC 7616 section 3.9.1.
TEST(Digest, computes_the_examples_of_the_rfc) {
  for (auto [algorithm, expected] :
       {std::pair{DigestAlgorithm::md5, "8ca523f5e9506fed4657c9700eebdbec"},
        std::pair{DigestAlgorithm::sha256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"}}) {
    auto ha1 = digest_ha1(algorithm, "Mufasa", "http-auth@example.org", "Circle of Life");
    EXPECT_EQ(digest_response(algorithm, {ha1, "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", "00000001",
                                          "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", "GET", "/dir/index.html"}),
              expected);
  }
  EXPECT_EQ(parse_digest_algorithm(""), DigestAlgorithm::md5);
  EXPECT_EQ(parse_digest_algorithm("sha-256"), DigestAlgorithm::sha256);
  EXPECT_FALSE(parse_digest_algorithm("SHA-512-256"));
}

struct DigestServerTest : testing::Test {
  test::SeededRandom random{1};
  DigestServer server{"r", random};
  std::string ha1 = digest_ha1(DigestAlgorithm::sha256, "u", "r", "p");

  DigestCredentials answer(const std::string& challenge, const std::string& nc, const std::string& key) {
    auto nonce = test::quoted_parameter(challenge, "nonce");
    return {"u",
            "r",
            nonce,
            "sip:r",
            digest_response(DigestAlgorithm::sha256, {key, nonce, nc, "c", "REGISTER", "sip:r"}),
            "c",
            nc,
            "auth",
            "SHA-256"};
  }
};

Instant at(int seconds) {
  return Instant{} + std::chrono::seconds(seconds);
}

TEST_F(DigestServerTest, accepts_a_nonce_while_its_count_grows) {
  auto challenge = server.challenge(1, at(100), false);
  EXPECT_EQ(server.check(answer(challenge, "00000001", ha1), "REGISTER", ha1, 1, at(101)), DigestVerdict::good);
  EXPECT_EQ(server.check(answer(challenge, "00000002", ha1), "REGISTER", ha1, 1, at(102)), DigestVerdict::good);
  EXPECT_EQ(server.check(answer(challenge, "00000002", ha1), "REGISTER", ha1, 1, at(103)), DigestVerdict::stale);
  EXPECT_EQ(server.check(answer(challenge, "00000001", ha1), "REGISTER", ha1, 1, at(103)), DigestVerdict::stale);
  EXPECT_EQ(server.check(answer(challenge, "00000003", ha1), "REGISTER", ha1, 1, at(500)), DigestVerdict::stale);
}

TEST_F(DigestServerTest, takes_a_nonce_on_its_own_connection_only_and_forgets_it_with_that) {
  auto challenge = server.challenge(1, at(100), false);
  EXPECT_EQ(server.check(answer(challenge, "00000001", ha1), "REGISTER", ha1, 2, at(101)), DigestVerdict::stale);
  EXPECT_EQ(server.check(answer(challenge, "00000001", ha1), "REGISTER", ha1, 1, at(101)), DigestVerdict::good);
  EXPECT_EQ(server.connections(), 1u);
  server.forget(1);
  EXPECT_EQ(server.connections(), 0u);
}

// The table of used nonces was one for all: 200,000 registrations of one subscriber made everybody's answers stale.
TEST_F(DigestServerTest, nobody_uses_up_the_nonces_of_others) {
  auto mine = server.challenge(1, at(100), false);
  for (int i = 0; i < 2000; ++i)
    server.check(answer(server.challenge(2, at(100), false), "00000001", ha1), "REGISTER", ha1, 2, at(100));
  EXPECT_EQ(server.check(answer(mine, "00000001", ha1), "REGISTER", ha1, 1, at(101)), DigestVerdict::good);
  auto old = server.challenge(2, at(100), false);
  EXPECT_EQ(server.check(answer(old, "00000001", ha1), "REGISTER", ha1, 2, at(101)), DigestVerdict::good);
  for (int i = 0; i < 8; ++i)
    server.check(answer(server.challenge(2, at(100), false), "00000001", ha1), "REGISTER", ha1, 2, at(100));
  EXPECT_EQ(server.check(answer(old, "00000001", ha1), "REGISTER", ha1, 2, at(101)), DigestVerdict::stale)
      << "what is not remembered any more is no way to replay it";
}

TEST_F(DigestServerTest, refuses_wrong_passwords_foreign_nonces_and_other_algorithms) {
  auto challenge = server.challenge(1, at(100), false);
  const auto check = [&](const DigestCredentials& given, const char* method, const std::optional<std::string>& known) {
    return server.check(given, method, known, 1, at(101));
  };
  auto wrong = digest_ha1(DigestAlgorithm::sha256, "u", "r", "q");
  EXPECT_EQ(check(answer(challenge, "00000001", wrong), "REGISTER", ha1), DigestVerdict::wrong);
  EXPECT_EQ(check(answer(challenge, "00000001", ha1), "REGISTER", std::nullopt), DigestVerdict::wrong);
  EXPECT_EQ(check(answer(challenge, "00000001", ha1), "INVITE", ha1), DigestVerdict::wrong);
  auto foreign = answer("nonce=\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"", "00000001", ha1);
  EXPECT_EQ(check(foreign, "REGISTER", ha1), DigestVerdict::stale);
  auto md5 = answer(challenge, "00000001", ha1);
  md5.algorithm = "";
  EXPECT_EQ(check(md5, "REGISTER", ha1), DigestVerdict::wrong);
  auto no_qop = answer(challenge, "00000001", ha1);
  no_qop.qop = "";
  EXPECT_EQ(check(no_qop, "REGISTER", ha1), DigestVerdict::wrong);
}

TEST(GuessingBrake, slows_down_after_ten_failures_and_lets_go_after_a_minute) {
  GuessingBrake brake;
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(brake.may_try("alice", "10.0.0.1", at(100)));
    EXPECT_EQ(brake.failed("alice", "10.0.0.1", at(100)), Duration::zero());
  }
  EXPECT_GT(brake.failed("alice", "10.0.0.1", at(100)), Duration::zero());
  EXPECT_TRUE(brake.may_try("alice", "10.0.0.1", at(100))) << "the right password is never refused for one wrong one";
  EXPECT_GT(brake.failed("alice", "10.0.0.1", at(100)), Duration::zero());
  EXPECT_FALSE(brake.may_try("alice", "10.0.0.1", at(101))) << "two wait for their answer";
  EXPECT_TRUE(brake.may_try("alice", "10.0.0.2", at(101)));
  EXPECT_TRUE(brake.may_try("bob", "10.0.0.1", at(101)));
  EXPECT_TRUE(brake.may_try("alice", "10.0.0.1", at(104)));
  EXPECT_EQ(brake.failed("alice", "10.0.0.1", at(161)), Duration::zero());
}

TEST(GuessingBrake, is_not_cleared_by_invented_names) {
  GuessingBrake brake;
  for (int i = 0; i < 12; ++i) brake.failed("alice", "10.0.0.1", at(100));
  for (int i = 0; i < 60'000; ++i) brake.failed("n" + std::to_string(i), "10.0.0.9", at(101));
  EXPECT_FALSE(brake.may_try("alice", "10.0.0.1", at(102)));
  EXPECT_FALSE(brake.may_try("fresh", "10.0.0.9", at(102))) << "who invents names is slow altogether";
  EXPECT_TRUE(brake.may_try("bob", "10.0.0.2", at(102)));
}

TEST(DialogTokens, open_what_they_sealed_and_nothing_else) {
  test::SeededRandom random(1);
  DialogTokens tokens(random);
  Party alice{Party::Kind::subscriber, "alice", 7}, tracker{Party::Kind::service, "tracker", 0};
  auto token = tokens.seal(alice, tracker);
  auto ends = tokens.open(token);
  ASSERT_TRUE(ends);
  EXPECT_EQ(ends->first.name, "alice");
  EXPECT_EQ(ends->first.binding, 7u);
  EXPECT_EQ(ends->second.name, "tracker");
  EXPECT_EQ(ends->second.kind, Party::Kind::service);
  EXPECT_NE(token, tokens.seal(alice, tracker)) << "two dialogs of one caller must not look alike";
  EXPECT_EQ(token.size(), tokens.seal({Party::Kind::subscriber, "al", 1}, tracker).size());
  token[20] = token[20] == 'A' ? 'B' : 'A';
  EXPECT_FALSE(tokens.open(token));
  EXPECT_FALSE(tokens.open("x"));
  EXPECT_FALSE(tokens.open(std::string(5000, 'A')));
}

TEST_F(CoreTest, registers_with_the_right_password) {
  auto alice = ue("alice");
  auto answer = alice.register_now();
  ASSERT_EQ(answer.status(), 200) << answer.start;
  EXPECT_NE(alice.challenge.find("algorithm=SHA-256"), std::string::npos);
  EXPECT_EQ(answer.header("P-Associated-URI"), "<sip:alice@sealcast.test>");
  EXPECT_EQ(answer.header("Service-Route"), "<sip:orig@" + core_->ue_address() + ";transport=tls;lr>");
  EXPECT_NE(answer.header("Contact").find("<" + alice.contact() + ">;expires=600"), std::string::npos)
      << answer.header("Contact");
  EXPECT_EQ(core_->counters().registrations, 1u);
  EXPECT_EQ(core_->counters().challenges, 1u);
  EXPECT_EQ(core_->counters().bindings, 1u);
}

TEST_F(CoreTest, refuses_a_wrong_password_and_an_unknown_user_alike) {
  auto alice = ue("alice"), nobody = ue("nobody");
  auto wrong = alice.register_with("guess"), unknown = nobody.register_with("guess");
  EXPECT_EQ(wrong.status(), 403);
  EXPECT_EQ(wrong.start, unknown.start);
  EXPECT_EQ(core_->counters().bindings, 0u);
}

TEST_F(CoreTest, slows_guessing_down_and_never_locks_the_owner_out) {
  auto owner = registered("alice"), guesser = ue("alice");
  for (int i = 0; i < 10; ++i) EXPECT_EQ(guesser.register_with("guess").status(), 403);
  EXPECT_EQ(guesser.ask(guesser.registration({})).status(), 401);
  for (int i = 0; i < 4; ++i) {
    auto other = ue("alice");
    auto first = other.ask(other.registration({}));
    const auto guess = test::authorization(first.header("WWW-Authenticate"), "alice@sealcast.test", "guess");
    other.connection.send(other.request(other.registration({guess})));
    auto answer = other.connection.receive(100ms);
    if (i < 2)
      EXPECT_FALSE(answer) << "the answer waits";
    else
      EXPECT_EQ(answer.value_or(test::SipMessage{}).status(), 503);
  }
  auto again =
      owner.registration({test::authorization(owner.challenge, "alice@sealcast.test", "secret-alice", "00000002")});
  EXPECT_EQ(owner.ask(again).status(), 200) << "over his registered connection no brake holds";
}

TEST_F(CoreTest, takes_the_right_password_after_twelve_wrong_ones) {
  for (int i = 0; i < 12; ++i) {
    auto guesser = ue("alice");
    auto first = guesser.ask(guesser.registration({}));
    guesser.connection.send(guesser.request(
        guesser.registration({test::authorization(first.header("WWW-Authenticate"), "alice@sealcast.test", "guess")})));
    guesser.connection.receive(i < 10 ? 5000ms : 3500ms);
  }
  EXPECT_EQ(ue("alice").register_now().status(), 200);
}

TEST_F(CoreTest, takes_user_names_with_and_without_the_domain) {
  auto alice = ue("alice");
  auto first = alice.ask(alice.registration({}));
  EXPECT_EQ(
      alice.ask(alice.registration({test::authorization(first.header("WWW-Authenticate"), "alice", "secret-alice")}))
          .status(),
      200);
  auto bob = ue("bob");
  first = bob.ask(bob.registration({}));
  EXPECT_EQ(bob.ask(bob.registration({test::authorization(first.header("WWW-Authenticate"), "bob", "secret-alice")}))
                .status(),
            403);
}

TEST_F(CoreTest, says_503_while_the_directory_does_not_answer) {
  auto alice = registered("alice"), bob = ue("bob");
  subscribers_.break_down(true);
  auto refused = bob.register_now();
  EXPECT_EQ(refused.status(), 503) << refused.start;
  EXPECT_NE(refused.header("Retry-After"), "");
  auto asked = alice.ask({"MESSAGE", "sip:tracker@sealcast.test", {}, {}, {}, "text/plain", "x"});
  EXPECT_EQ(asked.status(), 503) << asked.start;
  subscribers_.break_down(false);
  EXPECT_EQ(bob.register_now().status(), 200);
}

TEST_F(CoreTest, challenges_again_when_an_answer_is_replayed) {
  auto alice = registered("alice");
  auto credentials = test::authorization(alice.challenge, "alice@sealcast.test", "secret-alice");
  auto thief = ue("alice");
  auto replayed = thief.ask(thief.registration({credentials}));
  EXPECT_EQ(replayed.status(), 401);
  EXPECT_NE(replayed.header("WWW-Authenticate").find("stale=true"), std::string::npos);
  auto next = alice.ask(
      alice.registration({test::authorization(alice.challenge, "alice@sealcast.test", "secret-alice", "00000002")}));
  EXPECT_EQ(next.status(), 200);
}

TEST_F(CoreTest, refuses_to_register_the_identity_of_another) {
  auto alice = ue("alice");
  auto first = alice.ask(alice.registration({}));
  auto parts = alice.registration(
      {test::authorization(first.header("WWW-Authenticate"), "alice@sealcast.test", "secret-alice")});
  parts.to = "<sip:bob@sealcast.test>";
  EXPECT_EQ(alice.ask(parts).status(), 403);
}

TEST_F(CoreTest, says_the_shortest_registration_it_takes) {
  auto alice = ue("alice");
  auto answer = alice.register_with("secret-alice", 5);
  EXPECT_EQ(answer.status(), 423);
  EXPECT_EQ(answer.header("Min-Expires"), "30");
  EXPECT_NE(alice.register_with("secret-alice", 100000).header("Contact").find("expires=3600"), std::string::npos);
}

TEST_F(CoreTest, forgets_bindings_that_expire_are_removed_or_lose_their_connection) {
  CoreConfig config;
  config.min_expires = 1;
  start_core(config);
  auto alice = ue("alice"), bob = ue("bob");
  EXPECT_EQ(alice.register_with("secret-alice", 1).status(), 200);
  EXPECT_EQ(bob.register_with("secret-bob", 600).status(), 200);
  {
    auto carol = ue("carol");
    EXPECT_EQ(carol.register_now().status(), 200);
    EXPECT_EQ(core_->counters().bindings, 3u);
  }
  auto removed =
      bob.ask(bob.registration({test::authorization(bob.challenge, "bob@sealcast.test", "secret-bob", "00000002")}, 0));
  EXPECT_EQ(removed.status(), 200);
  EXPECT_EQ(removed.header("Contact"), "");
  for (int i = 0; i < 40 && core_->counters().bindings > 0; ++i) std::this_thread::sleep_for(100ms);
  EXPECT_EQ(core_->counters().bindings, 0u);
  EXPECT_EQ(alice.ask({"MESSAGE", "sip:bob@sealcast.test", {}, {}, {}, "text/plain", "hello"}).status(), 403)
      << "its own registration is over";
}

TEST_F(CoreTest, keeps_sixteen_bindings_and_displaces_none_that_lives) {
  std::vector<test::TestUe> devices;
  for (int i = 0; i < 16; ++i) {
    devices.push_back(ue("alice"));
    auto last = devices.back().register_now();
    ASSERT_EQ(last.status(), 200) << last.start;
    EXPECT_TRUE(last.header("Contact").starts_with("<" + devices.back().contact())) << "newest first";
  }
  auto newcomer = ue("alice");
  auto refused = newcomer.register_now();
  EXPECT_EQ(refused.status(), 503);
  EXPECT_NE(refused.start.find("16 registrations"), std::string::npos) << refused.start;
  EXPECT_NE(refused.header("Retry-After"), "");
  EXPECT_EQ(core_->counters().bindings, 16u);
  EXPECT_EQ(ue("bob").register_now().status(), 200) << "of another subscriber";
  devices.pop_back();  // a dead one gives way
  for (int i = 0; i < 100 && core_->counters().bindings > 15; ++i) std::this_thread::sleep_for(50ms);
  EXPECT_EQ(newcomer.register_now().status(), 200);
}

TEST_F(CoreTest, forgets_a_subscriber_who_is_removed) {
  auto alice = registered("alice"), bob = registered("bob");
  subscribers_.remove("alice");
  EXPECT_TRUE(alice.connection.closed(5s));
  EXPECT_EQ(bob.ask({"MESSAGE", "sip:alice@sealcast.test", {}, {}, {}, "text/plain", "x"}).status(), 404);
  EXPECT_EQ(ue("alice").register_now().status(), 403);
  EXPECT_EQ(core_->counters().bindings, 1u);
}

struct EnrolmentTest : CoreTest {
  test::SeededRandom random{3};
  std::string proof(const crypto::PrivateKey& key, const std::string& subscriber, UnixSeconds at = std::time(nullptr)) {
    return "P2PCDS-Device-Key: " + keys::make_enrolment(subscriber, at, key);
  }
};

TEST_F(EnrolmentTest, keeps_the_first_device_key_and_refuses_a_second) {
  auto key = crypto::PrivateKey::generate(random), other = crypto::PrivateKey::generate(random);
  auto alice = ue("alice");
  EXPECT_EQ(alice.register_with("secret-alice", 600, {proof(key, alice.impu())}).status(), 200);
  EXPECT_EQ(subscribers_.device("alice"), key.public_key().thumbprint());
  auto thief = ue("alice");
  auto refused = thief.register_with("secret-alice", 600, {proof(other, alice.impu())});
  EXPECT_EQ(refused.status(), 403);
  EXPECT_NE(refused.start.find("another device key is enrolled"), std::string::npos);
  EXPECT_EQ(alice.register_with("secret-alice", 600, {proof(key, alice.impu(), std::time(nullptr) - 4000)}).status(),
            200)
      << "an old proof of the same key is true still";
  EXPECT_EQ(thief.register_with("secret-alice", 600, {proof(other, alice.impu(), std::time(nullptr) - 4000)}).status(),
            403);
}

TEST_F(EnrolmentTest, refuses_a_proof_for_another_subscriber_and_asks_for_the_password_first) {
  auto key = crypto::PrivateKey::generate(random);
  auto bob = ue("bob");
  EXPECT_EQ(bob.register_with("secret-bob", 600, {proof(key, "sip:alice@sealcast.test")}).status(), 403);
  EXPECT_EQ(bob.register_with("guess", 600, {proof(key, bob.impu())}).status(), 403);
  EXPECT_EQ(subscribers_.device("bob"), "");
}

TEST_F(CoreTest, says_which_file_or_address_is_wrong) {
  CoreConfig config;
  config.domain = test::k_domain;
  config.ue_listen = config.service_listen = "127.0.0.1:0";
  config.tls_directory = directory("ue");
  auto no_certificate = Core(config, subscribers_).start();
  ASSERT_FALSE(no_certificate);
  EXPECT_NE(no_certificate.error().message.find("agent.pem"), std::string::npos);
  config.tls_directory = directory("core");
  config.ue_listen = core_->ue_address();
  auto taken = Core(config, subscribers_).start();
  ASSERT_FALSE(taken);
  EXPECT_NE(taken.error().message.find(core_->ue_address()), std::string::npos) << taken.error().message;
}

}  // namespace
}  // namespace sealcast::sip
