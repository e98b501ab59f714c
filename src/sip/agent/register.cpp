#include <strings.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/log.hpp"
#include "base/text.hpp"
#include "sip/agent/impl.hpp"
#include "sip/digest.hpp"

namespace sealcast::sip {
namespace {

constexpr Duration k_first_pause = 1s, k_longest_pause = 15s, k_after_loss = 200ms;
constexpr int k_longest = 24 * 3600;  // seconds: who grants more is asked again daily

std::string domain_of(const std::string& identity) {
  const auto at = identity.find('@');
  return at == std::string::npos ? identity.substr(identity.find(':') + 1) : identity.substr(at + 1);
}

std::string unquoted(const char* text) {
  std::string out;
  if (text == nullptr) return out;
  if (*text != '"') return text;
  for (const char* c = text + 1; *c != '\0' && *c != '"'; ++c) {
    if (*c == '\\' && c[1] != '\0') ++c;
    out += *c;
  }
  return out;
}

std::string between_brackets(const std::string& name_addr) {
  const auto begin = name_addr.find('<'), end = name_addr.find('>');
  return begin == std::string::npos || end == std::string::npos || end < begin
             ? name_addr
             : name_addr.substr(begin + 1, end - begin - 1);
}

bool offers_auth(const std::string& qop) {
  std::size_t begin = 0;
  while (begin <= qop.size()) {
    auto end = std::min(qop.find(',', begin), qop.size());
    auto word = std::string_view(qop).substr(begin, end - begin);
    while (!word.empty() && word.front() == ' ') word.remove_prefix(1);
    while (!word.empty() && word.back() == ' ') word.remove_suffix(1);
    if (word == "auth") return true;
    begin = end + 1;
  }
  return false;
}

// RFC 8760 section 2.4: of several challenges, the one with the algorithm that we want; anything but SHA-256 with qop
// is as if not there.
const sip_www_authenticate_t* sha256_challenge(const sip_t* sip) {
  for (const auto* challenge = sip->sip_www_authenticate; challenge != nullptr; challenge = challenge->au_next) {
    if (challenge->au_scheme == nullptr || ::strcasecmp(challenge->au_scheme, "Digest") != 0) continue;
    const auto algorithm = parse_digest_algorithm(unquoted(::msg_params_find(challenge->au_params, "algorithm=")));
    if (algorithm == DigestAlgorithm::sha256 && offers_auth(unquoted(::msg_params_find(challenge->au_params, "qop="))))
      return challenge;
  }
  return nullptr;
}

int number(const char* text, int fallback) {
  int out = fallback;
  if (text != nullptr) std::from_chars(text, text + std::strlen(text), out);
  return out;
}

int granted_expiry(const sip_t* sip, const std::string& contact_user, int asked) {
  for (const auto* contact = sip->sip_contact; contact != nullptr; contact = contact->m_next) {
    const bool ours = contact->m_url->url_user != nullptr && contact_user == contact->m_url->url_user;
    if (ours && contact->m_expires != nullptr) return number(contact->m_expires, asked);
  }
  return sip->sip_expires != nullptr ? static_cast<int>(sip->sip_expires->ex_delta) : asked;
}

}  // namespace

void Registration::begin(Credentials credentials, int expires) {
  credentials_ = std::move(credentials);
  expires_ = expires;
  challenge_.reset();
  pause_ = k_first_pause;
  begun_ = true;
  reported_ = false;
  if (dialog_.call_id.empty()) {
    Request self;
    self.uri = agent_.config().identity;
    if (auto dialog = agent_.new_dialog(self)) dialog_ = std::move(*dialog);
  }
  due_ = agent_.now();
  ask_for_headers();
}

void Registration::ask_for_headers() {
  if (agent_.now() < due_ || transaction_ != 0 || asked_for_headers_) return;
  asked_for_headers_ = true;
  agent_.tell([](AgentReports& owner) { owner.registration_due(); });
}

void Registration::connection_closed(ConnectionId connection, const std::string& sentence) {
  if (!begun_ || withdrawing_ || connection != connection_) return;
  connection_ = k_no_connection;
  lost_ = true;
  pause_ = k_first_pause;
  due_ = agent_.now() + k_after_loss;
  change({false, 0, sentence, {}});
}

void Registration::tick(std::uint64_t stops) {
  if (!begun_ || withdrawing_) return;
  // Who was stopped may be forgotten, and so may be what it subscribed to.
  const auto before = std::exchange(stops_, stops);
  if (before && *before != stops && state_.registered) {
    lost_ = true;
    due_ = agent_.now();
    change({false, 0, "nobody ran for a while", {}});
  }
  ask_for_headers();
}

void Registration::attempt(const std::vector<Header>& headers) {
  asked_for_headers_ = false;
  if (!begun_ || withdrawing_ || transaction_ != 0) return;
  headers_ = headers;
  challenges_ = 0;
  due_ = k_never;
  send(expires_);
}

void Registration::send(int expires) {
  Request request;
  request.method = "REGISTER";
  request.uri = "sip:" + domain_of(agent_.config().identity);
  request.expires = expires;
  request.headers = headers_;
  if (challenge_) request.headers.push_back({"Authorization", authorization(request.uri)});
  if (!dialog_.call_id.empty())
    transaction_ =
        agent_.request(dialog_, request, [this, expires](const Answer& answer) { answered(answer, expires); });
  if (transaction_ == 0)
    refused(0, "the identity " + printable(agent_.config().identity) + " or a header of its registration is malformed");
}

std::string Registration::authorization(const std::string& uri) {
  auto& challenge = *challenge_;
  char count[9];
  std::snprintf(count, sizeof count, "%08x", ++challenge.count);
  const auto cnonce = fresh_token(agent_.random());
  const auto& password = credentials_.password.expose();
  auto ha1 = digest_ha1(DigestAlgorithm::sha256, credentials_.user, challenge.realm,
                        std::string_view(reinterpret_cast<const char*>(password.data()), password.size()));
  DigestInput input{ha1, challenge.nonce, count, cnonce, "REGISTER", uri};
  const auto response = digest_response(DigestAlgorithm::sha256, input);
  for (auto* secret : {&ha1, &input.ha1}) wipe({reinterpret_cast<std::uint8_t*>(secret->data()), secret->size()});
  return "Digest username=" + quoted(credentials_.user) + ", realm=" + quoted(challenge.realm) +
         ", nonce=" + quoted(challenge.nonce) + ", uri=" + quoted(uri) + ", response=\"" + response +
         "\", algorithm=SHA-256, qop=auth, nc=" + count + ", cnonce=" + quoted(cnonce) +
         (challenge.opaque.empty() ? "" : ", opaque=" + quoted(challenge.opaque));
}

void Registration::answered(const Answer& answer, int expires) {
  transaction_ = 0;
  const int status = answer.response.status;
  if (status == 401) return challenged(answer, expires);
  if (withdrawing_) return;
  if (answer.response.ok()) return accepted(answer);
  if (status == 423) {
    const auto least = answer.response.values("Min-Expires");
    const int wanted = least.empty() ? 0 : number(least.front().c_str(), 0);
    if (wanted > expires_) {
      expires_ = wanted;
      return send(expires_);
    }
  }
  if (status == 0 || status == 408 || status == 480 || status >= 500)
    return retry_later(status, answer.response.reason);
  refused(status, "the core refuses " + agent_.config().identity + ": " + std::to_string(status) + " " +
                      printable(answer.response.reason));
}

void Registration::challenged(const Answer& answer, int expires) {
  const auto* challenge = sha256_challenge(answer.sip);
  if (challenge == nullptr) return refused(401, "the core offers no SHA-256 digest");
  const auto* stale = ::msg_params_find(challenge->au_params, "stale=");
  if (challenges_ > 0 && (stale == nullptr || ::strcasecmp(unquoted(stale).c_str(), "true") != 0)) {
    return refused(401, "the core refuses the password of " + agent_.config().identity);
  }
  if (++challenges_ > 3) return retry_later(401, "the core does not accept its own challenges");
  Challenge fresh;
  fresh.realm = unquoted(::msg_params_find(challenge->au_params, "realm="));
  fresh.nonce = unquoted(::msg_params_find(challenge->au_params, "nonce="));
  fresh.opaque = unquoted(::msg_params_find(challenge->au_params, "opaque="));
  if (!credentials_.realm.empty() && credentials_.realm != fresh.realm) {
    return refused(
        401, "the core asks for a password of the realm " + printable(fresh.realm) + ", not of " + credentials_.realm);
  }
  challenge_ = std::move(fresh);
  send(expires);
}

void Registration::accepted(const Answer& answer) {
  const int granted = std::clamp(granted_expiry(answer.sip, agent_.config().contact_user, expires_), 2, k_longest);
  pause_ = k_first_pause;
  due_ = agent_.now() + std::chrono::milliseconds(granted * 500);
  service_route_ = answer.response.values("Service-Route");
  connection_ = agent_.link().id();
  const auto associated = answer.response.values("P-Associated-URI");
  change({true, answer.response.status, answer.response.reason,
          associated.empty() ? std::string() : between_brackets(associated.front())});
  // The core that came back may have forgotten our dialogs: their servers say 481, and we learn it now.
  if (std::exchange(lost_, false)) agent_.watches().refresh_all();
}

void Registration::refused(int status, std::string reason) {
  due_ = k_never;
  challenge_.reset();
  if (withdrawing_) return;
  connection_ = k_no_connection;
  change({false, status, std::move(reason), {}});
}

void Registration::retry_later(int status, const std::string& reason) {
  if (withdrawing_) return;
  challenge_.reset();
  due_ = agent_.now() + pause_;
  pause_ = std::min(pause_ * 2, k_longest_pause);
  if (status == 0) {
    lost_ = true;
    connection_ = k_no_connection;  // told of here
    agent_.drop_link();             // a connection that swallows requests must not be used again
  }
  change({false, status, printable(reason), {}});
}

void Registration::change(RegistrationState state) {
  const bool same = state.registered == state_.registered && state.status == state_.status &&
                    state.reason == state_.reason && state.associated_uri == state_.associated_uri;
  state_ = std::move(state);
  if (same && reported_) return;
  reported_ = true;
  agent_.tell([state = state_](AgentReports& owner) { owner.registration_changed(state); });
}

void Registration::withdraw() {
  withdrawing_ = true;
  if (transaction_ != 0) agent_.clients().forget(transaction_);
  if (!state_.registered) return;
  headers_.clear();  // theirs to make are on the owner's thread, which waits for us; and the core asks for none here
  challenges_ = 0;
  send(0);
}

}  // namespace sealcast::sip
