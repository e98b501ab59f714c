#include "io/storage_worker.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "content/merkle_tree.hpp"

namespace sealcast::io {
namespace {

// Writes when it is let.
class SlowStorage final : public swarm::ChunkStorage {
 public:
  Status read(std::uint64_t, MutableByteView) override { return {}; }
  Status write(std::uint64_t offset, ByteView) override {
    begun.fetch_add(1);
    gate.wait();
    if (offset == 3) return fail("refused");
    return {};
  }
  std::atomic<int> begun = 0;
  std::promise<void> open;
  std::shared_future<void> gate = open.get_future().share();
};

swarm::StorageJob job(SlowStorage& storage, std::uint32_t number) {
  swarm::StorageJob out;
  out.id = {number, 1};
  out.storage = &storage;
  out.offset = number;
  out.chunk_size = 4;
  out.buffer = Bytes(4, static_cast<std::uint8_t>(number));
  if (number != 4) out.expected = content::Subtree(content::leaves_of(4, out.buffer), 0).root();
  return out;
}

TEST(StorageWorker, BringsBackEachInTheirOrderAndSettles) {
  SlowStorage storage;
  std::atomic<int> woken = 0;
  StorageWorker worker([&] { ++woken; });
  for (std::uint32_t i = 1; i <= 4; ++i) worker.add(job(storage, i));
  EXPECT_TRUE(worker.take_done().empty());
  storage.open.set_value();
  worker.settle();
  auto done = worker.take_done();
  ASSERT_EQ(done.size(), 4u);
  for (std::uint32_t i = 0; i < 4; ++i) {
    EXPECT_EQ(done[i].id.place, i + 1);
    EXPECT_EQ(done[i].buffer, Bytes(4, static_cast<std::uint8_t>(i + 1)));
  }
  EXPECT_EQ(done[0].status, swarm::JobStatus::written);
  EXPECT_EQ(done[2].status, swarm::JobStatus::failed);
  EXPECT_EQ(done[3].status, swarm::JobStatus::different);
  EXPECT_EQ(storage.begun, 3) << "what cannot be proven is not written";
  worker.settle();  // nothing is under way
  EXPECT_GE(woken, 0);
}

TEST(StorageWorker, EndsWithWhatHasBegunAndWithoutTheRest) {
  SlowStorage storage;
  {
    StorageWorker worker([] {});
    for (std::uint32_t i = 5; i <= 9; ++i) worker.add(job(storage, i));
    while (storage.begun == 0) std::this_thread::yield();
    storage.open.set_value();
  }
  EXPECT_GE(storage.begun, 1);
}

TEST(StorageWorker, WakesWhoHasTakenAll) {
  SlowStorage storage;
  storage.open.set_value();
  std::promise<void> first, second;
  std::atomic<int> woken = 0;
  StorageWorker worker([&] { (++woken == 1 ? first : second).set_value(); });
  worker.add(job(storage, 5));
  first.get_future().wait();
  EXPECT_EQ(worker.take_done().size(), 1u);
  worker.add(job(storage, 6));
  second.get_future().wait();
  EXPECT_EQ(worker.take_done().size(), 1u);
}

}  // namespace
}  // namespace sealcast::io
