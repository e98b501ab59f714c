// Sealed objects: foreign records, records that the right key sealed around a spoilt plaintext, headers, lengths,
// metadata; and objects that are opened and sealed again range by range.
#include "content/sealing.hpp"

#include "base/json.hpp"
#include "content/sealed_view.hpp"
#include "crypto/hash.hpp"
#include "tests/fuzz/fuzz.hpp"
#include "tests/support/memory_octets.hpp"

using namespace sealcast;

namespace {

struct Fixture {
  content::ContentKey key{std::span<const std::uint8_t, 16>(std::array<std::uint8_t, 16>{7})};
  content::SealedHeader header = content::make_sealed_header({1, 2, 3}, key);
  ByteView salt = ByteView(header).first(16);
  content::RecordOpener opener{header, key};
  crypto::AesGcm cipher{
      crypto::hkdf_sha256(salt, key.expose(), view_of(std::string_view("Content-Encoding: aes128gcm\0", 28)), 16)
          .expose()};
  SecretBytes nonce =
      crypto::hkdf_sha256(salt, key.expose(), view_of(std::string_view("Content-Encoding: nonce\0", 24)), 12);
  crypto::AesGcm metadata{crypto::hkdf_sha256(salt, key.expose(), view_of("sealcast metadata"), 16).expose()};
};

// Record 0 around any plaintext: no delimiter, padding only, …
void padded(Fixture& f, ByteView plain, bool last) {
  Bytes record(plain.size() + crypto::k_gcm_tag), out;
  f.cipher.seal(f.nonce.expose(), {}, plain, record);
  if (!f.opener.open(0, record, last, out)) return;
  SEALCAST_ASSERT(out.size() < plain.size() && equal(out, plain.first(out.size())) &&
                  plain[out.size()] == (last ? 2 : 1));
}

void whole(Fixture& f, fuzz::Input& in) {
  content::RecordSealer sealer(f.header, f.key);
  for (std::uint64_t i = 0; i < 4; ++i) {
    auto plain = in.take(in.u8());
    bool last = in.flag();
    Bytes record, out;
    sealer.seal(plain, last, record);
    SEALCAST_ASSERT(f.opener.open(i, record, last, out) && equal(out, plain));
    SEALCAST_ASSERT(!f.opener.open(i + 1, record, last, out) && !f.opener.open(i, record, !last, out));
    auto spoilt = fuzz::damage(record, in);
    SEALCAST_ASSERT(spoilt == record || !f.opener.open(i, spoilt, last, out));
  }
}

void metadata(Fixture& f, ByteView text) {
  Bytes sealed(12 + text.size() + crypto::k_gcm_tag);
  f.metadata.seal(ByteView(sealed).first(12), f.salt, text, MutableByteView(sealed).subspan(12));
  if (auto read = content::open_metadata(sealed, f.header, f.key, f.salt)) {
    auto again =
        content::open_metadata(content::seal_metadata(*read, f.header, f.key, f.salt, {}), f.header, f.key, f.salt);
    SEALCAST_ASSERT(again && again->name == read->name && again->type == read->type);
  }
}

// Ranges of an object that the input chooses, some spoilt, some twice: what was written rightly is read again as it
// was, and what was spoilt is never called good.
void view(Fixture& f, fuzz::Input& in) {
  const std::size_t size = in.u32() % (2 * content::k_record_plain + 2);
  Bytes plain(size, in.u8()), sealed(f.header.begin(), f.header.end());
  content::RecordSealer sealer(f.header, f.key);
  for (std::size_t at = 0, next; at == 0 || at < size; at = next) {
    next = std::max<std::size_t>(std::min<std::size_t>(at + content::k_record_plain, size), 1);
    sealer.seal(ByteView(plain).subspan(at, std::min(next, size) - at), next >= size, sealed);
  }
  test::MemoryOctets file(size), tags(48);
  content::SealedView view(f.header, f.key, sealed.size(), file, tags);
  auto range = [&] {
    auto from = in.u32() % sealed.size();
    return std::pair(from, in.u32() % (sealed.size() - from + 1));
  };
  for (auto times = in.u8() % 8; times > 0; --times) {
    auto [from, octets] = range();
    Bytes part(sealed.begin() + from, sealed.begin() + static_cast<std::ptrdiff_t>(from + octets));
    if (in.flag() && !part.empty()) part[in.u32() % part.size()] ^= in.u8();
    (void)view.write(from, part);
  }
  view.forget_checks();
  auto cut = in.u32() % sealed.size();
  SEALCAST_ASSERT(view.write(cut, ByteView(sealed).subspan(cut)) && view.write(0, ByteView(sealed).first(cut)));
  SEALCAST_ASSERT(file.octets == plain);
  auto [from, octets] = range();
  Bytes out(octets);
  SEALCAST_ASSERT(view.read(from, out) && equal(out, ByteView(sealed).subspan(from, octets)));
  if (size > 0 && in.flag()) {
    file.octets[in.u32() % size] ^= 1;
    bool good = true;
    for (std::uint64_t i = 0; i < view.records(); ++i) good = view.check(i) && good;
    SEALCAST_ASSERT(!good);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Fixture f;
  fuzz::Input in(data, size);
  Bytes out;
  switch (in.u8() % 7) {
    case 0: {
      auto index = in.u64();
      SEALCAST_ASSERT(!f.opener.open(index, in.rest(), true, out));
      break;
    }
    case 1:
      padded(f, in.rest(), (size & 1) != 0);
      break;
    case 2:
      whole(f, in);
      break;
    case 3:
      metadata(f, in.rest());
      break;
    case 4:
      SEALCAST_ASSERT(!content::open_metadata(in.rest(), f.header, f.key, f.salt));
      break;
    case 6:
      view(f, in);
      break;
    default: {
      auto length = in.u64() >> in.u8() % 64;
      if (length >> 62 == 0) {
        if (auto plain = content::plain_length(length)) SEALCAST_ASSERT(content::sealed_length(*plain) == length);
        SEALCAST_ASSERT(content::plain_length(content::sealed_length(length >> 1)) == length >> 1);
      }
      auto octets = in.flag() ? fuzz::damage(f.header, in) : bytes_of(in.rest());
      if (content::is_sealed_header(octets)) {
        content::SealedHeader header;
        std::copy(octets.begin(), octets.end(), header.begin());
        SEALCAST_ASSERT(content::commits_to(header, f.key) == (header == f.header) &&
                        content::key_id(header).size() == content::k_key_id);
      }
    }
  }
  return 0;
}
