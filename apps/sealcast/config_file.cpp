#include "config_file.hpp"

#include <set>
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include "base/address.hpp"
#include "base/text.hpp"
#include "io/file.hpp"

namespace sealcast::app {
namespace {

namespace fs = std::filesystem;

// Reads keys of one table, remembers which were asked for, and keeps the first error.
class Table {
 public:
  Table(const fs::path& file, const toml::table& table, std::string prefix)
      : file_(file), table_(table), prefix_(std::move(prefix)) {}

  void text(const char* key, std::string& into, bool required = true) {
    if (auto* node = take(key, required, "a string")) {
      if (auto value = node->value_exact<std::string>())
        into = *value;
      else
        wrong(*node, key, "must be a string");
    }
  }
  void flag(const char* key, bool& into) {
    if (auto* node = take(key, false, "")) {
      if (auto value = node->value_exact<bool>())
        into = *value;
      else
        wrong(*node, key, "must be true or false");
    }
  }
  template <class Integer>
  void number(const char* key, Integer& into, std::int64_t least, std::int64_t most) {
    if (auto* node = take(key, false, "")) {
      auto value = node->value_exact<std::int64_t>();
      if (value && *value >= least && *value <= most)
        into = static_cast<Integer>(*value);
      else
        wrong(*node, key, "must be an integer between " + std::to_string(least) + " and " + std::to_string(most));
    }
  }
  void address(const char* key, std::string& into, bool required = true) {
    if (auto* node = take(key, required, "an address and port")) {
      auto value = node->value_exact<std::string>();
      if (value && parse_endpoint(*value))
        into = *value;
      else
        wrong(*node, key, "must be an address and port like \"127.0.0.1:5061\"");
    }
  }
  void choice(const char* key, std::string& into, std::initializer_list<const char*> allowed) {
    auto* node = take(key, false, "");
    if (!node) return;
    auto value = node->value_exact<std::string>();
    for (auto* each : allowed)
      if (value && *value == each) into = *value;
    if (!value || into != *value) wrong(*node, key, "must be one of " + joined(allowed));
  }
  void path(const char* key, fs::path& into, bool required = true) {
    std::string value;
    text(key, value, required);
    if (!value.empty()) into = fs::absolute(file_).parent_path() / value;
  }
  const toml::node* take(const char* key, bool required, const char* what) {
    asked_.insert(key);
    auto* node = table_.get(key);
    if (!node && required && error_.empty())
      error_ = file_.string() + ": \"" + prefix_ + key + "\" (" + what + ") is missing";
    return node;
  }
  void wrong(const toml::node& node, std::string_view key, const std::string& what) {
    if (error_.empty()) error_ = at(node) + ": \"" + prefix_ + printable(key) + "\" " + what;
  }
  Status done() {
    for (auto&& [key, node] : table_)
      if (!asked_.contains(std::string(key.str()))) wrong(node, key.str(), "is no key of this file");
    return error_.empty() ? Status{} : Status(fail(ErrorCode::usage, error_));
  }

