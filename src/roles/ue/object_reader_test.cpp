// The file of a content from its object: every range, and nothing that is not known to be right.
#include "roles/ue/object_reader.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "io/chunk_file.hpp"
#include "roles/ue/opened_object.hpp"
#include "tests/support/seeded_random.hpp"
#include "tests/support/summed_storage.hpp"
#include "tests/support/temporary_directory.hpp"

namespace sealcast::roles {
namespace {

namespace fs = std::filesystem;
using content::ChunkRange;
using content::k_record_plain;
using content::k_sealed_header;

constexpr std::uint32_t k_chunk = 1024;

// A published object in memory, all of it held.
struct Published {
  explicit Published(std::size_t octets, content::Protection protection = content::Protection::sealed)
      : plain(octets), storage(0) {
    test::SeededRandom random(octets + 1);
    random.fill(plain);
    random.fill(key.fill());
    sealed() = plain;
    description.protection = protection;
    description.chunk_size = k_chunk;
    description.plain_length = octets;
    if (content::is_sealed(protection)) seal();
    description.length = sealed().size();
    const auto chunks = description.geometry().chunks();
    nodes.resize(content::MerkleTree::octets(chunks) / sizeof(content::Digest));
    content::MerkleTreeBuilder tree(nodes, chunks);
    tree.add(content::leaves_of(k_chunk, sealed()));
    description.root = tree.finish();
    held = content::Bitmap(chunks, true);
  }
  void seal() {
    description.header = content::make_sealed_header({5}, key);
    sealed().assign(description.header->begin(), description.header->end());
    content::RecordSealer sealer(*description.header, key);
    std::size_t at = 0;
    do {
      auto part = ByteView(plain).subspan(at).first(std::min<std::size_t>(k_record_plain, plain.size() - at));
      at += part.size();
      sealer.seal(part, at == plain.size(), sealed());
    } while (at < plain.size());
  }
  Bytes& sealed() { return storage.memory.octets; }  // the object
  const content::ContentKey* its_key() const { return description.header ? &key : nullptr; }
  ObjectReader reader() { return {storage, nodes, description, its_key()}; }
  // As a caller does that wants a range.
  Result<Bytes> range(ObjectReader& from, std::uint64_t offset, std::uint64_t octets) const {
    Bytes out;
    while (out.size() < octets) {
      SEALCAST_TRY_ASSIGN(auto piece, from.read(held, offset + out.size(), octets - out.size()));
      if (piece.empty()) break;
      out.insert(out.end(), piece.begin(), piece.end());
    }
    return out;
  }
  Bytes plain;
  content::ContentKey key;
  content::Description description;
  test::SummedStorage storage;
  std::vector<content::Digest> nodes;
  content::Bitmap held;
};

std::string says(const Result<ByteView>& result) {
  return result ? "no error" : result.error().message;
}

void expect_integrity(const Result<ByteView>& result, const std::string& named) {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::integrity);
  EXPECT_NE(says(result).find(named), std::string::npos) << says(result);
}

void flip(const fs::path& path, std::streamoff at, char octet) {
  std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).seekp(at) << octet;
}

const auto k_both = {content::Protection::sealed, content::Protection::none};

// Near the edges of chunks, runs and records, of the first, an inner and the short last one.
TEST(ObjectReader, EveryRange) {
  for (auto protection : k_both) {
    Published object(2 * k_record_plain + 100, protection);
    std::vector<std::size_t> edges;
    for (std::size_t edge : {std::size_t{0}, std::size_t{k_chunk}, std::size_t{32 * k_chunk},
                             std::size_t{k_record_plain}, std::size_t{2 * k_record_plain}, object.plain.size()})
      for (std::size_t i = 0; i < 5; ++i)
        if (edge + i >= 2 && edge + i - 2 <= object.plain.size()) edges.push_back(edge + i - 2);
    auto reader = object.reader();
    EXPECT_EQ(reader.length(), object.plain.size());
    for (auto from : edges)
      for (auto to : edges) {
        if (from > to) continue;
        auto octets = object.range(reader, from, to - from);
        ASSERT_TRUE(octets) << octets.error().message;
        ASSERT_TRUE(equal(*octets, ByteView(object.plain).subspan(from, to - from))) << from << ".." << to;
      }
  }
}

