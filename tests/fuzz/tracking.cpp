// Bodies between nodes and tracker: each one that is accepted is written and read again alike; the registry takes any
// announcement.
#include "tests/fuzz/documents.hpp"
#include "tracking/registry.hpp"

using namespace sealcast;

namespace {

void announce(const tracking::Announcement& a, fuzz::Input& in) {
  fuzz::FixedRandom random;
  static const auto tracker = fuzz::key(5);
  tracking::Registry registry({"peers.sealcast.test"}, random);
  std::string etag;
  Instant now{};
  for (int i = 0; i < 6; ++i) {
    auto choice = in.u8();
    auto& who = (choice & 1) != 0 ? fuzz::k_cache : fuzz::k_alice;
    auto published =
        registry.publish(now, who, (choice & 1) != 0, (choice & 2) != 0 ? etag : "",
                         (choice & 4) != 0 ? 0 : 60 + choice, (choice & 8) != 0 ? std::nullopt : std::optional(a));
    SEALCAST_ASSERT(published.status != 200 || !published.etag.empty() || (choice & 4) != 0);
    etag = published.etag;
    if (!a.swarms.empty()) {
      auto list = registry.list(now, fuzz::k_now, a.swarms.front().root, fuzz::k_alice, false, tracker);
      SEALCAST_ASSERT(list.peers.size() <= 20);
      SEALCAST_ASSERT(registry.behind(list.own_pseudonym) &&
                      registry.behind(list.own_pseudonym)->subscriber == fuzz::k_alice);
    }
    (void)registry.take_changed();
    now += (choice & 16) != 0 ? 100s : 1s;
    (void)registry.expire(now);
  }
  (void)registry.expire(now + 100000s);
  if (!a.swarms.empty()) SEALCAST_ASSERT(registry.peers_of(a.swarms.front().root) == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto body = string_of({data, size});
  if (auto access = tracking::parse_access(body))
    SEALCAST_ASSERT(tracking::parse_access(tracking::write_access(*access)));
  if (auto a = tracking::parse_announcement(body)) {
    // Written out the same thing may be longer than what was read (escapes); then the second reading refuses it.
    auto text = tracking::write_announcement(*a);
    auto again = tracking::parse_announcement(text);
    SEALCAST_ASSERT(text.size() > 262144 || (again && again->swarms.size() == a->swarms.size() &&
                                             again->max_associations == a->max_associations));
    fuzz::Input in(data, size);
    announce(*a, in);
  }
  if (auto list = tracking::parse_peer_list(body)) {
    auto text = tracking::write_peer_list(*list);
    auto again = tracking::parse_peer_list(text);
    SEALCAST_ASSERT(text.size() > 262144 ||
                    (again && again->peers.size() == list->peers.size() && again->root == list->root));
  }
  if (auto answer = tracking::parse_publish_answer(body)) {
    auto again = tracking::parse_publish_answer(tracking::write_publish_answer(*answer));
    SEALCAST_ASSERT(again && again->left_out == answer->left_out && again->pseudonyms == answer->pseudonyms);
  }
  if (auto query = tracking::parse_query(body)) {
    auto again = tracking::parse_query(tracking::write_query(*query));
    SEALCAST_ASSERT(again && again->root == query->root && again->catalogue == query->catalogue);
  }
  if (auto list = tracking::parse_content_list(body)) {
    auto text = tracking::write_content_list(*list);
    SEALCAST_ASSERT(text.size() > 262144 || tracking::parse_content_list(text));
  }
  return 0;
}
