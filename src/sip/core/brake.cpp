#include "sip/core/brake.hpp"

#include <algorithm>

namespace sealcast::sip {
namespace {

constexpr Duration k_window = 60s;
constexpr int k_quick_failures = 10;  // within the window
constexpr Duration k_pause = 3s;      // before the answer to a further one
constexpr std::size_t k_most_waiting = 2;
constexpr std::size_t k_most_braked = 50'000, k_most_of_a_source = 1'000;
constexpr int k_lines = 30;  // of a source within the window

}  // namespace

GuessingBrake::GuessingBrake()
    : table_({k_most_braked, 0, {{"address", k_most_of_a_source}}}), crowded_({k_most_braked}) {}

bool GuessingBrake::slow(const Failures& failures) {
  return failures.count >= k_quick_failures;
}

GuessingBrake::Failures* GuessingBrake::known(const std::string& user, const std::string& source) {
  if (auto* own = table_.find(user + " " + source)) return own;
  return table_.count_of(0, source) >= k_most_of_a_source || table_.size() >= k_most_braked ? crowded_.find(source)
                                                                                            : nullptr;
}

bool GuessingBrake::may_try(const std::string& user, const std::string& source, Instant now) {
  auto* failures = known(user, source);
  if (!failures || !slow(*failures)) return true;
  std::erase_if(failures->waiting, [now](Instant each) { return each <= now; });
  return failures->waiting.size() < k_most_waiting;
}

Duration GuessingBrake::failed(const std::string& user, const std::string& source, Instant now) {
  sweep(now);
  auto key = user + " " + source;
  auto* failures = table_.find(key);
  if (!failures && !table_.add(key, {{source}, false}, now + k_window, {})) failures = table_.find(key);
  if (!failures) {
    failures = crowded_.find(source);
    if (!failures && !crowded_.add(source, {}, now + k_window, {k_quick_failures, {}}))
      failures = crowded_.find(source);
  }
  if (!failures) failures = &rest_, rest_.count = k_quick_failures;
  ++failures->count;
  if (failures->count <= k_quick_failures) return Duration::zero();
  std::erase_if(failures->waiting, [now](Instant each) { return each <= now; });
  failures->waiting.push_back(now + k_pause);
  return k_pause;
}

void GuessingBrake::sweep(Instant now) {
  while (table_.take_expired(now)) {
  }
  while (crowded_.take_expired(now)) {
  }
}

LogBrake::LogBrake() : table_({10'000}) {}

bool LogBrake::allows(const std::string& source, Instant now, std::uint64_t& suppressed) {
  while (table_.take_expired(now)) {
  }
  auto* lines = table_.find(source);
  if (!lines && !table_.add(source, {}, now + k_window, {})) lines = table_.find(source);
  if (!lines || ++lines->count > k_lines) {
    ++suppressed_;
    return false;
  }
  suppressed = std::exchange(suppressed_, 0);
  return true;
}

}  // namespace sealcast::sip
