#include "roles/tracker/tracker_catalogue.hpp"

#include <algorithm>
#include <utility>

#include "base/log.hpp"
#include "content/uri.hpp"
#include "roles/common/names.hpp"

namespace sealcast::roles {
namespace {

constexpr std::size_t k_page = 24;            // descriptions in one NOTIFY: 64 KiB hold them
constexpr std::size_t k_most_skipped = 2400;  // rows of providers without trust that one question passes over

store::CatalogueRow row_of(const content::Description& description, std::string jws, std::string access,
                           bool everybody) {
  return {description.root,
          description.provider,
          description.content_id,
          description.version,
          std::move(jws),
          std::move(access),
          everybody};
}

// Of one that was verified when it came: has it expired since?
bool is_valid(std::string_view jws, UnixSeconds now) {
  auto peeked = crypto::jws_peek(jws);
  return peeked && peeked->payload.int_or("exp") > now - content::k_clock_leeway &&
         peeked->payload.int_or("iat") <= now + content::k_clock_leeway;
}

}  // namespace

TrackerCatalogue::TrackerCatalogue(store::Catalogue store, std::vector<crypto::PublicKey> providers, std::string domain)
    : store_(std::move(store)), providers_(std::move(providers)), domain_(std::move(domain)) {
  for (auto& key : providers_) thumbprints_.push_back(key.thumbprint());
}

bool TrackerCatalogue::trusted(const std::string& provider) const {
  return std::find(thumbprints_.begin(), thumbprints_.end(), provider) != thumbprints_.end();
}

// One that does not verify (its provider was withdrawn) stays where it is, for a start at which he is trusted again.
Status TrackerCatalogue::take_over() {
  SEALCAST_TRY_ASSIGN(auto rows, store_.old_rows(1000000));
  for (auto& old : rows) {
    auto description = content::verify_kept_description(old.description, providers_);
    auto access = tracking::parse_access(old.access);
    if (!description || !access) {
      log(LogLevel::warning, "tracker",
          "not offered: " + content::root_text(old.root) + ": " +
              (description ? access.error().message : description.error().message));
      continue;
    }
    SEALCAST_TRY(store_.put(row_of(*description, old.description, old.access, access->everybody), access->who));
    SEALCAST_TRY(store_.forget_old(old.root));
  }
  return {};
}

Status TrackerCatalogue::check(const content::Description& incoming, const std::optional<store::CatalogueRow>& known) {
  SEALCAST_TRY_ASSIGN(auto newest, store_.newest(incoming.provider, incoming.content_id));
  for (const auto* row : {&known, &std::as_const(newest)}) {
    if (!*row || !trusted((*row)->provider)) continue;
    SEALCAST_TRY_ASSIGN(auto description, content::verify_kept_description((*row)->description, providers_));
    SEALCAST_TRY(content::check_against(description, incoming));
  }
  return {};
}

Result<bool> TrackerCatalogue::take(const tracking::AnnouncedSwarm& swarm, UnixSeconds now) {
  SEALCAST_TRY_ASSIGN(auto known, store_.find(swarm.root));
  if (swarm.description.empty()) {
    if (known && trusted(known->provider)) return false;
    return fail(ErrorCode::not_found, "a content without its description");
  }
  bool same = known && known->description == swarm.description;
  if (same && trusted(known->provider) && is_valid(swarm.description, now) &&
      (!swarm.access || known->access == tracking::write_access(*swarm.access)))
    return false;
  SEALCAST_TRY_ASSIGN(auto description, content::verify_description(swarm.description, providers_, now));
  if (description.root != swarm.root) return fail(ErrorCode::integrity, "the description is of another content");
  if (!same) SEALCAST_TRY(check(description, known));
  tracking::AccessList access;
  if (swarm.access)
    access = *swarm.access;
  else if (known)
    access = tracking::parse_access(known->access).value_or(access);
  auto access_text = tracking::write_access(access);
  if (same && known->access == access_text) return false;
  SEALCAST_TRY(
      store_.put(row_of(description, swarm.description, std::move(access_text), access.everybody), access.who));
  return true;
}

Result<bool> TrackerCatalogue::may_see(const crypto::Digest& root, const std::string& subscriber) {
  SEALCAST_TRY_ASSIGN(auto entitlement, store_.entitlement(root, subscriber));
  if (!entitlement || !trusted(entitlement->provider)) return fail(ErrorCode::not_found, "Unknown content");
  return entitlement->allowed || is_cache_uri(subscriber, domain_);
}

Result<std::string> TrackerCatalogue::description(const crypto::Digest& root) {
  SEALCAST_TRY_ASSIGN(auto row, store_.find(root));
  if (!row || !trusted(row->provider)) return fail(ErrorCode::not_found, "Unknown content");
  return row->description;
}

Result<tracking::ContentList> TrackerCatalogue::page(std::string_view after, const std::string& subscriber) {
  tracking::ContentList out;
  auto from = content::parse_root(std::string(after));
  auto whose = is_cache_uri(subscriber, domain_) ? std::nullopt : std::optional(subscriber);
  for (std::size_t seen = 0; out.descriptions.size() < k_page && seen < k_most_skipped; seen += k_page) {
    SEALCAST_TRY_ASSIGN(auto rows, store_.page(from, whose, k_page - out.descriptions.size()));
    if (rows.empty()) {
      out.next.clear();
      return out;
    }
    from = rows.back().root;
    out.next = content::root_text(*from);
    for (auto& row : rows)
      if (trusted(row.provider)) out.descriptions.push_back(std::move(row.description));
  }
  return out;
}

}  // namespace sealcast::roles
