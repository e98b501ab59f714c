#pragma once
// One content as a subscriber has part in it, whatever becomes of its octets: from the root that a URI names to the
// description (verified, of no weaker protection than any that was seen before), the content's key when it is sealed,
// the swarm, and what is held. `get` makes a file of it, `seed` stays in it. Where octets lie is up to them (state()).
//
// describe() or recall() comes first, then state().open_object(), then join() and, of a sealed content, seek_key(), in
// either order. Octets that lie opened in a file can be read from open_output() on, which needs the key.
#include <memory>
#include <optional>

#include "base/lifetime.hpp"
#include "roles/ue/key_quest.hpp"
#include "roles/ue/object_reader.hpp"
#include "roles/ue/ue_swarm.hpp"

namespace sealcast::roles {

class ContentSession;

// What happens to a session, told to who has it. He may not destroy it within.
class SessionUser {
 public:
  virtual ~SessionUser() = default;
  virtual void key_released(ContentSession& session) = 0;
  virtual void key_refused(ContentSession& session, const Error& error) = 0;  // by every holder that is known
  // None that is known answers: they are asked again, others may be learnt in the swarm.
  virtual void key_holders_silent(ContentSession&) {}
  virtual void all_held(ContentSession&) {}
  // Storage, entitlement, hopeless negotiation; integrity when what was signed is not what the object says.
  virtual void swarm_failed(ContentSession& session, const Error& error) = 0;
};

class ContentSession {
 public:
  // node and user outlive it. who: for the log.
  static Result<std::unique_ptr<ContentSession>> open(UeNode& node, const crypto::Digest& root, const char* who,
                                                      SessionUser& user);
  ~ContentSession();

  // The tracker's description. Earlier::while_away: that of an earlier run serves while nobody answers; a refusal
  // counts.
  enum class Earlier : std::uint8_t { never, while_away };
  void describe(Earlier earlier, std::function<void(const Status&)> done);
  Status describe_again();  // the one that was accepted last, for who comes back to it later
  bool recall();            // that of an earlier run, when it still holds; nobody is asked
  bool described() const { return description_.has_value(); }
  const content::Description& description() const { return *description_; }
  bool sealed() const { return content::is_sealed(description_->protection); }

  // Of a sealed content. Holders that an earlier run knew are asked at once, others as they are learnt in the swarm.
  void seek_key();
  void stop_seeking();  // nobody is asked any more, and nothing is told about the key
  bool lacks_key() const { return quest_ && !quest_->key(); }  // it is sought, and not there
  const KeyQuest* quest() const { return quest_.get(); }       // nullptr: it was not sought
  // File name and MIME type; of a sealed content, with its key.
  Result<content::Metadata> metadata() const;

  ContentState& state() { return *state_; }
  const ContentState& state() const { return *state_; }
  Opening opening() const { return opening_of(*description_, key()); }
  Status open_output() { return state_->open_output(opening()); }  // as an earlier run left it
  // With state().object(), which it must not outlive.
  ObjectReader reader();

  Status join(swarm::Appetite appetite);
  void join_asleep();  // what looks whole, and is not open
  void leave();        // hangs up and saves
  UeSwarm* swarm() { return swarm_.get(); }
  const UeSwarm* swarm() const { return swarm_.get(); }
  // Why nothing comes although it has joined, as far as is known: the beginning of a sentence that goes on with "for
  // ... s".
  Error obstacle() const;

 private:
  ContentSession(UeNode& node, const char* who, SessionUser& user, std::unique_ptr<ContentState> state)
      : node_(node), who_(who), user_(user), state_(std::move(state)) {}
  Status accept(const std::string& jws);
  void take_keyinfo(const std::string& keyinfo);
  void hand_on(const std::string& keyinfo);
  void make_swarm(swarm::Appetite appetite);
  const content::ContentKey* key() const { return quest_ ? quest_->key() : nullptr; }

  UeNode& node_;
  const char* who_;
  SessionUser& user_;
  std::unique_ptr<ContentState> state_;
  std::optional<content::Description> description_;
  std::unique_ptr<KeyQuest> quest_;
  std::unique_ptr<UeSwarm> swarm_;
  Lifetime lifetime_;
};

}  // namespace sealcast::roles
