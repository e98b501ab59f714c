#pragma once
// The commands of the command line: each file adds its own to the parser; the chosen one leaves its action to be run
// after parsing.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>

#include "base/json.hpp"
#include "base/result.hpp"
#include "config_file.hpp"
#include "io/loop.hpp"
#include "io/signals.hpp"
#include "progress.hpp"
#include "roles/laboratory.hpp"
#include "tracking/messages.hpp"

namespace sealcast::app {

// Options that every command has.
struct Globals {
  std::filesystem::path directory;  // --dir
  std::string log_level;            // --log; empty: not given
  bool json = false;
  std::function<int()> action;  // of the command that was given
};

void add_node_commands(CLI::App& app, Globals& globals);        // up, core, tracker, cache, init
void add_subscriber_commands(CLI::App& app, Globals& globals);  // subscriber add|list|remove
void add_publish_command(CLI::App& app, Globals& globals);      // publish
void add_transfer_commands(CLI::App& app, Globals& globals);    // get, seed
void add_query_commands(CLI::App& app, Globals& globals);       // ls, show, status
void add_key_commands(CLI::App& app, Globals& globals);         // key, entitle, audit
void add_config_commands(CLI::App& app, Globals& globals);      // config check, sdp explain

// A command under `parent` whose action is `run`; its options are added by the caller.
// `interrupt`: what SIGINT and SIGTERM do while it runs no loop.
CLI::App* add_command(CLI::App& parent, Globals& globals, const std::string& name, const std::string& about,
                      std::function<Status()> run, io::Interrupt interrupt = io::Interrupt::ends);

// The laboratory in --dir, waiting some seconds for an `up` that is still making it.
Result<roles::Laboratory> find_laboratory(const Globals& globals);
// Admin socket of the node in --dir (or `socket`, if given), waiting for it to answer.
Result<std::filesystem::path> find_admin_socket(const Globals& globals, const std::filesystem::path& socket);
// What `name` needs to act as a subscriber of the laboratory, or of the node that `config` describes.
Result<roles::UeConfig> subscriber_config(const Globals& globals, const std::filesystem::path& config,
                                          const std::string& name);
// `given`, or the only subscriber that is kept in --dir.
Result<std::string> subscriber_name(const Globals& globals, const std::string& given);
// Lower-case name as docs/protocol.md section 1 wants it, and none that a service has.
Status check_subscriber_name(const std::string& name);
// "alice" or "sip:alice@domain" as a public identity of `domain`.
Result<std::string> identity_of(const std::string& name, const std::string& domain);

// GET /api/v1/<what> of the node: its document, or the error that it gives.
Result<json::Value> ask_node(const Globals& globals, const std::filesystem::path& socket, const std::string& what);
Result<std::string> domain_of_node(const std::filesystem::path& socket);
std::string access_body(const tracking::AccessList& access);

ProgressStyle progress_style(const std::string& name);
// Octets a second: "500K", "20M", "1G", plain digits; 0 = no limit.
Result<std::uint64_t> parse_rate(const std::string& text);    // "300K": octets a second
Result<std::uint64_t> parse_octets(const std::string& text);  // "300K"
json::Object failure_document(const Error& error);            // of get --json
std::string joined(const std::vector<std::string>& words);    // with blanks

}  // namespace sealcast::app
