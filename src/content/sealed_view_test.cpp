// Sealed objects whose file was opened already: every range, both ways.
#include "content/sealed_view.hpp"

#include <gtest/gtest.h>

#include "tests/support/memory_octets.hpp"
#include "tests/support/seeded_random.hpp"

namespace sealcast::content {
namespace {

using test::MemoryOctets;
using test::SeededRandom;

struct Object {
  explicit Object(std::size_t octets) : plain(octets) {
    SeededRandom random(octets + 1);
    random.fill(key.fill());
    random.fill(plain);
    header = make_sealed_header({1, 2, 3}, key);
    sealed.assign(header.begin(), header.end());
    RecordSealer sealer(header, key);
    std::size_t at = 0;
    do {
      auto part = ByteView(plain).subspan(at).first(std::min<std::size_t>(k_record_plain, plain.size() - at));
      at += part.size();
      sealer.seal(part, at == plain.size(), sealed);
    } while (at < plain.size());
  }
  ContentKey key;
  SealedHeader header{};
  Bytes plain, sealed;
};

struct View {
  explicit View(const Object& object, const ContentKey* other = nullptr)
      : file(object.plain.size()),
        tags((object.sealed.size() - k_sealed_header - 1) / k_record * 16 + 16),
        view(object.header, other ? *other : object.key, object.sealed.size(), file, tags) {}
  MemoryOctets file, tags;
  SealedView view;
};

ByteView part(const Bytes& of, std::size_t from, std::size_t octets) {
  return ByteView(of).subspan(from, octets);
}

void check_all(SealedView& view) {
  for (auto i = view.next_unchecked(0); i < view.records(); i = view.next_unchecked(i)) ASSERT_TRUE(view.check(i));
}

TEST(SealedView, OpensAndSealsObjectsOfEveryLength) {
  for (std::size_t size : {0u, 1u, 15u, 16u, 65518u, 65519u, 65520u, 131038u, 131039u, 200000u}) {
    Object object(size);
    View v(object);
    ASSERT_TRUE(v.view.write(0, object.sealed)) << size;
    EXPECT_EQ(v.file.octets, object.plain) << size;
    EXPECT_EQ(v.view.next_unchecked(0), v.view.records()) << size;
    Bytes again(object.sealed.size());
    ASSERT_TRUE(v.view.read(0, again));
    EXPECT_EQ(again, object.sealed) << size;
  }
}

// Every beginning and every end near those of header, data, delimiter, tag and block.
TEST(SealedView, EveryAlignment) {
  Object object(2 * k_record_plain + 100);
  std::vector<std::size_t> edges;
  for (std::size_t edge : {std::size_t{0}, k_sealed_header, k_sealed_header + k_record - 17, k_sealed_header + k_record,
                           k_sealed_header + 2 * k_record, object.sealed.size() - 17, object.sealed.size()})
    for (std::size_t i = 0; i < 37; ++i)
      if (edge + i >= 18 && edge + i - 18 <= object.sealed.size()) edges.push_back(edge + i - 18);
  View whole(object);
  ASSERT_TRUE(whole.view.write(0, object.sealed));
  Bytes out;
  for (auto from : edges)
    for (auto to : edges) {
      if (from >= to) continue;
      out.assign(to - from, 0);
      ASSERT_TRUE(whole.view.read(from, out));
      ASSERT_TRUE(equal(out, part(object.sealed, from, to - from))) << from << ".." << to;
    }
  for (auto cut : edges)
    for (auto length : {1u, 5u, 16u, 40u}) {
      auto end = std::min(cut + length, object.sealed.size());
      View v(object);
      ASSERT_TRUE(v.view.write(end, part(object.sealed, end, object.sealed.size() - end)));
      ASSERT_TRUE(v.view.write(cut, part(object.sealed, cut, end - cut)));
      ASSERT_TRUE(v.view.write(0, part(object.sealed, 0, cut)));
      ASSERT_EQ(v.file.octets, object.plain) << cut;
      check_all(v.view);
    }
}

// As chunks come: in pieces, from several places at once, some of them twice.
TEST(SealedView, SealingAgainGivesTheSameOctets) {
  SeededRandom random(3);
  for (int round = 0; round < 40; ++round) {
    Object object(random.below(5 * k_record_plain));
    View v(object);
    auto piece = 1 + random.below(40000);
    std::vector<std::size_t> places;
    for (std::size_t at = 0; at < object.sealed.size(); at += piece) places.push_back(at);
    for (auto& at : places)
      if (round % 3 != 0) std::swap(at, places[random.below(places.size())]);
    for (int again = 0; again < 3; ++again) places.push_back(places[random.below(places.size())]);
    for (auto at : places)
      ASSERT_TRUE(v.view.write(at, part(object.sealed, at, std::min(piece, object.sealed.size() - at))));
    ASSERT_EQ(v.file.octets, object.plain);
    check_all(v.view);
    for (int i = 0; i < 50; ++i) {
      auto from = random.below(object.sealed.size());
      Bytes out(random.below(object.sealed.size() - from + 1));
      ASSERT_TRUE(v.view.read(from, out));
      ASSERT_TRUE(equal(out, part(object.sealed, from, out.size())));
    }
  }
}

// Whoever checks nothing would serve this; check() and whoever compares chunks see it.
TEST(SealedView, ATamperedFileIsSeen) {
  Object object(k_record_plain + 1000);
  for (std::size_t at :
       {std::size_t{0}, std::size_t{k_record_plain - 1}, std::size_t{k_record_plain}, object.plain.size() - 1}) {
    View v(object);
    ASSERT_TRUE(v.view.write(0, object.sealed));
    v.file.octets[at] ^= 1;
    Bytes out(object.sealed.size());
    ASSERT_TRUE(v.view.read(0, out));
    EXPECT_NE(out, object.sealed);
    auto checked = v.view.check(at / k_record_plain);
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, ErrorCode::integrity);
  }
  View v(object);
  ASSERT_TRUE(v.view.write(0, object.sealed));
  v.tags.octets[17] ^= 1;
  EXPECT_TRUE(v.view.check(0));
  EXPECT_FALSE(v.view.check(1));
  v.file.octets.pop_back();
  Bytes out(100);
  EXPECT_FALSE(v.view.read(object.sealed.size() - 100, out));
}

TEST(SealedView, AWrongKeyIsSeen) {
  Object object(k_record_plain + 1000);
  ContentKey other;
  View v(object, &other);
  // The delimiter is wrong but for one key in 256; the tag always.
  auto written = v.view.write(0, object.sealed);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::integrity);
  ASSERT_TRUE(v.view.write(100, part(object.sealed, 100, 1000)));
  EXPECT_FALSE(v.view.check(0));
}

