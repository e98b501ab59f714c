#pragma once
// Key requests of one device that are out (PP_s1, docs/protocol.md section 7): sent, repeated while nobody answers,
// matched with their answers.
#include <functional>
#include <map>
#include <string>

#include "base/lifetime.hpp"
#include "base/timers.hpp"
#include "crypto/ec.hpp"
#include "keys/request.hpp"
#include "sip/signalling.hpp"

namespace sealcast::roles {

class KeyRequests {
 public:
  struct Device {
    std::string identity;           // "sip:alice@<domain>"
    const crypto::PrivateKey& key;  // outlives this
    // Registers anew, and tells how that went: a core that has forgotten us says the same 403 as a holder who refuses.
    std::function<void(std::function<void(Status)> done)> confirm_registration;
  };
  KeyRequests(Timers& timers, sip::Signalling& agent, RandomSource& random, Device device);
  ~KeyRequests() { forget(); }

  // Asks a holder; its answer is checked. Asked again while nobody answers, three times.
  void request(const content::Description& description, const keys::KeyHolder& holder,
               std::function<void(Result<keys::KeyAnswer>)> done);
  void forget();  // no callback comes after this

  // Of a MESSAGE with a key answer: does it belong to a request that is out? Then take() ends that one, good or not.
  bool expects(const std::string& body) const { return exchanges_.contains(keys::rid_of_answer(body)); }
  void take(const std::string& body);

 private:
  struct Exchange {
    keys::PendingRequest request;
    content::Description description;
    std::function<void(Result<keys::KeyAnswer>)> done;
    int attempts = 0;
    bool confirmed = false;  // refused once, and registered anew since
    Timers::TimerId timer = 0;
  };
  void send(const std::string& rid);
  void answered(const std::string& rid, const sip::Response& response);
  void finish(const std::string& rid, Result<keys::KeyAnswer> result);

  Timers& timers_;
  sip::Signalling& agent_;
  RandomSource& random_;
  Device device_;
  std::map<std::string, Exchange> exchanges_;  // by rid
  Lifetime lifetime_;
};

}  // namespace sealcast::roles
