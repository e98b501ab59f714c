#include "roles/ue/key_quest.hpp"

#include <algorithm>

#include "base/log.hpp"

namespace sealcast::roles {
namespace {

constexpr int k_shortest_retry = 1, k_longest_retry = 30;  // seconds, of 429
constexpr Duration k_ask_again = 2s;

}  // namespace

KeyQuest::KeyQuest(Timers& timers, KeyRequests& requests, const content::Description& description, std::string who,
                   KeyQuestEvents events)
    : timers_(timers),
      requests_(requests),
      description_(description),
      who_(std::move(who)),
      events_(std::move(events)) {}

KeyQuest::~KeyQuest() {
  lifetime_.end();
  timers_.cancel(timer_);
}

void KeyQuest::end() {
  ended_ = true;
  timers_.cancel(timer_);
}

void KeyQuest::take_keyinfo(const std::string& keyinfo) {
  if (key_ || ended_) return;
  auto holder = keys::verify_keyinfo(keyinfo, description_, timers_.unix_now());
  if (!holder) {  // costs us nothing; another peer may say better
    trouble_ = holder.error();
    return log(LogLevel::warning, who_, holder.error().message);
  }
  if (std::any_of(holders_.begin(), holders_.end(),
                  [&](auto& known) { return known.uri == holder->uri && known.key == holder->key; }))
    return;
  holders_.push_back(*holder);
  if (events_.on_keyinfo) events_.on_keyinfo(keyinfo);
  if (timer_ == 0) ask();  // else its turn comes when the pause is over
}

void KeyQuest::ask() {
  if (ended_ || asking_ || key_ || next_ >= holders_.size()) return;
  asking_ = true;
  holder_ = holders_[next_].uri;
  requests_.request(description_, holders_[next_], lifetime_.guard([this](Result<keys::KeyAnswer> answer) {
    if (!ended_) answered(std::move(answer));
  }));
}

void KeyQuest::ask_later(Duration wait) {
  timers_.cancel(timer_);
  timer_ = timers_.after(wait, [this] {
    timer_ = 0;
    ask();
  });
}

Error KeyQuest::refusal(int status) const {
  auto from = " (" + holder_ + ")";
  switch (status) {
    case 403:
      return {ErrorCode::not_entitled, "not entitled to the key of this content" + from};
    case 404:
      return {ErrorCode::not_found, "the key holder does not know this content" + from};
    case 410:
      return {ErrorCode::not_entitled, "the content's validity has ended" + from};
    case 425:
      return {ErrorCode::key_not_released, "the key is not released yet" + from};
    default:
      return {ErrorCode::failure, "the key holder answers " + std::to_string(status) + from};
  }
}

void KeyQuest::answered(Result<keys::KeyAnswer> answer) {
  asking_ = false;
  if (answer && answer->status == 200) {
    key_.emplace(std::move(answer->key));
    busy_ = false;
    log(LogLevel::info, who_, "key released by " + holder_);
    return events_.on_key();
  }
  if (answer && answer->status == 429) {
    auto wait = std::chrono::seconds(std::clamp(answer->retry_after, k_shortest_retry, k_longest_retry));
    busy_ = true;
    log(LogLevel::warning, who_,
        "the key holder has many requests of this subscriber: asking again in " + std::to_string(wait.count()) + " s");
    return ask_later(wait);
  }
  busy_ = false;
  trouble_ = answer ? refusal(answer->status) : answer.error();
  log(LogLevel::info, who_, trouble_->message);
  // Another holder may know better. A verdict of the last one is the end; silence is not.
  if (trouble_->code != ErrorCode::network) verdict_ = trouble_;
  if (++next_ < holders_.size()) return ask();
  if (verdict_) return events_.on_refused(*verdict_);
  next_ = 0;
  ask_later(k_ask_again);
  if (events_.on_silence) events_.on_silence();
}

}  // namespace sealcast::roles
