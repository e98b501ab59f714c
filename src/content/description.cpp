#include "content/description.hpp"

#include <algorithm>
#include <set>

#include "base/encoding.hpp"
#include "base/text.hpp"
#include "content/uri.hpp"

namespace sealcast::content {
namespace {

constexpr std::string_view k_type = "sealcast-desc+jwt";
constexpr std::size_t k_longest_title = 200, k_longest_name = 1024, k_longest_metadata = 4096;
constexpr std::uint64_t k_longest_object = std::uint64_t{1} << 62;

auto wrong(std::string why) {
  return fail(ErrorCode::integrity, "description: " + std::move(why));
}

// Members of the payload, one after another; the first fault is kept.
class Members {
 public:
  explicit Members(const json::Value& payload) : payload_(payload) {}

  std::int64_t integer(const char* name, std::int64_t least, std::int64_t most) {
    auto* member = take(name);
    auto* value = member ? member->as_int() : nullptr;
    if (!value || *value < least || *value > most) {
      fault(name);
      return least;
    }
    return *value;
  }
  std::optional<std::uint64_t> optional(const char* name, std::uint64_t most) {
    if (!payload_.find(name)) return {};
    return static_cast<std::uint64_t>(integer(name, 0, static_cast<std::int64_t>(most)));
  }
  std::string text(const char* name, std::size_t longest, bool required) {
    auto* member = take(name);
    if (!member && !required) return {};
    auto* value = member ? member->as_string() : nullptr;
    if (!value || value->size() > longest) {
      fault(name);
      return {};
    }
    return *value;
  }
  Bytes octets(const char* name, std::size_t longest) {
    auto out = parse_base64url(text(name, longest * 4 / 3 + 4, true));
    if (!out || out->size() > longest) fault(name);
    return out.value_or(Bytes{});
  }
  const json::Value* take(const char* name) {
    asked_.insert(name);
    return payload_.find(name);
  }
  void fault(const char* name) {
    if (fault_.empty()) fault_ = std::string("member \"") + name + "\" is missing or not what it must be";
  }
  // The first fault, or a member that nobody asked for.
  std::string verdict() const {
    if (!fault_.empty()) return fault_;
    for (auto& [name, value] : *payload_.as_object())
      if (!asked_.contains(name)) return "unknown member \"" + printable(name, 40) + "\"";
    return {};
  }

