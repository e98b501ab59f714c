#pragma once
// One content's key: from the KEYINFO that peers hand on to a holder's answer. A holder that says "later" is asked
// again, one that refuses is followed by the next, and the last one's verdict counts.
#include <functional>
#include <optional>
#include <vector>

#include "base/lifetime.hpp"
#include "roles/ue/key_requests.hpp"

namespace sealcast::roles {

struct KeyQuestEvents {
  std::function<void(const std::string& keyinfo)> on_keyinfo;  // one that verifies, and is new
  std::function<void()> on_key;
  std::function<void(const Error&)> on_refused;  // by every holder that is known
  std::function<void()> on_silence = {};  // none that is known answers: all are asked again, others may be learnt
};

class KeyQuest {
 public:
  // Timers, requests and description outlive it. who: for the log.
  KeyQuest(Timers& timers, KeyRequests& requests, const content::Description& description, std::string who,
           KeyQuestEvents events);
  ~KeyQuest();
  // Of any origin; verified here.
  void take_keyinfo(const std::string& keyinfo);
  void end();  // nobody is asked any more, and no event comes

  const content::ContentKey* key() const { return key_ ? &*key_ : nullptr; }
  const std::string& holder() const { return holder_; }             // who was asked last
  bool under_way() const { return asking_ && !trouble_; }           // a first answer is expected
  const std::optional<Error>& trouble() const { return trouble_; }  // KEYINFO not believed, or no answer
  bool busy() const { return busy_; }                               // the holder says "later" (429)

 private:
  void ask();
  void answered(Result<keys::KeyAnswer> answer);
  void ask_later(Duration wait);
  Error refusal(int status) const;

  Timers& timers_;
  KeyRequests& requests_;
  const content::Description& description_;
  std::string who_;
  KeyQuestEvents events_;
  std::vector<keys::KeyHolder> holders_;
  std::size_t next_ = 0;
  bool asking_ = false, busy_ = false, ended_ = false;
  std::optional<content::ContentKey> key_;
  std::string holder_;
  std::optional<Error> trouble_, verdict_;
  Timers::TimerId timer_ = 0;
  Lifetime lifetime_;
};

}  // namespace sealcast::roles
