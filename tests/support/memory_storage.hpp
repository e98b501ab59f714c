#pragma once
// Chunks in memory, for engines without files.
#include "swarm/storage.hpp"
#include "tests/support/memory_octets.hpp"

namespace sealcast::test {

using MemoryStorage = InMemory<swarm::ChunkStorage>;

}  // namespace sealcast::test
