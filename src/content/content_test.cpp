#include <gtest/gtest.h>

#include "base/encoding.hpp"
#include "content/bitmap.hpp"
#include "content/description.hpp"
#include "content/merkle_tree.hpp"
#include "content/uri.hpp"
#include "tests/support/seeded_random.hpp"

namespace sealcast::content {
namespace {

using test::SeededRandom;

struct Tree {
  std::vector<Digest> leaves, nodes;
  Digest root{};
  explicit Tree(const std::vector<Bytes>& chunks)
      : nodes(MerkleTree::octets(static_cast<std::uint32_t>(chunks.size())) / 32) {
    MerkleTreeBuilder builder(nodes, static_cast<std::uint32_t>(chunks.size()));
    for (auto& chunk : chunks) {
      leaves.push_back(crypto::sha256(chunk));
      builder.add(leaves.back());
    }
    root = builder.finish();
  }
};

std::vector<Bytes> counted_chunks(std::size_t count, std::size_t last) {
  std::vector<Bytes> out;
  for (std::size_t i = 0; i < count; ++i) out.emplace_back(i + 1 == count ? last : 1024, static_cast<std::uint8_t>(i));
  return out;
}

TEST(MerkleRoot, AgreesWithTheWholeTreeForEverySize) {
  for (std::uint32_t chunks = 1; chunks <= 130; ++chunks) {
    std::vector<Digest> nodes(MerkleTree::octets(chunks) / 32);
    MerkleTreeBuilder whole(nodes, chunks);
    MerkleRoot root;
    for (std::uint32_t i = 0; i < chunks; ++i) {
      std::uint8_t octets[] = {static_cast<std::uint8_t>(i), 7};
      auto leaf = crypto::sha256(octets);
      whole.add(leaf);
      root.add(leaf);
    }
    EXPECT_EQ(root.finish(), whole.finish()) << chunks << " chunks";
  }
}

TEST(MerkleTree, leaves_may_come_in_spans_of_any_size) {
  for (std::uint32_t count : {1u, 31u, 32u, 33u, 64u, 100u, 257u}) {
    Tree one_by_one(counted_chunks(count, 100));
    for (std::uint32_t first : {0u, 1u, 32u, 40u})
      for (std::uint32_t size : {1u, 31u, 32u, 64u, 300u}) {
        std::vector<Digest> nodes(one_by_one.nodes.size());
        MerkleTreeBuilder builder(nodes, count);
        MerkleRoot root;
        auto left = std::span<const Digest>(one_by_one.leaves);
        for (auto take = first; !left.empty(); take = size) {
          auto some = left.first(std::min<std::size_t>(take, left.size()));
          builder.add(some);
          root.add(some);
          left = left.subspan(some.size());
        }
        EXPECT_EQ(builder.finish(), one_by_one.root);
        EXPECT_EQ(root.finish(), one_by_one.root) << count << " " << first << " " << size;
        EXPECT_EQ(nodes, one_by_one.nodes) << count << " " << first << " " << size;
      }
  }
}

TEST(MerkleTree, VectorsOfTheProfile) {
  Tree seven(counted_chunks(7, 1018));
  EXPECT_EQ(hex(seven.root), "7c481e176a376ba67894a463f34315ea89796b95a87cd75c21b68283657ca07a");
  EXPECT_EQ(hex(seven.nodes[3]), "d19c2ce2693518faab5649842f22ff0b18c8d06b04d858e6e7d630b26a14b84e");
  EXPECT_EQ(hex(seven.nodes[9]), "0bb92b66bc466b5915e23f822e64cb42c0c7fe7a779540ce44d6b9429414768e");
  EXPECT_EQ(hex(seven.nodes[12]), "e736866edd943fd9fd8175ab17591cb2d2a003f981a8f42d44a4943aba9cd38c");
  Tree five(counted_chunks(5, 1024));
  EXPECT_EQ(hex(five.root), "bcbf9eac8681f30464da67a2d4f9a8b40331cce8e206b8a8270d386c66f8c03e");
  Tree one(counted_chunks(1, 1024));
  EXPECT_EQ(one.root, one.leaves[0]);
}

// A receiver that knows the root only takes every run with the sender's uncles, and nothing that was changed.
TEST(MerkleTree, EveryRunVerifiesWithItsUnclesAndNoChangedOneDoes) {
  for (std::uint32_t count : {1u, 2u, 3u, 5u, 7u, 8u, 33u, 100u}) {
    Tree sender(counted_chunks(count, 100));
    for (int layer : {0, 1, 3}) {
      std::vector<Digest> nodes(sender.nodes.size());
      MerkleTree tree(sender.nodes, count, sender.root), receiver(nodes, count, sender.root);
      if (layer > bin::layer(tree.root_bin())) continue;
      for (std::uint32_t first = 0; first < count; first += 1u << layer) {
        auto target = bin::at(layer, first >> layer);
        auto uncles = tree.uncles(target, [&](Bin b) { return receiver.known(b); });
        auto leaves = std::span(sender.leaves).subspan(first, std::min<std::size_t>(1u << layer, count - first));
        const Subtree subtree(leaves, layer);
        auto hash = subtree.root();
        EXPECT_EQ(hash, sender.nodes[target]);
        auto bad = hash;
        bad[5] ^= 1;
        EXPECT_FALSE(receiver.verify(target, bad, uncles));
        if (!uncles.empty()) {
          auto changed = uncles;
          changed.back().hash[0] ^= 1;
          EXPECT_FALSE(receiver.verify(target, hash, changed));
          EXPECT_FALSE(receiver.verify(target, hash, std::span(uncles).first(uncles.size() - 1)));
        }
        ASSERT_TRUE(receiver.verify(target, hash, uncles)) << count << " " << layer << " " << first;
        receiver.store_subtree(target, subtree);
      }
      EXPECT_EQ(nodes, sender.nodes);
    }
  }
}

// What a disk has done to a node is undone by chunks that are good, and by no others.
TEST(MerkleTree, ADamagedNodeIsMendedFromTheChunks) {
  constexpr int layer = 2;
  for (std::uint32_t count : {1u, 4u, 7u, 33u, 100u}) {
    Tree sound(counted_chunks(count, 100));
    auto top = MerkleTree(sound.nodes, count, sound.root).root_bin();
    for (std::uint32_t first = 0; first < count; first += 1u << layer) {
      auto target = bin::at(std::min(layer, bin::layer(top)), first >> layer);
      auto leaves = std::span(sound.leaves).subspan(first, std::min<std::size_t>(1u << layer, count - first));
      auto hash = Subtree(leaves, bin::layer(target)).root();
      for (Bin damaged = target; damaged != top; damaged = bin::parent(damaged))
        for (auto node : {damaged, bin::sibling(damaged)}) {
          auto nodes = sound.nodes;
          nodes[node][9] ^= 4;
          MerkleTree tree(nodes, count, sound.root);
          auto bad = hash;
          bad[0] ^= 1;
          EXPECT_FALSE(tree.mend(target, bad));
          if (tree.empty(node)) nodes[node] = {};
          ASSERT_TRUE(tree.mend(target, hash)) << count << " " << first << " " << node;
          EXPECT_EQ(nodes, sound.nodes);
        }
      auto nodes = sound.nodes;
      EXPECT_TRUE(MerkleTree(nodes, count, sound.root).mend(target, hash));
    }
  }
}

TEST(Bitmap, CountsRangesAndSurvivesTheDisk) {
  Bitmap map(200);
  map.set(ChunkRange{3, 130});
  map.reset(64);
  map.set(199);
  EXPECT_EQ(map.count(), 128u);
  EXPECT_EQ(map.ranges(), (std::vector<ChunkRange>{{3, 63}, {65, 130}, {199, 199}}));
  EXPECT_TRUE(map.test(ChunkRange{65, 130}));
  EXPECT_FALSE(map.test(ChunkRange{63, 65}));
  EXPECT_TRUE(map.test_any(ChunkRange{131, 199}));
  EXPECT_FALSE(map.test_any(ChunkRange{131, 198}));
  EXPECT_EQ(map.next_clear(3), 64u);
  EXPECT_EQ(map.next_set(131), 199u);
  EXPECT_EQ(Bitmap(200, true).next_clear(0), 200u);
  auto again = Bitmap::from_octets(200, map.octets());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->words(), map.words());
  EXPECT_EQ(again->count(), map.count());
  auto stray = map.octets();
  stray.back() |= 0x80;
  EXPECT_FALSE(Bitmap::from_octets(200, stray));
  EXPECT_FALSE(Bitmap::from_octets(300, map.octets()));
}

TEST(Sealing, Rfc8188Section3Opens) {
  Bytes out;
  // 3.1: one record
  auto body = *parse_base64url("I1BsxtFttlv3u_Oo94xnmwAAEAAA-NAVub2qFgBEuQKRapoZu-IxkIva3MEB1PD-ly8Thjg");
  RecordOpener first(ByteView(body).first(16), *parse_base64url("yqdlZ-tYemfogSmv7Ws5PQ"));
  ASSERT_TRUE(first.open(0, ByteView(body).subspan(21), true, out));
  EXPECT_EQ(string_of(out), "I am the walrus");
  // 3.2: two records of 25 octets with padding
  body = *parse_base64url(
      "uNCkWiNYzKTnBN9ji3-qWAAAABkCYTHOG8chz_gnvgOqdGYovxyjuqRyJFjEDyoF1Fvkj6hQPdPHI51OEUKEpgz3SsLWIqS_uA");
  RecordOpener second(ByteView(body).first(16), *parse_base64url("BO3ZVPxUlnLORbVGMpbT1Q"));
  std::string text;
  ASSERT_TRUE(second.open(0, ByteView(body).subspan(23, 25), false, out));
  text += string_of(out);
  ASSERT_TRUE(second.open(1, ByteView(body).subspan(48), true, out));
  EXPECT_EQ(text + string_of(out), "I am the walrus");
  EXPECT_FALSE(second.open(1, ByteView(body).subspan(48), false, out));
  EXPECT_FALSE(second.open(0, ByteView(body).subspan(48), true, out));
}

TEST(Sealing, HeaderCommitsToOneKey) {
  SeededRandom random(5);
  ContentKey key, other;
  random.fill(key.fill());
  random.fill(other.fill());
  std::array<std::uint8_t, 16> salt{1, 2, 3};
  auto header = make_sealed_header(salt, key);
  EXPECT_TRUE(is_sealed_header(header));
  EXPECT_TRUE(commits_to(header, key));
  EXPECT_FALSE(commits_to(header, other));
  EXPECT_EQ(key_id(header).size(), 43u);
  auto meta = seal_metadata({"a\nb.mp4", "video/mp4"}, header, key, salt, {});
  EXPECT_EQ(open_metadata(meta, header, key, salt)->name, "a\nb.mp4");
  EXPECT_FALSE(open_metadata(meta, header, other, salt));
}

TEST(Sealing, LengthsFollowFromEachOther) {
  for (std::uint64_t plain : {0ull, 1ull, 65518ull, 65519ull, 65520ull, 131038ull, 131039ull, 1ull << 40}) {
    auto sealed = sealed_length(plain);
    EXPECT_EQ(plain_length(sealed), plain);
  }
  EXPECT_FALSE(plain_length(0));
  EXPECT_FALSE(plain_length(80));
  EXPECT_FALSE(plain_length(64 + 65536 + 17));  // a second record that holds nothing
}

Description example(SeededRandom& random) {
  Description d;
  d.content_id = "urn:sealcast:" + base64url(Bytes(16, 9));
  d.root[3] = 7;
  d.plain_length = 100000;
  d.length = sealed_length(100000);
  ContentKey key;
  random.fill(key.fill());
  d.header = make_sealed_header({}, key);
  d.metadata = seal_metadata({"x", "y"}, *d.header, key, d.root, {});
  d.key_service = crypto::PrivateKey::generate(random).public_key();
  d.issued_at = 1000000;
  d.expires_at = 2000000;
  d.title = "Film";
  return d;
}

TEST(Description, ComesBackAsItWasSigned) {
  SeededRandom random(6);
  auto provider = crypto::PrivateKey::generate(random), stranger = crypto::PrivateKey::generate(random);
  auto d = example(random);
  auto jws = sign_description(d, provider);
  auto again = verify_description(jws, {stranger.public_key(), provider.public_key()}, 1500000);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->root, d.root);
  EXPECT_EQ(again->header, d.header);
  EXPECT_EQ(again->provider, provider.public_key().thumbprint());
  EXPECT_FALSE(verify_description(jws, {stranger.public_key()}, 1500000));
  EXPECT_FALSE(verify_description(jws, {provider.public_key()}, 2000200));
  EXPECT_FALSE(verify_description(jws, {provider.public_key()}, 900000));
  EXPECT_TRUE(verify_description(jws, {provider.public_key()}, 999900));
}