TEST(ObjectReader, APieceIsOneRecordOrLess) {
  Published object(2 * k_record_plain + 100);
  auto reader = object.reader();
  EXPECT_EQ(reader.read(object.held, 0)->size(), k_record_plain);
  EXPECT_EQ(reader.read(object.held, 10)->size(), k_record_plain - 10);
  EXPECT_EQ(reader.read(object.held, 2 * k_record_plain + 1)->size(), 99u);
  EXPECT_EQ(reader.read(object.held, 0, 7)->size(), 7u);
  EXPECT_TRUE(reader.read(object.held, 0, 0)->empty());
  EXPECT_TRUE(reader.read(object.held, object.plain.size())->empty());
}

TEST(ObjectReader, OfAnEmptyContentTheRecordIsReadAllTheSame) {
  Published object(0);
  auto reader = object.reader();
  EXPECT_TRUE(reader.read(object.held, 0)->empty());
  EXPECT_TRUE(reader.missing(object.held, 0, 0).empty());
  object.sealed().back() ^= 1;
  expect_integrity(reader.read(object.held, 0), "chunk 0 ");
  object.held = content::Bitmap(1);
  EXPECT_EQ(reader.missing(object.held, 0, 0), (std::vector<ChunkRange>{{0, 0}}));
  EXPECT_EQ(reader.read(object.held, 0).error().code, ErrorCode::unavailable);
}

TEST(ObjectReader, SaysWhichChunksARangeLacks) {
  Published sealed(3 * k_record_plain);
  auto reader = sealed.reader();
  EXPECT_TRUE(reader.missing(sealed.held, 0, 3 * k_record_plain).empty());
  // Record 1 begins at octet 64 of chunk 64, and ends in chunk 128.
  for (std::uint32_t chunk : {63u, 64u, 70u, 71u, 128u, 129u}) sealed.held.reset(chunk);
  EXPECT_EQ(reader.missing(sealed.held, k_record_plain, 1), (std::vector<ChunkRange>{{64, 64}, {70, 71}, {128, 128}}));
  EXPECT_EQ(reader.missing(sealed.held, k_record_plain, 1, 1), (std::vector<ChunkRange>{{64, 64}}));
  EXPECT_EQ(reader.missing(sealed.held, 0, 1), (std::vector<ChunkRange>{{63, 64}}));
  EXPECT_EQ(reader.missing(sealed.held, 0, 3 * k_record_plain),
            (std::vector<ChunkRange>{{63, 64}, {70, 71}, {128, 129}}));
  EXPECT_TRUE(reader.missing(sealed.held, 0, 0).empty());
  auto octet = reader.read(sealed.held, k_record_plain + 5000, 1);
  ASSERT_FALSE(octet);
  EXPECT_EQ(octet.error().code, ErrorCode::unavailable);
  EXPECT_NE(says(octet).find("64..64"), std::string::npos) << says(octet);

  Published clear(100 * k_chunk, content::Protection::none);
  auto open = clear.reader();
  clear.held.reset(ChunkRange{10, 20});
  EXPECT_EQ(open.missing(clear.held, 9 * k_chunk, k_chunk + 1), (std::vector<ChunkRange>{{10, 10}}));
  EXPECT_TRUE(open.missing(clear.held, 9 * k_chunk, k_chunk).empty());
  // What is held of a run is read, and no more.
  EXPECT_EQ(open.read(clear.held, 9 * k_chunk + 1)->size(), k_chunk - 1);
  EXPECT_EQ(open.read(clear.held, 21 * k_chunk)->size(), 11 * k_chunk);
  EXPECT_EQ(open.read(clear.held, 10 * k_chunk).error().code, ErrorCode::unavailable);
}

// Whether data, delimiter or tag: the chunk is named, and other records are read on.
TEST(ObjectReader, WhatWasChangedIsNotReturned) {
  Published object(3 * k_record_plain);
  auto reader = object.reader();
  const auto second = k_sealed_header + content::k_record;
  for (std::size_t at : {second, second + 40000, second + content::k_record - 17, second + content::k_record - 1}) {
    object.sealed()[at] ^= 0x80;
    expect_integrity(reader.read(object.held, k_record_plain + 9, 1), "chunk " + std::to_string(at / k_chunk) + " ");
    EXPECT_TRUE(reader.read(object.held, 0));
    EXPECT_TRUE(reader.read(object.held, 2 * k_record_plain));
    object.sealed()[at] ^= 0x80;
    EXPECT_TRUE(reader.read(object.held, k_record_plain));
  }
}

