#include "roles/common/announcement_pages.hpp"

#include <algorithm>
#include <utility>

#include "base/log.hpp"

namespace sealcast::roles {
namespace {

constexpr int k_most_expires = 3600;
constexpr Duration k_gather = 10ms;  // changes that come together make one body

}  // namespace

AnnouncementPages::AnnouncementPages(Timers& timers, sip::Signalling& agent, std::string tracker,
                                     std::function<std::string(std::size_t page)> name_of, Limits limits, Events events)
    : timers_(timers),
      agent_(agent),
      tracker_(std::move(tracker)),
      name_of_(std::move(name_of)),
      limits_(limits),
      events_(std::move(events)) {}

AnnouncementPages::~AnnouncementPages() {
  timers_.cancel(timer_);
}

std::size_t AnnouncementPages::find_room(std::size_t octets) {
  auto fits = [&](std::size_t index) {
    auto& page = *pages_[index];
    return page.roots.empty() || (page.roots.size() < limits_.swarms && page.octets + octets <= limits_.octets);
  };
  for (auto index : roomy_)
    if (fits(index)) return index;
  if (!pages_.empty() && fits(pages_.size() - 1)) return pages_.size() - 1;
  pages_.push_back(std::make_unique<Page>());
  return pages_.size() - 1;
}

void AnnouncementPages::put(const crypto::Digest& root, std::size_t octets) {
  if (withdrawn_) return;
  auto at = places_.find(root);
  if (at != places_.end()) {
    auto& page = *pages_[at->second.page];
    auto& before = page.roots.at(root);
    if (page.octets - before + octets <= limits_.octets || page.roots.size() == 1) {
      page.octets = page.octets - before + octets;
      before = octets;
      at->second.changed = true;
      return changed(at->second.page);
    }
    take_out(root, at->second.page);
  }
  auto index = find_room(octets);
  auto& page = *pages_[index];
  page.roots[root] = octets;
  page.octets += octets;
  if (page.roots.size() >= limits_.swarms || page.octets >= limits_.octets) roomy_.erase(index);
  places_[root] = {index, true, false};
  changed(index);
}

void AnnouncementPages::take_out(const crypto::Digest& root, std::size_t index) {
  auto& page = *pages_[index];
  page.octets -= page.roots.at(root);
  page.roots.erase(root);
  roomy_.insert(index);
  if (!page.roots.empty()) return changed(index);
  if (page.announcer) page.announcer->withdraw();
  page.announcer.reset();
  under_way_.erase(index);
  go_on();  // its answer does not come any more
}

void AnnouncementPages::go_on() {
  if (!queue_.empty() && timer_ == 0) timer_ = timers_.after(0us, [this] { send_some(); });
}

void AnnouncementPages::remove(const crypto::Digest& root) {
  auto at = places_.find(root);
  if (at == places_.end() || withdrawn_) return;
  auto index = at->second.page;
  places_.erase(at);
  take_out(root, index);
}

void AnnouncementPages::put_all_again() {
  for (std::size_t i = 0; i < pages_.size(); ++i)
    if (!pages_[i]->roots.empty()) changed(i);
}

void AnnouncementPages::changed(std::size_t index) {
  auto& page = *pages_[index];
  if (withdrawn_ || std::exchange(page.waits, true)) return;
  queue_.push_back(index);
  if (timer_ == 0) timer_ = timers_.after(k_gather, [this] { send_some(); });
}

// Pages whose turn has come; the others keep their places.
void AnnouncementPages::send_some() {
  timers_.cancel(timer_);
  timer_ = 0;
  const auto now = timers_.now();
  auto next = k_never;
  std::deque<std::size_t> later;
  while (!queue_.empty() && under_way_.size() < limits_.under_way) {
    auto index = queue_.front();
    queue_.pop_front();
    auto& page = *pages_[index];
    if (page.roots.empty()) {
      page.waits = false;
    } else if (page.not_before > now) {
      next = std::min(next, page.not_before);
      later.push_back(index);
    } else {
      page.waits = false;
      page.not_before = now + limits_.pause;
      send(index);
    }
  }
  queue_.insert(queue_.begin(), later.begin(), later.end());
  if (next != k_never) timer_ = timers_.at(next, [this] { send_some(); });
}

void AnnouncementPages::send(std::size_t index) {
  auto& page = *pages_[index];
  under_way_.insert(index);
  if (!page.announcer) {
    auto expires =
        std::min<std::size_t>(static_cast<std::size_t>(limits_.least_expires) + pages_.size(), k_most_expires);
    tracking::Announcement farewell;
    farewell.instance = name_of_(index);
    page.announcer = std::make_unique<Announcer>(
        timers_, agent_, tracker_, static_cast<int>(expires), [this, index] { return body_of(index); },
        tracking::write_announcement(farewell),
        [this, index](const sip::Response& response, Announcer::Sent sent) { answered(index, response, sent); });
    // The tracker came back empty: whatever else is announced is forgotten too.
    page.announcer->on_forgotten = [this] { put_all_again(); };
  }
  page.announcer->update();
}

std::string AnnouncementPages::body_of(std::size_t index) {
  auto& page = *pages_[index];
  tracking::Announcement out;
  out.instance = name_of_(index);
  page.sent.clear();
  for (auto& [root, octets] : page.roots) {
    auto swarm = events_.describe(root);
    if (!swarm) continue;
    out.swarms.push_back(std::move(*swarm));
    page.sent.push_back(root);
    places_.at(root).changed = false;
  }
  return tracking::write_announcement(out);
}

void AnnouncementPages::answered(std::size_t index, const sip::Response& response, Announcer::Sent sent) {
  auto& page = *pages_[index];
  if (sent == Announcer::Sent::body) {
    under_way_.erase(index);
    // With a refusal that names swarms, the tracker has looked at each.
    auto answer = tracking::parse_publish_answer(response.body);
    bool looked_at = response.ok() || (response.status == 403 && answer && !answer->left_out.empty());
    page.answered = page.answered || looked_at || response.status == 413;
    if (looked_at) taken(index, response.ok(), answer.value_or(tracking::PublishAnswer{}));
  }
  if (events_.on_answer) events_.on_answer(response);
  go_on();
}

void AnnouncementPages::taken(std::size_t index, bool any, const tracking::PublishAnswer& answer) {
  std::set<crypto::Digest> left_out(answer.left_out.begin(), answer.left_out.end());
  for (auto& root : pages_[index]->sent)
    if (auto at = places_.find(root); at != places_.end() && at->second.page == index)
      at->second.taken = any && !left_out.contains(root);
  if (events_.on_taken) events_.on_taken(answer);
}

void AnnouncementPages::withdraw() {
  withdrawn_ = true;
  timers_.cancel(timer_);
  for (auto& page : pages_)
    if (page->announcer) page->announcer->withdraw();
}

void AnnouncementPages::touch() {
  for (std::size_t i = 0; i < pages_.size(); ++i) {
    touched_ = (touched_ + 1) % pages_.size();
    auto& page = *pages_[touched_];
    if (page.announcer && page.announcer->announced()) return page.announcer->touch();
  }
}

bool AnnouncementPages::announced(const crypto::Digest& root) const {
  auto at = places_.find(root);
  return at != places_.end() && at->second.taken && !at->second.changed;
}

bool AnnouncementPages::settled() const {
  return !pages_.empty() && queue_.empty() && under_way_.empty() &&
         std::all_of(pages_.begin(), pages_.end(), [](auto& page) { return page->answered || page->roots.empty(); });
}

std::size_t AnnouncementPages::taken() const {
  return static_cast<std::size_t>(
      std::count_if(places_.begin(), places_.end(), [](auto& each) { return each.second.taken; }));
}

}  // namespace sealcast::roles
