#include "swarm/congestion.hpp"

#include "swarm/new_reno.hpp"

namespace sealcast::swarm {
namespace {

PacketFate fate(std::uint64_t number, const SentPacket& packet, Instant arrival = k_never) {
  return {number, packet.at, arrival, packet.octets};
}

// How long a packet had been at the receiver when it was reported. RFC 8888 section 3.1: 0x1ffe is longer than can be
// said, 0x1fff is not known.
Duration stay_of(const rtp::FeedbackReport& report) {
  return report.arrival_offset < 0x1ffe ? Duration(std::int64_t{report.arrival_offset} * 1000000 / 1024) : Duration{0};
}

}  // namespace

Congestion::Congestion() : Congestion(std::make_unique<NewReno>()) {}
Congestion::Congestion(std::unique_ptr<CongestionControl> control) : control_(std::move(control)) {
  control_->on_datagram_size(datagram_);
}

void Congestion::sent(SentPacket packet) {
  if (packet.octets > datagram_) control_->on_datagram_size(datagram_ = packet.octets);
  detector_.on_sent(packet.at, history_);
  control_->on_sent(fate(history_.next(), packet));
  history_.add(std::move(packet));
}

void Congestion::feedback(Instant now, const rtp::Feedback& feedback, std::uint16_t first_sequence,
                          std::vector<SentPacket>& lost) {
  if (history_.next() == 0) return;
  auto begin = history_.number_of(feedback.begin, first_sequence);
  bool progress = false;
  for (std::size_t i = feedback.reports.size(); i-- > 0;) {
    auto index = begin + static_cast<std::int64_t>(i);
    if (!feedback.reports[i].received || index < 0) continue;
    auto number = static_cast<std::uint64_t>(index);
    // What was never sent is passed over: on a plain association anybody may have used numbers that are still to come.
    auto* packet = history_.open(number);
    if (!packet) continue;
    // The newest one acknowledged here is the freshest sample; its stay at the receiver is not the path's.
    auto stay = stay_of(feedback.reports[i]);
    auto passed = now - packet->at;
    if (!progress) path_.measure(passed > stay ? passed - stay : passed);
    progress = true;
    detector_.on_acknowledged(number);
    control_->on_acknowledged(fate(number, *packet, now - stay));
    history_.acknowledge(*packet);
  }
  if (!progress) return;
  detector_.on_progress(now);
  for (auto number : detector_.overtaken(history_, LossDetector::reordering(window()))) {
    auto& packet = *history_.open(number);
    control_->on_lost(fate(number, packet), history_.next());
    lost.push_back(history_.lose(packet));
    ++lost_total_;
  }
  history_.forget_done();
}

void Congestion::on_timeout(Instant now, std::vector<SentPacket>& lost) {
  detector_.on_timeout(now);
  control_->on_timeout(detector_.timeouts_in_row(), history_.next());
  for (auto number = history_.first(); number < history_.next(); ++number) {
    auto* packet = history_.open(number);
    if (!packet) continue;
    lost.push_back(history_.lose(*packet));
    ++lost_total_;
  }
  history_.forget_done();
}

}  // namespace sealcast::swarm
