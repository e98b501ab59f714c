#include "roles/laboratory.hpp"

#include <algorithm>

#include "base/json.hpp"
#include "crypto/certificate.hpp"
#include "io/file.hpp"
#include "io/socket.hpp"
#include "roles/common/trust.hpp"

namespace sealcast::roles {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t k_day = 86400;
// The last file written: a directory without it is an attempt that was interrupted.
constexpr const char* k_mark = "laboratory.json";

std::string toml_text(const std::string& text) {
  return json::Value(text).text();
}

// What making the files needs; one object, so that each step says only what it adds.
struct Maker {
  Laboratory lab;
  LaboratoryOptions options;
  RandomSource& random;
  std::int64_t now;
  crypto::Certificate ca;
  std::size_t next_port = 0;

  std::string listener() {
    auto port = std::to_string(lab.ports->ports[next_port++]);
    return (options.address.find(':') == std::string::npos ? options.address : "[" + options.address + "]") + ":" +
           port;
  }
  std::string media() const {
    return (options.address.find(':') == std::string::npos ? options.address : "[" + options.address + "]") + ":0";
  }

  Status write(const fs::path& path, const std::string& text, unsigned mode) {
    SEALCAST_TRY(io::make_directory(path.parent_path(), 0700));
    return io::write_file_atomically(path, view_of(text), mode);
  }

  Status make_authority() {
    SEALCAST_TRY_ASSIGN(ca, crypto::make_ca({"Sealcast laboratory CA", {}, now - k_day, now + 3650 * k_day}, random));
    SEALCAST_TRY(write(lab.directory / "ca" / "ca.pem", ca.certificate_pem, 0644));
    return write(lab.directory / "ca" / "ca-key.pem", ca.key_pem, 0600);
  }

  // The address goes in as a DNS name too: some SIP stacks do not look at IP SANs.
  Status make_tls(const fs::path& directory, const std::string& name) {
    std::vector<std::string> names = {"DNS:" + name, "DNS:" + options.address, "IP:" + options.address};
    SEALCAST_TRY_ASSIGN(auto certificate, crypto::issue({name, names, now - k_day, now + 825 * k_day}, ca, random));
    SEALCAST_TRY(write(directory / "agent.pem", certificate.certificate_pem + certificate.key_pem, 0600));
    return write(directory / "cafile.pem", ca.certificate_pem, 0644);
  }

  std::string host(const std::string& service) const { return service + "." + options.domain; }

  Status make_core(const std::string& tracker, const std::vector<std::string>& caches, std::string& ue,
                   std::string& tcp, std::string& service) {
    ue = listener(), tcp = listener(), service = listener();
    std::string text =
        "# The embedded IMS core of this laboratory.\nrole = \"core\"\nstate = \"core\"\ndomain = " +
        toml_text(options.domain) + "\ninsecure_signalling = " + (options.insecure_signalling ? "true" : "false") +
        "\n\n[listen]\nue = " + toml_text(ue) + "  # TLS\nue_tcp = " + toml_text(tcp) +
        "  # what carries no key\nservice = " + toml_text(service) + "  # TLS with client certificates\n";
    auto add = [&](const std::string& user, bool domain, const std::string& address, const std::string& certificate) {
      text += "\n[[service]]\n" + std::string(domain ? "domain" : "user") + " = " + toml_text(user) +
              "\naddress = " + toml_text(address) + "\ncertificate = " + toml_text(host(certificate)) + "\n";
    };
    add("tracker", false, tracker, "tracker");
    add("peers." + options.domain, true, tracker, "tracker");
    for (std::size_t i = 0; i < caches.size(); ++i) add(options.caches[i], false, caches[i], options.caches[i]);
    SEALCAST_TRY(make_tls(lab.directory / "core" / "tls", host("core")));
    return write(lab.core_config(), text, 0644);
  }

  std::string service_text(const std::string& role, const std::string& listen, const std::string& core) const {
    return "role = \"" + role + "\"\ndomain = " + toml_text(options.domain) + "\nlisten = " + toml_text(listen) +
           "  # SIP over TLS, for the core\ncore = " + toml_text(core) + "\ncore_name = " + toml_text(host("core")) +
           "\ntrust = \"trust.json\"\n";
  }

  Status make_tracker(const std::string& listen, const std::string& core) {
    SEALCAST_TRY(make_tls(lab.directory / "tracker" / "tls", host("tracker")));
    return write(lab.tracker_config(), "# The tracker.\nstate = \"tracker\"\n" + service_text("tracker", listen, core),
                 0644);
  }

  Status make_cache(const std::string& name, const std::string& listen, const std::string& core) {
    bool keys = name != options.keyless;
    SEALCAST_TRY(make_tls(lab.directory / name / "tls", host(name)));
    return write(lab.cache_config(name),
                 "# A content cache server.\nstate = " + toml_text(name) + "\nname = " + toml_text(name) + "\n" +
                     service_text("cache", listen, core) + "media = " + toml_text(media()) +
                     "  # UDP\nkey_service = \"" + (keys ? "key-service.pem" : "key-service.jwk") +
                     "\"\nholds_keys = " + (keys ? "true" : "false") +
                     "\ninsecure_signalling = " + (options.insecure_signalling ? "true" : "false") + "\n",
                 0644);
  }

