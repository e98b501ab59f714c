#include "sip/agent/link.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace sealcast::sip {
namespace {

constexpr Duration k_first_pause = 100ms, k_longest_pause = 2s;

}  // namespace

void AgentLink::want(Instant now) {
  if (id_ != k_no_connection || now < not_before_) return;
  ConnectionFacts facts;
  id_ = wire_.dial(config_.next_hop, config_.verify_peer ? host_of(config_.next_hop) : std::string(), facts);
  if (id_ == k_no_connection) rest(now);
}

void AgentLink::opened() {
  open_ = true;
  heard_ = false;
  pause_ = Duration::zero();
}

std::string AgentLink::closed(const std::string& why, Instant now) {
  const LinkState state{open_, heard_};
  if (!open_) rest(now);
  id_ = k_no_connection;
  open_ = false;
  return failure_sentence(config_, why, state);
}

void AgentLink::rest(Instant now) {
  pause_ = std::clamp(pause_ * 2, k_first_pause, k_longest_pause);
  not_before_ = now + pause_;
}

std::string host_of(const std::string& next_hop) {
  auto host = next_hop.substr(0, next_hop.rfind(':'));
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  return host;
}

std::string failure_sentence(const AgentConfig& config, const std::string& why, LinkState state) {
  const auto& hop = config.next_hop;
  static constexpr std::string_view k_certificate = "the certificate ", k_tls = "TLS: ";
  if (why.starts_with(k_certificate)) {
    auto about = why.substr(k_certificate.size());
    if (about == "is not signed by the CA that is trusted")
      about = "is not signed by the CA in " + (std::filesystem::path(config.tls_directory) / "cafile.pem").string();
    return "the certificate of " + hop + " " + about;
  }
  if (state.open) {
    // With TLS 1.3 the server judges our certificate after our side of the handshake has ended.
    if (!state.heard && why.starts_with(k_tls)) return hop + " refuses our certificate: " + why.substr(k_tls.size());
    return "the connection to " + hop + " was lost: " + why;
  }
  if (why == std::strerror(ECONNREFUSED)) return "connection refused by " + hop + " (is the core running?)";
  if (why == std::strerror(ETIMEDOUT) || why == "no answer in time") return "no answer from " + hop + ": timed out";
  if (why.starts_with(k_tls)) return "TLS with " + hop + " failed: " + why.substr(k_tls.size());
  if (config.tls && (why == "closed by the other side" || why == std::strerror(ECONNRESET)))
    return "the connection to the core at " + hop +
           " was closed while TLS was agreed on (has it stopped, or is it starting?)";
  if (why.starts_with("cannot ")) return why;
  return "cannot connect to " + hop + ": " + why;
}

}  // namespace sealcast::sip
