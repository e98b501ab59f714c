#include "lab.hpp"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

namespace sealcast::linklab {
namespace {

constexpr std::size_t k_batch = 64;  // packets of one direction before the other one has its turn
constexpr std::array<std::int64_t, 4> k_late{50'000, 100'000, 250'000, 1'000'000};  // ns
volatile sig_atomic_t g_stop = 0;

Time clock_now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::chrono::seconds(now.tv_sec) + Time(now.tv_nsec);
}

// struct sched_attr of sched_setattr(2), which the C library does not declare.
struct SchedulingAttributes {
  std::uint32_t size = sizeof(SchedulingAttributes), policy = 6;  // SCHED_DEADLINE
  std::uint64_t flags = 1;  // SCHED_FLAG_RESET_ON_FORK: without it no thread can be made (by a sanitizer, at the end)
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime = 800'000, deadline = 1'000'000, period = 1'000'000;  // ns
};

// Late packets are the emulator's own fault in what is measured: it goes before everybody else, and its timers are
// exact. SCHED_FIFO is second choice: Linux since 6.8 takes the processor from it for 50 ms of a second when others
// wait.
std::string take_priority(bool real_time) {
  prctl(PR_SET_TIMERSLACK, 1UL);
  SchedulingAttributes attributes;
  if (real_time && syscall(SYS_sched_setattr, 0, &attributes, 0) == 0) return "deadline";
  sched_param first{};
  first.sched_priority = 10;
  if (real_time && sched_setscheduler(0, SCHED_FIFO, &first) == 0) return "real-time";
  if (setpriority(PRIO_PROCESS, 0, -20) == 0) return "nice";
  return "none";
}

void print(const json::Value& value) {
  std::printf("%s\n", value.text().c_str());
  std::fflush(stdout);
}

}  // namespace

Result<Lab> Lab::make(Options options) {
  SEALCAST_TRY(become_root());
  SEALCAST_TRY_ASSIGN(auto near, make_network(options.near_address, options.mtu));
  SEALCAST_TRY_ASSIGN(auto far, make_network(options.far_address, options.mtu));
  auto priority = take_priority(options.real_time);
  return Lab(std::move(options), std::move(near), std::move(far), std::move(priority));
}

Lab::Lab(Options options, Network near, Network far, std::string priority)
    : options_(std::move(options)),
      near_(std::move(near)),
      far_(std::move(far)),
      priority_(std::move(priority)),
      ways_{Way{Direction(options_.down, options_.seed * 2), far_.tun.get(), near_.tun.get()},
            Way{Direction(options_.up, options_.seed * 2 + 1), near_.tun.get(), far_.tun.get()}},
      began_(clock_now()) {}

Time Lab::now() const {
  return clock_now() - began_;
}

json::Value Lab::about() const {
  auto one = [](const std::string& address, const Network& network) {
    auto where = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(network.name_space.get());
    return json::Value(json::Object{{"address", address}, {"namespace", where}});
  };
  return json::Object{{"near", one(options_.near_address, near_)},
                      {"far", one(options_.far_address, far_)},
                      {"pid", static_cast<std::int64_t>(getpid())},
                      {"priority", priority_}};
}

json::Value Lab::statistics_of(const Way& way) const {
  const auto& c = way.direction.counters();
  return json::Object{
      {"packets", c.packets},
      {"octets", c.octets},
      {"packet_max", static_cast<std::uint64_t>(c.packet_max)},
      {"delivered_packets", c.delivered_packets},
      {"delivered_octets", c.delivered_octets},
      {"dropped", json::Object{{"loss", c.lost},
                               {"queue", c.queue_full},
                               {"mtu", c.too_big},
                               {"outage", c.outage},
                               {"refused", way.refused}}},
      {"duplicated", c.duplicated},
      {"early", c.early},
      {"queue_max", static_cast<std::uint64_t>(c.queue_max)},
  };
}

json::Value Lab::statistics() const {
  json::Object late;
  for (std::size_t i = 0; i < late_.size(); ++i)
    late[i < k_late.size() ? "to_" + std::to_string(k_late[i] / 1000) + "_us" : "more"] = late_[i];
  late["worst_us"] = latest_.count() / 1000;
  return json::Object{{"seconds", static_cast<double>(now().count()) / 1e9},
                      {"down", statistics_of(ways_[0])},
                      {"up", statistics_of(ways_[1])},
                      {"late", std::move(late)}};
}

void Lab::read_packets(Way& way) {
  std::uint8_t octets[65536];
  for (std::size_t i = 0; i < k_batch; ++i) {
    auto length = ::read(way.from, octets, sizeof octets);
    if (length <= 0) return;
    auto answer = way.direction.offer(now(), Packet(octets, octets + length));
    if (answer) (void)!::write(way.from, answer->data(), answer->size());
  }
}

void Lab::deliver(Way& way) {
  for (;;) {
    auto at = now();
    auto due = way.direction.next();
    auto packet = way.direction.take(at);
    if (!packet) return;
    if (::write(way.to, packet->data(), packet->size()) < 0) ++way.refused;
    auto late = std::max(Time{}, now() - due);
    latest_ = std::max(latest_, late);
    auto slot = std::find_if(k_late.begin(), k_late.end(), [&](auto limit) { return late.count() <= limit; });
    ++late_[static_cast<std::size_t>(slot - k_late.begin())];
  }
}

void Lab::apply(const Change& change) {
  auto one = [&](Way& way) {
    // Whoever wrote it heard of what is wrong with it when it was read.
    if (auto settings = changed(way.direction.settings(), change.settings))
      way.direction.change(now(), std::move(*settings));
  };
  if (change.down) one(ways_[0]);
  if (change.up) one(ways_[1]);
}

void Lab::make_planned_changes() {
  while (planned_ < options_.plan.size() && options_.plan[planned_].at <= now())
    apply(options_.plan[planned_++].change);
}

bool Lab::command(const std::string& line) {
  if (line == "quit") return false;
  if (line == "stats") return print(statistics()), true;
  if (auto change = parse_change(line))
    apply(*change);
  else
    std::fprintf(stderr, "linklab: %s\n", change.error().message.c_str());
  return true;
}

bool Lab::read_commands() {
  char octets[4096];
  auto length = ::read(STDIN_FILENO, octets, sizeof octets);
  if (length <= 0) return length < 0 && (errno == EINTR || errno == EAGAIN);
  unread_.append(octets, static_cast<std::size_t>(length));
  for (std::size_t end; (end = unread_.find('\n')) != std::string::npos; unread_.erase(0, end + 1))
    if (!command(unread_.substr(0, end))) return false;
  return true;
}

void Lab::run() {
  for (int signal : {SIGINT, SIGTERM}) {
    struct sigaction action {};
    action.sa_handler = [](int) { g_stop = 1; };
    sigaction(signal, &action, nullptr);
  }
  signal(SIGPIPE, SIG_IGN);
  print(about());
  pollfd wanted[3] = {{ways_[0].from, POLLIN, 0}, {ways_[1].from, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
  while (!g_stop) {
    auto next = std::min(ways_[0].direction.next(), ways_[1].direction.next());
    if (planned_ < options_.plan.size()) next = std::min(next, options_.plan[planned_].at);
    auto left = std::max(Time{}, next == Time::max() ? Time(std::chrono::hours(1)) : next - now());
    timespec timeout{left.count() / 1'000'000'000, left.count() % 1'000'000'000};
    if (ppoll(wanted, 3, &timeout, nullptr) < 0) continue;
    make_planned_changes();
    for (std::size_t i = 0; i < ways_.size(); ++i) {
      if (wanted[i].revents) read_packets(ways_[i]);
      deliver(ways_[i]);
    }
    if (wanted[2].revents && !read_commands()) break;
  }
  print(statistics());
}

}  // namespace sealcast::linklab
