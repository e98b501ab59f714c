#include "crypto/aead.hpp"

#include <openssl/evp.h>

#include "base/assert.hpp"
#include "crypto/primitives.hpp"

namespace sealcast::crypto {
namespace {

using Cipher = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

Cipher make_cipher() {
  Cipher out(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
  SEALCAST_ASSERT(out != nullptr);
  return out;
}

}  // namespace

struct AesGcm::Impl {
  Cipher sealer = make_cipher(), opener = make_cipher();
};

AesGcm::AesGcm(ByteView key) : impl_(std::make_unique<Impl>()) {
  SEALCAST_ASSERT(key.size() == 16 || key.size() == 32);
  auto* method = key.size() == 16 ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
  SEALCAST_ASSERT(EVP_EncryptInit_ex(impl_->sealer.get(), method, nullptr, key.data(), nullptr) == 1);
  SEALCAST_ASSERT(EVP_DecryptInit_ex(impl_->opener.get(), method, nullptr, key.data(), nullptr) == 1);
}
AesGcm::~AesGcm() = default;
AesGcm::AesGcm(AesGcm&&) noexcept = default;
AesGcm& AesGcm::operator=(AesGcm&&) noexcept = default;

void AesGcm::seal(ByteView nonce, ByteView aad, ByteView plaintext, MutableByteView out) {
  SEALCAST_ASSERT(nonce.size() == k_gcm_nonce && out.size() == plaintext.size() + k_gcm_tag);
  auto* c = impl_->sealer.get();
  int size = 0;
  bool good = EVP_EncryptInit_ex(c, nullptr, nullptr, nullptr, nonce.data()) == 1 &&
              (aad.empty() || EVP_EncryptUpdate(c, nullptr, &size, aad.data(), static_cast<int>(aad.size())) == 1) &&
              (plaintext.empty() ||
               EVP_EncryptUpdate(c, out.data(), &size, plaintext.data(), static_cast<int>(plaintext.size())) == 1) &&
              EVP_EncryptFinal_ex(c, out.data() + plaintext.size(), &size) == 1 &&
              EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, k_gcm_tag, out.data() + plaintext.size()) == 1;
  SEALCAST_ASSERT(good);
}

bool AesGcm::open(ByteView nonce, ByteView aad, ByteView sealed, MutableByteView out) {
  if (sealed.size() < k_gcm_tag) return false;
  auto text = sealed.first(sealed.size() - k_gcm_tag);
  SEALCAST_ASSERT(nonce.size() == k_gcm_nonce && out.size() == text.size());
  auto* c = impl_->opener.get();
  int size = 0;
  std::uint8_t tag[k_gcm_tag], last[k_gcm_tag];
  std::copy_n(sealed.data() + text.size(), k_gcm_tag, tag);
  bool good =
      EVP_DecryptInit_ex(c, nullptr, nullptr, nullptr, nonce.data()) == 1 &&
      (aad.empty() || EVP_DecryptUpdate(c, nullptr, &size, aad.data(), static_cast<int>(aad.size())) == 1) &&
      (text.empty() || EVP_DecryptUpdate(c, out.data(), &size, text.data(), static_cast<int>(text.size())) == 1) &&
      EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, k_gcm_tag, tag) == 1 && EVP_DecryptFinal_ex(c, last, &size) == 1;
  if (!good) wipe(out);
  return good;
}

namespace {

class OpensslGcmStream final : public GcmStream {
 public:
  explicit OpensslGcmStream(ByteView key) {
    auto* method = key.size() == 16 ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
    SEALCAST_ASSERT(EVP_DecryptInit_ex(cipher_.get(), method, nullptr, key.data(), nullptr) == 1);
  }
  void begin(ByteView nonce) override {
    SEALCAST_ASSERT(nonce.size() == k_gcm_nonce &&
                    EVP_DecryptInit_ex(cipher_.get(), nullptr, nullptr, nullptr, nonce.data()) == 1);
  }
  void open(ByteView sealed, MutableByteView out) override {
    SEALCAST_ASSERT(out.size() == sealed.size());
    int size = 0;
    bool good = sealed.empty() || EVP_DecryptUpdate(cipher_.get(), out.data(), &size, sealed.data(),
                                                    static_cast<int>(sealed.size())) == 1;
    SEALCAST_ASSERT(good);
  }
  bool finish(ByteView tag) override {
    SEALCAST_ASSERT(tag.size() == k_gcm_tag);
    std::uint8_t expected[k_gcm_tag], last[k_gcm_tag];
    std::copy(tag.begin(), tag.end(), expected);
    int size = 0;
    return EVP_CIPHER_CTX_ctrl(cipher_.get(), EVP_CTRL_GCM_SET_TAG, k_gcm_tag, expected) == 1 &&
           EVP_DecryptFinal_ex(cipher_.get(), last, &size) == 1;
  }