// The object is as it was published, and does not open.
TEST(ObjectReader, WhoSealedWronglyIsBlamedForIt) {
  Published object(2 * k_record_plain);
  content::ContentKey other;
  ObjectReader reader(object.storage, object.nodes, object.description, &other);
  expect_integrity(reader.read(object.held, k_record_plain), "record 1 does not open");

  // Padding: RFC 8188 allows it, and no octet would have a place that is known.
  Published padded(100);
  auto text = padded.plain;
  text[98] = 2, text[99] = 0;  // data of 98 octets, delimiter, two zeros
  text.push_back(0);
  content::RecordKeys keys(*padded.description.header, padded.key);
  Bytes record(text.size() + crypto::k_gcm_tag);
  crypto::AesGcm(keys.key()).seal(keys.nonce(0), {}, text, record);
  std::copy(record.begin(), record.end(), padded.sealed().begin() + k_sealed_header);
  content::MerkleTreeBuilder tree(padded.nodes = {content::Digest{}}, 1);
  tree.add(content::leaves_of(k_chunk, padded.sealed()));
  padded.description.root = tree.finish();
  auto its = padded.reader();
  expect_integrity(its.read(padded.held, 0), "record 0 is padded");
}

TEST(ObjectReader, OfWhatIsNotSealedEachRunIsCompared) {
  Published object(100 * k_chunk, content::Protection::session);
  auto reader = object.reader();
  ASSERT_TRUE(reader.read(object.held, 40 * k_chunk));
  EXPECT_EQ(object.storage.hashed, 1) << "it had no checksum";
  ASSERT_TRUE(reader.read(object.held, 40 * k_chunk));
  EXPECT_EQ(object.storage.hashed, 1);
  object.sealed()[50 * k_chunk] ^= 1;
  expect_integrity(reader.read(object.held, 40 * k_chunk), "chunk 50 ");
  // Where a part of the run is held, chunks speak for themselves.
  object.held.reset(32);
  EXPECT_EQ(reader.read(object.held, 40 * k_chunk, 10 * k_chunk)->size(), 10 * k_chunk);
  expect_integrity(reader.read(object.held, 40 * k_chunk, 10 * k_chunk + 1), "chunk 50 ");
}

// A tree that a disk has damaged speaks for nothing that is wrong, and against nothing that is right.
TEST(ObjectReader, TheTreeIsNotBelievedEither) {
  Published object(100 * k_chunk, content::Protection::none);
  const auto node = content::bin::at(content::k_run_layer, 1);
  const auto good = object.nodes[node];
  object.nodes[node] = {};
  auto reader = object.reader();
  EXPECT_TRUE(reader.read(object.held, 32 * k_chunk));
  EXPECT_EQ(object.nodes[node], good);
  // Somebody changed both, so that they fit.
  object.sealed()[0] ^= 1;
  object.storage.sums.clear();
  object.nodes[0] = content::leaves_of(k_chunk, ByteView(object.sealed()).first(k_chunk)).front();
  expect_integrity(reader.read(object.held, 0), "chunk 0 ");
}

// Whatever a disk does to octets, tree and checksums: what is returned is right. And what is held and sound is
// returned.
TEST(ObjectReader, NeverAWrongOctet) {
  test::SeededRandom random(8);
  int good = 0, refused = 0;
  for (int round = 0; round < 60; ++round) {
    Published object(1 + random.below(4 * k_record_plain), *(k_both.begin() + round % 2));
    auto reader = object.reader();
    const bool damage = round % 4 < 2;
    for (std::size_t i = 0; damage && i < 3; ++i) {
      object.sealed()[random.below(object.sealed().size())] ^= static_cast<std::uint8_t>(1 + random.below(255));
      object.nodes[random.below(object.nodes.size())][3] ^= 1;
    }
    for (int i = 0; i < 5; ++i) object.held.reset(static_cast<std::uint32_t>(random.below(object.held.size())));
    for (int i = 0; i < 30; ++i) {
      const auto from = random.below(object.plain.size() + 1), octets = random.below(object.plain.size() - from + 1);
      const auto lacks = reader.missing(object.held, from, octets);
      auto read = object.range(reader, from, octets);
      ASSERT_FALSE(read && !lacks.empty());
      ASSERT_TRUE(read || damage || !lacks.empty()) << read.error().message;
      ASSERT_TRUE(!read || equal(*read, ByteView(object.plain).subspan(from, octets)));
      read ? ++good : ++refused;
    }
  }
  EXPECT_GT(good, 100);
  EXPECT_GT(refused, 100);
}

