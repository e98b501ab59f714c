#include <gtest/gtest.h>

#include "tracking/relayed_calls.hpp"
#include "tracking/subscriptions.hpp"

namespace sealcast::tracking {
namespace {

const crypto::Digest k_root{1}, k_other{2};

class Relay : public testing::Test {
 protected:
  RelayedCalls calls;
  Instant now{std::chrono::seconds(1000)};
  std::set<std::string> here{"alice", "bob"}, entitled{"alice", "bob"};

  void begin(Leg leg, const std::string& inviter = "alice", const std::string& callee = "bob") {
    RelayedCall call;
    call.inviter_leg = leg, call.callee_leg = leg + 1;
    call.inviter = inviter, call.callee = callee, call.root = k_root;
    ASSERT_FALSE(calls.begin(now, call));
    calls.answered(now, leg);
  }
  RelayedCalls::Work tick() {
    return calls.tick(
        now, [&](auto& who, auto&) { return here.contains(who); },
        [&](auto& who, auto&) { return entitled.contains(who); });
  }
};

TEST_F(Relay, TwoSubscribersCannotFillIt) {
  Leg leg = 1;
  std::size_t taken = 0;
  for (int i = 0; i < 2000; ++i)
    for (auto* who : {"mallory", "oscar"}) {
      auto* other = std::string(who) == "oscar" ? "mallory" : "oscar";
      if (calls.would_refuse(who, other)) continue;
      begin(leg += 2, who, other);
      ++taken;
    }
  EXPECT_EQ(taken, 32u);
  for (int i = 0; i < 2000; ++i)
    if (auto callee = "c" + std::to_string(i); !calls.would_refuse("mallory", callee))
      begin(leg += 2, "mallory", callee);
  EXPECT_EQ(calls.size(), 16 + RelayLimits{}.of_inviter);
  EXPECT_FALSE(calls.would_refuse("alice", "bob"));
}

TEST_F(Relay, BothLegsAreProbedAndASilentOneEndsTheCall) {
  begin(1);
  EXPECT_TRUE(tick().probe.empty());
  now += 30s;
  EXPECT_EQ(tick().probe, (std::vector<Leg>{1, 2}));
  EXPECT_TRUE(tick().probe.empty());
  EXPECT_FALSE(calls.probed(now, 1, 200));
  EXPECT_FALSE(calls.probed(now, 2, 0));
  now += 5s;
  EXPECT_EQ(tick().probe.size(), 2u);
  EXPECT_FALSE(calls.probed(now, 2, 200));  // it was the core, say
  now += 30s;
  EXPECT_EQ(tick().probe.size(), 2u);
  EXPECT_FALSE(calls.probed(now, 2, 408));
  EXPECT_TRUE(calls.probed(now, 2, 480));
  EXPECT_EQ(calls.size(), 0u);
  EXPECT_FALSE(calls.of(2));
  begin(3);
  EXPECT_TRUE(calls.probed(now, 3, 481));
}

TEST_F(Relay, ACallEndsWhenAPartyIsAwayForLong) {
  begin(1);
  here.erase("bob");
  EXPECT_TRUE(tick().ended.empty());
  now += 29s;
  EXPECT_TRUE(tick().ended.empty());
  here.insert("bob");
  EXPECT_TRUE(tick().ended.empty());
  here.erase("alice");
  now += 29s;
  EXPECT_TRUE(tick().ended.empty());
  now += 30s;
  ASSERT_EQ(tick().ended.size(), 1u);
  EXPECT_EQ(calls.size(), 0u);
}

TEST_F(Relay, WithdrawnEntitlementEndsItAtOnce) {
  begin(1);
  begin(3, "alice", "carol");
  here.insert("carol"), entitled.insert("carol");
  entitled.erase("bob");
  auto ended = tick().ended;
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].call.callee, "bob");
  EXPECT_EQ(calls.size(), 1u);
  entitled.erase("alice");  // of the one who called, too
  ended = tick().ended;
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].call.callee, "carol");
}

TEST_F(Relay, NoCallLastsForEver) {
  begin(1);
  RelayedCall unanswered;
  unanswered.inviter_leg = 5, unanswered.callee_leg = 6;
  unanswered.inviter = "alice", unanswered.callee = "bob";
  EXPECT_FALSE(calls.begin(now, unanswered));
  now += 60s;
  EXPECT_EQ(tick().ended.size(), 1u);
  now += 12h;
  EXPECT_EQ(tick().ended.size(), 1u);
  EXPECT_EQ(calls.size(), 0u);
}

TEST(SubscriptionTable, OneForEachSwarmAndBinding) {
  Subscriptions table;
  Instant until{std::chrono::seconds(9)};
  EXPECT_EQ(table.add(1, {k_root, "alice", "c1"}, false, until).replaced, 0u);
  EXPECT_EQ(table.add(2, {k_root, "alice", "c2"}, false, until).replaced, 0u);
  EXPECT_EQ(table.add(3, {k_other, "alice", "c1"}, false, until).replaced, 0u);
  EXPECT_EQ(table.add(4, {k_root, "alice", "c1"}, false, until).replaced, 1u);
  EXPECT_FALSE(table.find(1));
  EXPECT_EQ(table.of(k_root), (std::vector<SubscriptionKey>{2, 4}));
  // Bindings that somebody invents.
  for (SubscriptionKey i = 100; i < 400; ++i) (void)table.add(i, {k_root, "alice", std::to_string(i)}, false, until);
  EXPECT_EQ(table.of(k_root).size(), 16u);
  EXPECT_FALSE(table.add(500, {k_root, "bob", "c1"}, false, until).refusal);
  for (SubscriptionKey i = 600; i < 620; ++i) EXPECT_FALSE(table.add(i, {k_root, "cache", "c"}, true, until).refusal);
  EXPECT_TRUE(table.has("bob", k_root));
  EXPECT_EQ(table.expire(until).size(), 16u + 1 + 1 + 20);
  EXPECT_FALSE(table.has("bob", k_root));
}

TEST(ChangePace, ChangesAreGatheredAndTheHastyWaitLonger) {
  ChangePace pace;
  Instant now{std::chrono::seconds(1000)};
  int told = 0;
  const auto end = now + 60s;
  for (; now < end; now += 10ms) {
    pace.changed(now, k_root);
    told += static_cast<int>(pace.take_due(now).size());
  }
  EXPECT_LE(told, 14);
  EXPECT_GE(told, 8);
  pace.changed(now, k_other);  // somebody else's is told at once
  now += 250ms;
  EXPECT_EQ(pace.take_due(now), std::vector<crypto::Digest>{k_other});
  now += 60s;
  (void)pace.take_due(now), now += 60s, (void)pace.take_due(now);
  EXPECT_EQ(pace.size(), 0u);
  pace.changed(now, k_root);
  EXPECT_EQ(pace.next(), now + 250ms);
}

}  // namespace
}  // namespace sealcast::tracking
