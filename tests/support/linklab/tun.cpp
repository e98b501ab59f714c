#include "tun.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace sealcast::linklab {
namespace {

// Packets that the device holds until we read them: more than we ever leave there, so that the only queue is ours.
constexpr int k_device_queue = 20'000;

tl::unexpected<Error> refused(const std::string& what) {
  return fail(ErrorCode::failure, what + " is refused here: " + std::strerror(errno));
}

Status write_file(const char* path, const std::string& text) {
  os::Descriptor file(open(path, O_WRONLY | O_CLOEXEC));
  if (!file || write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) return refused(path);
  return {};
}

ifreq request_for(const char* device) {
  ifreq out{};
  std::strncpy(out.ifr_name, device, sizeof out.ifr_name - 1);
  return out;
}

Status up(int socket, const char* device) {
  auto request = request_for(device);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (ioctl(socket, SIOCSIFFLAGS, &request) != 0) return refused(std::string("raising ") + device);
  return {};
}

Status set_address(int socket, const char* device, unsigned long which, const std::string& address) {
  auto request = request_for(device);
  sockaddr_in into{};
  into.sin_family = AF_INET;
  if (inet_pton(AF_INET, address.c_str(), &into.sin_addr) != 1)
    return fail(ErrorCode::usage, address + " is no IPv4 address");
  std::memcpy(&request.ifr_addr, &into, sizeof into);
  if (ioctl(socket, which, &request) != 0) return refused("the address " + address);
  return {};
}

Status configure(const char* device, const std::string& address, unsigned mtu) {
  os::Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return refused("a socket");
  auto size = request_for(device);
  size.ifr_mtu = static_cast<int>(mtu);
  if (ioctl(socket.get(), SIOCSIFMTU, &size) != 0) return refused("an MTU of " + std::to_string(mtu));
  auto queue = request_for(device);
  queue.ifr_qlen = k_device_queue;
  (void)ioctl(socket.get(), SIOCSIFTXQLEN, &queue);  // root of a user namespace may not: the device holds 500 then
  SEALCAST_TRY(set_address(socket.get(), device, SIOCSIFADDR, address));
  SEALCAST_TRY(set_address(socket.get(), device, SIOCSIFNETMASK, "255.255.255.0"));
  SEALCAST_TRY(up(socket.get(), "lo"));
  return up(socket.get(), device);
}

Result<os::Descriptor> open_tun(const char* device) {
  os::Descriptor tun(open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!tun) return refused("/dev/net/tun");
  auto request = request_for(device);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (ioctl(tun.get(), TUNSETIFF, &request) != 0) return refused("a TUN device");
  if (ioctl(tun.get(), TUNSETOFFLOAD, 0) != 0) return refused("a TUN device without offload");
  return tun;
}

}  // namespace

Status become_root() {
  if (geteuid() == 0) return {};
  auto user = std::to_string(geteuid()), group = std::to_string(getegid());
  if (unshare(CLONE_NEWUSER) != 0) return refused("a user namespace");
  SEALCAST_TRY(write_file("/proc/self/setgroups", "deny"));
  SEALCAST_TRY(write_file("/proc/self/uid_map", "0 " + user + " 1"));
  return write_file("/proc/self/gid_map", "0 " + group + " 1");
}

Result<Network> make_network(const std::string& address, unsigned mtu) {
  if (unshare(CLONE_NEWNET) != 0) return refused("a network namespace");
  // A kernel without IPv6 has no such file, and needs none.
  (void)write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
  constexpr const char* k_device = "link0";
  Network out;
  SEALCAST_TRY_ASSIGN(out.tun, open_tun(k_device));
  SEALCAST_TRY(configure(k_device, address, mtu));
  out.name_space.reset(open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!out.name_space) return refused("/proc/self/ns/net");
  return out;
}

}  // namespace sealcast::linklab
