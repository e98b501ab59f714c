// up, core, tracker, cache, init: the roles that run until they are told to stop.
#include <algorithm>
#include <deque>
#include <optional>

#include "base/address.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "command.hpp"
#include "content/uri.hpp"
#include "io/file.hpp"
#include "os/clock.hpp"
#include "os/random.hpp"
#include "output.hpp"
#include "reload.hpp"
#include "roles/cache/cache_api.hpp"
#include "roles/common/trust.hpp"
#include "roles/core/core_role.hpp"
#include "roles/tracker/tracker_api.hpp"
#include "roles/tracker/tracker_role.hpp"
#include "service.hpp"

namespace sealcast::app {
namespace {

namespace fs = std::filesystem;

struct LaboratoryFlags {
  roles::LaboratoryOptions options;
  std::vector<std::string> caches;
  bool given() const {
    return !caches.empty() || !options.keyless.empty() || options.insecure_signalling ||
           options.domain != roles::LaboratoryOptions{}.domain;
  }
};

void add_laboratory_flags(CLI::App& command, LaboratoryFlags& flags) {
  command.add_option("--domain", flags.options.domain, "home domain (default sealcast.test)");
  command.add_option("--address", flags.options.address, "address of every listener: 127.0.0.1 or ::1");
  command.add_option("--cache", flags.caches,
                     "name of a cache: \"cache\" or \"cache-...\"; may be given again (default: one, \"cache\")");
  command.add_option("--keyless", flags.options.keyless, "the cache of this name holds chunks only, no keys");
  command.add_flag("--insecure-signalling", flags.options.insecure_signalling,
                   "UEs talk to the core over TCP without TLS: SRTP keys are readable there (laboratories only)");
}

// RFC 1035 section 2.3.4: what a certificate can be issued for.
Status check_host_name(const std::string& name) {
  constexpr std::size_t k_longest = 253, k_longest_label = 63;
  auto wrong = [&](const std::string& why) {
    return fail(ErrorCode::usage, "\"" + printable(name, 300) + "\" is no host name: " + why);
  };
  if (name.size() > k_longest)
    return wrong("it has " + std::to_string(name.size()) + " characters, " + std::to_string(k_longest) +
                 " are allowed");
  for (std::size_t at = 0; at <= name.size();) {
    auto end = std::min(name.find('.', at), name.size());
    if (end == at) return wrong("a label is empty");
    if (end - at > k_longest_label)
      return wrong("\"" + printable(name.substr(at, end - at), 300) + "\" has more than " +
                   std::to_string(k_longest_label) + " characters");
    at = end + 1;
  }
  return {};
}

// Before anything is made.
Result<roles::LaboratoryOptions> checked(const LaboratoryFlags& flags) {
  auto o = flags.options;
  if (!flags.caches.empty()) o.caches = flags.caches;
  for (auto& name : o.caches)
    if (name != "cache" && !name.starts_with("cache-"))
      return fail(ErrorCode::usage,
                  "a cache's name is \"cache\" or begins with \"cache-\", not \"" + printable(name, 64) + "\"");
  if (!o.keyless.empty() && std::find(o.caches.begin(), o.caches.end(), o.keyless) == o.caches.end())
    return fail(ErrorCode::usage,
                "--keyless \"" + printable(o.keyless, 64) + "\" is none of the caches: " + joined(o.caches));
  if (!content::is_domain(o.domain))
    return fail(ErrorCode::usage,
                "--domain \"" + printable(o.domain, 64) + "\" is no domain: letters, digits, \".\" and \"-\"");
  std::vector<std::string> hosts = {"core", "tracker", "peers"};
  hosts.insert(hosts.end(), o.caches.begin(), o.caches.end());
  for (auto& host : hosts) SEALCAST_TRY(check_host_name(host + "." + o.domain));
  if (!parse_ip_address(o.address))
    return fail(ErrorCode::usage, "--address \"" + printable(o.address, 64) + "\" is no IP address");
  return o;
}

Result<roles::Laboratory> make_laboratory(const Globals& globals, const roles::LaboratoryOptions& options) {
  os::SystemRandom random;
  return roles::make_laboratory(globals.directory, options, random, os::unix_now());
}

Status init(const Globals& globals, const LaboratoryFlags& flags) {
  SEALCAST_TRY_ASSIGN(auto options, checked(flags));
  SEALCAST_TRY(io::make_directory(globals.directory, 0700));
  SEALCAST_TRY_ASSIGN(auto lock, io::DirectoryLock::take(globals.directory));
  if (roles::is_laboratory(globals.directory))
    return fail(ErrorCode::usage, globals.directory.string() + " holds a laboratory already");
  SEALCAST_TRY_ASSIGN(auto lab, make_laboratory(globals, options));
  if (globals.json)
    print("%s\n", json::Value(json::Object{{"directory", lab.directory.string()}}).text().c_str());
  else
    print("%s\n", lab.directory.c_str());
  return {};
}

template <class T>
Status status_of(const Result<T>& result) {
  return result ? Status{} : Status(fail(result.error()));
}

struct CoreNode {
  fs::path file;
  std::unique_ptr<roles::CoreRole> role = {};

