#pragma once
// Names of hosts. Blocks: for threads that may wait.
#include <string>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"

namespace sealcast::io {

// "core.example.net:5061", "192.0.2.1:5061", "[2001:db8::7]:5061": every address, best first, never none. The error is
// a sentence.
Result<std::vector<Endpoint>> resolve(const std::string& place);

}  // namespace sealcast::io
