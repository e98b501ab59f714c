#include "roles/cache/scrubber.hpp"

#include <algorithm>

namespace sealcast::roles {
namespace {

constexpr std::uint64_t k_run = 32;  // chunks

}  // namespace

Scrubber::Scrubber(std::uint64_t rate, const crypto::Digest& begin, Next next_content)
    : rate_(rate), begin_(begin), next_content_(std::move(next_content)) {}

std::optional<Scrubber::Run> Scrubber::next(Instant now) {
  if (now < due()) return std::nullopt;
  if (!content_ && !enter_content(now)) return std::nullopt;
  return Run{content_->root, static_cast<std::uint32_t>(chunk_)};
}

// What came meanwhile is met in this round or in the next one, as its root stands.
bool Scrubber::enter_content(Instant now) {
  if (!in_round_) {
    in_round_ = true;
    wrapped_ = false;
    round_began_ = now;
    last_ = begin_;
    progress_.round_done = 0;
  }
  auto found = next_content_(&last_);
  if (!found && !wrapped_) {
    wrapped_ = true;
    found = next_content_(nullptr);
  }
  if (!found || (wrapped_ && found->root > begin_)) {
    end_round(now);
    return false;
  }
  last_ = found->root;
  chunk_ = 0;
  content_ = found;
  return true;
}

// One in which there was nothing is none, and is looked for again as seldom.
void Scrubber::end_round(Instant now) {
  in_round_ = false;
  due_ = std::max(due_, round_began_ + k_shortest_round);
  if (progress_.round_done == 0) return;
  ++progress_.rounds;
  progress_.last_round = now;
}

void Scrubber::checked(Instant now, Found found) {
  if (!content_) return;
  const auto first = static_cast<std::uint32_t>(chunk_);
  const auto next = std::min<std::uint64_t>(chunk_ + k_run, content_->geometry.chunks());
  const auto octets = content_->geometry.size_of(content::ChunkRange{first, static_cast<std::uint32_t>(next - 1)});
  const auto work = octets + (chunk_ == 0 ? k_opening : 0);
  chunk_ = next;
  progress_.round_done += octets;
  if (found == Found::damage) ++progress_.damaged_runs;
  const auto cost = std::chrono::duration<double>(static_cast<double>(work) / static_cast<double>(rate_));
  due_ = std::max(due_, now - k_made_good) + std::chrono::ceil<Duration>(cost);
  if (chunk_ == content_->geometry.chunks()) content_.reset();
}

void Scrubber::passed_over(Instant now) {
  content_.reset();
  ++progress_.passed_over;
  due_ = now + k_pause;
}

Scrubber::Progress Scrubber::progress() const {
  auto out = progress_;
  if (!content_) return out;
  out.content_octets = content_->geometry.length();
  out.content_done = content_->geometry.offset_of(static_cast<std::uint32_t>(chunk_));
  return out;
}

}  // namespace sealcast::roles