 private:
  static std::string joined(std::initializer_list<const char*> words) {
    std::string out;
    for (auto* word : words) out += std::string(out.empty() ? "\"" : ", \"") + word + "\"";
    return out;
  }
  std::string at(const toml::node& node) const {
    return file_.string() + ":" + std::to_string(node.source().begin.line);
  }
  const fs::path& file_;
  const toml::table& table_;
  std::string prefix_;
  std::set<std::string> asked_;
  std::string error_;
};

Result<toml::table> parse(const fs::path& file) {
  auto octets = io::read_file(file, 1 << 20);
  if (!octets) return fail(ErrorCode::usage, octets.error().message);
  auto parsed = toml::parse(string_of(*octets), file.string());
  if (!parsed) {
    auto& error = parsed.error();
    return fail(ErrorCode::usage, file.string() + ":" + std::to_string(error.source().begin.line) + ": " +
                                      std::string(error.description()));
  }
  return std::move(parsed).table();
}

Result<toml::table> parse(const fs::path& file, const std::string& role) {
  SEALCAST_TRY_ASSIGN(auto table, parse(file));
  auto found = table["role"].value<std::string>();
  if (found && *found != role)
    return fail(ErrorCode::usage,
                file.string() + ": is for the role \"" + printable(*found) + "\", not \"" + role + "\"");
  return table;
}

void log_level(Table& top, std::string& into) {
  top.choice("log", into, {"debug", "info", "warning", "error", "off"});
}

void common(Table& top, std::string& domain) {
  std::string role;
  top.text("role", role, false);
  top.text("domain", domain);
  std::string level;
  log_level(top, level);
}

Status read_services(Table& top, const fs::path& file, std::vector<sip::ServiceRoute>& into) {
  auto* node = top.take("service", false, "");
  if (!node) return {};
  auto* array = node->as_array();
  if (!array) {
    top.wrong(*node, "service", "must be written as [[service]]");
    return {};
  }
  for (auto& each : *array) {
    auto* entry = each.as_table();
    if (!entry) {
      top.wrong(each, "service", "must be written as [[service]]");
      return {};
    }
    Table table(file, *entry, "service.");
    sip::ServiceRoute route;
    std::string domain;
    table.text("user", route.user_or_domain, false);
    table.text("domain", domain, false);
    if (route.user_or_domain.empty() == domain.empty())
      table.wrong(*entry, "user", "or \"domain\" is needed, and only one of them");
    if (!domain.empty()) route.user_or_domain = domain, route.whole_domain = true;
    table.address("address", route.address);
    table.text("certificate", route.certificate_name);
    SEALCAST_TRY(table.done());
    into.push_back(std::move(route));
  }
  return {};
}

}  // namespace

Result<std::string> role_of_config(const fs::path& file) {
  SEALCAST_TRY_ASSIGN(auto table, parse(file));
  return table["role"].value<std::string>().value_or("");
}

Result<std::string> log_level_of_config(const fs::path& file) {
  SEALCAST_TRY_ASSIGN(auto document, parse(file));
  return document["log"].value<std::string>().value_or("");
}

Result<roles::CoreConfig> read_core_config(const fs::path& file) {
  SEALCAST_TRY_ASSIGN(auto document, parse(file, "core"));
  Table top(file, document, "");
  roles::CoreConfig out;
  common(top, out.sip.domain);
  top.path("state", out.state);
  top.flag("insecure_signalling", out.sip.insecure_signalling);
  if (auto* node = top.take("listen", true, "a table")) {
    if (auto* listen = node->as_table()) {
      Table table(file, *listen, "listen.");
      table.address("ue", out.sip.ue_listen);
      table.address("ue_tcp", out.sip.ue_listen_tcp, false);
      table.address("service", out.sip.service_listen);
      SEALCAST_TRY(table.done());
    } else {
      top.wrong(*node, "listen", "must be a table");
    }
  }
  if (auto* node = top.take("binding", false, ""); node && node->as_table()) {
    Table table(file, *node->as_table(), "binding.");
    table.number("min_expires", out.sip.min_expires, 1, 86400);
    table.number("default_expires", out.sip.default_expires, 1, 86400);
    table.number("max_expires", out.sip.max_expires, 1, 86400);
    SEALCAST_TRY(table.done());
  }
  SEALCAST_TRY(read_services(top, file, out.sip.services));
  SEALCAST_TRY(top.done());
  out.sip.tls_directory = (out.state / "tls").string();
  return out;
}

Result<roles::TrackerConfig> read_tracker_config(const fs::path& file) {
  SEALCAST_TRY_ASSIGN(auto document, parse(file, "tracker"));
  Table top(file, document, "");
  roles::TrackerConfig out;
  common(top, out.domain);
  top.path("state", out.state);
  top.address("listen", out.listen);
  top.address("core", out.core);
  top.text("core_name", out.core_name);
  top.path("trust", out.trust);
  top.number("token_life", out.token_life, 10, 300);
  SEALCAST_TRY(top.done());
  out.identity = "sip:tracker@" + out.domain;
  return out;
}

Result<roles::CacheConfig> read_cache_config(const fs::path& file) {
  SEALCAST_TRY_ASSIGN(auto document, parse(file, "cache"));
  Table top(file, document, "");
  roles::CacheConfig out;
  common(top, out.domain);
  top.path("state", out.state);
  top.text("name", out.name);
  top.address("listen", out.listen);
  top.address("core", out.core);
  top.text("core_name", out.core_name);
  top.address("media", out.media);
  top.path("trust", out.trust);
  top.path("admin_socket", out.admin_socket, false);
  top.path("master_key", out.master_key, false);
  top.path("key_service", out.key_service);
  top.flag("holds_keys", out.holds_keys);
  top.flag("require_srtp", out.require_srtp);
  top.flag("insecure_signalling", out.insecure_signalling);
  top.number("upload_limit", out.upload_limit, 0, INT64_MAX);
  top.number("memory_limit", out.memory_limit, swarm::k_least_memory_limit, INT64_MAX);
  top.number("scrub_rate", out.scrub_rate, 0, INT64_MAX);
  SEALCAST_TRY(top.done());
  return out;
}

Result<UeFile> read_ue_config(const fs::path& file) {
  SEALCAST_TRY_ASSIGN(auto document, parse(file, "ue"));
  Table top(file, document, "");
  UeFile out;
  common(top, out.ue.domain);
  top.address("core", out.ue.core);
  top.choice("transport", out.ue.transport, {"tls", "tcp"});
  top.path("ca", out.ca);
  top.path("trust", out.ue.trust);
  top.address("media", out.ue.media, false);
  top.flag("require_srtp", out.ue.require_srtp);
  top.flag("insecure_signalling", out.ue.insecure_signalling);
  top.number("download_limit", out.ue.download_limit, 0, INT64_MAX);
  top.number("upload_limit", out.ue.upload_limit, 0, INT64_MAX);
  top.number("memory_limit", out.ue.memory_limit, swarm::k_least_memory_limit, INT64_MAX);
  SEALCAST_TRY(top.done());
  return out;
}

}  // namespace sealcast::app
