#include "traffic.hpp"

#include <fstream>
#include <map>

namespace sealcast::attacker {
namespace {

std::uint16_t u16(ByteView at) {
  return static_cast<std::uint16_t>(at[0] << 8 | at[1]);
}
std::uint32_t u32(ByteView at) {
  return std::uint32_t{u16(at)} << 16 | u16(at.subspan(2));
}

// One direction of a connection. Segments may come twice and out of order.
class Reassembly {
 public:
  explicit Reassembly(std::string flow) { stream_.flow = std::move(flow); }
  void segment(std::uint32_t sequence, bool syn, ByteView data) {
    if (!next_) next_ = sequence + (syn ? 1 : 0);
    if (data.empty()) return;
    if (syn) ++sequence;
    pending_.emplace(static_cast<std::int32_t>(sequence - *next_) + position_, data);
    take(false);
  }
  Stream finish() {
    take(true);
    return std::move(stream_);
  }

 private:
  // In order; at the end whatever is there, over the gaps.
  void take(bool all) {
    for (auto it = pending_.begin(); it != pending_.end() && (all || it->first <= position_); it = pending_.erase(it)) {
      auto [at, data] = *it;
      if (at > position_) {
        stream_.gaps += static_cast<std::size_t>(at - position_);
        advance(at - position_);
      }
      if (at + static_cast<std::int64_t>(data.size()) <= position_) continue;
      data = data.subspan(static_cast<std::size_t>(position_ - at));
      stream_.octets.insert(stream_.octets.end(), data.begin(), data.end());
      advance(static_cast<std::int64_t>(data.size()));
    }
  }
  void advance(std::int64_t octets) {
    position_ += octets;
    *next_ += static_cast<std::uint32_t>(octets);
  }
  Stream stream_;
  std::optional<std::uint32_t> next_;              // the sequence number at position_
  std::int64_t position_ = 0;                      // octets of the stream so far, gaps counted
  std::multimap<std::int64_t, ByteView> pending_;  // by position
};

struct IpPacket {
  std::string from, to;
  std::uint8_t protocol = 0;
  ByteView payload;
};

std::optional<IpPacket> ip_packet(ByteView packet) {
  if (packet.size() >= 20 && packet[0] >> 4 == 4) {
    std::size_t header = (packet[0] & 15) * 4u, total = u16(packet.subspan(2));
    bool fragment = (u16(packet.subspan(6)) & 0x3fff) != 0;
    if (total == 0 || total > packet.size()) total = packet.size();  // offload leaves it at zero
    if (header < 20 || header > total || fragment) return std::nullopt;
    return IpPacket{string_of(packet.subspan(12, 4)), string_of(packet.subspan(16, 4)), packet[9],
                    packet.subspan(header, total - header)};
  }
  if (packet.size() >= 40 && packet[0] >> 4 == 6)
    return IpPacket{string_of(packet.subspan(8, 16)), string_of(packet.subspan(24, 16)), packet[6], packet.subspan(40)};
  return std::nullopt;
}

class Sorter {
 public:
  explicit Sorter(Traffic& out) : out_(out) {}
  void packet(ByteView octets) {
    ++out_.packets;
    auto ip = ip_packet(octets);
    bool known = ip && ((ip->protocol == 17 && udp(*ip)) || (ip->protocol == 6 && tcp(*ip)));
    if (!known) out_.other.push_back(octets);
  }
  void finish() {
    for (auto& [flow, each] : connections_) keep(each);
  }

 private:
  // A direction that carried nothing (an attempt that was refused) is none.
  void keep(Reassembly& connection) {
    if (auto stream = connection.finish(); !stream.octets.empty()) out_.tcp.push_back(std::move(stream));
  }
  static std::string flow(const IpPacket& ip) { return ip.from + ip.to + string_of(ip.payload.first(4)); }
  bool udp(const IpPacket& ip) {
    if (ip.payload.size() < 8) return false;
    out_.udp.push_back({flow(ip), ip.payload.subspan(8)});
    return true;
  }
  bool tcp(const IpPacket& ip) {
    if (ip.payload.size() < 20) return false;
    std::size_t header = (ip.payload[12] >> 4) * 4u;
    bool syn = ip.payload[13] & 2;
    if (header < 20 || header > ip.payload.size()) return false;
    auto name = flow(ip);
    auto sequence = u32(ip.payload.subspan(4));
    auto found = connections_.find(name);
    if (found != connections_.end() && syn && sequence != first_[name]) {  // the ports are used again
      keep(found->second);
      connections_.erase(found);
      found = connections_.end();
    }
    if (found == connections_.end()) {
      found = connections_.emplace(name, Reassembly(name)).first;
      first_[name] = sequence;
    }
    found->second.segment(sequence, syn, ip.payload.subspan(header));
    return true;
  }
  Traffic& out_;
  std::map<std::string, Reassembly> connections_;
  std::map<std::string, std::uint32_t> first_;  // sequence number of the SYN
};

}  // namespace

std::optional<Bytes> read_whole_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return std::nullopt;
  std::error_code failed;
  Bytes out(static_cast<std::size_t>(std::filesystem::file_size(path, failed)));
  if (failed || !in.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(out.size())))
    return std::nullopt;
  return out;
}

std::optional<Traffic> read_capture(const std::filesystem::path& path) {
  auto file = read_whole_file(path);
  PcapFileHeader header;
  if (!file || file->size() < sizeof header) return std::nullopt;
  std::memcpy(&header, file->data(), sizeof header);
  if (header.magic != k_pcap_magic || header.link != k_raw_ip) return std::nullopt;
  Traffic out;
  out.file = std::move(*file);
  Sorter sorter(out);
  for (ByteView rest = ByteView(out.file).subspan(sizeof header); !rest.empty();) {
    PcapPacketHeader packet;
    if (rest.size() < sizeof packet) return std::nullopt;
    std::memcpy(&packet, rest.data(), sizeof packet);
    rest = rest.subspan(sizeof packet);
    if (packet.captured > rest.size()) return std::nullopt;
    sorter.packet(rest.first(packet.captured));
    rest = rest.subspan(packet.captured);
  }
  sorter.finish();
  return out;
}

}  // namespace sealcast::attacker
