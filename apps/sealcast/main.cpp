#include <cstdlib>
#include <sstream>
#include <thread>

#include "base/log.hpp"
#include "base/text.hpp"
#include "command.hpp"
#include "crypto/backend.hpp"
#include "io/media_driver.hpp"
#include "io/signals.hpp"
#include "logging.hpp"
#include "man_page.hpp"
#include "os/clock.hpp"
#include "os/limits.hpp"
#include "output.hpp"

namespace sealcast::app {
namespace {

std::filesystem::path default_directory() {
  if (auto* given = std::getenv("SEALCAST_DIR"); given && *given) return given;
  if (auto* state = std::getenv("XDG_STATE_HOME"); state && *state) return std::filesystem::path(state) / "sealcast";
  if (auto* home = std::getenv("HOME"); home && *home) return std::filesystem::path(home) / ".local/state/sealcast";
  return "/var/lib/sealcast";
}

Status choose_crypto() {
  auto* given = std::getenv("SEALCAST_CRYPTO");
  std::string wanted = given ? given : "";
  if (wanted == "openssl")
    crypto::set_backend(crypto::Backend::openssl);
  else if (wanted == "ipsec-mb")
    crypto::set_backend(crypto::Backend::ipsec_mb);
  else if (wanted == "ipsec-mb-avx2")
    crypto::set_backend(crypto::Backend::ipsec_mb, crypto::Vectors::avx2);
  else if (wanted == "ipsec-mb-sse")
    crypto::set_backend(crypto::Backend::ipsec_mb, crypto::Vectors::sse);
  else if (!wanted.empty())
    return fail(ErrorCode::usage, "SEALCAST_CRYPTO is \"" + printable(wanted, 80) +
                                      "\"; it may be openssl, ipsec-mb, ipsec-mb-avx2 or ipsec-mb-sse");
  if (auto trouble = crypto::backend_trouble(); !trouble.empty() && wanted.empty())
    log(LogLevel::info, "crypto", "OpenSSL does what ipsec-mb would do faster: " + trouble);
  return crypto::self_test();
}

// Steps that a kernel or a machine may lack, left out one by one.
Status choose_media() {
  auto* given = std::getenv("SEALCAST_MEDIA");
  io::MediaOptions options;
  options.storage_thread = std::thread::hardware_concurrency() > 1;
  std::istringstream words(given ? given : "");
  for (std::string word; std::getline(words, word, ',');) {
    if (word == "no-gso")
      options.segmentation = false;
    else if (word == "no-gro")
      options.coalescing = false;
    else if (word == "one-thread")
      options.storage_thread = false;
    else if (!word.empty())
      return fail(ErrorCode::usage, "SEALCAST_MEDIA has \"" + printable(word, 80) +
                                        "\" in it; it may have no-gso, no-gro and one-thread, with commas between");
  }
  io::MediaOptions::set_of_process(std::move(options));
  return {};
}

// Environment switches of the SIP library that would write keys to a file.
void silence_sip_library() {
  for (auto* name : {"TPORT_LOG", "TPORT_DUMP", "TPORT_DEBUG", "NUA_DEBUG", "NTA_DEBUG", "SOFIA_DEBUG"})
    ::unsetenv(name);
}

constexpr const char* k_footer =
    "Exit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 not entitled, 5 network, 6 integrity, 7 interrupted (resume "
    "with get -c), "
    "8 key not released yet, 9 disk full, 10 negotiation failed, 11 authentication refused.\n";

// `get --json` gives a document for a command line that cannot be read, too.
bool wants_document(int argc, char** argv) {
  bool get = false, json = false;
  for (int i = 1; i < argc; ++i) {
    get = get || std::string_view(argv[i]) == "get";
    json = json || std::string_view(argv[i]) == "--json";
  }
  return get && json;
}

int run(int argc, char** argv) {
  auto refuse = [&](const Error& error) {
    if (wants_document(argc, argv)) print("%s\n", json::Value(failure_document(error)).text().c_str());
    return report(error);
  };
  CLI::App app{"Secure peer-to-peer content distribution over IMS.", "sealcast"};
  Globals globals;
  globals.directory = default_directory();
  app.set_version_flag("--version", "sealcast " SEALCAST_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  app.option_defaults()->always_capture_default(false);
  app.add_option("--dir", globals.directory,
                 "directory of the laboratory or node (default: $SEALCAST_DIR, or the user's state directory)");
  app.add_option("--log", globals.log_level, "what is logged on stderr: debug, info, warning, error, off")
      ->check(CLI::IsMember({"debug", "info", "warning", "error", "off"}));
  app.add_flag("--json", globals.json, "one JSON document on stdout");
  app.footer(k_footer);
  add_node_commands(app, globals);
  add_subscriber_commands(app, globals);
  add_publish_command(app, globals);
  add_transfer_commands(app, globals);
  add_query_commands(app, globals);
  add_key_commands(app, globals);
  add_config_commands(app, globals);
  if (argc == 2 && std::string_view(argv[1]) == "--man") {
    print("%s", man_page(app, SEALCAST_VERSION).c_str());
    return 0;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& done) {
    std::ostringstream text;
    app.exit(done, text, text);  // --help, --version
    print("%s", text.str().c_str());
    return 0;
  } catch (const CLI::ParseError& error) {
    auto left = app.remaining();
    bool no_command = app.get_subcommands().empty() && !left.empty() && !left.front().starts_with("-");
    auto sentence = no_command ? "there is no command \"" + left.front() + "\"" : std::string(error.what());
    return refuse({ErrorCode::usage, sentence + " (--help says more)"});
  }
  if (globals.directory.empty()) return refuse({ErrorCode::usage, "--dir is empty"});
  silence_sip_library();
  start_logging(globals.log_level.empty() ? "warning" : globals.log_level);
  if (auto chosen = choose_crypto(); !chosen) return refuse(chosen.error());
  if (auto chosen = choose_media(); !chosen) return refuse(chosen.error());
  return globals.action ? globals.action() : static_cast<int>(ErrorCode::usage);
}

}  // namespace
}  // namespace sealcast::app

// Before the libraries' own initializers: a signal that comes during them is remembered too. The sanitizers' run times
// are not there so early.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
__attribute__((section(".preinit_array"), used)) static void (*const first_instruction)() = sealcast::io::catch_signals;
#endif

int main(int argc, char** argv) {
  sealcast::io::catch_signals();
  sealcast::app::set_output_was_closed(sealcast::os::fill_standard_descriptors());
  sealcast::os::raise_descriptor_limit();
  sealcast::os::leave_out_stops();
  return sealcast::app::finish_output(sealcast::app::run(argc, argv));
}
