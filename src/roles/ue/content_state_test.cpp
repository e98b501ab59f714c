// The places where processes of one subscriber keep the chunks of one content.
#include "roles/ue/content_state.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "content/uri.hpp"
#include "tests/support/temporary_directory.hpp"

namespace sealcast::roles {
namespace {

namespace fs = std::filesystem;
using content::ChunkRange;

struct Places : ::testing::Test {
  static constexpr std::uint32_t k_chunks = 100, k_size = 1024;
  test::TemporaryDirectory directory;
  crypto::Digest root = crypto::sha256(view_of("a content"));
  content::Geometry geometry = *content::Geometry::make(k_chunks * k_size, k_size);

  fs::path own() const { return directory.path() / "contents" / content::root_text(root); }
  std::unique_ptr<ContentState> open(const std::string& beside, bool expected = true) {
    auto state = ContentState::open(directory.path(), root).value();
    EXPECT_EQ(state->open_object(geometry, beside).value(), expected);
    return state;
  }
  // As if these chunks had come: octets, a node of the tree, the bitmap.
  void hold(ContentState& state, ChunkRange range) {
    auto held = state.held();
    held.set(range);
    for (auto chunk = range.first; chunk <= range.last; ++chunk) {
      Bytes octets(k_size, static_cast<std::uint8_t>(chunk + 1));
      ASSERT_TRUE(state.object().write(geometry.offset_of(chunk), octets));
      state.object().nodes()[content::bin::leaf(chunk)] = crypto::sha256(octets);
    }
    ASSERT_TRUE(state.object().save(held));
  }
  void expect_chunks(ContentState& state, ChunkRange range) {
    for (auto chunk = range.first; chunk <= range.last; ++chunk) {
      ASSERT_TRUE(state.held().test(chunk)) << chunk;
      Bytes octets(k_size);
      ASSERT_TRUE(state.object().read(geometry.offset_of(chunk), octets));
      EXPECT_EQ(octets, Bytes(k_size, static_cast<std::uint8_t>(chunk + 1)));
      EXPECT_EQ(state.object().nodes()[content::bin::leaf(chunk)], crypto::sha256(octets));
    }
  }
  std::size_t beside() const {
    std::size_t out = 0;
    for (auto& entry : fs::directory_iterator(own())) out += entry.path().filename().string().starts_with("beside-");
    return out;
  }
};

TEST_F(Places, OneWritesAndOthersBeginBesideWithWhatIsThere) {
  auto first = open("a");
  hold(*first, {0, 9});
  auto second = open("b");
  expect_chunks(*second, {0, 9});
  EXPECT_EQ(second->held().count(), 10u);
  hold(*second, {0, 19});
  EXPECT_EQ(first->object().held_at_open().count(), 0u);
  open("b", false);
  open("", false);
  EXPECT_EQ(beside(), 1u);
}

TEST_F(Places, WhatLiesBesideIsTakenOverByTheNext) {
  {
    auto first = open("a");
    hold(*first, {0, 9});
    auto second = open("b"), third = open("c");
    hold(*second, {40, 49});
    hold(*third, {45, 60});
  }
  EXPECT_EQ(beside(), 2u);
  auto next = open("a");
  expect_chunks(*next, {0, 9});
  expect_chunks(*next, {40, 60});
  EXPECT_EQ(next->held().count(), 31u);
  EXPECT_EQ(beside(), 0u);
  next.reset();
  EXPECT_EQ(open("a")->held().count(), 31u) << "saved";
}

TEST_F(Places, WhatIsInUseBesideStays) {
  auto first = open("a");
  auto second = open("b");
  hold(*second, {1, 2});
  first.reset();
  auto third = open("c");
  EXPECT_TRUE(third->held().empty());
  EXPECT_EQ(beside(), 1u);
  EXPECT_TRUE(fs::exists(own() / "beside-b" / "object.have"));
}

TEST_F(Places, WhatIsWholeIsReadByMany) {
  auto first = open("a");
  hold(*first, {0, k_chunks - 1});
  first->share();
  auto second = open(""), third = open("");
  expect_chunks(*second, {0, k_chunks - 1});
  EXPECT_TRUE(third->held().full());
  EXPECT_FALSE(second->discard_object()) << "others read it";
  EXPECT_EQ(beside(), 0u);
}

TEST_F(Places, AWholeOneBesideBecomesTheContentsOwn) {
  auto first = open("a");
  hold(*first, {0, 5});
  auto second = open("b");
  hold(*second, {0, k_chunks - 1});
  second->settle(true);
  EXPECT_EQ(beside(), 1u) << "the first one still writes";
  second.reset();
  first.reset();
  auto next = open("");
  EXPECT_TRUE(next->held().full());
  expect_chunks(*next, {0, k_chunks - 1});
  EXPECT_EQ(beside(), 0u);
}

TEST_F(Places, SettlingMovesWhenNobodyWrites) {
  auto first = open("a");
  hold(*first, {0, 5});
  auto second = open("b");
  hold(*second, {0, k_chunks - 1});
  first.reset();
  second->settle(true);
  EXPECT_EQ(beside(), 0u);
  auto next = open("");
  EXPECT_TRUE(next->held().full());
  expect_chunks(*next, {0, k_chunks - 1});
}

TEST_F(Places, AStateThatCannotBeReadIsGivenUpOnlyByItsOnlyUser) {
  {
    auto first = open("a");
    hold(*first, {0, 5});
  }
  std::ofstream(own() / "object.have", std::ios::binary) << "damaged";
  auto state = ContentState::open(directory.path(), root).value();
  EXPECT_FALSE(state->open_object(geometry, "a"));
  EXPECT_TRUE(state->discard_object());
  EXPECT_TRUE(state->open_object(geometry, "a").value());
  EXPECT_TRUE(state->held().empty());
}

// ---- opened in the output

struct Outputs : Places {
  const Opening opening{k_chunks * k_size, k_chunks* k_size, nullptr, nullptr};

