#pragma once
// The brake on guessing passwords, and the one on lines of the log. No library types, no clock.
//
// Failures are counted for each user and source address. Ten within a minute make the answers to further failures slow,
// with two of them under way at a time: a guesser has less than one try a second, and nobody is locked out, for the
// right password is never refused because of wrong ones. Invented names fill the share of their own address only, and
// what is beyond the share is slow at once.
#include <string>
#include <vector>

#include "base/bounded_table.hpp"
#include "base/time.hpp"

namespace sealcast::sip {

class GuessingBrake {
 public:
  GuessingBrake();
  // False: as many tries of this user from there wait for their answer as may.
  bool may_try(const std::string& user, const std::string& source, Instant now);
  // A wrong password: how long its answer is to wait.
  Duration failed(const std::string& user, const std::string& source, Instant now);
  void sweep(Instant now);
  json::Object status() const { return table_.status(); }

 private:
  struct Failures {
    int count = 0;
    std::vector<Instant> waiting;  // when the answers that are held back go out
  };
  using Table = BoundedTable<std::string, Failures>;
  static bool slow(const Failures& failures);
  Table table_;    // by user and source
  Table crowded_;  // by source: what its share does not hold
  Failures rest_;  // of sources beyond all bounds
  Failures* known(const std::string& user, const std::string& source);
};

// How many lines about one source go to the log: the first ones of a minute; the others are counted.
class LogBrake {
 public:
  LogBrake();
  // True: log it. `suppressed`: lines left out before this one.
  bool allows(const std::string& source, Instant now, std::uint64_t& suppressed);

 private:
  struct Lines {
    int count = 0;
  };
  BoundedTable<std::string, Lines> table_;
  std::uint64_t suppressed_ = 0;
};

}  // namespace sealcast::sip