TEST(SealedView, SealedWronglyByTheProvider) {
  Object object(1000);
  // A delimiter in the wrong place: padding, which RFC 8188 allows and this product never makes.
  crypto::AesGcm cipher(RecordKeys(object.header, object.key).key());
  Bytes padded = object.plain;
  padded.back() = 2;
  padded.push_back(0);
  auto sealed = object.sealed;
  cipher.seal(RecordKeys(object.header, object.key).nonce(0), {}, padded,
              MutableByteView(sealed).subspan(k_sealed_header));
  View v(object);
  auto written = v.view.write(0, sealed);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::integrity);
  EXPECT_NE(written.error().message.find("record 0"), std::string::npos);
  // A tag that fits nothing: the octets are taken, the check says it.
  sealed = object.sealed;
  sealed.back() ^= 1;
  View w(object);
  ASSERT_TRUE(w.view.write(0, sealed));
  EXPECT_EQ(w.view.next_unchecked(0), 0u);
  EXPECT_EQ(w.view.check(0).error().code, ErrorCode::integrity);
  // Another header.
  sealed[3] ^= 1;
  EXPECT_EQ(View(object).view.write(0, sealed).error().code, ErrorCode::integrity);
}

TEST(SealedView, UnverifiedOctetsProveNothing) {
  Object object(3 * k_record_plain);
  View v(object);
  ASSERT_TRUE(v.view.write(0, part(object.sealed, 0, k_sealed_header + k_record + 500)));
  EXPECT_EQ(v.view.next_unchecked(0), 1u);
  v.view.forget_checks();
  EXPECT_EQ(v.view.next_unchecked(0), 0u);
  // What follows in a record whose beginning was not seen is opened all the same.
  ASSERT_TRUE(v.view.write(
      k_sealed_header + k_record + 500,
      part(object.sealed, k_sealed_header + k_record + 500, object.sealed.size() - k_sealed_header - k_record - 500)));
  EXPECT_EQ(v.file.octets, object.plain);
  check_all(v.view);
}

TEST(SealedView, AFullDiskIsAnError) {
  Object object(2 * k_record_plain);
  View v(object);
  v.file.full = true;
  EXPECT_EQ(v.view.write(0, object.sealed).error().code, ErrorCode::disk_full);
  v.file.full = false;
  v.tags.full = true;
  EXPECT_EQ(v.view.write(0, object.sealed).error().code, ErrorCode::disk_full);
  v.tags.full = false;
  ASSERT_TRUE(v.view.write(0, object.sealed));
  EXPECT_EQ(v.file.octets, object.plain);
  check_all(v.view);
}

}  // namespace
}  // namespace sealcast::content
