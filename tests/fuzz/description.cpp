// Descriptions: foreign documents, and payloads that a provider on the trust list signed. What is accepted can be used
// and signed again.
#include "content/description.hpp"

#include "tests/fuzz/documents.hpp"

using namespace sealcast;

namespace {

const fuzz::Parties& parties() {
  static const fuzz::Parties all;
  return all;
}

json::Object clear_payload() {
  auto d = parties().description;
  d.protection = content::Protection::session;
  d.plain_length = d.length = 12345;
  d.name = "film.mp4";
  d.type = "video/mp4";
  d.title = "Film";
  return fuzz::payload_of(content::sign_description(d, parties().provider));
}

void read(std::string_view jws) {
  // Whatever its validity: what is good now was good when it was issued.
  auto kept =
      content::verify_kept_description(jws, {parties().key_service.public_key(), parties().provider.public_key()});
  auto d = content::verify_description(jws, {parties().key_service.public_key(), parties().provider.public_key()},
                                       fuzz::k_now);
  if (!d) {
    SEALCAST_ASSERT(d.error().code == ErrorCode::integrity && !d.error().message.empty());
    return;
  }
  SEALCAST_ASSERT(kept && kept->root == d->root);
  SEALCAST_ASSERT(content::parse_protection(content::name(d->protection)) == d->protection);
  auto geometry = content::Geometry::make(d->length, d->chunk_size);
  SEALCAST_ASSERT(geometry && geometry->chunks() > 0 && geometry->size_of(geometry->chunks() - 1) > 0);
  SEALCAST_ASSERT(content::is_sealed(d->protection) == d->header.has_value() &&
                  d->header.has_value() == d->key_service.has_value());
  if (d->header) (void)content::open_metadata(d->metadata, *d->header, parties().content_key, d->root);
  auto again = content::verify_description(content::sign_description(*d, parties().provider),
                                           {parties().provider.public_key()}, fuzz::k_now);
  SEALCAST_ASSERT(again && again->root == d->root && again->length == d->length && again->metadata == d->metadata &&
                  content::check_against(*d, *again));
  (void)content::check_against(parties().description, *d);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto sealed = fuzz::payload_of(content::sign_description(parties().description, parties().provider)),
                    clear = clear_payload();
  fuzz::Input in(data, size);
  switch (in.u8() % 4) {
    case 0:
      read(in.text(size));
      break;
    case 1: {
      // The payload as octets of the input.
      auto payload = json::parse(in.text(size));
      if (payload) read(crypto::jws_sign(*payload, "sealcast-desc+jwt", parties().provider));
      break;
    }
    case 2:
      read(crypto::jws_sign(fuzz::spoil(clear, in), "sealcast-desc+jwt", parties().provider));
      break;
    default:
      read(crypto::jws_sign(fuzz::spoil(sealed, in), "sealcast-desc+jwt", parties().provider));
  }
  return 0;
}
