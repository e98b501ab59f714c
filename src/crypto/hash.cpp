#include "crypto/hash.hpp"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "base/assert.hpp"
#include "crypto/primitives.hpp"

namespace sealcast::crypto {
namespace {

using Context = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

// Fetched once: EVP_sha256() would search the providers at every use.
const EVP_MD* sha256_method() {
  static EVP_MD* method = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  SEALCAST_ASSERT(method != nullptr);
  return method;
}

EVP_MD_CTX* scratch() {
  thread_local Context context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  return context.get();
}

void hash_into(ByteView a, ByteView b, Digest& out) {
  auto* context = scratch();
  unsigned size = 0;
  bool good = EVP_DigestInit_ex2(context, sha256_method(), nullptr) == 1 &&
              EVP_DigestUpdate(context, a.data(), a.size()) == 1 &&
              (b.empty() || EVP_DigestUpdate(context, b.data(), b.size()) == 1) &&
              EVP_DigestFinal_ex(context, out.data(), &size) == 1;
  SEALCAST_ASSERT(good);
}

}  // namespace

Digest sha256(ByteView data) {
  Digest out;
  hash_into(data, {}, out);
  return out;
}

Digest sha256(const Digest& left, const Digest& right) {
  Digest out;
  hash_into(left, right, out);
  return out;
}

void openssl_sha256(std::span<const ByteView> inputs, std::span<Digest> out) {
  for (std::size_t i = 0; i < inputs.size(); ++i) hash_into(inputs[i], {}, out[i]);
}

void sha256_batch(std::span<const ByteView> inputs, std::span<Digest> out) {
  SEALCAST_ASSERT(inputs.size() == out.size());
  primitives().sha256(inputs, out);
}

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  SEALCAST_ASSERT(context_ && EVP_DigestInit_ex2(static_cast<EVP_MD_CTX*>(context_), sha256_method(), nullptr) == 1);
}
Sha256::~Sha256() {
  EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context_));
}
Sha256::Sha256(Sha256&& other) noexcept : context_(std::exchange(other.context_, nullptr)) {}
Sha256& Sha256::operator=(Sha256&& other) noexcept {
  std::swap(context_, other.context_);
  return *this;
}
void Sha256::update(ByteView data) {
  SEALCAST_ASSERT(EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context_), data.data(), data.size()) == 1);
}
Digest Sha256::finish() {
  Digest out;
  unsigned size = 0;
  SEALCAST_ASSERT(EVP_DigestFinal_ex(static_cast<EVP_MD_CTX*>(context_), out.data(), &size) == 1);
  return out;
}

std::array<std::uint8_t, 16> md5(ByteView data) {
  std::array<std::uint8_t, 16> out{};
  unsigned size = 0;
  SEALCAST_ASSERT(EVP_Digest(data.data(), data.size(), out.data(), &size, EVP_md5(), nullptr) == 1);
  return out;
}

Digest hmac_sha256(ByteView key, ByteView data) {
  Digest out;
  unsigned size = 0;
  static const std::uint8_t none = 0;
  SEALCAST_ASSERT(HMAC(EVP_sha256(), key.empty() ? &none : key.data(), static_cast<int>(key.size()), data.data(),
                       data.size(), out.data(), &size) != nullptr);
  return out;
}

SecretBytes hkdf_sha256(ByteView salt, ByteView input_key, ByteView info, std::size_t size) {
  SEALCAST_ASSERT(size > 0 && size <= 255 * 32);
  auto extracted = Secret<32>(hmac_sha256(salt, input_key));
  SecretBytes out(size);
  Bytes block;
  Digest last{};
  for (std::size_t done = 0, round = 1; done < size; ++round) {
    block.assign(last.begin(), round == 1 ? last.begin() : last.end());
    block.insert(block.end(), info.begin(), info.end());
    block.push_back(static_cast<std::uint8_t>(round));
    last = hmac_sha256(extracted.expose(), block);
    auto take = std::min<std::size_t>(32, size - done);
    std::copy_n(last.begin(), take, out.fill().begin() + static_cast<std::ptrdiff_t>(done));
    done += take;
  }
  wipe(block);
  wipe(last);
  return out;
}

}  // namespace sealcast::crypto
