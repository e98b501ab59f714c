// Drives a harness without libFuzzer: each file of a corpus, and so many changes of each, the same ones in every run.
//   <harness> CORPUS-DIRECTORY CHANGES
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <set>

#include "tests/fuzz/fuzz.hpp"

namespace {

using sealcast::Bytes;

Bytes read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// One to four of: a bit, an octet, a cut, a doubled part, octets put in.
Bytes changed(Bytes octets, std::mt19937_64& random) {
  for (auto times = 1 + random() % 4; times > 0; --times) {
    if (octets.empty()) octets.push_back(static_cast<std::uint8_t>(random()));
    auto at = static_cast<std::ptrdiff_t>(random() % octets.size());
    auto length =
        static_cast<std::ptrdiff_t>(std::min<std::size_t>(random() % 16, octets.size() - static_cast<std::size_t>(at)));
    switch (random() % 5) {
      case 0:
        octets[static_cast<std::size_t>(at)] ^= static_cast<std::uint8_t>(1u << random() % 8);
        break;
      case 1:
        octets[static_cast<std::size_t>(at)] = static_cast<std::uint8_t>(random());
        break;
      case 2:
        octets.erase(octets.begin() + at, octets.begin() + at + length);
        break;
      case 3: {
        Bytes part(octets.begin() + at, octets.begin() + at + length);
        octets.insert(octets.begin() + at, part.begin(), part.end());
        break;
      }
      default:
        for (auto n = random() % 8; n > 0; --n) octets.insert(octets.begin() + at, static_cast<std::uint8_t>(random()));
    }
  }
  return octets;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return std::fprintf(stderr, "usage: %s CORPUS-DIRECTORY CHANGES\n", argv[0]), 2;
  std::set<std::filesystem::path> files;
  for (auto& entry : std::filesystem::directory_iterator(argv[1])) files.insert(entry.path());
  auto changes = std::atoi(argv[2]);
  std::mt19937_64 random(1);
  std::size_t runs = 0;
  for (auto& file : files) {
    auto seed = read_file(file);
    LLVMFuzzerTestOneInput(seed.data(), seed.size());
    ++runs;
    for (int i = 0; i < changes; ++i, ++runs) {
      auto octets = changed(seed, random);
      // A copy of its own size, so that a sanitizer sees each octet read behind its end.
      octets.shrink_to_fit();
      LLVMFuzzerTestOneInput(octets.data(), octets.size());
    }
  }
  std::printf("%zu files, %zu runs\n", files.size(), runs);
  return files.empty() ? 1 : 0;
}
