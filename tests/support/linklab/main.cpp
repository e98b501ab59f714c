// A link between two networks of its own, for tests and by hand: --help says what it does.
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>

#include "lab.hpp"

namespace sealcast::linklab {
namespace {

constexpr const char* k_usage =
    "Usage: linklab [OPTIONS]\n"
    "\n"
    "Makes two networks (network namespaces), near and far, with a TUN device \"link0\" in each, and carries IP "
    "packets\n"
    "between them over a link with the properties that you give it. TCP, UDP and everything else share that link.\n"
    "Root, or user namespaces for everybody, and /dev/net/tun are needed. Everything is gone when it ends.\n"
    "\n"
    "Options:\n"
    "  --down SETTINGS      of the direction from far to near; may be given again\n"
    "  --up SETTINGS        of the direction from near to far\n"
    "  --both SETTINGS      of both\n"
    "  --at \"TIME WHO SETTINGS\"  a change so long after the start: --at \"2.5s both mtu=1200\"; WHO: down, up, both\n"
    "  --mtu OCTETS         MTU of the devices, which both networks know (1500)\n"
    "  --near ADDRESS       IPv4 address of the near network (10.77.0.1), in a /24\n"
    "  --far ADDRESS        of the far one (10.77.0.2)\n"
    "  --seed N             the same seed draws the same (1)\n"
    "  --no-real-time       do not ask for real-time priority\n"
    "\n"
    "SETTINGS: name=value, separated by commas; without any, the link is a perfect one:\n";
constexpr const char* k_more =
    "\n"
    "The first line on standard output says where the networks are:\n"
    "  "
    "{\"far\":{\"address\":\"10.77.0.2\",\"namespace\":\"/proc/PID/fd/N\"},\"near\":...,\"pid\":PID,\"priority\":...}\n"
    "A program is run inside one by\n"
    "  nsenter --net=NAMESPACE COMMAND              as root\n"
    "  nsenter --user=/proc/PID/ns/user --preserve-credentials --net=NAMESPACE COMMAND    otherwise\n"
    "Lines on standard input: \"both loss=0.05\" changes at once; \"stats\" prints the counters; \"quit\" or the end "
    "of\n"
    "the input ends it. The last line on standard output is the counters: packets, octets, drops by cause, the "
    "longest\n"
    "queue, and how late packets were delivered because this program did not get the processor in time.\n"
    "\n"
    "Example: 50 Mbit/s, round trip 50 ms, a queue of one bandwidth-delay product, 1 % loss on the way to the near "
    "side\n"
    "  linklab --both rate=50M,delay=25ms,queue=312500 --down loss=0.01\n";

template <class Number>
bool read_number(const char* text, Number& into, Number least, Number most) {
  auto [end, error] = std::from_chars(text, text + std::strlen(text), into);
  return error == std::errc{} && *end == 0 && into >= least && into <= most;
}

Status set(Settings& settings, const char* text) {
  SEALCAST_TRY_ASSIGN(settings, changed(settings, text));
  return {};
}

Status option(const std::string& name, const char* value, Options& out) {
  if (name == "--down" || name == "--both") SEALCAST_TRY(set(out.down, value));
  if (name == "--up" || name == "--both") SEALCAST_TRY(set(out.up, value));
  if (name == "--down" || name == "--up" || name == "--both") return {};
  if (name == "--at") {
    SEALCAST_TRY_ASSIGN(auto planned, parse_planned(value));
    out.plan.push_back(std::move(planned));
    return {};
  }
  if (name == "--near") return out.near_address = value, Status{};
  if (name == "--far") return out.far_address = value, Status{};
  if (name == "--mtu" && read_number(value, out.mtu, 68U, 65535U)) return {};
  if (name == "--seed" && read_number(value, out.seed, std::uint64_t{0}, UINT64_MAX / 2 - 1)) return {};
  return fail(ErrorCode::usage, name + " " + value + " is not understood; see --help");
}

Result<Options> options_of(int count, char** words) {
  Options out;
  for (int i = 1; i < count; ++i) {
    std::string name = words[i];
    if (name == "--no-real-time") {
      out.real_time = false;
      continue;
    }
    if (i + 1 == count) return fail(ErrorCode::usage, name + " is not understood; see --help");
    SEALCAST_TRY(option(name, words[++i], out));
  }
  std::stable_sort(out.plan.begin(), out.plan.end(), [](const auto& a, const auto& b) { return a.at < b.at; });
  return out;
}

int run(int count, char** words) {
  for (int i = 1; i < count; ++i) {
    if (std::strcmp(words[i], "--help") != 0 && std::strcmp(words[i], "-h") != 0) continue;
    std::printf("%s%s%s", k_usage, k_settings_help, k_more);
    return 0;
  }
  auto options = options_of(count, words);
  auto lab = options ? Lab::make(std::move(*options)) : Result<Lab>(fail(options.error()));
  if (!lab) {
    std::fprintf(stderr, "linklab: %s\n", lab.error().message.c_str());
    return static_cast<int>(lab.error().code);
  }
  lab->run();
  return 0;
}

}  // namespace
}  // namespace sealcast::linklab

int main(int count, char** words) {
  return sealcast::linklab::run(count, words);
}
