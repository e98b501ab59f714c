#pragma once
// Goes round through all contents that a cache offers, run by run, at a rate: which run is looked at next, and when.
// Knows roots and lengths only; who opens, reads and hashes is the owner, and tells what came of it.
#include <functional>
#include <optional>

#include "base/time.hpp"
#include "content/geometry.hpp"
#include "crypto/hash.hpp"

namespace sealcast::roles {

class Scrubber {
 public:
  struct Content {
    crypto::Digest root{};
    content::Geometry geometry;
  };
  // The next content that is offered behind this root, in an order that stays; the first of all behind none.
  using Next = std::function<std::optional<Content>(const crypto::Digest* root)>;

  // `rate`: octets a second, 0 = never. `begin`: behind which root a round begins; at random, so that a node which is
  // started often does not look at the same contents each time.
  Scrubber(std::uint64_t rate, const crypto::Digest& begin, Next next_content);

  struct Run {
    crypto::Digest root{};
    std::uint32_t chunk = 0;  // its first
  };
  // Nothing: not before due(). Each run that is given wants checked() or passed_over().
  std::optional<Run> next(Instant now);
  Instant due() const { return rate_ == 0 ? k_never : due_; }
  enum class Found : std::uint8_t { nothing, damage };
  void checked(Instant now, Found found);
  // Its content cannot be opened now: the one behind it is next, after a pause.
  void passed_over(Instant now);
  // The content in whose midst it is.
  const crypto::Digest* current() const { return content_ ? &content_->root : nullptr; }

  // Octets; a round is finished when nothing is left of it that could be opened.
  struct Progress {
    std::uint64_t content_done = 0, content_octets = 0;
    std::uint64_t round_done = 0;
    std::uint64_t rounds = 0;  // finished
    std::optional<Instant> last_round;
    std::uint64_t damaged_runs = 0, passed_over = 0;  // since the beginning
  };
  Progress progress() const;

  // A few small contents are not looked at without end.
  static constexpr Duration k_shortest_round = 10s;
  // Who was late makes good that much and no more: a node without time is left alone.
  static constexpr Duration k_made_good = 100ms;
  static constexpr Duration k_pause = 1s;
  // What opening a content costs, in octets looked at: thousands of small ones are no more work than a large one.
  static constexpr std::uint64_t k_opening = 65536;

 private:
  bool enter_content(Instant now);
  void end_round(Instant now);

  std::uint64_t rate_;
  crypto::Digest begin_;
  Next next_content_;
  Instant due_{};
  // Where a round is: behind `last_`; wrapped: in the part before `begin_`.
  bool in_round_ = false, wrapped_ = false;
  Instant round_began_{};
  crypto::Digest last_{};
  std::optional<Content> content_;
  std::uint64_t chunk_ = 0;  // of `content_`, to be looked at next
  Progress progress_;
};

}  // namespace sealcast::roles
