#pragma once
// `get`: one content from its URI to a file, in the order of the study: description, bitmaps with KEYINFO, key, chunks,
// opening.
#include <filesystem>
#include <functional>

#include "base/lifetime.hpp"
#include "content/uri.hpp"
#include "roles/ue/key_quest.hpp"
#include "roles/ue/object_opener.hpp"
#include "roles/ue/ue_swarm.hpp"

namespace sealcast::roles {

struct TransferOptions {
  std::filesystem::path output;  // empty: the content's own name, made safe, in the current directory
  bool overwrite = false;        // a file of the content's own name may be replaced
  bool resume = false;           // -c: a state of an earlier run that cannot be read is an error
  bool keep = false;             // the object is kept as it came, beside the output
  bool check = false;            // every chunk of an earlier run is verified before anything is asked for
  bool key_first = true;         // no chunk is asked for before a verified key is there
  Duration patience = 60s;       // while no octet of content is verified
};

// Chunks of an earlier run, verified again in this one. In runs of 32.
struct KeptCheck {
  std::uint64_t sampled = 0;  // before the first request
  std::uint64_t runs = 0;     // all of them, once
  std::uint64_t damaged = 0;  // fetched again
};

struct TransferReport {
  std::filesystem::path file;
  std::string protection, suite;
  std::string key_id, key_holder;  // sealed only
  std::string title;
  std::uint64_t octets = 0;  // of the file
  swarm::Traffic traffic;
  Duration elapsed{};
  KeptCheck kept;
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
  Status open_output();
  Status check_space() const;
  Status prepare_output();
  Status name_output();
  Status lock_output(const std::string& key, const std::string& shown);
  Result<bool> output_is_there() const;
  io::Replace replace() const;
  Status write_output();
  Status name_opened();
  Error another_file() const;
  void seek_key();
  void key_released();
  Result<content::Metadata> metadata() const;
  void begin_chunks();
  bool sample_is_good();
  bool check_kept(std::uint32_t chunk);
  void want_chunks();
  void complete();
  void check_some();
  bool check_again(const Error& why);
  void check_tags();
  void open_kept();
  void open_some();
  void report(std::uint64_t octets);
  void watch();
  Duration patience() const;
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
  std::unique_ptr<KeyQuest> quest_;  // sealed only
  std::uint32_t next_check_ = 0;     // chunks below were checked, or came in this run
  bool checked_again_ = false;       // all of them, because what was read was not what had been verified
  bool wants_chunks_ = false;        // what is missing is asked for
  KeptCheck kept_;
  std::optional<io::OutputFile> output_;
  std::unique_ptr<ObjectOpener> opener_;
  std::filesystem::path output_path_;
  std::string output_key_;             // names the output among those of this subscriber
  std::vector<io::FileLock> outputs_;  // that no other process of this subscriber may write now
  bool compare_ = false;               // there is a file of this name and length: it stays, and must be the same
  bool discard_ = false;               // what has come is of no use
  Timers::TimerId watch_timer_ = 0;
  Lifetime lifetime_;
};

}  // namespace sealcast::roles
