#include "crypto/primitives.hpp"

#define NO_COMPAT_IMB_API_053
#include <intel-ipsec-mb.h>

#include <algorithm>

#include "base/assert.hpp"

namespace sealcast::crypto {
namespace {

using Manager = std::unique_ptr<IMB_MGR, decltype(&free_mb_mgr)>;

Manager make_manager() {
  Manager out(alloc_mb_mgr(0), &free_mb_mgr);
  if (!out) return out;
  auto architecture = IMB_ARCH_SSE;
  switch (vectors_allowed()) {
    case Vectors::widest:
      init_mb_mgr_auto(out.get(), &architecture);
      break;
    case Vectors::avx2:
      init_mb_mgr_avx2(out.get());
      break;
    case Vectors::sse:
      init_mb_mgr_sse(out.get());
      break;
  }
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

class IpsecMbGcmStream final : public GcmStream {
 public:
  explicit IpsecMbGcmStream(ByteView key) : wide_(key.size() == 32) {
    if (wide_)
      IMB_AES256_GCM_PRE(manager(), key.data(), &key_);
    else
      IMB_AES128_GCM_PRE(manager(), key.data(), &key_);
  }
  ~IpsecMbGcmStream() override {
    wipe({reinterpret_cast<std::uint8_t*>(&key_), sizeof key_});
    wipe({reinterpret_cast<std::uint8_t*>(&context_), sizeof context_});
  }
  void begin(ByteView nonce) override {
    SEALCAST_ASSERT(nonce.size() == k_gcm_nonce);
    const auto init = wide_ ? manager()->gcm256_init : manager()->gcm128_init;
    init(&key_, &context_, nonce.data(), &k_no_aad, 0);
  }
  void open(ByteView sealed, MutableByteView out) override {
    SEALCAST_ASSERT(out.size() == sealed.size());
    if (sealed.empty()) return;
    const auto update = wide_ ? manager()->gcm256_dec_update : manager()->gcm128_dec_update;
    update(&key_, &context_, out.data(), sealed.data(), sealed.size());
  }
  bool finish(ByteView tag) override {
    std::uint8_t computed[k_gcm_tag];
    const auto end = wide_ ? manager()->gcm256_dec_finalize : manager()->gcm128_dec_finalize;
    end(&key_, &context_, computed, sizeof computed);
    return equal_constant_time(computed, tag);
  }

 private:
  static constexpr std::uint8_t k_no_aad = 0;
  alignas(64) gcm_key_data key_{};
  gcm_context_data context_{};
  bool wide_;
};

// What is done side by side: as many as the library takes at once.
constexpr std::size_t k_burst = 64;
static_assert(k_burst <= IMB_MAX_BURST_SIZE);

// Gives `count` jobs to fill(job, index), and does not come back before the last of them is done: nothing of ours is
// left in the manager between two calls.
template <class Fill>
void run_burst(std::size_t count, Fill fill) {
  auto* m = manager();
  IMB_JOB* jobs[k_burst];
  SEALCAST_ASSERT(count <= k_burst && IMB_GET_NEXT_BURST(m, static_cast<std::uint32_t>(count), jobs) == count);
  for (std::size_t i = 0; i < count; ++i) fill(*jobs[i], i);
  std::size_t done = IMB_SUBMIT_BURST(m, static_cast<std::uint32_t>(count), jobs);
  SEALCAST_ASSERT(done > 0 || imb_get_errno(m) == 0);
  while (done < count) {
    auto more = IMB_FLUSH_BURST(m, static_cast<std::uint32_t>(count), jobs);
    SEALCAST_ASSERT(more > 0);
    done += more;
  }
}

// Keys HMAC-SHA1: the state after the block that the key fills (RFC 2104).
void begin_hmac(ByteView key, std::uint8_t pad, std::uint8_t (&state)[20]) {
  std::uint8_t block[IMB_SHA1_BLOCK_SIZE];
  std::fill_n(block, sizeof block, pad);
  SEALCAST_ASSERT(key.size() <= sizeof block);
  for (std::size_t i = 0; i < key.size(); ++i) block[i] ^= key[i];
  IMB_SHA1_ONE_BLOCK(manager(), block, state);
  wipe(block);
}

class IpsecMbCtrHmac final : public PacketCipher {
 public:
  IpsecMbCtrHmac(ByteView key, ByteView authentication_key) {
    SEALCAST_ASSERT(key.size() == 16);
    IMB_AES_KEYEXP_128(manager(), key.data(), keys_.encrypt, keys_.unused);
    begin_hmac(authentication_key, 0x36, keys_.inner);
    begin_hmac(authentication_key, 0x5c, keys_.outer);
  }
  ~IpsecMbCtrHmac() override { wipe({reinterpret_cast<std::uint8_t*>(&keys_), sizeof keys_}); }

  void seal(std::span<PacketJob> jobs) override {
    each_burst(jobs, [&](std::span<PacketJob> some) {
      transform(some, true);
      for (std::size_t i = 0; i < some.size(); ++i) {
        std::copy_n(tags_[i].data(), k_tag, some[i].tag);
        some[i].ok = true;
      }
    });
  }
  void open(std::span<PacketJob> jobs) override {
    each_burst(jobs, [&](std::span<PacketJob> some) {
      std::array<std::array<std::uint8_t, k_tag>, k_burst> received;
      for (std::size_t i = 0; i < some.size(); ++i) std::copy_n(some[i].tag, k_tag, received[i].data());
      transform(some, false);
      for (std::size_t i = 0; i < some.size(); ++i)
        some[i].ok = equal_constant_time({tags_[i].data(), k_tag}, received[i]);
    });
  }

 private:
  static constexpr std::size_t k_tag = 10;

  template <class Work>
  static void each_burst(std::span<PacketJob> jobs, Work work) {
    for (; !jobs.empty(); jobs = jobs.subspan(std::min(jobs.size(), k_burst)))
      work(jobs.first(std::min(jobs.size(), k_burst)));
  }

  // The trailer is hashed where the tag has its place: right behind what is authenticated.
  void transform(std::span<PacketJob> jobs, bool sealing) {
    run_burst(jobs.size(), [&](IMB_JOB& out, std::size_t i) {
      auto& job = jobs[i];
      SEALCAST_ASSERT(job.tag == job.authenticated.data() + job.authenticated.size());
      auto hashed = job.authenticated.size();
      if (job.with_trailer) {
        std::copy_n(job.trailer.data(), job.trailer.size(), job.tag);
        hashed += job.trailer.size();
      }
      out = {};
      out.cipher_direction = sealing ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
      out.chain_order = sealing ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
      out.cipher_mode = job.text.empty() ? IMB_CIPHER_NULL : IMB_CIPHER_CNTR;
      out.enc_keys = out.dec_keys = keys_.encrypt;
      out.key_len_in_bytes = 16;
      out.iv = job.iv.data();
      out.iv_len_in_bytes = 16;
      out.src = job.authenticated.data();
      out.dst = job.text.data();
      out.cipher_start_src_offset_in_bytes = static_cast<std::uint64_t>(job.text.data() - job.authenticated.data());
      out.msg_len_to_cipher_in_bytes = job.text.size();
      out.hash_alg = IMB_AUTH_HMAC_SHA_1;
      out.msg_len_to_hash_in_bytes = hashed;
      out.u.HMAC._hashed_auth_key_xor_ipad = keys_.inner;
      out.u.HMAC._hashed_auth_key_xor_opad = keys_.outer;
      out.auth_tag_output = tags_[i].data();
      out.auth_tag_output_len_in_bytes = tags_[i].size();
    });
  }

  struct Keys {
    alignas(16) std::uint32_t encrypt[4 * 11], unused[4 * 11];
    std::uint8_t inner[20], outer[20];
  } keys_{};
  std::array<std::array<std::uint8_t, 20>, k_burst> tags_;
};

// Lanes have lengths of 16 bits.
constexpr std::size_t k_longest_hashed = 65472;

void sha256_of_each(std::span<const ByteView> inputs, std::span<Digest> out) {
  if (std::any_of(inputs.begin(), inputs.end(), [](ByteView input) { return input.size() > k_longest_hashed; }))
    return openssl_sha256(inputs, out);
  for (std::size_t at = 0; at < inputs.size(); at += k_burst) {
    run_burst(std::min(k_burst, inputs.size() - at), [&](IMB_JOB& job, std::size_t i) {
      job = {};
      job.cipher_direction = IMB_DIR_ENCRYPT;
      job.chain_order = IMB_ORDER_HASH_CIPHER;
      job.cipher_mode = IMB_CIPHER_NULL;
      job.hash_alg = IMB_AUTH_SHA_256;
      job.src = inputs[at + i].data();
      job.msg_len_to_hash_in_bytes = inputs[at + i].size();
      job.auth_tag_output = out[at + i].data();
      job.auth_tag_output_len_in_bytes = sizeof(Digest);
    });
  }
}

}  // namespace

const Primitives k_ipsec_mb{
    [](ByteView key) -> std::unique_ptr<PacketCipher> { return std::make_unique<IpsecMbGcm>(key); },
    [](ByteView key) -> std::unique_ptr<GcmStream> { return std::make_unique<IpsecMbGcmStream>(key); },
    [](ByteView key, ByteView authentication_key) -> std::unique_ptr<PacketCipher> {
      return std::make_unique<IpsecMbCtrHmac>(key, authentication_key);
    },
    &sha256_of_each,
};

bool ipsec_mb_can() {
  return manager() != nullptr;
}

}  // namespace sealcast::crypto