  Status start() {
    SEALCAST_TRY_ASSIGN(auto config, read_core_config(file));
    role = std::make_unique<roles::CoreRole>(std::move(config));
    return role->start();
  }
  void stop() {
    if (role) role->stop();
    role.reset();
  }
  // New certificates alone cost nobody his registration.
  Status remake(bool changed) {
    if (role && !changed) return role->renew_certificates();
    stop();
    return start();
  }
  Result<Reloader::Part> part() {
    SEALCAST_TRY_ASSIGN(auto config, read_core_config(file));
    return Reloader::Part{"core",
                          config.state / "tls",
                          file,
                          {},
                          [this] { return status_of(read_core_config(file)); },
                          [this](bool changed) { return remake(changed); }};
  }
  json::Object status() const { return role ? role->status() : json::Object{}; }
};

// A role that is made anew when its configuration or its trust has changed; of new certificates it loses nothing.
template <class Node, class Config>
Reloader::Part watched(Node& node, const std::string& name, const Config& config,
                       Result<Config> (*read)(const fs::path& file)) {
  auto check = [&node, read]() -> Status {
    SEALCAST_TRY_ASSIGN(auto now, read(node.file));
    return status_of(roles::load_trust(now.trust));
  };
  auto remake = [&node](bool changed) -> Status {
    if (node.role && !changed) return node.role->renew_certificates();
    return node.stop(), node.start();
  };
  return {name, config.state / "tls", node.file, {config.trust}, check, remake};
}

struct TrackerNode {
  io::Loop& loop;
  fs::path file;
  // Where its audit records go; without it into its own log, which its admin socket shows.
  std::function<Status(const store::AuditRow&)> audit = {};
  std::unique_ptr<roles::TrackerRole> role = {};
  std::unique_ptr<roles::TrackerApi> api = {};

  Status start() {
    SEALCAST_TRY_ASSIGN(auto config, read_tracker_config(file));
    const auto socket = config.state / "admin.sock";
    role = std::make_unique<roles::TrackerRole>(loop, std::move(config));
    SEALCAST_TRY(role->start());
    if (audit) {
      role->audit_to(audit);
      return {};
    }
    api = std::make_unique<roles::TrackerApi>(loop, *role);
    return api->listen(socket);
  }
  void stop() {
    if (api) api->close();
    api.reset();
    if (role) role->stop();
    role.reset();
  }
  Result<Reloader::Part> part() {
    SEALCAST_TRY_ASSIGN(auto config, read_tracker_config(file));
    return watched(*this, "tracker", config, read_tracker_config);
  }
  json::Object status() const { return role ? role->status() : json::Object{}; }
};

// A cache with its admin socket.
struct CacheNode {
  io::Loop& loop;
  fs::path file, socket;  // an empty socket: that of the file
  std::function<json::Object()> extra;
  std::unique_ptr<roles::CacheRole> role = {};
  std::unique_ptr<roles::CacheApi> api = {};

