#include "swarm/congestion.hpp"

#include <algorithm>

#include "swarm/cubic.hpp"

namespace sealcast::swarm {
namespace {

PacketFate fate(std::uint64_t number, const SentPacket& packet, Instant arrival = k_never) {
  return {number, packet.at, arrival, packet.octets};
}

// How long a packet had been at the receiver when it was reported. RFC 8888 section 3.1: 0x1ffe is longer than can be
// said, 0x1fff is not known. Nor can it be longer than the packet has been away.
Duration stay_of(const rtp::FeedbackReport& report, Duration away) {
  if (report.arrival_offset >= 0x1ffe) return Duration{0};
  auto stay = Duration(std::int64_t{report.arrival_offset} * 1000000 / 1024);
  return stay < away ? stay : Duration{0};
}

}  // namespace

Congestion::Congestion() : Congestion(std::make_unique<Cubic>()) {}
Congestion::Congestion(std::unique_ptr<CongestionControl> control) : control_(std::move(control)) {
  control_->on_datagram_size(datagram_);
}

void Congestion::sent(SentPacket packet) {
  if (packet.octets > datagram_) control_->on_datagram_size(datagram_ = packet.octets);
  if (probes_ > 0) --probes_;
  detector_.on_sent(packet.at, history_);
  control_->on_sent(fate(history_.next(), packet));
  pacer_.on_sent(packet.at, packet.octets, control_->pace(path_.smoothed()));
  history_.add(std::move(packet));
  if (in_flight() * datagram_ >= control_->window()) full_at_ = history_.next();
}

// RFC 7661: who did not use his window has not shown that the path carries it. It was full when this packet was sent,
// or within half a window behind it, which is what pacing leaves open.
bool Congestion::window_was_full(std::uint64_t number) const {
  return full_at_ + window() / 2 > number;
}

// The newest one acknowledged is the freshest sample; its stay at the receiver is not the path's. False: there is none.
bool Congestion::measure(Instant now, const rtp::Feedback& feedback, std::int64_t begin) {
  for (std::size_t i = feedback.reports.size(); i-- > 0;) {
    auto number = begin + static_cast<std::int64_t>(i);
    // What was never sent is passed over: on a plain association anybody may have used numbers that are still to come.
    auto* packet =
        feedback.reports[i].received && number >= 0 ? history_.open(static_cast<std::uint64_t>(number)) : nullptr;
    if (!packet) continue;
    auto away = now - packet->at;
    path_.measure(away - stay_of(feedback.reports[i], away));
    return true;
  }
  return false;
}

void Congestion::acknowledge(Instant now, const rtp::Feedback& feedback, std::int64_t begin, Losses& out) {
  for (std::size_t i = 0; i < feedback.reports.size(); ++i) {
    if (!feedback.reports[i].received || begin + static_cast<std::int64_t>(i) < 0) continue;
    auto number = static_cast<std::uint64_t>(begin + static_cast<std::int64_t>(i));
    if (auto* packet = history_.open(number)) {
      detector_.on_acknowledged(number);
      auto seen = fate(number, *packet, now - stay_of(feedback.reports[i], now - packet->at));
      seen.window_was_full = window_was_full(number);
      control_->on_acknowledged(seen);
      black_hole_.on_acknowledged(packet->octets, datagram_);
      history_.acknowledge(*packet);
    } else if (auto mistaken = gone_.take(number)) {
      control_->on_arrived_after_all(number);
      black_hole_ = {};
      out.mistaken.push_back(*mistaken);
    }
  }
}

void Congestion::feedback(Instant now, const rtp::Feedback& feedback, std::uint16_t first_sequence, Losses& out) {
  if (history_.next() == 0) return;
  auto begin = history_.number_of(feedback.begin, first_sequence);
  bool progress = measure(now, feedback, begin);
  auto mistaken = out.mistaken.size();
  acknowledge(now, feedback, begin, out);
  if (out.mistaken.size() > mistaken) detector_.on_arrived_after_all();
  if (!progress) return;
  detector_.on_progress(now);
  detect(now, out);
}

void Congestion::lose(std::uint64_t number, Losses& out) {
  auto& packet = *history_.open(number);
  gone_.add(number, packet);
  if (number >= path_from_) black_hole_.on_lost(packet.octets, datagram_);
  out.lost.push_back(history_.lose(packet));
  ++lost_total_;
}

void Congestion::path_is_another() {
  black_hole_ = {};
  path_from_ = history_.next();
}

bool Congestion::swallows_large() {
  if (!black_hole_.found()) return false;
  path_is_another();
  return true;
}

void Congestion::detect(Instant now, Losses& out) {
  auto numbers = detector_.lost(now, history_, path_);
  for (auto number : numbers) {
    control_->on_lost(fate(number, *history_.open(number)), history_.next());
    lose(number, out);
  }
  if (!numbers.empty()) detector_.on_loss_event();
  history_.forget_done();
  if (!gone_.empty() && history_.next() > 4 * window() + LostPackets::k_most)
    gone_.forget_before(history_.next() - 4 * window() - LostPackets::k_most);
}

// A packet's messages once more, as the newest: its report shows what became of those before it.
void Congestion::probe(Losses& out) {
  detector_.on_probe();
  probes_ = 2;
  for (auto number = history_.next(); number-- > history_.first();)
    if (auto* packet = history_.open(number)) return out.lost.push_back(*packet);
}

void Congestion::time_out(Instant now, Losses& out) {
  detector_.on_timeout(now);
  control_->on_timeout(detector_.timeouts_in_row(), history_.next());
  for (auto number = history_.first(); number < history_.next(); ++number)
    if (history_.open(number)) lose(number, out);
  history_.forget_done();
}

void Congestion::on_deadline(Instant now, Losses& out) {
  auto deadline = detector_.deadline(history_, path_);
  if (deadline.at > now) return;
  switch (deadline.due) {
    case LossDetector::Due::reordering:
      return detect(now, out);
    case LossDetector::Due::probe:
      return probe(out);
    case LossDetector::Due::timeout:
      return time_out(now, out);
  }
}

}  // namespace sealcast::swarm
