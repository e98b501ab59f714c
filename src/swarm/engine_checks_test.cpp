// What a partner must not be able to do, each alone: the test writes the partner's datagrams.
#include <gtest/gtest.h>

#include "ppspp/message.hpp"
#include "rtp/feedback.hpp"
#include "rtp/packet.hpp"
#include "swarm/engine.hpp"
#include "tests/support/memory_storage.hpp"
#include "tests/support/seeded_random.hpp"

namespace sealcast::swarm {
namespace {

using content::MerkleTree;

using test::MemoryStorage;

// A content of 64 chunks, held or not.
struct Content {
  content::Geometry geometry = *content::Geometry::make(64 * 1152, 1152);
  MemoryStorage storage{64 * 1152};
  std::vector<content::Digest> nodes = std::vector<content::Digest>(MerkleTree::octets(64) / 32);
  SwarmId id{};
  explicit Content(std::uint64_t seed) {
    test::SeededRandom(seed).fill(storage.octets);
    content::MerkleTreeBuilder builder(nodes, 64);
    for (std::uint32_t i = 0; i < 64; ++i) builder.add(crypto::sha256(chunk(i)));
    id = builder.finish();
  }
  ByteView chunk(std::uint32_t i) const { return ByteView(storage.octets).subspan(std::size_t{i} * 1152, 1152); }
};

class EngineChecks : public testing::Test {
 protected:
  void have_engine(EngineOptions options = {}) { engine = std::make_unique<Engine>(random, options); }
  void add(Content& c, bool held, bool secured_only = true, Appetite appetite = Appetite::all) {
    EXPECT_TRUE(engine->add_swarm(
        {c.id, c.geometry, secured_only, c.nodes, content::Bitmap(64, held), &c.storage, appetite, {}}));
  }
  AssociationConfig config(bool secured = true) {
    AssociationConfig out;
    out.remote = partner;
    out.local_ssrc = 8;
    out.remote_ssrc = 7;
    if (secured) {
      out.send_key = theirs.duplicate();
      out.receive_key = ours.duplicate();
    }
    return out;
  }
  // Counts packets and checks that each can be read by the partner; learns the channel id from a HANDSHAKE.
  int listen() {
    int count = 0;
    while (auto batch = engine->output(now))
      for (std::size_t at = 0; at < batch->data.size(); at += batch->segment) {
        auto octets = bytes_of(batch->data.subspan(at, std::min(batch->segment, batch->data.size() - at)));
        rtp::PacketSlot slot{octets.data(), static_cast<std::uint32_t>(octets.size()),
                             static_cast<std::uint32_t>(octets.size()), false};
        if (rtp::classify(octets) == rtp::PacketKind::rtcp) {
          receiver.unprotect_rtcp(slot);
          EXPECT_TRUE(slot.ok) << "feedback in the clear";
          continue;
        }
        last_sequence = rtp::parse_header(octets)->sequence;
        receiver.unprotect({&slot, 1});
        EXPECT_TRUE(slot.ok) << "packet in the clear";
        ++count;
        ppspp::Decoder decoder(ByteView(octets).subspan(16, slot.size - 16));
        if (auto m = decoder.next(); m && m->type == ppspp::MessageType::handshake && m->handshake.source != 0)
          channel = m->handshake.source;
      }
    return count;
  }
  void say(const std::function<void(Writer&)>& messages, bool protect = true, std::uint8_t payload_type = 98) {
    Bytes room(2000);
    Writer w(MutableByteView(room).subspan(12));
    w.u32(channel);
    messages(w);
    rtp::write_header({payload_type, sequence, 0, 7}, room.data());
    rtp::PacketSlot slot{room.data(), static_cast<std::uint32_t>(12 + w.size()),
                         static_cast<std::uint32_t>(room.size()), false};
    if (protect) sender.protect({&slot, 1}), ++sequence;
    engine->input(now, {partner, slot.size, MutableByteView(room).first(slot.size)});
  }
  void say_feedback(std::uint32_t about, bool protect) {
    Bytes room(200);
    rtp::Feedback feedback{7, about, last_sequence, {{true, 0}}, 1};
    rtp::PacketSlot slot{room.data(), static_cast<std::uint32_t>(rtp::write_feedback(feedback, room)), 200, false};
    if (protect) sender.protect_rtcp(slot);
    engine->input(now, {partner, slot.size, MutableByteView(room).first(slot.size)});
  }
  void greet(const Content& c, std::uint32_t source) {
    channel = 0;
    say([&](Writer& w) { ppspp::write_handshake(w, {source, c.id, 1152}); });
  }
  // We ask for a channel; the partner answers.
  void opened(const Content& c) {
    have_engine();
    add(leeched, false);
    id = *engine->add_association(now, config());
    ASSERT_TRUE(engine->open_channel(now, id, c.id));
    listen();
    say([&](Writer& w) { ppspp::write_handshake(w, {5, std::nullopt, 1152}); });
    EXPECT_EQ(count(EventKind::channel_open), 1);
  }
  static void have_all(Writer& w) { ppspp::write_range(w, ppspp::MessageType::have, {0, 63}); }
  int count(EventKind kind) {
    while (auto event = engine->poll_event()) events.push_back(std::move(*event));
    return static_cast<int>(std::count_if(events.begin(), events.end(), [&](auto& e) { return e.kind == kind; }));
  }

