#pragma once
// Network namespaces with one TUN device each.
#include <string>

#include "base/result.hpp"
#include "os/descriptor.hpp"

namespace sealcast::linklab {

struct Network {
  os::Descriptor name_space;  // of the kernel's: for setns, and for others through /proc/PID/fd
  os::Descriptor tun;         // non-blocking; a read or a write is one IP packet without any header of TUN
};

// Who is not root becomes root of a user namespace first, where that is allowed. To be called once, before any thread.
Status become_root();

// A new network namespace with its loopback up, and in it the device link0 with this IPv4 address (of a /24) and MTU.
// The calling process stays in it. No offload is asked for: the kernel cuts segments to the MTU and fills in checksums
// before it gives packets to us. IPv6 is off there, so that nothing but what was asked for crosses the link.
Result<Network> make_network(const std::string& address, unsigned mtu);

}  // namespace sealcast::linklab
