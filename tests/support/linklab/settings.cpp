#include "settings.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

namespace sealcast::linklab {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};
constexpr std::array<Unit, 4> k_thousands{{{"", 1}, {"k", 1e3}, {"M", 1e6}, {"G", 1e9}}};
constexpr std::array<Unit, 3> k_times{{{"us", 1e3}, {"ms", 1e6}, {"s", 1e9}}};

// Not negative, at most 10^15 after the unit.
template <std::size_t N>
std::optional<double> number(std::string_view text, const std::array<Unit, N>& units) {
  double value = 0;
  auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || !(value >= 0)) return std::nullopt;
  auto suffix = text.substr(static_cast<std::size_t>(rest - text.data()));
  for (const auto& unit : units)
    if (suffix == unit.name && value * unit.factor <= 1e15) return value * unit.factor;
  return std::nullopt;
}

bool read_time(std::string_view text, Time& into) {
  auto value = number(text, k_times);
  if (value) into = Time(std::llround(*value));
  return value.has_value();
}
bool read_octets(std::string_view text, std::size_t& into) {
  auto value = number(text, k_thousands);
  if (value) into = static_cast<std::size_t>(*value);
  return value.has_value();
}
bool read_part(std::string_view text, double& into) {
  auto value = number(text, std::array<Unit, 1>{{{"", 1}}});
  if (value && *value <= 1) into = *value;
  return value && *value <= 1;
}
bool read_early(std::string_view text, Settings& into) {
  auto slash = text.find('/');
  if (slash == std::string_view::npos) return text == "0" && read_part(text, into.early);
  return read_part(text.substr(0, slash), into.early) && read_time(text.substr(slash + 1), into.early_by);
}
bool read_rate(std::string_view text, double& into) {
  auto value = number(text, k_thousands);
  if (value) into = *value;
  return value.has_value();
}

bool change_one(std::string_view name, std::string_view value, Settings& into) {
  if (name == "rate") return read_rate(value, into.rate);
  if (name == "queue") return read_octets(value, into.queue);
  if (name == "delay") return read_time(value, into.delay);
  if (name == "jitter") return read_time(value, into.jitter);
  if (name == "loss") return read_part(value, into.loss);
  if (name == "duplicate") return read_part(value, into.duplicate);
  if (name == "early") return read_early(value, into);
  if (name == "mtu") return read_octets(value, into.mtu);
  if (name == "order" && (value == "kept" || value == "mixed"))
    return into.order = value == "kept" ? Order::kept : Order::mixed, true;
  if (name == "icmp" && (value == "on" || value == "off")) return into.icmp = value == "on", true;
  if (name == "outage" && (value == "on" || value == "off")) return into.outage = value == "on", true;
  return false;
}

// The first word, and the rest without the blanks between.
std::pair<std::string_view, std::string_view> first_word(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  auto end = std::min(text.find(' '), text.size());
  auto rest = text.substr(end);
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  return {text.substr(0, end), rest};
}

}  // namespace

Result<Settings> changed(Settings settings, std::string_view text) {
  while (!text.empty()) {
    auto end = std::min(text.find(','), text.size());
    auto one = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    auto equals = std::min(one.find('='), one.size());
    if (equals == one.size() || !change_one(one.substr(0, equals), one.substr(equals + 1), settings))
      return fail(ErrorCode::usage, "\"" + std::string(one) + "\" is no setting of a link; --help lists them");
  }
  return settings;
}

Result<Change> parse_change(std::string_view text) {
  auto [who, rest] = first_word(text);
  Change out{who == "down" || who == "both", who == "up" || who == "both", std::string(rest)};
  if (!out.down && !out.up) return fail(ErrorCode::usage, "a change begins with down, up or both, then settings");
  SEALCAST_TRY(changed({}, rest));
  return out;
}

Result<Planned> parse_planned(std::string_view text) {
  auto [when, rest] = first_word(text);
  Planned out;
  if (!read_time(when, out.at)) return fail(ErrorCode::usage, "a planned change begins with its time, like 2.5s");
  SEALCAST_TRY_ASSIGN(out.change, parse_change(rest));
  return out;
}

}  // namespace sealcast::linklab
