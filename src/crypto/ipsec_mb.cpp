#include "crypto/ipsec_mb.hpp"

#define NO_COMPAT_IMB_API_053
#include <intel-ipsec-mb.h>

#include "base/assert.hpp"

namespace sealcast::crypto {
namespace {

using Manager = std::unique_ptr<IMB_MGR, decltype(&free_mb_mgr)>;

Manager make_manager() {
  Manager out(alloc_mb_mgr(0), &free_mb_mgr);
  if (!out) return out;
  IMB_ARCH architecture;
  init_mb_mgr_auto(out.get(), &architecture);
  if (imb_get_errno(out.get()) != 0 || architecture == IMB_ARCH_NONE || architecture == IMB_ARCH_NOAESNI) out.reset();
  return out;
}

// A manager belongs to one thread.
IMB_MGR* manager() {
  thread_local Manager mine = make_manager();
  return mine.get();
}

// The direct GCM interface: on processors with vector AES one packet fills the pipeline, and there is nothing to flush.
class IpsecMbGcm final : public PacketCipher {
 public:
  explicit IpsecMbGcm(ByteView key) : wide_(key.size() == 32) {
    auto* m = manager();
    if (wide_)
      IMB_AES256_GCM_PRE(m, key.data(), &key_);
    else
      IMB_AES128_GCM_PRE(m, key.data(), &key_);
  }
  ~IpsecMbGcm() override { wipe({reinterpret_cast<std::uint8_t*>(&key_), sizeof key_}); }

  void seal(std::span<PacketJob> jobs) override {
    auto* m = manager();
    auto encrypt = wide_ ? m->gcm256_enc : m->gcm128_enc;
    for (auto& job : jobs) {
      encrypt(&key_, &context_, job.text.data(), job.text.data(), job.text.size(), job.iv.data(), job.aad.data(),
              job.aad.size(), job.tag, 16);
      job.ok = true;
    }
  }
  void open(std::span<PacketJob> jobs) override {
    auto* m = manager();
    auto decrypt = wide_ ? m->gcm256_dec : m->gcm128_dec;
    std::uint8_t tag[16];
    for (auto& job : jobs) {
      decrypt(&key_, &context_, job.text.data(), job.text.data(), job.text.size(), job.iv.data(), job.aad.data(),
              job.aad.size(), tag, 16);
      job.ok = equal_constant_time(tag, {job.tag, 16});
    }
  }

 private:
  alignas(64) gcm_key_data key_{};
  gcm_context_data context_{};
  bool wide_;
};

}  // namespace

bool ipsec_mb_works() {
  return manager() != nullptr;
}
std::unique_ptr<PacketCipher> make_ipsec_mb_gcm(ByteView key) {
  return std::make_unique<IpsecMbGcm>(key);
}

}  // namespace sealcast::crypto
