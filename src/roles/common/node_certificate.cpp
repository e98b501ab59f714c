#include "roles/common/node_certificate.hpp"

#include <ctime>

#include "crypto/certificate.hpp"
#include "crypto/hash.hpp"
#include "io/file.hpp"

namespace sealcast::roles {
namespace {

constexpr UnixSeconds k_day = 86400, k_warn = 30 * k_day;
constexpr std::size_t k_most = 1 << 20;

std::string day_of(UnixSeconds time) {
  auto seconds = static_cast<std::time_t>(time);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char out[40];
  std::strftime(out, sizeof out, "%Y-%m-%d %H:%M UTC", &parts);
  return out;
}

}  // namespace

std::string NodeCertificate::stamp() const {
  std::string out;
  for (auto* name : {"agent.pem", "cafile.pem"}) {
    auto octets = io::read_file(tls_ / name, k_most);
    auto digest = octets ? crypto::sha256(*octets) : crypto::Digest{};
    if (octets) wipe(*octets);
    out.append(digest.begin(), digest.end());
  }
  return out;
}

bool NodeCertificate::changed() const {
  return stamp() != loaded_;
}

Status NodeCertificate::load(UnixSeconds now) {
  auto file = tls_ / "agent.pem";
  SEALCAST_TRY_ASSIGN(auto octets, io::read_file(file, k_most));
  auto facts = crypto::inspect_identity(string_of(octets));
  wipe(octets);
  if (!facts) return fail(ErrorCode::usage, file.string() + ": " + facts.error().message);
  SEALCAST_TRY(io::read_file(tls_ / "cafile.pem", k_most));
  auto what = file.string() + ": the certificate of " + facts->name;
  if (facts->not_after <= now)
    return fail(ErrorCode::usage, what + " has expired on " + day_of(facts->not_after) +
                                      " (or is the clock wrong? It is " + day_of(now) + " here)");
  // A clock that is not set yet: trying again may help.
  if (facts->not_before > now)
    return fail(ErrorCode::failure, what + " is not valid before " + day_of(facts->not_before) +
                                        " (is the clock right? It is " + day_of(now) + " here)");
  name_ = facts->name;
  not_after_ = facts->not_after;
  loaded_ = stamp();
  return {};
}

std::string NodeCertificate::warning(UnixSeconds now) const {
  if (now >= not_after_) return "the certificate of " + name_ + " has expired on " + day_of(not_after_);
  if (now + k_warn <= not_after_) return {};
  return "the certificate of " + name_ + " ends on " + day_of(not_after_) + ", in " +
         std::to_string((not_after_ - now) / k_day) + " days: put a new agent.pem into " + tls_.string();
}

json::Object NodeCertificate::status(UnixSeconds now) const {
  json::Object out{{"name", name_}, {"expires", not_after_}, {"days_left", (not_after_ - now) / k_day}};
  if (auto sentence = warning(now); !sentence.empty()) out["warning"] = sentence;
  return out;
}

}  // namespace sealcast::roles
