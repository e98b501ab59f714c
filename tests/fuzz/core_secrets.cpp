// What the embedded core hands out and gets back from anybody: digest nonces with their answers, and dialog tokens.
#include "sip/core/digest.hpp"
#include "sip/core/token.hpp"
#include "sip/digest.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace sealcast;

namespace {

const std::string k_realm = "sealcast.test",
                  k_ha1 = sip::digest_ha1(sip::DigestAlgorithm::sha256, "alice", k_realm, "secret");

void digest(fuzz::Input& in) {
  fuzz::FixedRandom random;
  sip::DigestServer server(k_realm, random);
  const Instant now{std::chrono::seconds(1000)};
  auto challenge = server.challenge(7, now, in.flag());
  auto from = challenge.find("nonce=\"") + 7;
  sip::DigestCredentials good{"alice",    k_realm, challenge.substr(from, challenge.find('"', from) - from),
                              "sip:a",    "",      "c",
                              "00000001", "auth",  "SHA-256"};
  good.response = sip::digest_response(sip::DigestAlgorithm::sha256,
                                       {k_ha1, good.nonce, good.nc, good.cnonce, "REGISTER", good.uri});
  auto changed = good;
  std::string* members[] = {&changed.realm,  &changed.nonce, &changed.uri, &changed.response,
                            &changed.cnonce, &changed.nc,    &changed.qop, &changed.algorithm};
  auto& member = *members[in.u8() % std::size(members)];
  member = in.flag() ? in.text(in.u8()) : string_of(fuzz::damage(view_of(member), in));
  (void)sip::parse_digest_algorithm(changed.algorithm);
  bool wrong = changed.response != good.response || changed.nonce != good.nonce || changed.cnonce != good.cnonce ||
               changed.nc != good.nc;
  SEALCAST_ASSERT(!wrong || server.check(changed, "REGISTER", k_ha1, 7, now) != sip::DigestVerdict::good);
  SEALCAST_ASSERT(server.check(good, "REGISTER", std::nullopt, 7, now) == sip::DigestVerdict::wrong);
  SEALCAST_ASSERT(server.check(good, "REGISTER", k_ha1, 8, now) == sip::DigestVerdict::stale);
  SEALCAST_ASSERT(server.check(good, "REGISTER", k_ha1, 7, now) == sip::DigestVerdict::good);
  SEALCAST_ASSERT(server.check(good, "REGISTER", k_ha1, 7, now) == sip::DigestVerdict::stale);
}

void token(fuzz::Input& in) {
  fuzz::FixedRandom random;
  sip::DialogTokens tokens(random);
  sip::Party caller{sip::Party::Kind::subscriber, in.text(in.u8() % 33), in.u64()},
      callee{sip::Party::Kind::service, in.text(in.u8() % 33), 0};
  auto sealed = tokens.seal(caller, callee);
  auto opened = tokens.open(sealed);
  SEALCAST_ASSERT(opened && opened->first.name == caller.name && opened->first.binding == caller.binding &&
                  opened->second.name == callee.name);
  auto changed = string_of(fuzz::damage(view_of(sealed), in));
  SEALCAST_ASSERT(changed == sealed || !tokens.open(changed));
  SEALCAST_ASSERT(!tokens.open(string_of(in.rest())));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input in(data, size);
  in.u8() % 2 == 0 ? digest(in) : token(in);
  return 0;
}
