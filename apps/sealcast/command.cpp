#include "command.hpp"

#include <signal.h>

#include <cerrno>
#include <charconv>
#include <thread>

#include "base/text.hpp"
#include "io/file.hpp"
#include "io/http.hpp"
#include "logging.hpp"
#include "os/clock.hpp"
#include "roles/common/names.hpp"
#include "roles/provider/publisher.hpp"

namespace sealcast::app {
namespace {

namespace fs = std::filesystem;
// A node that was started in the background just now may not even have made its directory.
constexpr Duration k_patience = 10s, k_patience_without_a_trace = 3s, k_say_after = 2s, k_step = 50ms;

// Tries until it works or patience ends; after two seconds says on stderr what it waits for.
template <class T>
Result<T> wait_for(const std::string& what, std::function<Result<T>()> attempt, std::function<bool()> trace) {
  auto start = os::monotonic_now();
  bool said = false;
  for (;;) {
    auto result = attempt();
    auto waited = os::monotonic_now() - start;
    if (result || waited > (trace() ? k_patience : k_patience_without_a_trace)) return result;
    if (io::interrupted()) return fail(ErrorCode::interrupted, "interrupted");
    if (!said && waited > k_say_after) {
      std::fprintf(stderr, "sealcast: waiting for %s\n", what.c_str());
      said = true;
    }
    std::this_thread::sleep_for(k_step);
  }
}

// Does the process that took this directory's lock still run?
bool is_locked(const fs::path& directory) {
  auto text = io::read_file(directory / "lock", 64);
  int holder = 0;
  if (text)
    std::from_chars(reinterpret_cast<const char*>(text->data()),
                    reinterpret_cast<const char*>(text->data()) + text->size(), holder);
  return holder > 0 && (::kill(holder, 0) == 0 || errno == EPERM);
}

}  // namespace

CLI::App* add_command(CLI::App& parent, Globals& globals, const std::string& name, const std::string& about,
                      std::function<Status()> run, io::Interrupt interrupt) {
  auto* command = parent.add_subcommand(name, about);
  command->fallthrough();
  command->callback([&globals, interrupt, run = std::move(run)] {
    globals.action = [interrupt, run] {
      io::set_interrupt(interrupt);
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
      [&] { return is_locked(globals.directory); });
}

Result<fs::path> find_admin_socket(const Globals& globals, const fs::path& socket) {
  auto path = socket.empty() ? globals.directory / "admin.sock" : socket;
  return wait_for<fs::path>(
      "the node at " + path.string(),
      [&]() -> Result<fs::path> {
        auto answer = io::http_call(path, {"GET", "/api/v1/status", {}, {}, {}, 0}, 5s);
        if (!answer) return fail(ErrorCode::network, "no node answers: " + answer.error().message);
        return path;
      },
      [&] { return is_locked(globals.directory) || is_locked(path.parent_path()); });
}

Status check_subscriber_name(const std::string& name) {
  auto word = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  bool good = !name.empty() && name.size() <= 32 && word(name.front());
  for (char c : name) good = good && (word(c) || c == '.' || c == '_' || c == '-');
  if (!good)
    return fail(ErrorCode::usage,
                "\"" + printable(name, 64) +
                    "\" is no subscriber name: 1 to 32 of a-z 0-9 . _ -, beginning with a letter or digit");
  if (roles::is_service_name(name))
    return fail(ErrorCode::usage, "\"" + name + "\" is the name of a service: no subscriber may have it");
  return {};
}

Result<std::string> identity_of(const std::string& name, const std::string& domain) {
  constexpr std::string_view scheme = "sip:";
  auto user = name;
  if (user.starts_with(scheme)) {
    if (!user.ends_with("@" + domain))
      return fail(ErrorCode::usage, "\"" + printable(name, 120) + "\" is no identity of " + domain);
    user = user.substr(scheme.size(), user.size() - scheme.size() - domain.size() - 1);
  }
  SEALCAST_TRY(check_subscriber_name(user));
  return "sip:" + user + "@" + domain;
}

Result<std::string> subscriber_name(const Globals& globals, const std::string& given) {
  if (!given.empty()) return given;
  std::vector<std::string> kept;
  std::error_code error;
  for (auto& entry : fs::directory_iterator(globals.directory / "subscribers", error))
    if (fs::exists(entry.path() / "password")) kept.push_back(entry.path().filename().string());
  if (kept.size() == 1) return kept.front();
  return fail(ErrorCode::usage,
              kept.empty() ? "no subscriber is kept in " + globals.directory.string() + ": sealcast subscriber add NAME"
                           : "which subscriber? --as one of " + joined(kept));
}

Result<json::Value> ask_node(const Globals& globals, const fs::path& given, const std::string& what) {
  SEALCAST_TRY_ASSIGN(auto socket, find_admin_socket(globals, given));
  SEALCAST_TRY_ASSIGN(auto response, io::http_call(socket, {"GET", "/api/v1/" + what, {}, {}, {}, 0}, 10s));
  if (response.status != 200) return fail(roles::api_error(response, "the node refuses"));
  auto document = json::parse(response.body, {64 << 20, 8});
  if (!document || !document->as_object()) return fail(ErrorCode::network, "the node's answer cannot be read");
  return document;
}

Result<std::string> domain_of_node(const fs::path& socket) {
  SEALCAST_TRY_ASSIGN(auto response, io::http_call(socket, {"GET", "/api/v1/node", {}, {}, {}, 0}, 10s));
  auto document = json::parse(response.body);
  auto domain = document ? document->string_or("domain") : std::string();
  if (domain.empty()) return fail(ErrorCode::network, "the node at " + socket.string() + " is no cache of Sealcast");
  return domain;
}

std::string access_body(const tracking::AccessList& access) {
  return json::Value(
             json::Object{{"public", access.everybody}, {"who", json::Array(access.who.begin(), access.who.end())}})
      .text();
}

ProgressStyle progress_style(const std::string& name) {
  if (name == "bar") return ProgressStyle::bar;
  if (name == "plain") return ProgressStyle::plain;
  if (name == "json") return ProgressStyle::json;
  if (name == "none") return ProgressStyle::none;
  return ProgressStyle::automatic;
}

namespace {

Result<std::uint64_t> parse_amount(const std::string& text, const char* what, const char* in) {
  std::uint64_t out = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  auto unit = std::string(end, text.data() + text.size());
  std::uint64_t factor = unit.empty()                 ? 1
                         : unit == "K" || unit == "k" ? 1024
                         : unit == "M" || unit == "m" ? 1 << 20
                         : unit == "G" || unit == "g" ? 1 << 30
                                                      : 0;
  if (error != std::errc{} || factor == 0 || out > UINT64_MAX / 2 / factor)
    return fail(ErrorCode::usage, "\"" + printable(text, 40) + "\" is no " + what + ": digits and K, M or G, in " + in);
  return out * factor;
}

}  // namespace

Result<std::uint64_t> parse_rate(const std::string& text) {
  return parse_amount(text, "rate", "octets a second");
}

Result<std::uint64_t> parse_octets(const std::string& text) {
  return parse_amount(text, "amount", "octets");
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (auto& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
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
