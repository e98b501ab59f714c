#pragma once
// Nodes that take up what changes under them: SIGHUP looks at everything, a timer at the certificates.
#include <deque>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "io/loop.hpp"
#include "roles/common/node_certificate.hpp"

namespace sealcast::app {

class Reloader {
 public:
  // A role and what it was made from.
  struct Part {
    std::string name;                          // "core", "tracker", the cache's
    std::filesystem::path tls;                 // directory of its certificate
    std::filesystem::path config;              // its `log` is taken up without making the role anew
    std::vector<std::filesystem::path> files;  // others that count, such as trust.json
    std::function<Status()> check;             // can what lies there now be used?
    // Takes up what lies there now: its certificate alone, or (changed: its configuration or its other files are not
    // what they were) all of it, by stopping the role and making it from its files.
    std::function<Status(bool changed)> remake;
  };

  // `level_given`: --log, which the files' `log` does not change before a SIGHUP; empty: not given.
  Reloader(io::Loop& loop, std::string level_given);
  ~Reloader();
  // Before the role starts: the error of a certificate that cannot be used (expired, no key).
  Status add(Part part);
  void start();                              // from now on, until the loop ends
  Status outcome() const { return ended_; }  // an error: a role could not be made anew, and the loop was stopped
  json::Object certificates() const;         // for the status, by the name of the role

 private:
  struct Watched {
    Part part;
    roles::NodeCertificate certificate;
    std::string stamp, complaint;
  };
  static std::string stamp_of(const Part& part);
  void watch();
  void look(bool at_everything);
  void take_up(Watched& watched);
  void take_log_level(bool hangup);
  void warn();

  io::Loop& loop_;
  std::string level_;
  std::deque<Watched> watched_;
  Instant warned_{};
  io::Loop::TimerId timer_ = 0;
  Status ended_;
};

}  // namespace sealcast::app