TEST(Description, SaysWhatRoomAnObjectWithHolesTakes) {
  SeededRandom random(6);
  auto provider = crypto::PrivateKey::generate(random);
  auto d = example(random);
  EXPECT_EQ(d.room(), d.length);
  d.filled = 4096;
  auto again = verify_description(sign_description(d, provider), {provider.public_key()}, 1500000);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->room(), 4096U);
}

TEST(Description, ImpossibleMembersAreNamed) {
  SeededRandom random(7);
  auto provider = crypto::PrivateKey::generate(random);
  auto payload = *crypto::jws_peek(sign_description(example(random), provider))->payload.as_object();
  auto refused = [&](const char* member, json::Value value) {
    auto changed = payload;
    changed[member] = std::move(value);
    auto result =
        verify_description(crypto::jws_sign(changed, "sealcast-desc+jwt", provider), {provider.public_key()}, 1500000);
    EXPECT_FALSE(result) << member;
    if (!result) {
      EXPECT_NE(result.error().message.find(member), std::string::npos) << result.error().message;
    }
  };
  refused("len", 0);
  refused("len", std::int64_t{INT64_MAX});
  refused("len", -1);
  refused("plen", 5);
  refused("fill", -1);
  refused("fill", std::int64_t{1} << 40);
  refused("fill", "all");
  refused("chunk", 100);
  refused("chunk", std::int64_t{1} << 40);
  refused("prot", "clear");
  refused("hdr", "AAAA");
  refused("ks", 3);
  refused("ver", 0);
  refused("cid", "x");
  refused("root", "short");
  refused("stranger", 1);
  refused("title", std::string(201, 'x'));
}

