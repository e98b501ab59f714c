// Checks of descriptions and sealed records, each alone.
#include <gtest/gtest.h>

#include "base/encoding.hpp"
#include "content/description.hpp"
#include "content/sealing.hpp"
#include "tests/support/seeded_random.hpp"

namespace sealcast::content {
namespace {

struct ContentChecks : testing::Test {
  ContentChecks() {
    random.fill(key.fill());
    d.content_id = "urn:sealcast:" + base64url(Bytes(16, 1));
    d.root[0] = 9;
    d.plain_length = 5000;
    d.length = sealed_length(5000);
    d.header = make_sealed_header({}, key);
    d.metadata = seal_metadata({"x", "y"}, *d.header, key, d.root, {});
    d.key_service = provider.public_key();
    d.issued_at = 1000000;
    d.expires_at = 2000000;
  }
  test::SeededRandom random{9};
  crypto::PrivateKey provider = crypto::PrivateKey::generate(random);
  ContentKey key;
  Description d;
};

TEST_F(ContentChecks, ADescriptionIsSigned) {
  auto jws = sign_description(d, provider);
  ASSERT_TRUE(verify_description(jws, {provider.public_key()}, 1500000));
  auto dot = jws.rfind('.');
  jws[dot + 5] = jws[dot + 5] == 'A' ? 'B' : 'A';
  EXPECT_FALSE(verify_description(jws, {provider.public_key()}, 1500000));
}

TEST_F(ContentChecks, OneRootHasOneHeaderAndKeyService) {
  auto other = d;
  EXPECT_TRUE(check_against(d, other));
  ContentKey another;
  other.header = make_sealed_header({5}, another);
  EXPECT_FALSE(check_against(d, other));
  other = d;
  other.key_service = crypto::PrivateKey::generate(random).public_key();
  EXPECT_FALSE(check_against(d, other));
}

TEST_F(ContentChecks, EveryOctetOfARecordIsAuthenticated) {
  Bytes sealed, opened;
  RecordSealer(*d.header, key).seal(Bytes(100, 3), true, sealed);
  RecordOpener opener(*d.header, key);
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    auto changed = sealed;
    changed[i] ^= 1;
    EXPECT_FALSE(opener.open(0, changed, true, opened)) << i;
  }
  EXPECT_TRUE(opener.open(0, sealed, true, opened));
  EXPECT_FALSE(opener.open(0, sealed, false, opened));
  EXPECT_FALSE(opener.open(1, sealed, true, opened));
}

TEST_F(ContentChecks, MetadataBelongsToItsRoot) {
  EXPECT_TRUE(open_metadata(d.metadata, *d.header, key, d.root));
  auto other = d.root;
  other[0] ^= 1;
  EXPECT_FALSE(open_metadata(d.metadata, *d.header, key, other));
}

}  // namespace
}  // namespace sealcast::content
