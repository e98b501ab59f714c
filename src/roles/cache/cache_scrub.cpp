// The background check of what lies in the cache: a run at a time, then the loop has its turn.
#include "content/uri.hpp"
#include "crypto/backend.hpp"
#include "os/clock.hpp"
#include "roles/cache/cache_role.hpp"

namespace sealcast::roles {

std::optional<Scrubber::Content> CacheRole::next_offered(const crypto::Digest* behind) const {
  auto& all = library_.contents();
  for (auto at = behind ? all.upper_bound(*behind) : all.begin(); at != all.end(); ++at)
    if (at->second.has_object()) return Scrubber::Content{at->first, at->second.description.geometry()};
  return std::nullopt;
}

void CacheRole::scrub() {
  const auto now = os::monotonic_now();
  const auto run = scrubber_.next(now);
  if (run) scrub_run(now, *run);
  if (scrubbed_ && (!scrubber_.current() || *scrubber_.current() != scrubbed_->root)) end_scrub();
  if (scrubber_.due() != k_never) scrub_timer_ = loop_.at(scrubber_.due(), [this] { scrub(); });
}

// SHA-256 up to the root, whatever checksums say. What does not verify is missing from then on, and goes the way of
// what was found when it was served: an event, and a repair.
void CacheRole::scrub_run(Instant now, const Scrubber::Run& run) {
  const bool was_open = open_.contains(run.root);
  if (auto up = take_up(run.root); !up) return scrubber_.passed_over(now);
  if (!scrubbed_ || scrubbed_->root != run.root) {
    if (scrubbed_) end_scrub();
    scrubbed_ = {run.root, false};
  }
  if (!was_open) scrubbed_->opened = true;
  const bool good = media_->engine().check_run(now, run.root, run.chunk);
  scrubber_.checked(now, good ? Scrubber::Found::nothing : Scrubber::Found::damage);
  if (!good) media_->pump();
}

// Left as it was found, unless somebody has begun to use it; what it lacks now is written down, whoever uses it.
void CacheRole::end_scrub() {
  const auto done = *std::exchange(scrubbed_, std::nullopt);
  save_held(done.root);
  if (!open_.contains(done.root) || calls_->uses(done.root) || repairs_.contains(done.root)) return;
  if (done.opened)
    put_away(done.root);
  else
    swarm_unused(done.root);
}

json::Object CacheRole::scrub_status() const {
  std::uint64_t octets = 0;
  for (auto& [root, content] : library_.contents())
    if (content.has_object()) octets += content.description.length;
  const auto progress = scrubber_.progress();
  json::Object out{{"rate", config_.scrub_rate},
                   {"rounds", progress.rounds},
                   {"round_done", progress.round_done},
                   {"round_octets", octets},
                   {"damaged_runs", progress.damaged_runs},
                   {"passed_over", progress.passed_over}};
  if (auto* root = scrubber_.current()) {
    out["content"] = content::root_text(*root);
    out["content_done"] = progress.content_done;
    out["content_octets"] = progress.content_octets;
  }
  if (progress.last_round) {
    const auto ago = std::chrono::floor<std::chrono::seconds>(os::monotonic_now() - *progress.last_round);
    out["last_round"] = os::unix_now() - ago.count();
  }
  return out;
}

json::Object CacheRole::status() const {
  json::Array associations;
  const auto hashes = media_->engine().serving_hashes();
  std::uint64_t sent = 0, received = 0;
  for (auto& a : media_->engine().associations()) {
    sent += a.content_sent;
    received += a.content_received;
    if (associations.size() < 256)
      associations.push_back(json::Object{{"remote", a.remote.text()},
                                          {"secured", a.secured},
                                          {"sent", a.content_sent},
                                          {"received", a.content_received},
                                          {"window", a.congestion_window},
                                          {"rtt_us", static_cast<std::int64_t>(a.round_trip.count())},
                                          {"lost", a.packets_lost},
                                          {"authentication_failures", a.authentication_failures},
                                          {"integrity_failures", a.integrity_failures}});
  }
  return {{"uri", uri()},
          {"contents", static_cast<std::int64_t>(library_.contents().size())},
          {"objects_open", static_cast<std::int64_t>(open_.size())},
          {"repairs", static_cast<std::int64_t>(repairs_.size() + to_repair_.size())},
          {"repaired_chunks", repaired_chunks_},
          {"scrub", scrub_status()},
          {"announcements", static_cast<std::int64_t>(pages_ ? pages_->pages() : 0)},
          {"calls", static_cast<std::int64_t>(calls_ ? calls_->size() : 0)},
          {"call_table", calls_ ? calls_->status() : json::Object{}},
          {"token_callers", token_gate_.status()},
          {"work", media_->engine().work()},
          {"memory", media_->memory_status()},
          {"serving_hashes", json::Object{{"octets", hashes.octets}, {"put_off", hashes.put_off}}},
          {"sent", sent},
          {"received", received},
          {"associations", std::move(associations)},
          {"media", media_->status()},
          {"backend", crypto::backend_name()}};
}

}  // namespace sealcast::roles
