#include "tracking/messages.hpp"

#include <algorithm>

#include "base/json.hpp"
#include "content/uri.hpp"

namespace sealcast::tracking {
namespace {

constexpr json::Limits k_limits{262144, 8};
constexpr std::size_t k_most_swarms = 1024, k_most_ranges = 8, k_most_who = 4096, k_most_peers = 64, k_most_keyinfo = 8,
                      k_longest_uri = 255, k_longest_instance = 64;

constexpr std::pair<PeerState, const char*> k_states[] = {
    {PeerState::leech, "leech"}, {PeerState::seed, "seed"}, {PeerState::keys, "keys"}};

const char* name(PeerState state) {
  for (auto& [s, text] : k_states)
    if (s == state) return text;
  return "";
}
std::optional<PeerState> parse_state(const std::string& text) {
  for (auto& [s, known] : k_states)
    if (text == known) return s;
  return std::nullopt;
}

auto wrong(const std::string& what) {
  return fail(ErrorCode::failure, "malformed body: " + what);
}

Result<json::Value> document_of(std::string_view body) {
  auto document = json::parse(body, k_limits);
  if (!document) return wrong(document.error().message);
  if (document->int_or("v") != 1) return wrong("\"v\" is not 1");
  return document;
}

json::Object access_object(const AccessList& access) {
  if (access.everybody) return {{"public", true}};
  return {{"who", json::Array(access.who.begin(), access.who.end())}};
}

Result<AccessList> access_of(const json::Value& value) {
  AccessList out;
  out.everybody = value.bool_or("public");
  if (auto* who = value.find("who"); who && who->as_array()) {
    if (who->as_array()->size() > k_most_who) return wrong("more than 4096 subscribers in \"who\"");
    for (auto& each : *who->as_array()) {
      if (!each.as_string() || each.as_string()->size() > k_longest_uri)
        return wrong("\"who\" holds something that is no URI");
      out.who.push_back(*each.as_string());
    }
  } else if (!out.everybody) {
    return wrong("neither \"public\" nor \"who\"");
  }
  return out;
}

// At most `most` strings; what is no array counts as none.
std::vector<std::string> strings_of(const json::Value* value, std::size_t most) {
  std::vector<std::string> out;
  if (!value || !value->as_array()) return out;
  for (auto& each : *value->as_array())
    if (each.as_string() && out.size() < most) out.push_back(*each.as_string());
  return out;
}

Result<AnnouncedSwarm> swarm_of(const json::Value& value) {
  AnnouncedSwarm out;
  auto root = content::parse_root(value.string_or("id"));
  auto state = parse_state(value.string_or("st"));
  if (!root || !state) return wrong("a swarm without \"id\" or \"st\"");
  out.root = *root;
  out.state = *state;
  if (auto* have = value.find("hv"); have && have->as_array())
    for (auto& each : *have->as_array()) {
      auto* pair = each.as_array();
      if (!pair || pair->size() != 2 || !(*pair)[0].as_int() || !(*pair)[1].as_int() ||
          out.have.size() >= k_most_ranges)
        return wrong("\"hv\" is not at most 8 pairs");
      auto first = *(*pair)[0].as_int(), last = *(*pair)[1].as_int();
      if (first < 0 || last < first || last > UINT32_MAX) return wrong("a range of \"hv\" is impossible");
      out.have.push_back({static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(last)});
    }
  out.description = value.string_or("desc");
  out.keyinfo = value.string_or("keyinfo");
  if (auto* access = value.find("acl")) {
    SEALCAST_TRY_ASSIGN(auto list, access_of(*access));
    out.access = std::move(list);
  }
  return out;
}

}  // namespace

bool AccessList::allows(const std::string& subscriber) const {
  return everybody || std::find(who.begin(), who.end(), subscriber) != who.end();
}

std::string write_access(const AccessList& access) {
  return json::Value(access_object(access)).text();
}

Result<AccessList> parse_access(std::string_view body) {
  auto document = json::parse(body, k_limits);
  if (!document) return wrong(document.error().message);
  return access_of(*document);
}

std::string write_announcement(const Announcement& a) {
  json::Array swarms;
  for (auto& s : a.swarms) {
    json::Object each{{"id", content::root_text(s.root)}, {"st", name(s.state)}};
    json::Array have;
    for (std::size_t i = 0; i < std::min(s.have.size(), k_most_ranges); ++i)
      have.push_back(json::Array{std::int64_t{s.have[i].first}, std::int64_t{s.have[i].last}});
    each["hv"] = std::move(have);
    if (!s.description.empty()) each["desc"] = s.description;
    if (s.access) each["acl"] = access_object(*s.access);
    if (!s.keyinfo.empty()) each["keyinfo"] = s.keyinfo;
    swarms.push_back(std::move(each));
  }
  json::Object out{{"v", 1}, {"sw", std::move(swarms)}, {"max", a.max_associations}};
  if (!a.instance.empty()) out["inst"] = a.instance;
  return json::Value(std::move(out)).text();
}

Result<Announcement> parse_announcement(std::string_view body) {
  SEALCAST_TRY_ASSIGN(auto document, document_of(body));
  Announcement out;
  auto* swarms = document.find("sw");
  if (!swarms || !swarms->as_array() || swarms->as_array()->size() > k_most_swarms)
    return wrong("\"sw\" is missing or has more than 1024 entries");
  for (auto& each : *swarms->as_array()) {
    SEALCAST_TRY_ASSIGN(auto swarm, swarm_of(each));
    out.swarms.push_back(std::move(swarm));
  }
  out.instance = document.string_or("inst");
  if (out.instance.size() > k_longest_instance) return wrong("\"inst\" is longer than 64 octets");
  out.max_associations = static_cast<int>(std::clamp<std::int64_t>(document.int_or("max", 12), 0, 1024));
  return out;
}

std::string write_publish_answer(const PublishAnswer& answer) {
  json::Array left_out, pseudonyms;
  for (auto& root : answer.left_out) left_out.push_back(content::root_text(root));
  for (auto& [root, pseudonym] : answer.pseudonyms)
    pseudonyms.push_back(json::Array{content::root_text(root), pseudonym});
  return json::Value(json::Object{{"v", 1}, {"out", std::move(left_out)}, {"me", std::move(pseudonyms)}}).text();
}

Result<PublishAnswer> parse_publish_answer(std::string_view body) {
  SEALCAST_TRY_ASSIGN(auto document, document_of(body));
  PublishAnswer out;
  for (auto& text : strings_of(document.find("out"), k_most_swarms))
    if (auto root = content::parse_root(text)) out.left_out.push_back(*root);
  auto* me = document.find("me");
  if (!me || !me->as_array()) return out;
  for (auto& each : *me->as_array()) {
    auto pair = strings_of(&each, 2);
    auto root = pair.size() == 2 ? content::parse_root(pair.front()) : std::nullopt;
    if (root && pair.back().size() <= k_longest_uri && out.pseudonyms.size() < k_most_swarms)
      out.pseudonyms.emplace_back(*root, pair.back());
  }
  return out;
}

std::string write_peer_list(const PeerList& list) {
  json::Array peers;
  for (auto& p : list.peers)
    peers.push_back(
        json::Object{{"u", p.uri}, {"k", p.cache ? "cache" : "ue"}, {"st", name(p.state)}, {"tok", p.token}});
  json::Object out{{"v", 1},
                   {"id", content::root_text(list.root)},
                   {"n", static_cast<std::int64_t>(list.peers.size())},
                   {"me", list.own_pseudonym},
                   {"peers", std::move(peers)},
                   {"exp", 300}};
  if (!list.keyinfo.empty()) out["keyinfo"] = json::Array(list.keyinfo.begin(), list.keyinfo.end());
  return json::Value(std::move(out)).text();
}

Result<PeerList> parse_peer_list(std::string_view body) {
  SEALCAST_TRY_ASSIGN(auto document, document_of(body));
  auto root = content::parse_root(document.string_or("id"));
  auto* peers = document.find("peers");
  if (!root || !peers || !peers->as_array() || peers->as_array()->size() > k_most_peers)
    return wrong("\"id\" or \"peers\" is missing, or there are more than 64 peers");
  PeerList out{*root, document.string_or("me"), {}, strings_of(document.find("keyinfo"), k_most_keyinfo)};
  for (auto& each : *peers->as_array()) {
    ListedPeer peer{each.string_or("u"), each.string_or("k") == "cache",
                    parse_state(each.string_or("st")).value_or(PeerState::leech), each.string_or("tok")};
    if (!peer.uri.starts_with("sip:") || peer.uri.size() > k_longest_uri || peer.token.empty())
      return wrong("a peer without URI or token");
    out.peers.push_back(std::move(peer));
  }
  return out;
}

std::string write_query(const ContentQuery& query) {
  json::Object out{{"v", 1}};
  if (query.root) out["id"] = content::root_text(*query.root);
  if (query.catalogue) out["catalogue"] = true, out["after"] = query.after;
  return json::Value(std::move(out)).text();
}

Result<ContentQuery> parse_query(std::string_view body) {
  SEALCAST_TRY_ASSIGN(auto document, document_of(body));
  ContentQuery out{content::parse_root(document.string_or("id")), document.bool_or("catalogue"),
                   document.string_or("after").substr(0, 43)};
  if (!out.root && !out.catalogue) return wrong("neither \"id\" nor \"catalogue\"");
  return out;
}

std::string write_content_list(const ContentList& list) {
  return json::Value(json::Object{{"v", 1},
                                  {"desc", json::Array(list.descriptions.begin(), list.descriptions.end())},
                                  {"next", list.next}})
      .text();
}

Result<ContentList> parse_content_list(std::string_view body) {
  SEALCAST_TRY_ASSIGN(auto document, document_of(body));
  return ContentList{strings_of(document.find("desc"), 256), document.string_or("next")};
}

}  // namespace sealcast::tracking
