#include "base/lifetime.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

namespace sealcast {
namespace {

TEST(Lifetimes, WhatIsGuardedIsNotCalledAfterwards) {
  int told = 0;
  auto here = std::make_unique<Lifetime>();
  std::function<void(const int&)> callback = here->guard([&](int by) { told += by; });
  callback(2);
  EXPECT_EQ(told, 2);
  here.reset();
  callback(2);
  EXPECT_EQ(told, 2);
}

TEST(Lifetimes, EndIsTheEndForTheRestOfADestructorToo) {
  Lifetime here;
  int told = 0;
  auto callback = here.guard([&] { ++told; });
  here.end();
  callback();
  EXPECT_EQ(told, 0);
}

// The object may go within its own callback.
TEST(Lifetimes, ACallbackMayEndItself) {
  auto here = std::make_unique<Lifetime>();
  int told = 0;
  std::function<void()> callback = here->guard([&, reason = std::string("a reason that is longer than its buffer")] {
    here.reset();
    told += static_cast<int>(reason.size() > 20);
  });
  callback();
  callback();
  EXPECT_EQ(told, 1);
}

}  // namespace
}  // namespace sealcast
