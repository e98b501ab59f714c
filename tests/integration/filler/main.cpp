// Fills the stores of a laboratory with many small contents, without a process for each: what thousands of
// publications leave behind. Nothing of the laboratory runs meanwhile.
//
//   filler DIR CACHE COUNT [--subscriber NAME] [--plain] [--keyless]
//     --subscriber  this subscriber has all of them too, as if he had fetched them
//     --plain       prot "none" instead of "sealed+session"
//     --keyless     the keys are not put into this cache
// Content i is the 20 octets "content <i>" padded with blanks. Prints the URI of each, a line.
#include <cstdio>
#include <cstdlib>

#include "content/uri.hpp"
#include "io/file.hpp"
#include "os/clock.hpp"
#include "os/random.hpp"
#include "roles/cache/cache_library.hpp"

namespace sealcast::filler {
namespace {

namespace fs = std::filesystem;

struct Options {
  fs::path directory;
  std::string cache, subscriber;
  int count = 0;
  bool plain = false, keyless = false;
};

struct Made {
  content::Description description;
  std::optional<content::ContentKey> key;
  Bytes object;
};

crypto::Digest root_of(ByteView object, std::uint32_t chunk) {
  content::MerkleRoot root;
  for (std::size_t at = 0; at < object.size(); at += chunk)
    root.add(crypto::sha256(object.subspan(at, std::min<std::size_t>(chunk, object.size() - at))));
  return root.finish();
}

Made make(int number, bool plain, const crypto::PublicKey& key_service, RandomSource& random) {
  Made out;
  auto& d = out.description;
  auto text = "content " + std::to_string(number);
  text.resize(20, ' ');
  std::array<std::uint8_t, 16> id;
  random.fill(id);
  d.protection = plain ? content::Protection::none : content::Protection::sealed_session;
  d.plain_length = text.size();
  if (plain) {
    out.object.assign(text.begin(), text.end());
  } else {
    content::ContentKey key;
    random.fill(key.fill());
    d.header = content::make_sealed_header(id, key);
    d.key_service = key_service;
    out.object.assign(d.header->begin(), d.header->end());
    content::RecordSealer(*d.header, key).seal(view_of(text), true, out.object);
    out.key.emplace(std::move(key));
  }
  d.length = out.object.size();
  d.root = root_of(out.object, d.chunk_size);
  d.content_id = "urn:sealcast:" + content::root_text(d.root).substr(0, 22);
  d.title = "Number " + std::to_string(number);
  d.issued_at = os::unix_now();
  d.expires_at = d.issued_at + 86400;
  content::Metadata metadata{"file" + std::to_string(number), "text/plain"};
  std::array<std::uint8_t, 12> nonce;
  random.fill(nonce);
  if (out.key)
    d.metadata = content::seal_metadata(metadata, *d.header, *out.key, d.root, nonce);
  else
    d.name = metadata.name, d.type = metadata.type;
  return out;
}

Status keep(const Options& options, const Made& made, const std::string& jws) {
  auto place =
      options.directory / "subscribers" / options.subscriber / "contents" / content::root_text(made.description.root);
  SEALCAST_TRY(io::make_directory(place, 0700));
  SEALCAST_TRY(io::write_file_atomically(place / "description.jws", view_of(jws), 0600));
  SEALCAST_TRY_ASSIGN(auto import, roles::ObjectImport::open(place / "object", made.description));
  SEALCAST_TRY(import->write(made.object));
  return import->finish();
}

Status fill(const Options& options) {
  os::SystemRandom random;
  SEALCAST_TRY_ASSIGN(auto trust, roles::load_trust(options.directory / "trust.json"));
  SEALCAST_TRY_ASSIGN(auto provider, roles::load_or_make_key(options.directory / "provider" / "provider.pem", random));
  SEALCAST_TRY_ASSIGN(auto service, roles::load_or_make_key(options.directory / "key-service.pem", random));
  const auto state = options.directory / options.cache;
  SEALCAST_TRY(io::make_directory(state / "objects", 0700));
  roles::CacheLibrary library(state, state / "master.key", random);
  SEALCAST_TRY(library.open(trust.providers, os::unix_now()));
  for (int i = 0; i < options.count; ++i) {
    auto made = make(i, options.plain, service.public_key(), random);
    const auto& root = made.description.root;
    const auto jws = content::sign_description(made.description, provider);
    SEALCAST_TRY(library.put_description(jws, os::unix_now()));
    SEALCAST_TRY(library.put_access(root, {true, {}}));
    if (made.key && !options.keyless) SEALCAST_TRY(library.put_key(root, *made.key, 0));
    SEALCAST_TRY_ASSIGN(auto import, library.begin_import(root));
    SEALCAST_TRY(import->write(made.object));
    SEALCAST_TRY(library.finish_import(root, std::move(import)));
    if (!options.subscriber.empty()) SEALCAST_TRY(keep(options, made, jws));
    std::printf("%s\n", content::ContentUri{root, "sealcast.test"}.text().c_str());
  }
  return {};
}

}  // namespace
}  // namespace sealcast::filler

int main(int count, char** words) {
  using namespace sealcast;
  filler::Options options;
  std::vector<std::string> places;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if (word == "--subscriber" && i + 1 < count)
      options.subscriber = words[++i];
    else if (word == "--plain")
      options.plain = true;
    else if (word == "--keyless")
      options.keyless = true;
    else
      places.push_back(word);
  }
  if (places.size() != 3) return std::fputs("filler DIR CACHE COUNT [--subscriber NAME] [--plain]\n", stderr), 2;
  options.directory = places[0];
  options.cache = places[1];
  options.count = std::atoi(places[2].c_str());
  auto done = filler::fill(options);
  if (!done) std::fprintf(stderr, "filler: %s\n", done.error().message.c_str());
  return done ? 0 : 1;
}
