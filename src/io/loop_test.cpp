#include "io/loop.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <thread>
#include <vector>

#include "os/clock.hpp"
#include "os/random.hpp"

namespace sealcast::io {
namespace {

struct Pair {
  Pair() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()), 0); }
  ~Pair() {
    for (int fd : ends) ::close(fd);
  }
  void write() { EXPECT_EQ(::write(ends[1], "x", 1), 1); }
  void read() {
    char octet;
    EXPECT_EQ(::read(ends[0], &octet, 1), 1);
  }
  std::array<int, 2> ends{};
};

TEST(Loop, RunsWhatWasPostedBeforeRunInOrder) {
  Loop loop;
  std::vector<int> order;
  loop.post([&] { order.push_back(1); });
  loop.post([&] {
    order.push_back(2);
    loop.post([&] {
      order.push_back(4);
      loop.stop();
    });
  });
  loop.post([&] { order.push_back(3); });
  loop.run();
  EXPECT_EQ(order, (std::vector{1, 2, 3, 4}));
}

TEST(Loop, RunsAgainAfterStopAndOnceWhenStoppedBefore) {
  Loop loop;
  int ran = 0;
  loop.stop();
  loop.post([&] { ++ran; });
  loop.run();
  EXPECT_EQ(ran, 1);
  loop.post([&] {
    ++ran;
    loop.stop();
  });
  loop.run();
  EXPECT_EQ(ran, 2);
}

TEST(Loop, TakesPostsAndStopFromOtherThreads) {
  Loop loop;
  int ran = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i)
        loop.post([&] {
          if (++ran == 4000) std::thread([&] { loop.stop(); }).join();
        });
    });
  loop.run();
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(ran, 4000);
}

TEST(Loop, TimersRunByInstantAndCancelledOnesNever) {
  Loop loop;
  std::vector<int> order;
  auto now = os::monotonic_now();
  loop.at(now + 3ms, [&] {
    order.push_back(3);
    loop.stop();
  });
  loop.at(now + 1ms, [&] { order.push_back(1); });
  auto gone = loop.at(now + 2ms, [&] { order.push_back(2); });
  Loop::TimerId also = 0;
  loop.at(now - 1s, [&] {
    order.push_back(0);
    loop.cancel(also);  // due in the same turn
  });
  also = loop.at(now - 500ms, [&] { order.push_back(9); });
  EXPECT_NE(gone, 0u);
  loop.cancel(gone);
  loop.cancel(gone);
  loop.cancel(0);
  loop.at(k_never, [&] { order.push_back(8); });
  loop.run();
  EXPECT_EQ(order, (std::vector{0, 1, 3}));
  EXPECT_GE(os::monotonic_now(), now + 3ms);
}

TEST(Loop, ATimerThatIsAlwaysDueDoesNotStarveTheRest) {
  Loop loop;
  int ticks = 0;
  std::function<void()> tick = [&] {
    ++ticks;
    loop.at(Instant{}, tick);
  };
  tick();
  loop.after(2ms, [&] { loop.stop(); });
  loop.run();
  EXPECT_GT(ticks, 1);
}

TEST(Loop, AnUnwatchedDescriptorGetsNoEventOfTheSameTurn) {
  Loop loop;
  Pair a, b;
  a.write();
  b.write();
  int calls = 0;
  auto owned = std::make_shared<int>(7);
  auto watch = [&](Pair& mine, Pair& other) {
    loop.watch(mine.ends[0], true, false, [&, owned](bool readable, bool) {
      EXPECT_TRUE(readable);
      ++calls;
      loop.unwatch(other.ends[0]);
      loop.unwatch(mine.ends[0]);
      EXPECT_EQ(*owned, 7);  // the callback that runs is still there
      // The same number, watched anew: the old event is not its own.
      loop.watch(other.ends[0], false, true, [&](bool other_readable, bool writable) {
        EXPECT_FALSE(other_readable);
        EXPECT_TRUE(writable);
        loop.stop();
      });
    });
  };
  watch(a, b);
  watch(b, a);
  loop.run();
  EXPECT_EQ(calls, 1);
}

TEST(Loop, RewatchChangesInterestAndNoneIsQuietEvenAfterHangUp) {
  Loop loop;
  Pair a;
  a.write();
  int reads = 0, turns = 0;
  loop.watch(a.ends[0], true, false, [&](bool, bool) {
    ++reads;
    loop.rewatch(a.ends[0], false, false);
    ::shutdown(a.ends[1], SHUT_RDWR);
    loop.after(2ms, [&] { loop.rewatch(a.ends[0], true, false); });
    if (reads == 2) loop.stop();
  });
  loop.on_turn([&] { ++turns; });
  loop.run();
  EXPECT_EQ(reads, 2);
  EXPECT_LT(turns, 10);  // it slept meanwhile
}

TEST(Loop, AllHooksAreKeptAndRunAfterTheTasksOfTheTurn) {
  Loop loop;
  std::vector<int> order;
  loop.on_turn([&] { order.push_back(2); });
  loop.on_turn([&] { order.push_back(3); });
  loop.post([&] {
    order.push_back(1);
    loop.stop();
  });
  loop.run();
  EXPECT_EQ(order, (std::vector{1, 2, 3}));
}

bool is_default(int number) {
  struct sigaction action {};
  ::sigaction(number, nullptr, &action);
  return action.sa_handler == SIG_DFL;
}

TEST(Loop, SignalsOfAnyThreadArriveOnceAndTheSecondWouldKill) {
  {
    Loop loop, other;
    int got = 0;
    ASSERT_TRUE(loop.on_signal([&](int number) {
      got = number;
      loop.stop();
    }));
    EXPECT_FALSE(loop.on_signal([](int) {}));
    EXPECT_FALSE(other.on_signal([](int) {}));
    EXPECT_FALSE(is_default(SIGINT));
    std::thread([] { ::raise(SIGTERM); }).join();
    loop.run();
    EXPECT_EQ(got, SIGTERM);
    EXPECT_TRUE(is_default(SIGTERM));
    EXPECT_TRUE(is_default(SIGINT));
  }
  Loop next;
  EXPECT_TRUE(next.on_signal([](int) {}));
}

TEST(Loop, PipesOfClosedPartnersDoNotKill) {
  Loop loop;
  Pair a;
  ::shutdown(a.ends[0], SHUT_RDWR);
  EXPECT_EQ(::write(a.ends[1], "x", 1), -1);
  EXPECT_EQ(errno, EPIPE);
}

TEST(Loop, WhatCallbacksOwnMayCallTheLoopAsItGoes) {
  Pair a;
  auto loop = std::make_unique<Loop>();
  struct Owner {
    Owner(Loop& l, int d) : loop(l), descriptor(d) {}
    Loop& loop;
    int descriptor;
    ~Owner() {
      loop.unwatch(descriptor);
      loop.cancel(1);
      loop.post([] {});
    }
  };
  auto owner = std::make_shared<Owner>(*loop, a.ends[0]);
  loop->at(k_never, [owner] {});
  loop->watch(a.ends[0], true, false, [owner](bool, bool) {});
  loop->post([owner] {});
  owner.reset();
  loop.reset();
}

}  // namespace
}  // namespace sealcast::io
