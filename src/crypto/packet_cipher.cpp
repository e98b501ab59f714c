#include "crypto/packet_cipher.hpp"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <algorithm>

#include "base/assert.hpp"
#include "crypto/primitives.hpp"

namespace sealcast::crypto {
namespace {

using Cipher = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

class OpensslGcm final : public PacketCipher {
 public:
  explicit OpensslGcm(ByteView key) : context_(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free), key_(key) {
    method_ = key.size() == 16 ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
  }
  void seal(std::span<PacketJob> jobs) override {
    prepare(true);
    for (auto& job : jobs) {
      int size = 0;
      auto* c = context_.get();
      job.ok = EVP_EncryptInit_ex(c, nullptr, nullptr, nullptr, job.iv.data()) == 1 &&
               add(EVP_EncryptUpdate, nullptr, job.aad) && add(EVP_EncryptUpdate, job.text.data(), job.text) &&
               EVP_EncryptFinal_ex(c, last_, &size) == 1 &&
               EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, 16, job.tag) == 1;
    }
  }
  void open(std::span<PacketJob> jobs) override {
    prepare(false);
    for (auto& job : jobs) {
      int size = 0;
      auto* c = context_.get();
      job.ok = EVP_DecryptInit_ex(c, nullptr, nullptr, nullptr, job.iv.data()) == 1 &&
               add(EVP_DecryptUpdate, nullptr, job.aad) && add(EVP_DecryptUpdate, job.text.data(), job.text) &&
               EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, 16, job.tag) == 1 &&
               EVP_DecryptFinal_ex(c, last_, &size) == 1;
    }
  }

 private:
  // The key schedule is made at the first use in a direction.
  void prepare(bool sealing) {
    if (ready_ && sealing == sealing_) return;
    int good = sealing ? EVP_EncryptInit_ex(context_.get(), method_, nullptr, key_.expose().data(), nullptr)
                       : EVP_DecryptInit_ex(context_.get(), method_, nullptr, key_.expose().data(), nullptr);
    SEALCAST_ASSERT(good == 1);
    ready_ = true;
    sealing_ = sealing;
  }
  bool add(int (*update)(EVP_CIPHER_CTX*, unsigned char*, int*, const unsigned char*, int), std::uint8_t* out,
           ByteView in) {
    int size = 0;
    return in.empty() || update(context_.get(), out, &size, in.data(), static_cast<int>(in.size())) == 1;
  }
  Cipher context_;
  SecretBytes key_;
  const EVP_CIPHER* method_ = nullptr;
  bool ready_ = false, sealing_ = false;
  std::uint8_t last_[16];
};

EVP_MAC* hmac_method() {
  static EVP_MAC* method = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  SEALCAST_ASSERT(method != nullptr);
  return method;
}

class OpensslCtrHmac final : public PacketCipher {
 public:
  OpensslCtrHmac(ByteView key, ByteView authentication_key)
      : context_(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free), mac_(EVP_MAC_CTX_new(hmac_method()), &EVP_MAC_CTX_free) {
    SEALCAST_ASSERT(key.size() == 16 &&
                    EVP_EncryptInit_ex(context_.get(), EVP_aes_128_ctr(), nullptr, key.data(), nullptr) == 1);
    char digest[] = "SHA1";
    OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                               OSSL_PARAM_construct_end()};
    SEALCAST_ASSERT(EVP_MAC_init(mac_.get(), authentication_key.data(), authentication_key.size(), parameters) == 1);
  }
  void seal(std::span<PacketJob> jobs) override {
    for (auto& job : jobs) {
      job.ok = crypt(job);
      std::copy_n(tag(job).data(), 10, job.tag);
    }
  }
  void open(std::span<PacketJob> jobs) override {
    for (auto& job : jobs) {
      auto expected = tag(job);
      job.ok = equal_constant_time({expected.data(), 10}, {job.tag, 10}) && crypt(job);
    }
  }

 private:
  bool crypt(PacketJob& job) {
    int size = 0;
    return EVP_EncryptInit_ex(context_.get(), nullptr, nullptr, nullptr, job.iv.data()) == 1 &&
           (job.text.empty() || EVP_EncryptUpdate(context_.get(), job.text.data(), &size, job.text.data(),
                                                  static_cast<int>(job.text.size())) == 1);
  }
  std::array<std::uint8_t, 20> tag(const PacketJob& job) {
    std::array<std::uint8_t, 20> out{};
    std::size_t size = 0;
    bool good = EVP_MAC_init(mac_.get(), nullptr, 0, nullptr) == 1 &&
                EVP_MAC_update(mac_.get(), job.authenticated.data(), job.authenticated.size()) == 1 &&
                (!job.with_trailer || EVP_MAC_update(mac_.get(), job.trailer.data(), 4) == 1) &&
                EVP_MAC_final(mac_.get(), out.data(), &size, out.size()) == 1;
    SEALCAST_ASSERT(good);
    return out;
  }
  Cipher context_;
  std::unique_ptr<EVP_MAC_CTX, decltype(&EVP_MAC_CTX_free)> mac_;
};

}  // namespace

std::unique_ptr<PacketCipher> make_openssl_gcm(ByteView key) {
  return std::make_unique<OpensslGcm>(key);
}
std::unique_ptr<PacketCipher> make_openssl_ctr_hmac(ByteView key, ByteView authentication_key) {
  return std::make_unique<OpensslCtrHmac>(key, authentication_key);
}

std::unique_ptr<PacketCipher> make_gcm_cipher(ByteView key) {
  SEALCAST_ASSERT(key.size() == 16 || key.size() == 32);
  return primitives().gcm(key);
}
std::unique_ptr<PacketCipher> make_ctr_hmac_cipher(ByteView key, ByteView authentication_key) {
  return primitives().ctr_hmac(key, authentication_key);
}

void aes_counter_keystream(ByteView key, const std::array<std::uint8_t, 16>& iv, MutableByteView out) {
  SEALCAST_ASSERT(key.size() == 16 || key.size() == 32);
  Cipher c(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
  std::fill(out.begin(), out.end(), std::uint8_t{0});
  int size = 0;
  bool good = EVP_EncryptInit_ex(c.get(), key.size() == 16 ? EVP_aes_128_ctr() : EVP_aes_256_ctr(), nullptr, key.data(),
                                 iv.data()) == 1 &&
              EVP_EncryptUpdate(c.get(), out.data(), &size, out.data(), static_cast<int>(out.size())) == 1;
  SEALCAST_ASSERT(good);
}

}  // namespace sealcast::crypto
