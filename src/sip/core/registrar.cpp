// REGISTER: digest, device key, bindings (RFC 3261 section 10.3, RFC 3608, docs/protocol.md section 7).
#include <algorithm>

#include "base/encoding.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "keys/request.hpp"
#include "os/clock.hpp"
#include "sip/core/impl.hpp"

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

// What a binding is known by.
std::string key_of(const sip_contact_t* contact) {
  const auto* instance = ::msg_params_find(contact->m_params, "+sip.instance=");
  return instance ? instance : url_text(contact->m_url);
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
  auto& peer = incoming.peer;
  if (!same_word(text_or_empty(sip->sip_request->rq_url->url_host), config_.domain))
    return refuse(incoming, {404, "the domain is not served here"});
  if (const auto unknown = unsupported(sip->sip_require); !unknown.empty())
    return refuse(incoming, {420, "Bad Extension", unknown});
  Duration pause = Duration::zero();
  auto user = authenticate(incoming, pause);
  if (!user) {
    if (user.error().status != 401) return refuse(incoming, user.error(), pause);
    ++challenges_;
    return answer(incoming, user.error());
  }
  if (auto fit = check_registration(sip, *user); !fit) return refuse(incoming, fit.error());
  if (auto rested = within_rate(sip, *user, peer); !rested) return refuse(incoming, rested.error());
  if (auto enrolled = enrol(sip, *user); !enrolled) return refuse(incoming, enrolled.error());
  if (auto bound = bind(sip, *user, peer); !bound) return refuse(incoming, bound.error());
  bound_ = bindings_.size();
  ++registrations_;
  settle(peer);
  std::uint64_t before = 0;
  if (log_brake_.allows("registrations of " + *user, now_, before))
    log(LogLevel::info, "core",
        *user + " registered from " + peer.facts.remote + (peer.facts.tls ? " (TLS), " : " (TCP), ") +
            std::to_string(bindings_.of(*user).size()) + " bindings");
  confirm(incoming, *user);
}

// The name of the user whose password made the answer. Whether a user exists shows neither in the status nor in the
// time. `pause`: how long a refusal is to wait.
CoreState::Decision<std::string> CoreState::authenticate(Incoming& incoming, Duration& pause) {
  const auto& peer = incoming.peer;
  const auto challenge = [&](bool stale) {
    return unexpected(Rejection{401, "Unauthorized", "WWW-Authenticate: " + digest_.challenge(peer.id, now_, stale)});
  };
  const msg_auth_t* header = incoming.sip()->sip_authorization;
  while (header &&
         !(same_word(text_or_empty(header->au_scheme), "Digest") && parameter(header, "realm=") == config_.domain))
    header = header->au_next;
  if (!header) return challenge(false);

  const auto given = credentials_of(header);
  // With the domain or without it: clients differ in what they are told to call their user.
  const auto at = given.user.rfind('@');
  const bool bare = at == std::string::npos;
  const auto name = given.user.substr(0, at);
  const bool formed = is_subscriber_name(name) && (bare || same_word(given.user.substr(at + 1), config_.domain));
  // Who registers again over his registered connection is known: no brake for him.
  const bool at_home = formed && bindings_.on(name, peer.id);
  const auto braked = formed ? name : std::string("?");
  if (!at_home && !brake_.may_try(braked, peer.facts.source, now_))
    return unexpected(Rejection{503, "too many failed attempts, wait some seconds", "Retry-After: 3"});
  std::optional<std::string> ha1;
  if (formed) {
    auto known = subscribers_.find(name);
    if (!known) return unexpected(store_failed(known.error()));
    if (*known) ha1 = bare ? (*known)->bare_sha256 : (*known)->ha1_sha256;
    if (ha1 && ha1->empty()) ha1.reset();
  }
  switch (digest_.check(given, "REGISTER", ha1, peer.id, now_)) {
    case DigestVerdict::good:
      return name;
    case DigestVerdict::stale:
      return challenge(true);
    case DigestVerdict::wrong:
      break;
  }
  pause = brake_.failed(braked, peer.facts.source, now_);
  return unexpected(Rejection{403, "wrong user name or password"});
}