 private:
  const json::Value& payload_;
  std::set<std::string, std::less<>> asked_;
  std::string fault_;
};

void read_sealed(Members& members, Description& out) {
  auto header = members.octets("hdr", k_sealed_header);
  if (is_sealed_header(header)) {
    out.header.emplace();
    std::copy(header.begin(), header.end(), out.header->begin());
  } else {
    members.fault("hdr");
  }
  out.metadata = members.octets("meta", k_longest_metadata);
  auto* key = members.take("ks");
  out.key_service = key ? crypto::PublicKey::from_jwk(*key) : std::nullopt;
  if (!out.key_service) members.fault("ks");
}

void read_clear(Members& members, Description& out) {
  out.name = members.text("name", k_longest_name, true);
  out.type = members.text("type", 255, true);
}

Description read(Members& members) {
  Description out;
  members.integer("v", 1, 1);
  out.content_id = members.text("cid", 35, true);
  if (!out.content_id.starts_with("urn:sealcast:") || out.content_id.size() != 35) members.fault("cid");
  out.version = members.integer("ver", 1, INT64_MAX);
  auto root = parse_root(members.text("root", 43, true));
  if (root)
    out.root = *root;
  else
    members.fault("root");
  out.length = static_cast<std::uint64_t>(members.integer("len", 1, static_cast<std::int64_t>(k_longest_object)));
  out.filled = members.optional("fill", out.length);
  out.chunk_size = static_cast<std::uint32_t>(members.integer("chunk", k_min_chunk_size, k_max_chunk_size));
  if (!Geometry::make(out.length, out.chunk_size)) members.fault("len");
  auto protection = parse_protection(members.text("prot", 32, true));
  if (protection)
    out.protection = *protection;
  else
    members.fault("prot");
  out.plain_length =
      static_cast<std::uint64_t>(members.integer("plen", 0, static_cast<std::int64_t>(k_longest_object)));
  auto implied = is_sealed(out.protection) ? plain_length(out.length) : std::optional<std::uint64_t>(out.length);
  if (implied != out.plain_length) members.fault("plen");
  if (is_sealed(out.protection))
    read_sealed(members, out);
  else
    read_clear(members, out);
  out.title = members.text("title", k_longest_title, false);
  out.issued_at = members.integer("iat", 0, INT64_MAX);
  out.expires_at = members.integer("exp", 0, INT64_MAX);
  return out;
}

}  // namespace

std::string sign_description(const Description& d, const crypto::PrivateKey& provider) {
  json::Object out{{"v", 1},
                   {"cid", d.content_id},
                   {"ver", d.version},
                   {"root", root_text(d.root)},
                   {"len", d.length},
                   {"chunk", d.chunk_size},
                   {"prot", name(d.protection)},
                   {"plen", d.plain_length},
                   {"iat", d.issued_at},
                   {"exp", d.expires_at}};
  if (is_sealed(d.protection)) {
    out["hdr"] = base64url(*d.header);
    out["meta"] = base64url(d.metadata);
    out["ks"] = d.key_service->jwk();
  } else {
    out["name"] = d.name;
    out["type"] = d.type;
  }
  if (d.room() < d.length) out["fill"] = d.room();
  if (!d.title.empty()) out["title"] = d.title;
  return crypto::jws_sign(std::move(out), k_type, provider);
}

Result<Description> verify_description(std::string_view jws, const std::vector<crypto::PublicKey>& providers,
                                       UnixSeconds now) {
  auto peeked = crypto::jws_peek(jws);
  if (!peeked) return wrong(std::string(crypto::text(peeked.error())));
  auto signer = std::find_if(providers.begin(), providers.end(),
                             [&](auto& key) { return key.thumbprint() == peeked->header.kid; });
  if (signer == providers.end())
    return wrong("its provider (key " + printable(peeked->header.kid, 43) + ") is not on the trust list");
  auto verified = crypto::jws_verify(jws, k_type, *signer);
  if (!verified) return wrong(std::string(crypto::text(verified.error())));
  Members members(verified->payload);
  auto out = read(members);
  if (auto fault = members.verdict(); !fault.empty()) return wrong(fault);
  out.provider = verified->header.kid;
  if (out.issued_at > now + k_clock_leeway)
    return wrong("it is not valid yet (issued " + std::to_string(out.issued_at - now) +
                 " s in the future: is this clock right?)");
  if (out.expires_at <= now - k_clock_leeway)
    return wrong("it expired " + std::to_string(now - out.expires_at) + " s ago (is this clock right?)");
  return out;
}

Result<Description> verify_kept_description(std::string_view jws, const std::vector<crypto::PublicKey>& providers) {
  auto peeked = crypto::jws_peek(jws);
  auto issued = peeked ? peeked->payload.int_or("iat") : 0;
  return verify_description(jws, providers, std::clamp<UnixSeconds>(issued, 0, UnixSeconds{1} << 52));
}

Status check_against(const Description& known, const Description& incoming) {
  if (known.root == incoming.root && (known.length != incoming.length || known.chunk_size != incoming.chunk_size ||
                                      known.header != incoming.header || known.key_service != incoming.key_service))
    return wrong("it conflicts with another one for the same root (length, chunk size, header or key service differ)");
  if (known.root == incoming.root && strictest(known.protection, incoming.protection) != incoming.protection)
    return wrong("it asks for weaker protection than one seen before for the same root");
  if (known.provider == incoming.provider && known.content_id == incoming.content_id &&
      incoming.version < known.version)
    return wrong("version " + std::to_string(incoming.version) + " is older than version " +
                 std::to_string(known.version) + " seen before");
  return {};
}

}  // namespace sealcast::content
