// The UE against foreign answers, and answers that the right holder signed over a spoilt payload or around a spoilt key
// document.
#include "tests/fuzz/documents.hpp"

using namespace sealcast;

namespace {

struct Fixture {
  fuzz::Parties parties;
  fuzz::FixedRandom random;
  keys::PendingRequest pending =
      keys::make_request(parties.description, fuzz::k_alice, {fuzz::k_cache, parties.holder.public_key()}, fuzz::k_now,
                         parties.device, random);
  crypto::Digest apv = crypto::sha256(view_of(pending.jws));
  json::Object keys_document{{"kid", content::key_id(*parties.description.header)},
                             {"k", base64url(parties.content_key.expose())},
                             {"from", 0},
                             {"to", 0}};
  json::Object answer{{"v", 1},
                      {"rid", pending.rid},
                      {"cid", parties.description.content_id},
                      {"root", content::root_text(parties.description.root)},
                      {"st", 200},
                      {"iss", fuzz::k_cache},
                      {"sub", fuzz::k_alice},
                      {"iat", fuzz::k_now},
                      {"exp", fuzz::k_now + 100},
                      {"apv", base64url(apv)}};

  std::string seal(std::string_view plain) {
    return crypto::jwe_encrypt(view_of(plain), pending.ephemeral.public_key(),
                               keys::apu_of(parties.holder.public_key()), apv, random);
  }
  void read(std::string_view body) {
    (void)keys::jws_of_body(body);
    (void)keys::rid_of_answer(body);
    auto out = keys::check_answer(body, pending, parties.description, fuzz::k_alice, fuzz::k_now);
    SEALCAST_ASSERT(!out || out->status != 200 || out->key == parties.content_key);
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Fixture f;
  fuzz::Input in(data, size);
  auto choice = in.u8() % 4;
  if (choice == 0) {
    f.read(in.text(size));
    return 0;
  }
  auto payload = f.answer;
  json::Object document{{"keys", json::Array{choice == 1 ? fuzz::spoil(f.keys_document, in) : f.keys_document}}};
  auto text = json::Value(choice == 2 ? fuzz::spoil(std::move(document), in) : std::move(document)).text();
  payload["jwe"] = f.seal(text);
  if (choice == 3) payload = fuzz::spoil(std::move(payload), in);
  f.read(json::Value(json::Object{{"jws", crypto::jws_sign(payload, "sealcast-krsp+jwt", f.parties.holder)}}).text());
  return 0;
}
