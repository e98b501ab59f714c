#include "command.hpp"

#include <thread>

#include "io/file.hpp"
#include "io/http.hpp"
#include "io/loop.hpp"
#include "logging.hpp"

namespace sealcast::app {
namespace {

namespace fs = std::filesystem;
constexpr Duration k_patience = 10s, k_say_after = 2s, k_step = 100ms;

// Tries until it works or patience ends; after two seconds says on stderr what it waits for.
template <class T>
Result<T> wait_for(const std::string& what, std::function<Result<T>()> attempt, std::function<bool()> worthwhile) {
  auto start = io::monotonic_now();
  bool said = false;
  for (;;) {
    auto result = attempt();
    auto waited = io::monotonic_now() - start;
    if (result || !worthwhile() || waited > k_patience) return result;
    if (!said && waited > k_say_after) {
      std::fprintf(stderr, "sealcast: waiting for %s\n", what.c_str());
      said = true;
    }
    std::this_thread::sleep_for(k_step);
  }
}

}  // namespace

CLI::App* add_command(CLI::App& parent, Globals& globals, const std::string& name, const std::string& about, std::function<Status()> run) {
  auto* command = parent.add_subcommand(name, about);
  command->fallthrough();
  command->callback([&globals, run = std::move(run)] {
    globals.action = [run] {
      auto status = run();
      return status ? 0 : report(status.error());
    };
  });
  return command;
}

Result<roles::Laboratory> find_laboratory(const Globals& globals) {
  return wait_for<roles::Laboratory>(
      "the laboratory in " + globals.directory.string(), [&] { return roles::open_laboratory(globals.directory); },
      // An `up` that has begun has taken the lock already.
      [&] { return fs::exists(globals.directory / "lock"); });
}

Result<fs::path> find_admin_socket(const Globals& globals, const fs::path& socket) {
  auto path = socket.empty() ? globals.directory / "admin.sock" : socket;
  return wait_for<fs::path>(
      "the node at " + path.string(),
      [&]() -> Result<fs::path> {
        auto answer = io::http_call(path, {"GET", "/api/v1/status", {}, {}, {}, 0}, 5s);
        if (!answer) return fail(ErrorCode::network, "no node answers at " + path.string() + ": " + answer.error().message);
        return path;
      },
      [&] { return fs::exists(path) || fs::exists(globals.directory / "lock"); });
}

Status check_subscriber_name(const std::string& name) {
  auto word = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  bool good = !name.empty() && name.size() <= 32 && word(name.front());
  for (char c : name) good = good && (word(c) || c == '.' || c == '_' || c == '-');
  if (good) return {};
  return fail(ErrorCode::usage, "\"" + name + "\" is no subscriber name: 1 to 32 of a-z 0-9 . _ -, beginning with a letter or digit");
}

Result<roles::UeConfig> subscriber_config(const Globals& globals, const fs::path& config, const std::string& name) {
  SEALCAST_TRY(check_subscriber_name(name));
  fs::path file = config;
  if (file.empty()) {
    SEALCAST_TRY_ASSIGN(auto lab, find_laboratory(globals));
    file = lab.ue_config();
  }
  SEALCAST_TRY_ASSIGN(auto read, read_ue_config(file));
  auto ue = std::move(read.ue);
  ue.name = name;
  ue.state = fs::absolute(globals.directory) / "subscribers" / name;
  SEALCAST_TRY(io::make_directory(ue.state / "tls", 0700));
  SEALCAST_TRY_ASSIGN(auto authority, io::read_file(read.ca, 1 << 20));
  SEALCAST_TRY(io::write_file_atomically(ue.state / "tls" / "cafile.pem", authority, 0644));
  return ue;
}

}  // namespace sealcast::app
