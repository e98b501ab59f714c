// The bitmap's form on disk, and its operations against one flag for each chunk.
#include "content/bitmap.hpp"

#include <algorithm>

#include "tests/fuzz/fuzz.hpp"

using namespace sealcast;
using content::Bitmap;
using content::ChunkRange;

namespace {

void check(const Bitmap& bitmap, const std::vector<bool>& model) {
  SEALCAST_ASSERT(bitmap.size() == model.size() &&
                  bitmap.count() == static_cast<std::size_t>(std::count(model.begin(), model.end(), true)));
  auto again = Bitmap::from_octets(bitmap.size(), bitmap.octets());
  SEALCAST_ASSERT(again && again->words() == bitmap.words() && again->count() == bitmap.count());
  std::uint32_t held = 0;
  for (auto range : bitmap.ranges()) {
    SEALCAST_ASSERT(range.last < model.size() && bitmap.test(range) && (range.first == 0 || !model[range.first - 1]));
    held += static_cast<std::uint32_t>(range.size());
  }
  SEALCAST_ASSERT(held == bitmap.count());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input in(data, size);
  auto chunks = 1u + in.u16() % 400;
  Bitmap bitmap(chunks, in.flag());
  std::vector<bool> model(chunks, bitmap.full());
  for (int i = 0; i < 32 && !in.empty(); ++i) {
    auto a = static_cast<std::uint32_t>(in.below(chunks)), b = static_cast<std::uint32_t>(in.below(chunks));
    ChunkRange range{std::min(a, b), std::max(a, b)};
    bool value = in.flag();
    value ? bitmap.set(range) : bitmap.reset(range);
    for (auto c = range.first; c <= range.last; ++c) model[c] = value;
    SEALCAST_ASSERT(bitmap.test(range) == value && bitmap.test_any(range) == value);
    auto next = static_cast<std::size_t>(std::find(model.begin() + a, model.end(), true) - model.begin());
    SEALCAST_ASSERT(bitmap.next_set(a) == next);
  }
  check(bitmap, model);
  auto foreign = Bitmap::from_octets(in.u16(), in.rest());
  if (foreign) SEALCAST_ASSERT(foreign->count() <= foreign->size() && foreign->ranges().size() <= foreign->size());
  return 0;
}
