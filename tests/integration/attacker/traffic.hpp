#pragma once
// What was captured on the loopback interface, as an attacker looks at it: datagrams, and each direction of each TCP
// connection put together again.
#include <filesystem>
#include <optional>
#include <string>

#include "base/bytes.hpp"

namespace sealcast::attacker {

// A pcap file of raw IP packets (link type 101), times in microseconds.
inline constexpr std::uint32_t k_pcap_magic = 0xa1b2c3d4, k_raw_ip = 101, k_snap = 262144;
struct PcapFileHeader {
  std::uint32_t magic = k_pcap_magic;
  std::uint16_t major = 2, minor = 4;
  std::uint32_t zone = 0, accuracy = 0, snap = k_snap, link = k_raw_ip;
};
struct PcapPacketHeader {
  std::uint32_t seconds = 0, microseconds = 0, captured = 0, length = 0;
};

// One UDP payload as the interface carried it: with segmentation offload it is several datagrams one after the other.
struct Datagram {
  std::string flow;  // addresses and ports, this direction
  ByteView payload;
};

struct Stream {
  std::string flow;
  Bytes octets;
  std::size_t gaps = 0;  // octets that the capture does not have
  bool tls() const { return octets.size() >= 3 && octets[0] == 0x16 && octets[1] == 3; }
};

struct Traffic {
  Bytes file;  // owns what the views below see
  std::size_t packets = 0;
  std::vector<Datagram> udp;
  std::vector<Stream> tcp;
  std::vector<ByteView> other;  // neither UDP nor TCP, or cut into IP fragments: searched as it is
};

// nullopt when the file is no such capture or ends inside a packet.
std::optional<Traffic> read_capture(const std::filesystem::path& path);
std::optional<Bytes> read_whole_file(const std::filesystem::path& path);

// Captures all that crosses `lo` until SIGINT or SIGTERM. Prints "ready", at the end
// {"packets":N,"drops":N,"truncated":N}. An exit code.
int record(const std::string& path);

}  // namespace sealcast::attacker
