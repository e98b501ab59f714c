// The key holder against foreign bodies and requests that the enrolled device signed over a spoilt payload. Whoever is
// not entitled gets no key.
#include "keys/service.hpp"
#include "tests/fuzz/documents.hpp"

using namespace sealcast;

namespace {

class Lookup final : public keys::KeyLookup {
 public:
  Lookup(const fuzz::Parties& parties, std::uint8_t state) : parties_(parties), state_(state) {}
  Result<std::optional<keys::KeyRecord>> find(const crypto::Digest& root, const std::string& subscriber) override {
    if (root != parties_.description.root) return std::nullopt;
    keys::KeyRecord out;
    out.description = parties_.description;
    if ((state_ & 1) == 0) out.key = parties_.content_key.duplicate();
    out.not_before = (state_ & 2) != 0 ? fuzz::k_now + 100 : 0;
    out.entitled = subscriber == fuzz::k_alice && (state_ & 4) == 0;
    return out;
  }

 private:
  const fuzz::Parties& parties_;
  std::uint8_t state_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::Parties parties;
  static fuzz::FixedRandom random;
  static const auto pending =
      keys::make_request(parties.description, fuzz::k_alice, {fuzz::k_cache, parties.holder.public_key()}, fuzz::k_now,
                         parties.device, random);
  static const auto good = fuzz::payload_of(pending.jws);
  keys::KeyService service(fuzz::k_cache, parties.holder.duplicate(), random);
  fuzz::Input in(data, size);
  Lookup lookup(parties, in.u8());
  auto thumbprint = parties.device.public_key().thumbprint();
  for (int i = 0; i < 4 && !in.empty(); ++i) {
    auto choice = in.u8();
    auto body = choice % 4 == 0
                    ? in.text(in.u16() % 1024)
                    : json::Value(json::Object{{"jws", crypto::jws_sign(fuzz::spoil(good, in), "sealcast-kreq+jwt",
                                                                        parties.device, true)}})
                          .text();
    if (choice % 4 == 1) body = pending.body;
    auto asserted = (choice & 0x10) != 0 ? std::string("sip:mallory@sealcast.test") : fuzz::k_alice;
    auto decision = service.decide(Instant{}, fuzz::k_now + choice / 64 * 20, asserted,
                                   (choice & 0x20) != 0 ? "" : thumbprint, body, lookup);
    SEALCAST_ASSERT(decision.audit.status != 0 && !decision.audit.reason.empty() && decision.audit.root.size() < 65536);
    if (decision.answer.empty()) continue;
    bool repeated = decision.audit.reason.starts_with(
        "repeated");  // the same request again: the same answer, whoever brought it for her
    // Who has no enrolled key is told so, and nothing else.
    bool told = decision.audit.status == 498;
    SEALCAST_ASSERT(asserted == fuzz::k_alice && ((choice & 0x20) == 0 || repeated || told));
    auto answer = keys::check_answer(decision.answer, pending, parties.description, asserted, fuzz::k_now);
    SEALCAST_ASSERT(!told || !answer || answer->status == 498);
    if (body == pending.body) SEALCAST_ASSERT(answer && (answer->status != 200 || answer->key == parties.content_key));
  }
  return 0;
}
