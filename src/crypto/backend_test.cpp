// The back ends and their self test.
#include <gtest/gtest.h>

#include "crypto/primitives.hpp"
#include "tests/support/seeded_random.hpp"

namespace sealcast::crypto {
namespace {

TEST(Backend, both_answer_rightly) {
  EXPECT_EQ(wrong_answers(k_openssl), "");
  if (!ipsec_mb_can()) GTEST_SKIP() << "this processor has no ipsec-mb";
  EXPECT_EQ(wrong_answers(k_ipsec_mb), "");
  EXPECT_EQ(backend_name(), "ipsec-mb");
  EXPECT_TRUE(self_test());
  EXPECT_EQ(backend_trouble(), "");
}

void wrong_hash(std::span<const ByteView> inputs, std::span<Digest> out) {
  openssl_sha256(inputs, out);
  out.back()[31] ^= 1;
}
// Says yes to every packet.
class Credulous final : public PacketCipher {
 public:
  explicit Credulous(std::unique_ptr<PacketCipher> inner) : inner_(std::move(inner)) {}
  void seal(std::span<PacketJob> jobs) override { inner_->seal(jobs); }
  void open(std::span<PacketJob> jobs) override {
    inner_->open(jobs);
    for (auto& job : jobs) job.ok = true;
  }

 private:
  std::unique_ptr<PacketCipher> inner_;
};

TEST(Backend, one_that_answers_wrongly_is_named) {
  auto broken = k_openssl;
  broken.sha256 = &wrong_hash;
  EXPECT_EQ(wrong_answers(broken), "SHA-256 gives wrong answers");
  broken = k_openssl;
  broken.ctr_hmac = [](ByteView key, ByteView) { return make_openssl_ctr_hmac(key, key); };
  EXPECT_EQ(wrong_answers(broken), "AES-128-CTR with HMAC-SHA1 gives wrong answers");
  broken = k_openssl;
  broken.gcm = [](ByteView key) -> std::unique_ptr<PacketCipher> {
    return std::make_unique<Credulous>(make_openssl_gcm(key));
  };
  EXPECT_EQ(wrong_answers(broken), "AES-128-GCM gives wrong answers");
}

TEST(Backend, inputs_longer_than_a_lane_are_hashed_too) {
  for (std::size_t size : {65472u, 65473u, 65534u, 65535u, 65536u, 70000u, 200000u}) {
    const Bytes longest(size, 3), shorter(100, 4);
    const ByteView inputs[] = {shorter, longest, shorter};
    Digest digests[3];
    sha256_batch(inputs, digests);
    EXPECT_EQ(digests[1], sha256(longest)) << size;
    EXPECT_EQ(digests[2], sha256(shorter)) << size;
  }
}

TEST(Backend, many_inputs_of_any_size_hash_as_one_by_one) {
  test::SeededRandom random(7);
  for (std::size_t count : {1u, 2u, 63u, 64u, 65u, 200u}) {
    std::vector<Bytes> texts(count);
    for (auto& text : texts) {
      text.resize(1 + (count * 37 + static_cast<std::size_t>(&text - texts.data()) * 131) % 3000);
      random.fill(text);
    }
    std::vector<ByteView> inputs(texts.begin(), texts.end());
    std::vector<Digest> digests(count);
    sha256_batch(inputs, digests);
    for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(digests[i], sha256(texts[i]));
  }
}

}  // namespace
}  // namespace sealcast::crypto