// As `get --keep` leaves it, and with files that change under the reader.
TEST(ObjectReader, OfWhatIsKeptAsItCame) {
  for (auto protection : k_both) {
    test::TemporaryDirectory directory;
    Published object(k_record_plain + 5000, protection);
    const auto base = directory.path() / "object";
    auto file = io::ChunkFile::open(base, object.description.geometry(), object.description.root).value();
    std::copy(object.nodes.begin(), object.nodes.end(), file->nodes().begin());
    ASSERT_TRUE(file->write(0, object.sealed()));
    ObjectReader reader(*file, file->nodes(), object.description, object.its_key());
    EXPECT_EQ(object.range(reader, 0, object.plain.size()).value(), object.plain);
    EXPECT_EQ(object.range(reader, 0, object.plain.size()).value(), object.plain) << "by checksums";
    flip(file->data_path(), 50 * k_chunk, static_cast<char>(object.sealed()[50 * k_chunk] ^ 1));
    expect_integrity(reader.read(object.held, 40 * k_chunk), "chunk 50 ");
    EXPECT_TRUE(reader.read(object.held, k_record_plain + 4000));
    fs::resize_file(file->data_path(), 1000);
    auto piece = reader.read(object.held, 0);
    ASSERT_FALSE(piece);
    EXPECT_NE(says(piece).find(file->data_path().string()), std::string::npos) << says(piece);
  }
}

// As `get` leaves it: what is read comes out of the file, and is authenticated by tags that lie beside it.
struct OpenedReader : ::testing::Test {
  OpenedReader() {
    description = object.description;
    opening = opening_of(description, object.its_key());
  }
  void get() {
    const OpenedObject::Place place{file(), io::PlacedFile::hidden_name(file(), "t"), {}, false};
    opened = OpenedObject::make(directory.path() / "object", place, opening).value();
    chunks = io::ChunkFile::open(directory.path() / "object", description.geometry(), description.root,
                                 io::ChunkFile::Octets::elsewhere)
                 .value();
    chunks->use(*opened);
    ASSERT_TRUE(chunks->write(0, object.sealed()));
    reader.emplace(*chunks, object.nodes, description, object.its_key());
  }
  fs::path file() const { return directory.path() / "film"; }
  test::TemporaryDirectory directory;
  Published object{2 * k_record_plain + 10};
  content::Description description;
  Opening opening;
  std::unique_ptr<OpenedObject> opened;
  std::unique_ptr<io::ChunkFile> chunks;
  std::optional<ObjectReader> reader;
};

TEST_F(OpenedReader, ReadsWhileItIsHiddenAndWhenItHasItsName) {
  get();
  EXPECT_EQ(object.range(*reader, 0, object.plain.size()).value(), object.plain);
  ASSERT_TRUE(opened->commit(io::Replace::never));
  EXPECT_EQ(object.range(*reader, 5, object.plain.size() - 5).value().size(), object.plain.size() - 5);
}

TEST_F(OpenedReader, AnOctetThatWasChangedInTheFile) {
  get();
  flip(opened->path(), k_record_plain + 3000, static_cast<char>(object.plain[k_record_plain + 3000] ^ 1));
  EXPECT_TRUE(reader->read(object.held, 0));
  const auto at = k_sealed_header + content::k_record + 3000;
  expect_integrity(reader->read(object.held, k_record_plain, 1), "chunk " + std::to_string(at / k_chunk) + " ");
}

TEST_F(OpenedReader, ATagThatWasChangedBesideIt) {
  get();
  const auto tag = k_sealed_header + 2 * content::k_record - 1;
  flip(directory.path() / "object.tags", 31, static_cast<char>(object.sealed()[tag] ^ 1));
  EXPECT_TRUE(reader->read(object.held, 0));
  expect_integrity(reader->read(object.held, k_record_plain), "chunk " + std::to_string(tag / k_chunk) + " ");
}

TEST_F(OpenedReader, AFileThatTheUserEditsIsReadNoMore) {
  get();
  ASSERT_TRUE(opened->commit(io::Replace::never));
  std::ofstream(file(), std::ios::app | std::ios::binary) << "more";
  auto piece = reader->read(object.held, 0);
  ASSERT_FALSE(piece);
  EXPECT_NE(says(piece).find(file().string()), std::string::npos) << says(piece);
}

}  // namespace
}  // namespace sealcast::roles
