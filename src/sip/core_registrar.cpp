// REGISTER: digest, device key, bindings (RFC 3261 section 10.3, RFC 3608, docs/protocol.md section 7).
#include <algorithm>
#include <ctime>

#include "base/encoding.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "keys/request.hpp"
#include "sip/core_impl.hpp"

namespace sealcast::sip {
namespace {

constexpr std::size_t k_most_contacts = 5, k_longest_contact = 512;

std::string unquoted(std::string_view text) {
  if (text.size() < 2 || text.front() != '"' || text.back() != '"') return std::string(text);
  std::string out;
  for (std::size_t i = 1; i + 1 < text.size(); ++i) {
    if (text[i] == '\\' && i + 2 < text.size()) ++i;
    out += text[i];
  }
  return out;
}

std::string parameter(const msg_auth_t* header, const char* name) {
  const auto* found = ::msg_params_find(header->au_params, name);
  return found ? unquoted(found) : std::string();
}

DigestCredentials credentials_of(const msg_auth_t* header) {
  return {parameter(header, "username="), parameter(header, "realm="),    parameter(header, "nonce="),
          parameter(header, "uri="),      parameter(header, "response="), parameter(header, "cnonce="),
          parameter(header, "nc="),       parameter(header, "qop="),      parameter(header, "algorithm=")};
}

// docs/protocol.md section 1: [a-z0-9][a-z0-9._-]{0,31}.
bool is_subscriber_name(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !name.empty() && name.size() <= 32 && letter(name.front()) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || c == '.' || c == '_' || c == '-'; });
}

// When the proof says that it was made, unverified; 0: it does not say.
UnixSeconds issued_at(std::string_view jws) {
  const auto first = jws.find('.'), second = jws.find('.', first + 1);
  if (first == std::string_view::npos || second == std::string_view::npos) return 0;
  auto payload = parse_base64url(jws.substr(first + 1, second - first - 1));
  auto document = payload ? json::parse(string_of(*payload)) : fail("");
  return document ? document->int_or("iat") : 0;
}

}  // namespace

void CoreState::on_register(Incoming& incoming) {
  const auto* sip = incoming.sip();
  if (!same_word(text_or_empty(sip->sip_request->rq_url->url_host), config_.domain))
    return refuse(incoming, {404, "the domain is not served here"});
  auto user = authenticate(sip, ::tport_name(incoming.connection)->tpn_host);
  if (!user) {
    if (user.error().status != 401) return refuse(incoming, user.error());
    ++challenges_;
    return answer(incoming, user.error());
  }
  if (auto fit = check_registration(sip, *user); !fit) return refuse(incoming, fit.error());
  if (auto enrolled = enrol(sip, *user); !enrolled) return refuse(incoming, enrolled.error());
  if (auto bound = bind(sip, *user, incoming.connection); !bound) return refuse(incoming, bound.error());
  bound_ = bindings_.size();
  ++registrations_;
  log(LogLevel::info, "core",
      *user + " registered from " + peer_of(incoming.connection) +
          (::tport_has_tls(incoming.connection) ? " (TLS), " : " (TCP), ") +
          std::to_string(bindings_.of(*user).size()) + " bindings");
  confirm(incoming, *user);
}

// The name of the user whose password made the answer. Whether a user exists shows neither in the status nor in the
// time.
CoreState::Decision<std::string> CoreState::authenticate(const sip_t* sip, const std::string& peer) {
  const auto now = seconds_now();
  const auto challenge = [&](bool stale) {
    return unexpected(Refusal{401, "Unauthorized", "WWW-Authenticate: " + digest_.challenge(now, stale)});
  };
  const msg_auth_t* header = sip->sip_authorization;
  while (header &&
         !(same_word(text_or_empty(header->au_scheme), "Digest") && parameter(header, "realm=") == config_.domain))
    header = header->au_next;
  if (!header) return challenge(false);

  const auto given = credentials_of(header);
  const auto at = given.user.rfind('@');
  const auto name = given.user.substr(0, at);
  const bool formed =
      at != std::string::npos && given.user.substr(at + 1) == config_.domain && is_subscriber_name(name);
  const auto brake = (formed ? name : std::string("?")) + " " + peer;
  if (brake_.blocks(brake, now)) return unexpected(Refusal{403, "too many failed attempts, wait a minute"});
  auto known = formed ? subscribers_.find(name) : std::nullopt;
  auto ha1 = known ? std::optional(known->ha1_sha256) : std::nullopt;
  switch (digest_.check(given, "REGISTER", ha1, now)) {
    case DigestVerdict::good:
      break;
    case DigestVerdict::stale:
      return challenge(true);
    case DigestVerdict::wrong:
      brake_.failed(brake, now);
      return unexpected(Refusal{403, "wrong user name or password"});
  }
  brake_.succeeded(brake);
  return name;
}