  test::SeededRandom random{61};
  std::unique_ptr<Engine> engine;
  Endpoint partner{IpAddress::v4(127, 0, 0, 1), 9};
  rtp::SrtpKey ours{rtp::CryptoSuite::aead_aes_128_gcm, SecretBytes(28)},
      theirs{rtp::CryptoSuite::aead_aes_128_gcm, SecretBytes(28)};
  rtp::SrtpSender sender{ours, 7};
  rtp::SrtpReceiver receiver{theirs, 8};
  std::uint16_t sequence = 100, last_sequence = 0;
  ppspp::ChannelId channel = 0;
  Instant now{1s};
  AssociationId id = 0;
  std::vector<Event> events;
  Content content{1}, leeched{1}, second{2}, third{3};
};

TEST_F(EngineChecks, AKeyAtItsEndSilencesAndIsTold) {
  have_engine();
  add(content, true);
  auto c = config();
  c.srtp.lifetime = 24;
  id = *engine->add_association(now, std::move(c));
  engine->admit(id, content.id);
  greet(content, 5);
  int sent = listen();
  say([](Writer& w) { ppspp::write_range(w, ppspp::MessageType::request, {0, 63}); });
  for (int i = 0; i < 400; ++i) {
    sent += listen();  // whatever goes out can be read
    if (i % 4 == 0) say_feedback(8, true);
    now += 100ms;
    engine->on_deadline(now);
  }
  EXPECT_GT(sent, 16);
  EXPECT_LE(sent, 24);
  EXPECT_EQ(count(EventKind::key_exhausted), 1);
}

TEST_F(EngineChecks, FeedbackThatCannotBeProtectedStaysAndIsTold) {
  have_engine();
  add(content, true);
  auto c = config();
  c.srtp.rtcp_lifetime = 2;
  id = *engine->add_association(now, std::move(c));
  engine->admit(id, content.id);
  greet(content, 5);
  for (int i = 0; i < 10; ++i, now += 200ms) {
    say([](Writer& w) { ppspp::write_range(w, ppspp::MessageType::request, {0, 0}); });
    listen();  // DATA and control behind the refused report can be read
    engine->on_deadline(now);
  }
  EXPECT_EQ(count(EventKind::key_exhausted), 1);
}

TEST_F(EngineChecks, WhatIsNotAuthenticatedIsNotRead) {
  opened(content);
  // Too short to hold a tag: the cipher does not touch it.
  say(have_all, false);
  EXPECT_EQ(count(EventKind::bitmap), 0);
  say(have_all);
  EXPECT_EQ(count(EventKind::bitmap), 1);
}

TEST_F(EngineChecks, FeedbackIsAuthenticatedAndAboutUs) {
  opened(content);
  listen();
  auto in_flight = engine->associations().at(0).in_flight;
  ASSERT_GT(in_flight, 0u);
  say_feedback(8, false);
  say_feedback(9, true);
  EXPECT_EQ(engine->associations().at(0).in_flight, in_flight);
  say_feedback(8, true);
  EXPECT_LT(engine->associations().at(0).in_flight, in_flight);
}

TEST_F(EngineChecks, AnotherPayloadTypeIsNotOurs) {
  opened(content);
  say(have_all, true, 97);
  EXPECT_EQ(count(EventKind::bitmap), 0);
}

TEST_F(EngineChecks, NothingIsSaidBeforeTheHandshake) {
  have_engine();
  add(leeched, false);
  id = *engine->add_association(now, config());
  ASSERT_TRUE(engine->open_channel(now, id, content.id));
  listen();
  ASSERT_NE(channel, 0u);
  say(have_all);
  EXPECT_EQ(count(EventKind::bitmap), 0);
  EXPECT_EQ(count(EventKind::channel_open), 0);
}

TEST_F(EngineChecks, HalfOpenChannelsAreBounded) {
  EngineOptions options;
  options.max_half_open = 2;
  have_engine(options);
  id = *engine->add_association(now, config());
  std::uint32_t source = 5;
  for (auto* c : {&content, &second, &third}) {
    add(*c, true);
    engine->admit(id, c->id);
    greet(*c, source++);
  }
  EXPECT_EQ(listen(), 2);
}

TEST_F(EngineChecks, ChannelsAreBounded) {
  EngineOptions options;
  options.max_channels = 1;
  have_engine(options);
  id = *engine->add_association(now, config());
  std::uint32_t source = 5;
  for (auto* c : {&content, &second}) {
    add(*c, true);
    engine->admit(id, c->id);
    greet(*c, source++);
  }
  EXPECT_EQ(listen(), 1);
  EXPECT_FALSE(engine->open_channel(now, id, second.id));
}

TEST_F(EngineChecks, AChunkOfAnotherSizeIsDropped) {
  opened(content);
  std::fill(leeched.storage.octets.begin(), leeched.storage.octets.end(), 0);
  say(have_all);
  listen();
  say([&](Writer& w) { ppspp::write_data(w, 0, 0, content.chunk(0).first(1000)); });
  for (auto b : {content::bin::at(5, 0), content::bin::at(5, 1)})
    say([&](Writer& w) { ppspp::write_integrity(w, {b, content.nodes[b]}); });
  for (std::uint32_t i = 0; i < 32; ++i) say([&](Writer& w) { ppspp::write_data(w, i, 0, content.chunk(i)); });
  EXPECT_EQ(count(EventKind::integrity_failure), 0);
  EXPECT_TRUE(engine->held(content.id)->test(content::ChunkRange{0, 31}));
}

TEST_F(EngineChecks, APlainAssociationGetsNoChannelWhereSrtpIsWanted) {
  have_engine();
  add(content, true);
  add(second, true, false);
  id = *engine->add_association(now, config(false));
  auto refused = engine->open_channel(now, id, content.id);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().rule, "sdes-required");
  ASSERT_TRUE(engine->open_channel(now, id, second.id));
  engine->set_secured_only(second.id);
  EXPECT_EQ(count(EventKind::channel_closed), 1);
}

TEST_F(EngineChecks, AssociationsAreTheirOwnAndBounded) {
  EngineOptions options;
  options.max_associations = 2;
  have_engine(options);
  auto half = config();
  half.receive_key.reset();
  EXPECT_FALSE(engine->add_association(now, std::move(half)));
  EXPECT_TRUE(engine->add_association(now, config()));
  EXPECT_FALSE(engine->add_association(now, config()));  // the same names
  auto other = config();
  other.remote_ssrc = 70;
  EXPECT_TRUE(engine->add_association(now, std::move(other)));
  auto more = config();
  more.remote_ssrc = 71;
  EXPECT_FALSE(engine->add_association(now, std::move(more)));
}

TEST_F(EngineChecks, AdmissionEndsWithTheSwarm) {
  have_engine();
  add(content, true);
  id = *engine->add_association(now, config());
  engine->admit(id, content.id);
  engine->remove_swarm(now, content.id);
  add(content, true);
  greet(content, 5);
  EXPECT_EQ(listen(), 0);
  engine->admit(id, content.id);
  greet(content, 5);
  EXPECT_EQ(listen(), 1);
}

}  // namespace
}  // namespace sealcast::swarm
