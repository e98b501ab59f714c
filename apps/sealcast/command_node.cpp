// up, core, tracker, cache, init: the roles that run until they are told to stop.
#include <algorithm>
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
#include "roles/cache_api.hpp"
#include "roles/core_role.hpp"
#include "roles/tracker_api.hpp"
#include "roles/tracker_role.hpp"
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
  print("%s\n", lab.directory.c_str());
  return {};
}

// A cache with its admin socket.
struct CacheNode {
  std::unique_ptr<roles::CacheRole> role;
  std::unique_ptr<roles::CacheApi> api;

  static Result<CacheNode> start(io::Loop& loop, roles::CacheConfig config, const fs::path& socket,
                                 std::function<json::Object()> extra) {
    CacheNode out;
    out.role = std::make_unique<roles::CacheRole>(loop, std::move(config));
    SEALCAST_TRY(out.role->start());
    out.api = std::make_unique<roles::CacheApi>(loop, *out.role, std::move(extra));
    SEALCAST_TRY(out.api->listen(socket));
    return out;
  }
  void stop() {
    if (api) api->close();
    if (role) role->stop();
  }
};

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
  SEALCAST_TRY_ASSIGN(auto core_config, read_core_config(lab.core_config()));
  roles::CoreRole core(std::move(core_config));
  SEALCAST_TRY(core.start());
  if (io::interrupted()) return {};
  SEALCAST_TRY_ASSIGN(auto tracker_config, read_tracker_config(lab.tracker_config()));
  roles::TrackerRole tracker(loop, std::move(tracker_config));
  SEALCAST_TRY(tracker.start());
  if (io::interrupted()) return {};
  std::vector<CacheNode> caches;
  SEALCAST_TRY_ASSIGN(auto names, roles::caches_of(lab));
  for (auto& name : names) {
    SEALCAST_TRY_ASSIGN(auto config, read_cache_config(lab.cache_config(name)));
    auto socket = caches.empty() ? lab.admin_socket() : config.socket();
    SEALCAST_TRY_ASSIGN(auto cache, CacheNode::start(loop, std::move(config), socket, [&] {
                          return json::Object{{"core", core.status()}, {"tracker", tracker.status()}};
                        }));
    caches.push_back(std::move(cache));
  }
  // One log for who asks this node.
  tracker.audit_to([&](const store::AuditRow& row) { return caches.front().role->library().audit_log().append(row); });
  auto addresses = core.status();
  auto ran = tell_ready("core=" + json::Value(addresses).string_or("ue") + " tracker=" + tracker.address() +
                        " cache=" + caches.front().role->address() + " dir=" + lab.directory.string());
  if (ran) ran = run_until_signal(loop);
  for (auto& cache : caches) cache.stop();
  tracker.stop();
  core.stop();
  return ran;
}

Status run_core(const fs::path& file) {
  SEALCAST_TRY_ASSIGN(auto config, read_core_config(file));
  SEALCAST_TRY(io::make_directory(config.state, 0700));
  SEALCAST_TRY_ASSIGN(auto lock, io::DirectoryLock::take(config.state));
  io::Loop loop;
  roles::CoreRole core(std::move(config));
  SEALCAST_TRY(core.start());
  auto ran = tell_ready("core=" + json::Value(core.status()).string_or("ue"));
  if (ran) ran = run_until_signal(loop);
  core.stop();
  return ran;
}

Status run_tracker(const fs::path& file) {
  SEALCAST_TRY_ASSIGN(auto config, read_tracker_config(file));
  SEALCAST_TRY(io::make_directory(config.state, 0700));
  SEALCAST_TRY_ASSIGN(auto lock, io::DirectoryLock::take(config.state));
  io::Loop loop;
  auto state = config.state;
  roles::TrackerRole tracker(loop, std::move(config));
  SEALCAST_TRY(tracker.start());
  roles::TrackerApi api(loop, tracker);
  SEALCAST_TRY(api.listen(state / "admin.sock"));
  auto ran = tell_ready("tracker=" + tracker.address());
  if (ran) ran = run_until_signal(loop);
  api.close();
  tracker.stop();
  return ran;
}

Status run_cache(const fs::path& file) {
  SEALCAST_TRY_ASSIGN(auto config, read_cache_config(file));
  SEALCAST_TRY(io::make_directory(config.state, 0700));
  SEALCAST_TRY_ASSIGN(auto lock, io::DirectoryLock::take(config.state));
  io::Loop loop;
  auto socket = config.socket();
  SEALCAST_TRY_ASSIGN(auto cache, CacheNode::start(loop, std::move(config), socket, {}));
  auto ran = tell_ready("cache=" + cache.role->address() + " socket=" + socket.string());
  if (ran) ran = run_until_signal(loop);
  cache.stop();
  return ran;
}

void add_role(CLI::App& app, Globals& globals, const std::string& name, const std::string& about,
              Status (*run)(const fs::path&)) {
  auto file = std::make_shared<fs::path>();  // owners: the parser's option and the action
  auto* command = add_command(
      app, globals, name, about, [file, run] { return run(*file); }, io::Interrupt::remembered);
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
