#include "swarm/packet_builder.hpp"

#include <algorithm>

#include "rtp/packet.hpp"

namespace sealcast::swarm {
namespace {

// At most, beside its payload.
std::size_t header_of(const Association& a) {
  return rtp::k_rtp_header + (a.secured() ? rtp::k_max_srtp_overhead : 0);
}

}  // namespace

void PacketBuilder::begin() {
  slots_.clear();
  used_ = segment_ = 0;
  ended_ = feedback_ = false;
}

MutableByteView PacketBuilder::room(const Association& a, std::size_t payload, std::size_t behind) {
  const auto header = header_of(a);
  const std::size_t packets = behind == 0 ? 1 : 2;
  const auto size = packets * header + payload + behind;
  if (ended_ || slots_.size() + packets > k_batch_segments || used_ + size > k_batch_octets) return {};
  return MutableByteView(octets_).subspan(used_ + rtp::k_rtp_header, payload);
}

std::size_t PacketBuilder::most(const Association& a) const {
  const auto header = header_of(a);
  if (ended_ || slots_.size() >= k_batch_segments || used_ + header >= k_batch_octets) return 0;
  const auto left = k_batch_octets - used_ - header;
  return segment_ == 0 ? left : std::min(left, segment_ - rtp::k_rtp_header - a.overhead());
}

bool PacketBuilder::misfit(const Association& a, std::size_t payload) const {
  return segment_ != 0 && rtp::k_rtp_header + payload + a.overhead() > segment_;
}

void PacketBuilder::add(Instant now, Association& a, std::size_t payload, SentPacket sent) {
  auto* at = octets_.data() + used_;
  auto sequence = static_cast<std::uint16_t>(a.first_sequence + a.packets_sent++);
  auto timestamp = static_cast<std::uint32_t>(now.time_since_epoch().count());
  rtp::write_header({a.config.payload_type, sequence, timestamp, a.config.local_ssrc}, at);
  auto size = rtp::k_rtp_header + payload;
  auto whole = size + a.overhead();
  slots_.push_back({at, static_cast<std::uint32_t>(size), static_cast<std::uint32_t>(whole), false});
  if (segment_ == 0)
    segment_ = whole;
  else if (whole < segment_)
    ended_ = true;
  used_ += whole;
  sent.at = now;
  sent.octets = static_cast<std::uint32_t>(whole);
  a.congestion.sent(std::move(sent));
  a.in_flight.set(a.congestion.octets());
  a.last_sent = now;
}

bool PacketBuilder::add_feedback(Instant now, EngineCore& core, Association& a) {
  auto report = a.arrivals.report(now, a.config.local_ssrc, a.config.remote_ssrc);
  if (report.reports.empty()) return false;
  rtp::PacketSlot slot{octets_.data(), 0, static_cast<std::uint32_t>(octets_.size()), true};
  slot.size = static_cast<std::uint32_t>(rtp::write_feedback(report, octets_));
  if (a.sender) a.sender->protect_rtcp(slot);
  if (!slot.ok) {
    tell_exhausted(core, a);
    return false;
  }
  used_ = segment_ = slot.size;
  feedback_ = true;
  return true;
}

void PacketBuilder::tell_exhausted(EngineCore& core, Association& a) {
  if (a.exhaustion_told) return;
  a.exhaustion_told = true;
  core.emit(EventKind::key_exhausted, a.id, {});
}

std::optional<SendBatch> PacketBuilder::finish(EngineCore& core, Association& a) {
  if (feedback_) return SendBatch{a.config.remote, segment_, ByteView(octets_).first(used_), a.fragments};
  if (slots_.empty()) return std::nullopt;
  if (a.sender) {
    a.sender->protect(slots_);
    bool good = std::all_of(slots_.begin(), slots_.end(), [](auto& s) { return s.ok; });
    if (!good || a.sender->packets_left() < a.config.srtp.lifetime / 16) tell_exhausted(core, a);
    // Nothing goes out unprotected: a key at its end silences the association until it is replaced.
    if (!good) return std::nullopt;
  }
  return SendBatch{a.config.remote, segment_, ByteView(octets_).first(used_), a.fragments};
}

}  // namespace sealcast::swarm