  fs::path out(const std::string& name) const { return directory.path() / name; }
  fs::path hidden(const std::string& name) const { return io::PlacedFile::hidden_name(out(name), name); }
  std::unique_ptr<ContentState> get(const std::string& name) {
    auto state = ContentState::open(directory.path(), root).value();
    EXPECT_TRUE(state->open_object(geometry, name, Form::opened).value());
    EXPECT_EQ(state->form(), Form::opened);
    auto opened = state->open_output(out(name), name, opening);
    EXPECT_TRUE(opened) << opened.error().message;
    return state;
  }
  std::unique_ptr<ContentState> seed() {
    auto state = ContentState::open(directory.path(), root).value();
    EXPECT_TRUE(state->open_object(geometry, "", Form::found).value());
    return state;
  }
  void finish(ContentState& state) {
    hold(state, {0, k_chunks - 1});
    ASSERT_TRUE(state.opened()->commit(io::Replace::allowed));
    state.share();
    state.settle(true);
  }
  std::size_t files() const {
    std::size_t count = 0;
    for (auto& entry : fs::directory_iterator(directory.path())) count += entry.is_regular_file();
    return count;
  }
};

TEST_F(Outputs, TheOutputIsAllThereIs) {
  auto state = get("a");
  hold(*state, {3, 7});
  EXPECT_TRUE(fs::exists(hidden("a")));
  finish(*state);
  EXPECT_FALSE(fs::exists(own() / "object.data"));
  EXPECT_EQ(fs::file_size(out("a")), k_chunks * k_size);
  EXPECT_EQ(files(), 1u);
  auto served = seed();
  EXPECT_TRUE(served->held().empty()) << "it cannot be read yet";
  ASSERT_TRUE(served->open_output(opening));
  expect_chunks(*served, {0, k_chunks - 1});
  EXPECT_FALSE(served->object().write(0, Bytes(10))) << "the user's";
}

TEST_F(Outputs, FoundAgainUnderTheSameNameOrAnother) {
  {
    auto state = get("a");
    hold(*state, {0, 9});
    state->settle(false);
  }
  {
    auto again = get("a");
    expect_chunks(*again, {0, 9});
    EXPECT_EQ(again->held().count(), 10u);
  }
  auto other = get("b");
  expect_chunks(*other, {0, 9});
  EXPECT_TRUE(fs::exists(hidden("b")));
  EXPECT_EQ(files(), 1u);
  // Gone: nothing is held, and why is known.
  other.reset();
  fs::remove(hidden("b"));
  auto anew = get("b");
  EXPECT_TRUE(anew->held().empty());
  ASSERT_TRUE(anew->not_taken());
  EXPECT_NE(anew->not_taken()->message.find(hidden("b").string()), std::string::npos);
}

TEST_F(Outputs, KilledBetweenTheNameAndItsRecord) {
  {
    auto state = get("a");
    hold(*state, {0, k_chunks - 1});
    fs::rename(hidden("a"), out("a"));
  }
  auto served = seed();
  ASSERT_TRUE(served->open_output(opening));
  expect_chunks(*served, {0, k_chunks - 1});
  EXPECT_FALSE(served->object().write(0, Bytes(10)));
}

TEST_F(Outputs, NothingStaysOfWhatNeverHadAChunk) {
  auto state = get("a");
  state->settle(false);
  EXPECT_EQ(files(), 0u);
  EXPECT_FALSE(fs::exists(own() / "object.place"));
}

TEST_F(Outputs, SideBySideEachHasItsOwnAndTheLastOneIsServed) {
  auto first = get("a");
  hold(*first, {0, 9});
  auto second = get("b");
  expect_chunks(*second, {0, 9});
  finish(*second);
  EXPECT_EQ(beside(), 1u) << "the first one still writes";
  second.reset();
  finish(*first);
  EXPECT_EQ(beside(), 0u);
  first.reset();
  auto third = get("c");
  expect_chunks(*third, {0, k_chunks - 1});
  EXPECT_EQ(beside(), 1u) << "what the first one has is the user's";
  finish(*third);
  EXPECT_EQ(beside(), 0u);
  EXPECT_EQ(files(), 3u);
  third.reset();
  auto served = seed();
  ASSERT_TRUE(served->open_output(opening));
  EXPECT_EQ(served->opened()->path(), out("c"));
}

TEST_F(Outputs, AFileThatIsServedStaysTheContents) {
  {
    auto first = get("a");
    finish(*first);
  }
  auto served = seed();
  ASSERT_TRUE(served->open_output(opening));
  auto second = get("b");
  expect_chunks(*second, {0, k_chunks - 1});
  finish(*second);
  second.reset();
  EXPECT_EQ(beside(), 0u);
  EXPECT_EQ(seed()->form(), Form::opened);
  expect_chunks(*served, {0, k_chunks - 1});
}

TEST_F(Outputs, AFileThatIsGoneIsForgotten) {
  {
    auto first = get("a");
    finish(*first);
  }
  fs::remove(out("a"));
  EXPECT_FALSE(seed()->open_output(opening));
  auto second = get("a");
  EXPECT_TRUE(second->held().empty());
  EXPECT_FALSE(second->not_taken()) << "nothing that was begun is lost";
  EXPECT_EQ(beside(), 0u);
}

TEST_F(Outputs, LeftByAKilledProcessItGoesWithItsFile) {
  {
    auto first = get("a");
    hold(*first, {0, 9});
    auto second = get("b");
    hold(*second, {20, 29});
  }
  EXPECT_EQ(files(), 2u);
  auto next = get("a");
  expect_chunks(*next, {0, 9});
  expect_chunks(*next, {20, 29});
  EXPECT_EQ(beside(), 0u);
  EXPECT_EQ(files(), 1u);
}

TEST_F(Outputs, WhatIsKeptStaysUsable) {
  {
    auto kept = open("a");
    hold(*kept, {0, 9});
  }
  auto state = ContentState::open(directory.path(), root).value();
  ASSERT_TRUE(state->open_object(geometry, "a", Form::opened).value());
  EXPECT_EQ(state->form(), Form::kept);
  expect_chunks(*state, {0, 9});
}

TEST_F(Outputs, KeptBesideWhatWasOpened) {
  {
    auto first = get("a");
    finish(*first);
  }
  auto state = ContentState::open(directory.path(), root).value();
  ASSERT_TRUE(state->open_object(geometry, "a", Form::kept).value());
  EXPECT_EQ(state->form(), Form::kept);
  hold(*state, {0, k_chunks - 1});
  state->settle(true);
  state.reset();
  EXPECT_TRUE(fs::exists(own() / "object.data"));
  EXPECT_FALSE(fs::exists(own() / "object.place"));
  EXPECT_TRUE(fs::exists(out("a")));
}

}  // namespace
}  // namespace sealcast::roles