TEST(Description, NoSecondGeometryAndNoOlderVersion) {
  SeededRandom random(8);
  auto d = example(random);
  d.provider = "p";
  d.version = 4;
  auto other = d;
  EXPECT_TRUE(check_against(d, other));
  other.chunk_size = 1024;
  EXPECT_FALSE(check_against(d, other));
  other = d;
  other.protection = Protection::sealed;  // less than sealed+session
  EXPECT_FALSE(check_against(d, other));
  EXPECT_TRUE(check_against(other, d));
  other = d;
  other.root[0] = 1;
  other.version = 3;
  EXPECT_FALSE(check_against(d, other));
  other.version = 5;
  EXPECT_TRUE(check_against(d, other));
}

TEST(Protection, StrictestIsTheUnion) {
  EXPECT_EQ(strictest(Protection::sealed, Protection::session), Protection::sealed_session);
  EXPECT_EQ(strictest(Protection::none, Protection::session), Protection::session);
  EXPECT_EQ(parse_protection("sealed+session"), Protection::sealed_session);
  EXPECT_FALSE(parse_protection("clear"));
}

TEST(ContentUri, ComesBackAndSaysWhatIsWrong) {
  ContentUri uri{{1, 2, 3}, "sealcast.test"};
  EXPECT_EQ(parse_content_uri(uri.text())->root, uri.root);
  for (auto* bad :
       {"", "http://x", "sealcast:abc", "sealcast:abc@d", "sealcast:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA@",
        "sealcast:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA@a b"}) {
    auto result = parse_content_uri(bad);
    ASSERT_FALSE(result) << bad;
    EXPECT_EQ(result.error().code, ErrorCode::usage);
  }
}

}  // namespace
}  // namespace sealcast::content
