#include "progress.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <utility>

#include "base/json.hpp"
#include "base/text.hpp"

namespace sealcast::app {
namespace {

constexpr Duration k_bar_interval = 100ms, k_line_interval = 3s, k_json_interval = 500ms, k_rate_window = 5s;

int percent(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<int>(static_cast<double>(part) * 100.0 / static_cast<double>(whole));
}

int terminal_columns() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

}  // namespace

Progress::Progress(ProgressStyle style) : style_(style) {
  if (style_ == ProgressStyle::automatic) style_ = ::isatty(STDERR_FILENO) ? ProgressStyle::bar : ProgressStyle::plain;
}

std::string Progress::line(const ProgressSample& s, double octets_per_second) {
  if (s.total == 0) return s.phase;
  auto out = std::to_string(percent(s.done, s.total)) + "%  " + human_size(static_cast<double>(s.done)) + " of " +
             human_size(static_cast<double>(s.total)) + "  " + human_size(octets_per_second) + "/s";
  if (s.done < s.total && octets_per_second > 1)
    out += "  ETA " + human_duration(std::chrono::seconds(static_cast<std::int64_t>(
                          std::ceil(static_cast<double>(s.total - s.done) / octets_per_second))));
  if (auto taken = s.from_caches + s.from_peers; taken > 0)
    out += "  caches " + std::to_string(percent(s.from_caches, taken)) + "% peers " +
           std::to_string(100 - percent(s.from_caches, taken)) + "%";
  return s.done < s.total ? out : out + "  " + s.phase;
}

double Progress::rate(Instant now, std::uint64_t done) {
  window_.emplace_back(now, done);
  while (window_.size() > 2 && now - window_.front().first > k_rate_window) window_.pop_front();
  auto seconds = std::chrono::duration<double>(now - window_.front().first).count();
  auto first = window_.front().second;
  return seconds > 0.05 && done > first ? static_cast<double>(done - first) / seconds : 0;
}

void Progress::update(Instant now, const ProgressSample& sample) {
  if (style_ == ProgressStyle::none) return;
  auto interval = style_ == ProgressStyle::bar    ? k_bar_interval
                  : style_ == ProgressStyle::json ? k_json_interval
                                                  : k_line_interval;
  bool first = std::exchange(shown_, true) == false;
  // Lines are for what takes long: what is over before the first interval prints none.
  if (first) last_ = now;
  if ((first && style_ == ProgressStyle::plain) || (!first && now - last_ < interval)) return;
  last_ = now;
  draw(sample, rate(now, sample.done));
}

void Progress::draw(const ProgressSample& s, double octets_per_second) {
  if (style_ == ProgressStyle::json) {
    json::Value document(json::Object{{"phase", s.phase},
                                      {"bytes", s.done},
                                      {"total", s.total},
                                      {"from_caches", s.from_caches},
                                      {"from_peers", s.from_peers},
                                      {"bytes_per_second", static_cast<std::int64_t>(octets_per_second)}});
    std::fprintf(stderr, "%s\n", document.text().c_str());
    return;
  }
  auto text = line(s, octets_per_second);
  if (style_ == ProgressStyle::plain) {
    std::fprintf(stderr, "%s\n", text.c_str());
    return;
  }
  int room = terminal_columns() - static_cast<int>(text.size()) - 4;
  std::string bar;
  if (room >= 10 && s.total > 0) {
    auto filled = static_cast<std::size_t>(static_cast<double>(room) * static_cast<double>(s.done) /
                                           static_cast<double>(s.total));
    bar = "[" + std::string(filled, '#') + std::string(static_cast<std::size_t>(room) - filled, ' ') + "] ";
  }
  std::fprintf(stderr, "\r%s%s\033[K", bar.c_str(), text.c_str());
  std::fflush(stderr);
}

void Progress::finish() {
  if (style_ == ProgressStyle::bar && shown_) std::fputc('\n', stderr);
}

}  // namespace sealcast::app
