#pragma once
// The provider's side: seals a file once into a spool, signs its description, and uploads object, entitlements and key
// to a cache (ADR 5).
#include <filesystem>
#include <functional>

#include "content/description.hpp"
#include "content/uri.hpp"
#include "io/http.hpp"
#include "tracking/messages.hpp"

namespace sealcast::roles {

struct PublishOptions {
  std::filesystem::path source;
  content::Protection protection = content::Protection::sealed_session;
  tracking::AccessList access;
  std::string title, type;  // type: MIME; empty: application/octet-stream
  std::uint32_t chunk_size = content::k_default_chunk_size;
  UnixSeconds validity = 30 * 86400;
  UnixSeconds not_before = 0;     // the key is released from then on
  std::filesystem::path key_out;  // the key goes into this file instead of to the cache
};

struct PublishProgress {
  std::string phase;  // "sealing", "uploading"
  std::uint64_t total = 0, done = 0;
};

struct Published {
  content::ContentUri uri;
  content::Description description;
  bool announced = false;  // the tracker has it
  bool reused = false;     // an earlier, interrupted publication was finished
};

// Has the tracker taken what the cache at this admin socket holds of a content, as it stands there now? Waits for some
// seconds.
bool wait_until_announced(const std::filesystem::path& socket, const std::string& root);

// Where the provider keeps what it needs: provider.pem, spool/ (objects until they are uploaded), keys/ (key files of
// what it published).
class Publisher {
 public:
  Publisher(std::filesystem::path directory, std::filesystem::path socket, RandomSource& random,
            std::function<void(const PublishProgress&)> on_progress);
  Result<Published> publish(const PublishOptions& options);

 private:
  struct Node;
  struct Spooled;
  Result<Node> ask_node() const;
  Result<Spooled> find_or_seal(const PublishOptions& options, const Node& node, bool& reused);
  Result<Spooled> seal(const PublishOptions& options, const Node& node, const std::filesystem::path& place);
  Status upload(const Spooled& spooled);
  Status put(const std::string& target, std::string body, std::initializer_list<int> good);

  std::filesystem::path directory_, socket_;
  RandomSource& random_;
  std::function<void(const PublishProgress&)> on_progress_;
};

// A key file (docs/protocol.md section 9): what `publish --key-out` writes and `key import` reads.
struct KeyFile {
  std::string description;  // JWS
  content::ContentKey key;
  tracking::AccessList access;
  UnixSeconds not_before = 0;
};
Status write_key_file(const std::filesystem::path& file, const KeyFile& content);
Result<KeyFile> read_key_file(const std::filesystem::path& file);
// Brings it to the cache behind `socket`: description and entitlements when unknown there, then the key. The root.
Result<std::string> import_key_file(const std::filesystem::path& socket, const KeyFile& content);

// The sentence of an answer that is not good, as an error with the fitting code.
Error api_error(const io::HttpResponse& response, const std::string& what);

}  // namespace sealcast::roles