CoreState::Decision<void> CoreState::check_registration(const sip_t* sip, const std::string& user) {
  if (identity_of(sip->sip_to->a_url) != impu(user) || identity_of(sip->sip_from->a_url) != impu(user))
    return unexpected(Refusal{403, "To and From must be " + impu(user)});
  std::size_t contacts = 0;
  for (auto* each = sip->sip_contact; each; each = each->m_next) {
    if (++contacts > k_most_contacts || url_text(each->m_url).size() > k_longest_contact)
      return unexpected(Refusal{403, "too many contacts, or too long ones"});
    if (each->m_url->url_type == url_any) {
      const auto* expires = sip->sip_expires;
      if (sip->sip_contact->m_next || !expires || expires->ex_delta != 0 || expires->ex_date != 0)
        return unexpected(Refusal{400, "Contact * removes all bindings: Expires 0 belongs to it"});
      continue;
    }
    if (each->m_url->url_type != url_sip && each->m_url->url_type != url_sips)
      return unexpected(Refusal{403, "the contact is no sip URI"});
    if (wants_udp(each->m_url)) return unexpected(Refusal{403, "udp is not spoken here"});
    if (!expires_of(each, sip))
      return unexpected(Refusal{423, "Interval Too Brief", "Min-Expires: " + std::to_string(config_.min_expires)});
  }
  return {};
}

// 0: remove. nullopt: shorter than is allowed.
std::optional<int> CoreState::expires_of(const sip_contact_t* contact, const sip_t* sip) const {
  const auto wanted = ::sip_contact_expires(contact, sip->sip_expires, sip->sip_date,
                                            static_cast<sip_time_t>(config_.default_expires), 0);
  if (wanted == 0) return 0;
  if (wanted < static_cast<sip_time_t>(config_.min_expires)) return std::nullopt;
  return static_cast<int>(std::min(wanted, static_cast<sip_time_t>(config_.max_expires)));
}

CoreState::Decision<void> CoreState::enrol(const sip_t* sip, const std::string& user) {
  const auto* proof = unknown_header(sip, "P2PCDS-Device-Key");
  if (!proof) return {};
  const UnixSeconds now = std::time(nullptr);
  auto thumbprint = keys::verify_enrolment(proof, impu(user), now);
  if (!thumbprint) {
    // A refresh may carry the proof of the first registration: no news, but true, if it is of the key that is enrolled.
    auto old = keys::verify_enrolment(proof, impu(user), issued_at(proof));
    if (old && *old == subscribers_.device_of(user)) return {};
    return unexpected(Refusal{403, printable(thumbprint.error().message)});
  }
  if (!subscribers_.enrol_device(user, *thumbprint))
    return unexpected(Refusal{403, "another device key is enrolled for this subscriber"});
  return {};
}

CoreState::Decision<void> CoreState::bind(const sip_t* sip, const std::string& user, tport_t* connection) {
  for (auto* each = sip->sip_contact; each; each = each->m_next) {
    if (each->m_url->url_type == url_any) {
      bindings_.remove_all(user);
      continue;
    }
    const auto* instance = ::msg_params_find(each->m_params, "+sip.instance=");
    Binding binding;
    binding.contact = url_text(each->m_url);
    binding.key = instance ? instance : binding.contact;
    const int expires = expires_of(each, sip).value_or(0);
    if (expires == 0) {
      bindings_.remove(user, binding.key);
      continue;
    }
    binding.connection = Connection(connection);
    binding.expires = seconds_now() + expires;
    if (!bindings_.put(user, std::move(binding)))
      return unexpected(
          Refusal{503, "no room for more registrations (16 of one subscriber at most)", "Retry-After: 60"});
  }
  return {};
}

void CoreState::confirm(Incoming& incoming, const std::string& user) {
  std::string contacts;
  for (const auto& each : bindings_.of(user)) {
    contacts += (contacts.empty() ? "<" : ", <") + each.contact +
                ">;expires=" + std::to_string(std::max<std::int64_t>(each.expires - seconds_now(), 0));
  }
  const auto service_route = route_uri(ue_, ::tport_has_tls(incoming.connection) != 0, "orig");
  const auto associated = "P-Associated-URI: <" + impu(user) + ">";
  ::nta_msg_treply(ue_.agent, incoming.message.release(), SIP_200_OK,
                   TAG_IF(!contacts.empty(), SIPTAG_CONTACT_STR(contacts.c_str())),
                   SIPTAG_SERVICE_ROUTE_STR(service_route.c_str()), SIPTAG_HEADER_STR(associated.c_str()), TAG_END());
}

}  // namespace sealcast::sip
