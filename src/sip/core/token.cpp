#include "sip/core/token.hpp"

#include "base/encoding.hpp"
#include "base/wire.hpp"

namespace sealcast::sip {
namespace {

constexpr std::size_t k_longest_token = 512;
constexpr std::size_t k_padding = 16;  // plaintexts come in steps: the length of a name does not show

crypto::AesGcm fresh_cipher(RandomSource& random) {
  Secret<16> key;
  random.fill(key.fill());
  return crypto::AesGcm(key.expose());
}

//  kind(1) | binding(8) | generation(8) | length of name(1) | name
void write(Writer& out, const Party& party) {
  out.u8(static_cast<std::uint8_t>(party.kind));
  out.u64(party.binding);
  out.u64(party.generation);
  out.u8(static_cast<std::uint8_t>(party.name.size()));
  out.bytes(view_of(party.name));
}

Party read(Reader& in) {
  Party out;
  out.kind = in.u8() == 0 ? Party::Kind::subscriber : Party::Kind::service;
  out.binding = in.u64();
  out.generation = in.u64();
  out.name = string_of(in.take(in.u8()));
  return out;
}

}  // namespace

DialogTokens::DialogTokens(RandomSource& random) : random_(random), cipher_(fresh_cipher(random)) {}

std::string DialogTokens::seal(const Party& caller, const Party& callee) {
  Bytes plaintext(36 + caller.name.size() + callee.name.size());
  plaintext.resize((plaintext.size() + k_padding - 1) / k_padding * k_padding);
  Writer writer(plaintext);
  write(writer, caller);
  write(writer, callee);
  Bytes token(crypto::k_gcm_nonce + plaintext.size() + crypto::k_gcm_tag);
  auto nonce = MutableByteView(token).first(crypto::k_gcm_nonce);
  random_.fill(nonce);  // 96 random bits: fit for 2^32 dialogs under one key (SP 800-38D section 8.3)
  cipher_.seal(nonce, {}, plaintext, MutableByteView(token).subspan(crypto::k_gcm_nonce));
  return base64url(token);
}

std::optional<std::pair<Party, Party>> DialogTokens::open(std::string_view token) {
  auto octets = token.size() > k_longest_token ? std::nullopt : parse_base64url(token);
  if (!octets || octets->size() < crypto::k_gcm_nonce + crypto::k_gcm_tag) return std::nullopt;
  Bytes plaintext(octets->size() - crypto::k_gcm_nonce - crypto::k_gcm_tag);
  if (!cipher_.open(ByteView(*octets).first(crypto::k_gcm_nonce), {}, ByteView(*octets).subspan(crypto::k_gcm_nonce),
                    plaintext))
    return std::nullopt;
  Reader reader(plaintext);
  auto caller = read(reader), callee = read(reader);
  if (!reader.ok()) return std::nullopt;
  return std::pair(std::move(caller), std::move(callee));
}

}  // namespace sealcast::sip
