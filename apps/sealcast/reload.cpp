#include "reload.hpp"

#include "base/log.hpp"
#include "config_file.hpp"
#include "io/file.hpp"
#include "logging.hpp"
#include "os/clock.hpp"

namespace sealcast::app {
namespace {

constexpr Duration k_look = 5s, k_warn_again = 24h;
constexpr std::size_t k_most = 1 << 20;

std::string text_of(const std::filesystem::path& file) {
  auto octets = io::read_file(file, k_most);
  return octets ? string_of(*octets) : std::string();
}

// The level of the log is no reason to make a role anew.
std::string without_log_level(const std::string& config) {
  std::string out;
  for (std::size_t at = 0; at < config.size();) {
    auto end = std::min(config.find('\n', at), config.size() - 1) + 1;
    auto line = config.substr(at, end - at);
    if (!line.starts_with("log")) out += line;
    at = end;
  }
  return out;
}

}  // namespace

Reloader::Reloader(io::Loop& loop, std::string level_given) : loop_(loop), level_(std::move(level_given)) {}

Reloader::~Reloader() {
  loop_.cancel(timer_);
}

std::string Reloader::stamp_of(const Part& part) {
  auto out = without_log_level(text_of(part.config));
  for (auto& file : part.files) out += '\0' + text_of(file);
  return out;
}

Status Reloader::add(Part part) {
  roles::NodeCertificate certificate(part.tls);
  SEALCAST_TRY(certificate.load(os::unix_now()));
  auto stamp = stamp_of(part);
  watched_.push_back({std::move(part), std::move(certificate), std::move(stamp), {}});
  take_log_level(false);
  return {};
}

void Reloader::start() {
  warn();
  loop_.on_reload([this] {
    log(LogLevel::info, "node", "SIGHUP: looking for what has changed");
    take_log_level(true);
    look(true);
  });
  watch();
}

void Reloader::watch() {
  timer_ = loop_.after(k_look, [this] {
    look(false);
    if (os::monotonic_now() - warned_ >= k_warn_again) warn();
    watch();
  });
}

void Reloader::look(bool at_everything) {
  for (auto& watched : watched_) {
    if (!ended_) return;
    if (watched.certificate.changed() || (at_everything && stamp_of(watched.part) != watched.stamp)) take_up(watched);
  }
}

// What cannot be used is said once, and what there was stays in use.
void Reloader::take_up(Watched& watched) {
  auto& part = watched.part;
  roles::NodeCertificate fresh(part.tls);
  auto usable = fresh.load(os::unix_now());
  if (usable) usable = part.check();
  if (!usable) {
    if (watched.complaint != usable.error().message)
      log(LogLevel::error, "node", part.name + " goes on with what it had: " + usable.error().message);
    watched.complaint = usable.error().message;
    return;
  }
  watched.complaint.clear();
  watched.certificate = std::move(fresh);
  const bool changed = stamp_of(part) != watched.stamp;
  watched.stamp = stamp_of(part);
  ended_ = part.remake(changed);
  if (!ended_) return loop_.stop();
  log(LogLevel::info, "node", part.name + " goes on with its new files");
  warn();
}

void Reloader::take_log_level(bool hangup) {
  if (!hangup && !level_.empty()) return;
  for (auto& watched : watched_) {
    auto level = log_level_of_config(watched.part.config);
    if (!level)
      log(LogLevel::error, "node", level.error().message);
    else if (!level->empty())
      return set_log_level(*level);
  }
}

void Reloader::warn() {
  warned_ = os::monotonic_now();
  for (auto& watched : watched_)
    if (auto sentence = watched.certificate.warning(os::unix_now()); !sentence.empty())
      log(LogLevel::warning, watched.part.name, sentence);
}

json::Object Reloader::certificates() const {
  json::Object out;
  for (auto& watched : watched_) out[watched.part.name] = watched.certificate.status(os::unix_now());
  return out;
}

}  // namespace sealcast::app
