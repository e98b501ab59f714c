#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace sealcast::io {

// `count` different TCP ports of `address` that nobody listens on now. Somebody may take one before its user does.
Result<std::vector<std::uint16_t>> free_tcp_ports(const std::string& address, std::size_t count);

}  // namespace sealcast::io