  Status make_keys() {
    SEALCAST_TRY(io::make_directory(lab.directory / "tracker", 0700));
    SEALCAST_TRY(io::make_directory(lab.directory / "provider", 0700));
    SEALCAST_TRY_ASSIGN(auto tracker, load_or_make_key(lab.directory / "tracker" / "tracker.pem", random));
    SEALCAST_TRY_ASSIGN(auto provider, load_or_make_key(lab.provider_key(), random));
    SEALCAST_TRY_ASSIGN(auto service, load_or_make_key(lab.key_service(), random));
    SEALCAST_TRY(write(lab.directory / "key-service.jwk", service.public_key().jwk().text() + "\n", 0644));
    return save_trust(lab.trust(), {tracker.public_key(), {provider.public_key()}});
  }

  Status make_all() {
    SEALCAST_TRY(make_authority());
    SEALCAST_TRY(make_keys());
    auto tracker = listener();
    std::vector<std::string> caches;
    for (std::size_t i = 0; i < options.caches.size(); ++i) caches.push_back(listener());
    std::string ue, tcp, service;
    SEALCAST_TRY(make_core(tracker, caches, ue, tcp, service));
    SEALCAST_TRY(make_tracker(tracker, service));
    for (std::size_t i = 0; i < caches.size(); ++i) SEALCAST_TRY(make_cache(options.caches[i], caches[i], service));
    SEALCAST_TRY(write(lab.ue_config(),
                       "# What a subscriber's device needs.\nrole = \"ue\"\ndomain = " + toml_text(options.domain) +
                           "\ncore = " + toml_text(options.insecure_signalling ? tcp : ue) +
                           "\nca = \"ca/ca.pem\"\ntrust = \"trust.json\"\nmedia = " + toml_text(media()) +
                           "\ntransport = " + (options.insecure_signalling ? "\"tcp\"" : "\"tls\"") +
                           "\ninsecure_signalling = " + (options.insecure_signalling ? "true" : "false") + "\n",
                       0644));
    json::Array names(options.caches.begin(), options.caches.end());
    return write(lab.directory / k_mark,
                 json::Value(json::Object{{"v", 1}, {"domain", options.domain}, {"caches", names}}).pretty() + "\n",
                 0644);
  }
};

bool only_ours(const fs::path& directory) {
  static const std::vector<std::string> known = {
      "lock",       "ca",        "core",         "tracker", "provider",   "key-service.pem", "key-service.jwk",
      "trust.json", "core.toml", "tracker.toml", "ue.toml", "subscribers"};
  std::error_code error;
  for (auto& entry : fs::directory_iterator(directory, error)) {
    auto name = entry.path().filename().string();
    if (name.starts_with("cache") || std::find(known.begin(), known.end(), name) != known.end()) continue;
    return false;
  }
  return !error;
}

}  // namespace

bool is_laboratory(const fs::path& directory) {
  return fs::exists(directory / k_mark);
}

namespace {

// The file that says what the laboratory is.
Result<json::Value> read_mark(const fs::path& directory) {
  auto mark = directory / k_mark;
  if (!fs::exists(mark))
    return fail(ErrorCode::not_found,
                directory.string() + " holds no laboratory: start one with sealcast up --dir " + directory.string());
  SEALCAST_TRY_ASSIGN(auto octets, io::read_file(mark, 65536));
  auto document = json::parse(string_of(octets));
  if (!document) return fail(ErrorCode::usage, mark.string() + ": " + document.error().message);
  if (document->int_or("v") != 1)
    return fail(ErrorCode::usage, mark.string() + ": made by another version (\"v\" is not 1)");
  return document;
}

}  // namespace

Result<Laboratory> open_laboratory(const fs::path& directory) {
  SEALCAST_TRY(read_mark(directory));
  return Laboratory{fs::absolute(directory)};
}

Result<std::vector<std::string>> caches_of(const Laboratory& laboratory) {
  SEALCAST_TRY_ASSIGN(auto document, read_mark(laboratory.directory));
  std::vector<std::string> out;
  if (auto* caches = document.find("caches"); caches && caches->as_array())
    for (auto& name : *caches->as_array())
      if (name.as_string()) out.push_back(*name.as_string());
  if (out.empty()) return fail(ErrorCode::usage, (laboratory.directory / k_mark).string() + ": it names no cache");
  return out;
}

Result<Laboratory> make_laboratory(const fs::path& directory, const LaboratoryOptions& options, RandomSource& random,
                                   std::int64_t now) {
  SEALCAST_TRY(io::make_directory(directory, 0700));
  if (!only_ours(directory))
    return fail(ErrorCode::usage, directory.string() + " is not empty and holds no laboratory");
  SEALCAST_TRY_ASSIGN(auto ports, io::free_tcp_ports(options.address, 4 + options.caches.size()));
  Laboratory lab{fs::absolute(directory), std::make_shared<io::HeldPorts>(std::move(ports))};
  Maker maker{std::move(lab), options, random, now, {}};
  SEALCAST_TRY(maker.make_all());
  return maker.lab;
}

}  // namespace sealcast::roles
