// The capture: a ring of the kernel (TPACKET_V3), so that nothing is lost while the disk or another process is slow.
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "traffic.hpp"

namespace sealcast::attacker {
namespace {

constexpr std::uint32_t k_block = 1 << 20, k_blocks = 96, k_retire_ms = 20;
constexpr int k_ignore_outgoing = 23;  // PACKET_IGNORE_OUTGOING, Linux 4.20

class Recorder {
 public:
  ~Recorder() {
    if (ring_ != MAP_FAILED) ::munmap(ring_, std::size_t{k_block} * k_blocks);
    if (socket_ >= 0) ::close(socket_);
    if (out_) std::fclose(out_);
  }

  // The name of the call that failed, or nullptr.
  const char* open(const std::string& path) {
    out_ = std::fopen(path.c_str(), "wb");
    if (!out_) return "open of the file";
    PcapFileHeader header;
    if (std::fwrite(&header, sizeof header, 1, out_) != 1) return "write";
    socket_ = ::socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);  // protocol 0: nothing arrives before bind
    if (socket_ < 0) return "socket(AF_PACKET)";
    int version = TPACKET_V3, on = 1;
    if (::setsockopt(socket_, SOL_PACKET, PACKET_VERSION, &version, sizeof version) != 0) return "TPACKET_V3";
    (void)::setsockopt(socket_, SOL_PACKET, k_ignore_outgoing, &on, sizeof on);  // on an older kernel packet() does it
    tpacket_req3 ring{k_block, k_blocks, 2048, k_block / 2048 * k_blocks, k_retire_ms, 0, 0};
    if (::setsockopt(socket_, SOL_PACKET, PACKET_RX_RING, &ring, sizeof ring) != 0) return "PACKET_RX_RING";
    ring_ = ::mmap(nullptr, std::size_t{k_block} * k_blocks, PROT_READ | PROT_WRITE, MAP_SHARED, socket_, 0);
    if (ring_ == MAP_FAILED) return "mmap";
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = static_cast<int>(::if_nametoindex("lo"));
    return ::bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 ? nullptr : "bind";
  }

  // Until a signal comes, and then until the kernel has handed over the block that it was filling.
  bool run(int signals) {
    for (bool stopping = false;;) {
      pollfd wait[2] = {{socket_, POLLIN, 0}, {signals, POLLIN, 0}};
      int ready = ::poll(wait, stopping ? 1 : 2, stopping ? 10 * static_cast<int>(k_retire_ms) : -1);
      if (ready < 0 && errno != EINTR) return false;
      if (!drain()) return false;
      if (stopping && ready == 0) return std::fflush(out_) == 0;
      if (wait[1].revents) stopping = true;
    }
  }

  void report() {
    tpacket_stats_v3 statistics{};
    socklen_t size = sizeof statistics;
    ::getsockopt(socket_, SOL_PACKET, PACKET_STATISTICS, &statistics, &size);
    std::printf("{\"packets\":%zu,\"drops\":%u,\"truncated\":%zu}\n", packets_, statistics.tp_drops, truncated_);
  }

 private:
  bool drain() {
    for (;; next_ = (next_ + 1) % k_blocks) {
      auto* block =
          reinterpret_cast<tpacket_block_desc*>(static_cast<std::uint8_t*>(ring_) + std::size_t{k_block} * next_);
      auto& head = block->hdr.bh1;
      if (!(__atomic_load_n(&head.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER)) return true;
      auto* at = reinterpret_cast<std::uint8_t*>(block) + head.offset_to_first_pkt;
      for (std::uint32_t i = 0; i < head.num_pkts; ++i) {
        auto* packet = reinterpret_cast<tpacket3_hdr*>(at);
        if (!write(*packet, at)) return false;
        at += packet->tp_next_offset;
      }
      __atomic_store_n(&head.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    }
  }

  // Each packet passes lo twice, out and in: the second time counts.
  bool write(const tpacket3_hdr& packet, const std::uint8_t* at) {
    auto* from = reinterpret_cast<const sockaddr_ll*>(at + TPACKET_ALIGN(sizeof packet));
    if (from->sll_pkttype == PACKET_OUTGOING) return true;
    ++packets_;
    if (packet.tp_snaplen < packet.tp_len) ++truncated_;
    PcapPacketHeader header{packet.tp_sec, packet.tp_nsec / 1000, packet.tp_snaplen, packet.tp_len};
    return std::fwrite(&header, sizeof header, 1, out_) == 1 &&
           std::fwrite(at + packet.tp_net, 1, packet.tp_snaplen, out_) == packet.tp_snaplen;
  }

  std::FILE* out_ = nullptr;
  int socket_ = -1;
  void* ring_ = MAP_FAILED;
  std::uint32_t next_ = 0;
  std::size_t packets_ = 0, truncated_ = 0;
};

}  // namespace

int record(const std::string& path) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  int told = ::signalfd(-1, &signals, SFD_CLOEXEC);
  Recorder recorder;
  if (auto* failed = recorder.open(path)) {
    std::perror(failed);
    return 1;
  }
  std::printf("ready\n");
  std::fflush(stdout);
  if (!recorder.run(told)) {
    std::perror("capture");
    return 1;
  }
  recorder.report();
  return 0;
}

}  // namespace sealcast::attacker