CoreState::Decision<void> CoreState::check_registration(const sip_t* sip, const std::string& user) {
  if (identity_of(sip->sip_to->a_url) != impu(user) || identity_of(sip->sip_from->a_url) != impu(user))
    return unexpected(Rejection{403, "To and From must be " + impu(user)});
  std::size_t contacts = 0;
  for (auto* each = sip->sip_contact; each; each = each->m_next) {
    if (++contacts > k_most_contacts || url_text(each->m_url).size() > k_longest_contact)
      return unexpected(Rejection{403, "too many contacts, or too long ones"});
    if (each->m_url->url_type == url_any) {
      const auto* expires = sip->sip_expires;
      if (sip->sip_contact->m_next || !expires || expires->ex_delta != 0 || expires->ex_date != 0)
        return unexpected(Rejection{400, "Contact * removes all bindings: Expires 0 belongs to it"});
      continue;
    }
    if (each->m_url->url_type != url_sip && each->m_url->url_type != url_sips)
      return unexpected(Rejection{403, "the contact is no sip URI"});
    if (wants_udp(each->m_url)) return unexpected(Rejection{403, "udp is not spoken here"});
    if (!expires_of(each, sip))
      return unexpected(Rejection{423, "Interval Too Brief", "Min-Expires: " + std::to_string(config_.min_expires)});
  }
  return {};
}

// What registers a living binding again, or ends it, over its own connection does not come out of what the subscriber
// has for new ones: whoever else knows the password cannot keep a device out that is in.
CoreState::Decision<void> CoreState::within_rate(const sip_t* sip, const std::string& user, const Peer& peer) {
  bool known = true;
  for (auto* each = sip->sip_contact; each; each = each->m_next) {
    if (each->m_url->url_type == url_any) continue;
    const auto* binding = bindings_.find(user, key_of(each));
    known = known && binding && binding->connection == peer.id;
  }
  auto& budget = known ? refreshes_ : new_bindings_;
  const auto owner = known ? user + " over " + std::to_string(peer.id) : user;
  if (budget.take(now_, owner)) return {};
  return unexpected(Rejection{503, "too many registrations of this subscriber in a short time",
                              "Retry-After: " + std::to_string(budget.wait(now_, owner))});
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
  auto thumbprint = keys::verify_enrolment(proof, impu(user), os::unix_now());
  if (!thumbprint) {
    // A refresh may carry the proof of the first registration: no news, but true, if it is of the key that is enrolled.
    auto old = keys::verify_enrolment(proof, impu(user), issued_at(proof));
    if (old) {
      auto known = subscribers_.device_of(user);
      if (!known) return unexpected(store_failed(known.error()));
      if (*old == *known) return {};
    }
    return unexpected(Rejection{403, printable(thumbprint.error().message)});
  }
  auto enrolled = subscribers_.enrol_device(user, *thumbprint);
  if (!enrolled) return unexpected(store_failed(enrolled.error()));
  if (!*enrolled) return unexpected(Rejection{403, "another device key is enrolled for this subscriber"});
  return {};
}

CoreState::Decision<void> CoreState::bind(const sip_t* sip, const std::string& user, const Peer& peer) {
  for (auto* each = sip->sip_contact; each; each = each->m_next) {
    if (each->m_url->url_type == url_any) {
      bindings_.remove_all(user);
      continue;
    }
    Binding binding;
    binding.user = user;
    binding.contact = url_text(each->m_url);
    binding.key = key_of(each);
    const int expires = expires_of(each, sip).value_or(0);
    if (expires == 0) {
      bindings_.remove(user, binding.key);
      continue;
    }
    binding.connection = peer.id;
    binding.tls = peer.facts.tls;
    binding.expires = now_ + std::chrono::seconds(expires);
    const auto refusal = bindings_.put(std::move(binding), peer.facts.source);
    if (refusal && refusal->why == TableRefusal::Why::share && std::string_view(refusal->scope) == "subscriber")
      return unexpected(
          Rejection{503, "16 registrations of this subscriber are alive already, end one of them", "Retry-After: 30"});
    if (refusal) return unexpected(too_many(*refusal, "registrations"));
  }
  return {};
}

void CoreState::confirm(Incoming& incoming, const std::string& user) {
  std::string contacts;
  for (const auto* each : bindings_.of(user)) {
    const auto left = std::chrono::duration_cast<std::chrono::seconds>(each->expires - now_ + 999ms).count();
    contacts += (contacts.empty() ? "Contact: <" : ", <") + each->contact +
                ">;expires=" + std::to_string(std::max<std::int64_t>(left, 0));
  }
  answer(incoming, {200, "OK",
                    (contacts.empty() ? "" : contacts + "\r\n") + "Service-Route: " + route_uri(incoming.peer, "orig") +
                        "\r\nP-Associated-URI: <" + impu(user) + ">"});
}

}  // namespace sealcast::sip
