#pragma once
// `get`: one content from its URI to a file, in the order of the study: description, bitmaps with KEYINFO, key, chunks,
// opening.
#include <filesystem>
#include <functional>

#include "content/uri.hpp"
#include "roles/object_opener.hpp"
#include "roles/ue_swarm.hpp"

namespace sealcast::roles {

struct TransferOptions {
  std::filesystem::path output;  // empty: the content's own name, made safe, in the current directory
  bool resume = false;           // -c: chunks of an interrupted run are kept
  bool key_first = true;         // no chunk is asked for before a verified key is there
  Duration patience = 60s;       // without any progress
};

struct TransferReport {
  std::filesystem::path file;
  std::string protection, suite;
  std::string key_id, key_holder;  // sealed only
  std::string title;
  std::uint64_t octets = 0;  // of the file
  swarm::Traffic traffic;
  Duration elapsed{};
};

struct TransferProgress {
  std::string phase;
  std::uint64_t total = 0, done = 0;  // octets of the object
  swarm::Traffic traffic;
};

class Transfer {
 public:
  // node is started. done: once.
  Transfer(UeNode& node, content::ContentUri uri, TransferOptions options,
           std::function<void(Result<TransferReport>)> done);
  ~Transfer();
  void start();
  // Saves what is verified and ends with `interrupted`.
  void interrupt();
  TransferProgress progress() const;

 private:
  void registered();
  void take_description(const std::string& jws);
  Status prepare_object();
  Status check_space() const;
  Status check_output() const;
  void take_keyinfo(const std::string& keyinfo);
  void ask_for_key();
  void take_key(Result<keys::KeyAnswer> answer);
  Result<content::Metadata> metadata() const;
  void complete();
  void check_some();
  void open_some();
  void watch();
  Error waiting_for() const;
  void finish(Result<TransferReport> result);
  void fail_with(Error error) { finish(fail(std::move(error))); }

  UeNode& node_;
  content::ContentUri uri_;
  TransferOptions options_;
  std::function<void(Result<TransferReport>)> done_;
  Instant started_{}, phase_since_{};
  std::string phase_ = "registering";
  std::unique_ptr<ContentState> state_;
  std::optional<content::Description> description_;
  std::unique_ptr<UeSwarm> swarm_;
  std::vector<keys::KeyHolder> holders_;
  std::size_t next_holder_ = 0;
  bool asking_ = false;
  std::optional<content::ContentKey> key_;
  std::string key_holder_;
  std::optional<Error> key_trouble_;  // why a KEYINFO was not believed
  std::uint32_t next_check_ = 0;      // chunks below were checked, or came in this run
  std::optional<io::OutputFile> output_;
  std::unique_ptr<ObjectOpener> opener_;
  std::filesystem::path output_path_;
  io::Loop::TimerId watch_timer_ = 0, key_timer_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // owners: this, and posted tasks
};

}  // namespace sealcast::roles