 private:
  Cipher cipher_ = make_cipher();
};

}  // namespace

std::unique_ptr<GcmStream> make_openssl_gcm_stream(ByteView key) {
  return std::make_unique<OpensslGcmStream>(key);
}

std::unique_ptr<GcmStream> make_gcm_stream(ByteView key) {
  SEALCAST_ASSERT(key.size() == 16 || key.size() == 32);
  return primitives().gcm_stream(key);
}

struct GcmKeystream::Impl {
  Cipher cipher = make_cipher();
};

GcmKeystream::GcmKeystream(ByteView key) : impl_(std::make_unique<Impl>()) {
  SEALCAST_ASSERT(key.size() == 16 || key.size() == 32);
  auto* method = key.size() == 16 ? EVP_aes_128_ctr() : EVP_aes_256_ctr();
  SEALCAST_ASSERT(EVP_EncryptInit_ex(impl_->cipher.get(), method, nullptr, key.data(), nullptr) == 1);
}
GcmKeystream::~GcmKeystream() = default;

// SP 800-38D section 7.1: the text is encrypted from counter block 2 on; block 1 belongs to the tag.
void GcmKeystream::apply(ByteView nonce, std::uint64_t position, MutableByteView text) {
  constexpr std::uint64_t k_block = 16, k_first_counter = 2;
  SEALCAST_ASSERT(nonce.size() == k_gcm_nonce && (position + text.size()) / k_block + k_first_counter < 0xffffffff);
  if (text.empty()) return;
  std::uint8_t iv[k_block], skipped[k_block] = {};
  std::copy(nonce.begin(), nonce.end(), iv);
  auto counter = static_cast<std::uint32_t>(position / k_block + k_first_counter);
  for (std::size_t i = k_block; i-- > k_gcm_nonce; counter >>= 8) iv[i] = static_cast<std::uint8_t>(counter);
  auto* c = impl_->cipher.get();
  int size = 0;
  bool good = EVP_EncryptInit_ex(c, nullptr, nullptr, nullptr, iv) == 1 &&
              EVP_EncryptUpdate(c, skipped, &size, skipped, static_cast<int>(position % k_block)) == 1 &&
              EVP_EncryptUpdate(c, text.data(), &size, text.data(), static_cast<int>(text.size())) == 1;
  SEALCAST_ASSERT(good);
}

namespace {

const EVP_CIPHER* wrap_method(std::size_t key_size) {
  return key_size == 16 ? EVP_aes_128_wrap() : EVP_aes_256_wrap();
}

}  // namespace

Bytes wrap_key(ByteView key, ByteView plaintext) {
  SEALCAST_ASSERT((key.size() == 16 || key.size() == 32) && plaintext.size() >= 16 && plaintext.size() % 8 == 0);
  auto c = make_cipher();
  EVP_CIPHER_CTX_set_flags(c.get(), EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
  Bytes out(plaintext.size() + 8);
  int size = 0;
  bool good = EVP_EncryptInit_ex(c.get(), wrap_method(key.size()), nullptr, key.data(), nullptr) == 1 &&
              EVP_EncryptUpdate(c.get(), out.data(), &size, plaintext.data(), static_cast<int>(plaintext.size())) == 1;
  SEALCAST_ASSERT(good && static_cast<std::size_t>(size) == out.size());
  return out;
}

std::optional<SecretBytes> unwrap_key(ByteView key, ByteView wrapped) {
  SEALCAST_ASSERT(key.size() == 16 || key.size() == 32);
  if (wrapped.size() < 24 || wrapped.size() % 8 != 0) return std::nullopt;
  auto c = make_cipher();
  EVP_CIPHER_CTX_set_flags(c.get(), EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
  SecretBytes out(wrapped.size());  // the cipher wants the room of its input
  int size = 0;
  bool good =
      EVP_DecryptInit_ex(c.get(), wrap_method(key.size()), nullptr, key.data(), nullptr) == 1 &&
      EVP_DecryptUpdate(c.get(), out.fill().data(), &size, wrapped.data(), static_cast<int>(wrapped.size())) == 1;
  if (!good || static_cast<std::size_t>(size) != wrapped.size() - 8) return std::nullopt;
  return SecretBytes(out.expose().first(wrapped.size() - 8));
}

}  // namespace sealcast::crypto
