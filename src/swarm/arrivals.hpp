#pragma once
// What has arrived on an association, for the feedback that we send.
#include <optional>
#include <vector>

#include "base/time.hpp"
#include "rtp/feedback.hpp"

namespace sealcast::swarm {

enum class Arrival : std::uint8_t {
  taken,
  again,       // this number was there already
  implausible  // too far from the others; not believed before the next number follows (RFC 3550 appendix A.1)
};
class Arrivals {
 public:
  // Numbers of an authenticated packet are believed as they are.
  Arrival record(Instant now, std::uint16_t sequence, bool authenticated);
  bool pending() const { return unreported_ > 0; }
  // After 32 packets or 5 ms (docs/protocol.md section 5).
  Instant deadline() const {
    return unreported_ >= 32 ? Instant::min() : unreported_ > 0 ? first_unreported_ + 5ms : k_never;
  }
  rtp::Feedback report(Instant now, std::uint32_t own_ssrc, std::uint32_t partner_ssrc);

 private:
  void begin(std::uint64_t sequence);
  void make_room(std::uint64_t sequence);
  void resize(std::uint64_t size);
  static constexpr std::uint64_t k_memory = 2048;
  // Less than a report covers: what is behind a number that was believed is still reported.
  static constexpr std::int64_t k_largest_jump = 512;
  struct Entry {
    std::uint64_t sequence = UINT64_MAX;
    Instant at{};
  };
  static constexpr std::uint64_t k_overlap = 64;  // told again: an earlier feedback packet may have been lost
  static constexpr std::uint64_t k_at_rest = 256;
  // Of the number modulo its size, which grows to what a report has to cover, and shrinks with it.
  std::vector<Entry> entries_;
  bool started_ = false;
  std::optional<std::uint16_t> expected_;  // behind a number that was not believed
  std::uint64_t highest_ = 0, lowest_ = 0, reported_to_ = 0;
  std::uint32_t unreported_ = 0;
  Instant first_unreported_{};
};

}  // namespace sealcast::swarm
