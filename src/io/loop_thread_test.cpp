#include "io/loop_thread.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace sealcast::io {
namespace {

TEST(LoopThread, RunsWhatIsPostedInOrderOnItsThread) {
  LoopThread thread;
  thread.start();
  std::vector<int> done;
  std::thread::id where;
  thread.post([&] { done.push_back(1); });
  thread.call([&] {
    done.push_back(2);
    where = std::this_thread::get_id();
  });
  EXPECT_EQ(done, (std::vector<int>{1, 2}));
  EXPECT_NE(where, std::this_thread::get_id());
  thread.stop();
  EXPECT_FALSE(thread.running());
}

TEST(LoopThread, DropsWhatComesAfterItsEndAndStartsAgain) {
  LoopThread thread;
  int ran = 0;
  thread.call([&] { ++ran; });
  thread.start();
  thread.stop();
  thread.stop();
  thread.post([&] { ++ran; });
  EXPECT_EQ(ran, 0);
  thread.start();
  thread.call([&] { ++ran; });
  EXPECT_EQ(ran, 1);
}

}  // namespace
}  // namespace sealcast::io
