#include "roles/provider/publisher.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <thread>

#include "base/encoding.hpp"
#include "base/log.hpp"
#include "io/file.hpp"
#include "io/file_lock.hpp"
#include "os/clock.hpp"
#include "roles/common/trust.hpp"
#include "roles/provider/object_spool.hpp"

namespace sealcast::roles {
namespace {

namespace fs = std::filesystem;

constexpr Duration k_call = 30s, k_upload = 600s, k_announcement = 5s;
constexpr std::uint64_t k_upload_part = std::uint64_t{64} << 20;

template <std::size_t N>
std::array<std::uint8_t, N> random_octets(RandomSource& random) {
  std::array<std::uint8_t, N> out;
  random.fill(out);
  return out;
}

}  // namespace

// What the cache says of itself.
struct Publisher::Node {
  std::string domain;
  std::optional<crypto::PublicKey> key_service;
  bool holds_keys = false;
};

// A finished sealing: object and record lie in `place`.
struct Publisher::Spooled {
  fs::path place;
  std::string jws;
  content::Description description;
  std::optional<content::ContentKey> key;
  std::optional<io::DirectoryLock> lock;  // of the place: another publication leaves it alone
};

Publisher::Publisher(fs::path directory, fs::path socket, RandomSource& random,
                     std::function<void(const PublishProgress&)> on_progress)
    : directory_(std::move(directory)),
      socket_(std::move(socket)),
      random_(random),
      on_progress_(std::move(on_progress)) {}

Status Publisher::put(const std::string& target, std::string body, std::initializer_list<int> good) {
  SEALCAST_TRY_ASSIGN(auto response,
                      io::http_call(socket_, {"PUT", "/api/v1/" + target, std::move(body), {}, {}, 0}, k_call));
  if (std::find(good.begin(), good.end(), response.status) != good.end()) return {};
  return fail(api_error(response, "the cache refuses " + target.substr(target.rfind('/') + 1)));
}

Result<Publisher::Node> Publisher::ask_node() const {
  SEALCAST_TRY_ASSIGN(auto response, io::http_call(socket_, {"GET", "/api/v1/node", {}, {}, {}, 0}, k_call));
  auto document = json::parse(response.body);
  if (response.status != 200 || !document)
    return fail(ErrorCode::network, "the node at " + socket_.string() + " is no cache of Sealcast");
  Node out;
  out.domain = document->string_or("domain");
  out.holds_keys = document->bool_or("holds_keys");
  if (auto* jwk = document->find("key_service")) out.key_service = crypto::PublicKey::from_jwk(*jwk);
  if (out.domain.empty() || !out.key_service)
    return fail(ErrorCode::network,
                "the node at " + socket_.string() + " does not say which key service it belongs to");
  return out;
}

Result<Published> Publisher::publish(const PublishOptions& options) {
  if (!content::is_sealed(options.protection) && !options.key_out.empty())
    return fail(ErrorCode::usage, "--key-out is for sealed content: this one has no key");
  SEALCAST_TRY_ASSIGN(auto node, ask_node());
  bool to_cache = content::is_sealed(options.protection) && options.key_out.empty();
  if (to_cache && !node.holds_keys)
    return fail(ErrorCode::usage, "this cache holds no keys: --key-out FILE keeps the key for a cache that does");
  Published out;
  SEALCAST_TRY_ASSIGN(auto spooled, find_or_seal(options, node, out.reused));
  auto root = content::root_text(spooled.description.root);
  if (spooled.key) {
    SEALCAST_TRY(io::make_directory(directory_ / "keys", 0700));
    KeyFile file{spooled.jws, spooled.key->duplicate(), options.access, options.not_before};
    SEALCAST_TRY(write_key_file(directory_ / "keys" / root, file));
    if (!options.key_out.empty()) SEALCAST_TRY(write_key_file(options.key_out, file));
  }
  SEALCAST_TRY(put("contents/" + root + "/description", spooled.jws, {201}));
  SEALCAST_TRY(put("contents/" + root + "/entitlements", tracking::write_access(options.access), {200}));
  if (to_cache) {
    auto body =
        json::Value(json::Object{{"k", base64url(spooled.key->expose())}, {"not_before", options.not_before}}).text();
    SEALCAST_TRY(put("keys/" + root, std::move(body), {201}));
  }
  SEALCAST_TRY(upload(spooled));
  {
    SEALCAST_TRY_ASSIGN(auto turn, io::FileLock::wait_for(directory_ / "spool"));
    std::error_code ignored;
    fs::remove_all(spooled.place, ignored);
  }
  out.uri = {spooled.description.root, node.domain};
  out.announced = wait_until_announced(socket_, root);
  out.description = std::move(spooled.description);
  return out;
}

Result<Publisher::Spooled> Publisher::find_or_seal(const PublishOptions& options, const Node& node, bool& reused) {
  SEALCAST_TRY_ASSIGN(auto identity, SpoolRecord::identity_of(options.source));
  ObjectSpool spool(directory_ / "spool");
  // Publications side by side look around and make their places one after the other; they seal at the same time.
  SEALCAST_TRY(io::make_directory(directory_ / "spool", 0700));
  SEALCAST_TRY_ASSIGN(auto looking, io::FileLock::wait_for(directory_ / "spool"));
  std::optional<io::FileLock> turn(std::move(looking));
  SEALCAST_TRY(spool.clean());
  spool.forget_other_states(identity);
  auto record = spool.find(identity, content::name(options.protection), options.chunk_size);
  if (record) {
    auto providers = std::vector<crypto::PublicKey>{};
    SEALCAST_TRY_ASSIGN(auto provider, load_or_make_key(directory_ / "provider.pem", random_));
    providers.push_back(provider.public_key());
    auto description = content::verify_description(record->description, providers, os::unix_now());
    auto lock = io::DirectoryLock::take(record->place);
    bool same = lock && description && description->title == options.title &&
                (!description->key_service || description->key_service == node.key_service);
    if (same) {
      reused = true;
      Spooled out{record->place, record->description, std::move(*description), std::nullopt, std::move(*lock)};
      if (record->key) out.key.emplace(std::move(*record->key));
      return out;
    }
  }
  SEALCAST_TRY_ASSIGN(auto place, spool.make_place(hex(random_octets<8>(random_))));
  turn.reset();
  auto sealed = seal(options, node, place.path);
  if (sealed) sealed->lock.emplace(std::move(place.lock));
  if (!sealed) {
    std::error_code ignored;
    fs::remove_all(place.path, ignored);
  }
  return sealed;
}

Result<Publisher::Spooled> Publisher::seal(const PublishOptions& options, const Node& node, const fs::path& place) {
  bool sealed = content::is_sealed(options.protection);
  SEALCAST_TRY_ASSIGN(auto provider, load_or_make_key(directory_ / "provider.pem", random_));
  SEALCAST_TRY_ASSIGN(auto source, io::SourceFile::open(options.source));
  SEALCAST_TRY_ASSIGN(auto identity, SpoolRecord::identity_of(options.source));
  if (!sealed && source.size() == 0)
    return fail(ErrorCode::usage, options.source.string() + " is empty: an empty file can only be published sealed");
  Spooled out{place, {}, {}, std::nullopt, std::nullopt};
  auto& d = out.description;
  if (sealed) {
    content::ContentKey key;
    random_.fill(key.fill());
    d.header = content::make_sealed_header(random_octets<16>(random_), key);
    d.key_service = node.key_service;
    out.key.emplace(std::move(key));
  }
  d.protection = options.protection;
  d.chunk_size = options.chunk_size;
  d.plain_length = source.size();
  d.length = sealed ? content::sealed_length(source.size()) : source.size();
  if (!content::Geometry::make(d.length, d.chunk_size))
    return fail(ErrorCode::usage,
                options.source.string() + ": too long for chunks of " + std::to_string(d.chunk_size) + " octets");
  ObjectWriter writer(place / "object", d, [&](std::uint64_t done) {
    if (on_progress_) on_progress_({"sealing", source.size(), done});
  });
  SEALCAST_TRY_ASSIGN(d.root, writer.write(source, out.key ? &*out.key : nullptr));
  d.filled = writer.filled();
  SEALCAST_TRY(source.check_unchanged());
  content::Metadata metadata{options.source.filename().string(),
                             options.type.empty() ? "application/octet-stream" : options.type};
  d.content_id = "urn:sealcast:" + base64url(random_octets<16>(random_));
  d.title = options.title;
  d.issued_at = os::unix_now();
  d.expires_at = d.issued_at + options.validity;
  if (sealed)
    d.metadata = content::seal_metadata(metadata, *d.header, *out.key, d.root, random_octets<12>(random_));
  else
    d.name = metadata.name, d.type = metadata.type;
  out.jws = content::sign_description(d, provider);
  SpoolRecord record{place,   identity,    std::string(content::name(options.protection)), options.chunk_size,
                     out.jws, std::nullopt};
  if (out.key) record.key.emplace(out.key->duplicate());
  SEALCAST_TRY(record.save());
  return out;
}

// Goes on where the cache says that it stands; parts keep one request from lasting for hours.
Status Publisher::upload(const Spooled& spooled) {
  auto target = "/api/v1/contents/" + content::root_text(spooled.description.root) + "/object";
  auto length = spooled.description.length;
  SEALCAST_TRY_ASSIGN(auto head, io::http_call(socket_, {"HEAD", target, {}, {}, {}, 0}, k_call));
  if (head.status != 200) return fail(api_error(head, "the cache refuses the object"));
  auto have_of = [](const io::HttpResponse& response) {
    std::uint64_t have = 0;
    for (auto& [name, value] : response.headers)
      if (name == "Sealcast-Have") std::from_chars(value.data(), value.data() + value.size(), have);
    return have;
  };
  SEALCAST_TRY_ASSIGN(auto object, io::SourceFile::open(spooled.place / "object"));
  auto have = have_of(head);
  SEALCAST_TRY(object.seek(have));
  while (have < length) {
    auto part = std::min(k_upload_part, length - have);
    auto left = part;
    io::HttpCall call{
        "PUT", target,
        {},    "bytes " + std::to_string(have) + "-" + std::to_string(have + part - 1) + "/" + std::to_string(length),
        {},    part};
    call.source = [&](MutableByteView into) -> Result<std::size_t> {
      if (on_progress_) on_progress_({"uploading", length, have + part - left});
      SEALCAST_TRY_ASSIGN(auto size, object.read(into.first(std::min<std::uint64_t>(into.size(), left))));
      left -= size;
      return size;
    };
    SEALCAST_TRY_ASSIGN(auto response, io::http_call(socket_, std::move(call), k_upload));
    if (response.status == 201) return {};
    if (response.status == 416) {
      have = have_of(response);
      SEALCAST_TRY(object.seek(have));
      continue;
    }
    if (response.status != 202) return fail(api_error(response, "the cache refuses the object"));
    auto now = have_of(response);
    if (now <= have) return fail(ErrorCode::network, "the cache does not keep what is sent");
    if (now != have + part) SEALCAST_TRY(object.seek(now));
    have = now;
  }
  return {};
}

bool wait_until_announced(const std::filesystem::path& socket, const std::string& root) {
  for (auto end = os::monotonic_now() + k_announcement; os::monotonic_now() < end; std::this_thread::sleep_for(50ms)) {
    auto response = io::http_call(socket, {"GET", "/api/v1/contents/" + root, {}, {}, {}, 0}, k_call);
    auto document = response ? json::parse(response->body) : fail("");
    if (document && document->bool_or("announced")) return true;
  }
  return false;
}

}  // namespace sealcast::roles
