#include "roles/common/peer_blame.hpp"

#include <gtest/gtest.h>

namespace sealcast::roles {
namespace {

TEST(PeerBlame, EachLieIsRememberedLonger) {
  PeerBlame blame;
  Instant now{100s};
  EXPECT_EQ(blame.free_at(now, "sip:liar"), Instant{});
  Duration before{};
  for (int i = 0; i < 6; ++i) {
    blame.blame(now, "sip:liar");
    auto pause = blame.free_at(now, "sip:liar") - now;
    EXPECT_GE(pause, 30s);
    EXPECT_LE(pause, 3600s);
    EXPECT_TRUE(pause > before || pause == Duration(3600s));
    before = pause;
    now += pause;
    EXPECT_EQ(blame.free_at(now, "sip:liar"), Instant{});  // it gets its chance
  }
  EXPECT_EQ(blame.free_at(now, "sip:other"), Instant{});
  now += 2h;
  blame.blame(now, "sip:liar");  // forgotten by then
  EXPECT_EQ(blame.free_at(now, "sip:liar") - now, Duration(30s));
}

TEST(PeerBlame, InventedNamesDoNotPushOutOthers) {
  PeerBlame blame;
  Instant now{100s};
  blame.blame(now, "sip:liar");
  for (int i = 0; i < 10000; ++i) blame.blame(now, "sip:" + std::to_string(i));
  EXPECT_LE(blame.size(), PeerBlame::k_most);
  EXPECT_NE(blame.free_at(now, "sip:liar"), Instant{});
}

}  // namespace
}  // namespace sealcast::roles
