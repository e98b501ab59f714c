#include "settings.hpp"

#include <gtest/gtest.h>

namespace sealcast::linklab {
namespace {

using namespace std::chrono_literals;

TEST(LinkSettings, each_name_changes_what_it_says) {
  auto read = changed({},
                      "rate=50M,queue=16k,delay=25ms,jitter=1500us,order=mixed,loss=0.01,early=0.02/12.5ms,"
                      "duplicate=0.001,mtu=1200,icmp=on,outage=on");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->rate, 50e6);
  EXPECT_EQ(read->queue, 16'000u);
  EXPECT_EQ(read->delay, 25ms);
  EXPECT_EQ(read->jitter, 1500us);
  EXPECT_EQ(read->order, Order::mixed);
  EXPECT_EQ(read->loss, 0.01);
  EXPECT_EQ(read->early, 0.02);
  EXPECT_EQ(read->early_by, 12500us);
  EXPECT_EQ(read->duplicate, 0.001);
  EXPECT_EQ(read->mtu, 1200u);
  EXPECT_TRUE(read->icmp);
  EXPECT_TRUE(read->outage);
}

TEST(LinkSettings, what_is_not_named_stays) {
  Settings before;
  before.rate = 7;
  auto read = changed(before, "outage=off");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->rate, 7);
  EXPECT_EQ(changed(before, "")->rate, 7);
}

TEST(LinkSettings, what_is_no_setting_is_named) {
  for (auto text : {"rat=1", "rate", "rate=", "rate=-1", "rate=1x", "rate=nan", "delay=5", "delay=1e99s", "loss=1.1",
                    "early=0.1", "early=2/5ms", "order=none", "outage=1", "mtu=9k9", "loss=0.1,,mtu=5"}) {
    auto read = changed({}, text);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().code, ErrorCode::usage);
    EXPECT_NE(read.error().message.find("--help"), std::string::npos);
  }
}

TEST(LinkSettings, a_change_says_whom_it_is_for) {
  auto both = parse_change("both mtu=1200");
  ASSERT_TRUE(both);
  EXPECT_TRUE(both->down && both->up);
  EXPECT_EQ(both->settings, "mtu=1200");
  EXPECT_TRUE(parse_change("down loss=1")->down);
  EXPECT_FALSE(parse_change("down loss=1")->up);
  EXPECT_TRUE(parse_change("up loss=1")->up);
  EXPECT_FALSE(parse_change("mtu=1200"));
  EXPECT_FALSE(parse_change("both mtu=small"));
  EXPECT_FALSE(parse_change(""));
}

TEST(LinkSettings, a_planned_change_says_when) {
  auto planned = parse_planned("2.5s  up loss=0.5");
  ASSERT_TRUE(planned);
  EXPECT_EQ(planned->at, 2500ms);
  EXPECT_TRUE(planned->change.up);
  EXPECT_FALSE(parse_planned("both mtu=1200"));
  EXPECT_FALSE(parse_planned("2.5 both mtu=1200"));
}

}  // namespace
}  // namespace sealcast::linklab