  Status start() {
    SEALCAST_TRY_ASSIGN(auto config, read_cache_config(file));
    auto where = socket.empty() ? config.socket() : socket;
    role = std::make_unique<roles::CacheRole>(loop, std::move(config));
    SEALCAST_TRY(role->start());
    api = std::make_unique<roles::CacheApi>(loop, *role, extra);
    return api->listen(where);
  }
  void stop() {
    if (api) api->close();
    api.reset();
    if (role) role->stop();
    role.reset();
  }
  Result<Reloader::Part> part() {
    SEALCAST_TRY_ASSIGN(auto config, read_cache_config(file));
    return watched(*this, config.name, config, read_cache_config);
  }
};

// Starts what `node` is, and watches what it was made from.
template <class Node>
Status start(Node& node, Reloader& reloader) {
  SEALCAST_TRY_ASSIGN(auto part, node.part());
  SEALCAST_TRY(reloader.add(std::move(part)));
  return node.start();
}

Status run(io::Loop& loop, Reloader& reloader, const std::string& ready) {
  SEALCAST_TRY(tell_ready(ready));
  reloader.start();
  SEALCAST_TRY(run_until_signal(loop));
  return reloader.outcome();
}

Status up(const Globals& globals, const LaboratoryFlags& flags) {
  SEALCAST_TRY_ASSIGN(auto options, checked(flags));
  SEALCAST_TRY(io::make_directory(globals.directory, 0700));
  SEALCAST_TRY_ASSIGN(auto lock, io::DirectoryLock::take(globals.directory));
  bool known = roles::is_laboratory(globals.directory);
  if (known && flags.given())
    return fail(ErrorCode::usage, "the laboratory in " + globals.directory.string() +
                                      " exists: its options were fixed at its first start");
  SEALCAST_TRY_ASSIGN(auto lab, known ? roles::open_laboratory(globals.directory) : make_laboratory(globals, options));
  io::Loop loop;
  Reloader reloader(loop, globals.log_level);
  CoreNode core{lab.core_config()};
  SEALCAST_TRY(start(core, reloader));
  if (io::interrupted()) return {};
  std::deque<CacheNode> caches;
  // One log for who asks this node.
  TrackerNode tracker{loop, lab.tracker_config(), [&caches](const store::AuditRow& row) -> Status {
                        if (caches.empty() || !caches.front().role) return {};  // being made anew
                        return caches.front().role->library().audit_log().append(row);
                      }};
  SEALCAST_TRY(start(tracker, reloader));
  if (io::interrupted()) return {};
  SEALCAST_TRY_ASSIGN(auto names, roles::caches_of(lab));
  for (auto& name : names) {
    caches.push_back({loop, lab.cache_config(name), caches.empty() ? lab.admin_socket() : fs::path(), [&] {
                        return json::Object{{"core", core.status()},
                                            {"tracker", tracker.status()},
                                            {"certificates", reloader.certificates()}};
                      }});
    SEALCAST_TRY(start(caches.back(), reloader));
  }
  auto ran = run(loop, reloader,
                 "core=" + json::Value(core.status()).string_or("ue") + " tracker=" + tracker.role->address() +
                     " cache=" + caches.front().role->address() + " dir=" + lab.directory.string());
  for (auto& cache : caches) cache.stop();
  tracker.stop();
  core.stop();
  return ran;
}

Status run_core(const Globals& globals, const fs::path& file) {
  SEALCAST_TRY_ASSIGN(auto config, read_core_config(file));
  SEALCAST_TRY(io::make_directory(config.state, 0700));
  SEALCAST_TRY_ASSIGN(auto lock, io::DirectoryLock::take(config.state));
  io::Loop loop;
  Reloader reloader(loop, globals.log_level);
  CoreNode core{file};
  SEALCAST_TRY(start(core, reloader));
  auto ran = run(loop, reloader, "core=" + json::Value(core.status()).string_or("ue"));
  core.stop();
  return ran;
}

Status run_tracker(const Globals& globals, const fs::path& file) {
  SEALCAST_TRY_ASSIGN(auto config, read_tracker_config(file));
  SEALCAST_TRY(io::make_directory(config.state, 0700));
  SEALCAST_TRY_ASSIGN(auto lock, io::DirectoryLock::take(config.state));
  io::Loop loop;
  Reloader reloader(loop, globals.log_level);
  TrackerNode tracker{loop, file};
  SEALCAST_TRY(start(tracker, reloader));
  auto ran = run(loop, reloader, "tracker=" + tracker.role->address());
  tracker.stop();
  return ran;
}

Status run_cache(const Globals& globals, const fs::path& file) {
  SEALCAST_TRY_ASSIGN(auto config, read_cache_config(file));
  SEALCAST_TRY(io::make_directory(config.state, 0700));
  SEALCAST_TRY_ASSIGN(auto lock, io::DirectoryLock::take(config.state));
  io::Loop loop;
  Reloader reloader(loop, globals.log_level);
  CacheNode cache{loop, file, {}, [&] { return json::Object{{"certificates", reloader.certificates()}}; }};
  SEALCAST_TRY(start(cache, reloader));
  auto ran = run(loop, reloader, "cache=" + cache.role->address() + " socket=" + config.socket().string());
  cache.stop();
  return ran;
}

void add_role(CLI::App& app, Globals& globals, const std::string& name, const std::string& about,
              Status (*run)(const Globals&, const fs::path&)) {
  auto file = std::make_shared<fs::path>();  // owners: the parser's option and the action
  auto* command = add_command(
      app, globals, name, about, [&globals, file, run] { return run(globals, *file); }, io::Interrupt::remembered);
  command->add_option("-c,--config", *file, "configuration file (TOML, docs/operations.md)")->required();
}

}  // namespace

void add_node_commands(CLI::App& app, Globals& globals) {
  auto flags = std::make_shared<LaboratoryFlags>();  // owners: the parsers' options and the actions
  auto* command = add_command(
      app, globals, "up", "core, tracker and cache in one process: a laboratory in --dir, made at the first start",
      [&globals, flags] { return up(globals, *flags); }, io::Interrupt::remembered);
  add_laboratory_flags(*command, *flags);
  auto* only = add_command(
      app, globals, "init", "make a laboratory without starting it, for roles that run one by one",
      [&globals, flags] { return init(globals, *flags); }, io::Interrupt::remembered);
  add_laboratory_flags(*only, *flags);
  add_role(app, globals, "core", "the embedded IMS core", run_core);
  add_role(app, globals, "tracker", "the tracker application server", run_tracker);
  add_role(app, globals, "cache", "a content cache server", run_cache);
}

}  // namespace sealcast::app
