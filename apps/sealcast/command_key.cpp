// key, entitle, audit: who may read what, and who was allowed to.
#include <algorithm>
#include <ctime>
#include <functional>

#include "base/text.hpp"
#include "command.hpp"
#include "content/uri.hpp"
#include "io/file.hpp"
#include "io/http.hpp"
#include "io/unix_socket.hpp"
#include "os/clock.hpp"
#include "output.hpp"
#include "roles/cache/cache_api.hpp"
#include "roles/provider/publisher.hpp"
#include "store/audit.hpp"

namespace sealcast::app {
namespace {

struct Flags {
  std::string uri;
  std::filesystem::path socket, file;
  std::vector<std::string> names, removed;
  bool everybody = false, not_everybody = false;
  std::int64_t after = 0;
  std::string log;
};

Status key_list(const Globals& globals, const Flags& flags) {
  SEALCAST_TRY_ASSIGN(auto document, ask_node(globals, flags.socket, "keys"));
  if (globals.json) {
    print("%s\n", document.text().c_str());
    return {};
  }
  if (auto* keys = document.find("keys"); keys && keys->as_array())
    for (auto& key : *keys->as_array())
      print("%s  key id %s\n", printable(key.string_or("root")).c_str(), printable(key.string_or("kid")).c_str());
  return {};
}

Status key_import(const Globals& globals, const Flags& flags) {
  SEALCAST_TRY_ASSIGN(auto content, roles::read_key_file(flags.file));
  SEALCAST_TRY_ASSIGN(auto socket, find_admin_socket(globals, flags.socket));
  SEALCAST_TRY_ASSIGN(auto root, roles::import_key_file(socket, content));
  if (globals.json)
    print("%s\n", json::Value(json::Object{{"root", root}}).text().c_str());
  else
    std::fprintf(stderr, "sealcast: the key of %s is held there now\n", printable(root).c_str());
  return {};
}

// From the provider's own records: a cache never gives a key back.
Status key_export(const Globals& globals, const Flags& flags) {
  SEALCAST_TRY_ASSIGN(auto uri, content::parse_content_uri(flags.uri));
  auto kept = globals.directory / "provider" / "keys" / content::root_text(uri.root);
  if (!std::filesystem::exists(kept))
    return fail(ErrorCode::not_found, "the provider in " + globals.directory.string() + " has no key of this content");
  SEALCAST_TRY_ASSIGN(auto content, roles::read_key_file(kept));
  SEALCAST_TRY_ASSIGN(auto log, store::AuditLog::open(globals.directory / "provider" / "audit.db"));
  SEALCAST_TRY(log.append({0,
                           os::unix_now(),
                           "key-export",
                           io::own_user_text(),
                           {},
                           content::root_text(uri.root),
                           {},
                           200,
                           "written to " + printable(flags.file.string(), 400)}));
  io::set_interrupt(io::Interrupt::remembered);  // no part of a key file stays
  SEALCAST_TRY(roles::write_key_file(flags.file, content));
  if (globals.json)
    print("%s\n", json::Value(json::Object{{"root", content::root_text(uri.root)}, {"file", flags.file.string()}})
                      .text()
                      .c_str());
  return {};
}

Status key_revoke(const Globals& globals, const Flags& flags) {
  SEALCAST_TRY_ASSIGN(auto uri, content::parse_content_uri(flags.uri));
  SEALCAST_TRY_ASSIGN(auto socket, find_admin_socket(globals, flags.socket));
  SEALCAST_TRY_ASSIGN(
      auto response,
      io::http_call(socket, {"DELETE", "/api/v1/keys/" + content::root_text(uri.root), {}, {}, {}, 0}, 10s));
  if (response.status != 200) return fail(roles::api_error(response, "revocation"));
  if (globals.json) print("%s\n", json::Value(json::Object{{"root", content::root_text(uri.root)}}).text().c_str());
  return {};
}

Status entitle(const Globals& globals, const Flags& flags) {
  SEALCAST_TRY_ASSIGN(auto uri, content::parse_content_uri(flags.uri));
  auto target = "contents/" + content::root_text(uri.root);
  SEALCAST_TRY_ASSIGN(auto document, ask_node(globals, flags.socket, target));
  std::vector<std::string> who;
  if (auto* known = document.find("who"); known && known->as_array())
    for (auto& each : *known->as_array())
      if (each.as_string()) who.push_back(*each.as_string());
  for (auto& name : flags.names) {
    SEALCAST_TRY_ASSIGN(auto identity, identity_of(name, uri.domain));
    if (std::find(who.begin(), who.end(), identity) == who.end()) who.push_back(identity);
  }
  for (auto& name : flags.removed) {
    SEALCAST_TRY_ASSIGN(auto identity, identity_of(name, uri.domain));
    std::erase(who, identity);
  }
  tracking::AccessList access{(document.bool_or("public") || flags.everybody) && !flags.not_everybody, who};
  SEALCAST_TRY_ASSIGN(auto socket, find_admin_socket(globals, flags.socket));
  SEALCAST_TRY_ASSIGN(
      auto response,
      io::http_call(socket, {"PUT", "/api/v1/" + target + "/entitlements", access_body(access), {}, {}, 0}, 10s));
  if (response.status != 200) return fail(roles::api_error(response, "entitlements"));
  if (document.bool_or("announced") && !roles::wait_until_announced(socket, content::root_text(uri.root)))
    std::fprintf(stderr, "sealcast: the tracker has not confirmed the change yet; the cache goes on trying\n");
  if (globals.json)
    print("%s\n", access_body(access).c_str());
  else
    print("%s\n", access.everybody ? "public" : who.empty() ? "nobody" : joined(who).c_str());
  return {};
}

// Takes the lines of one log in parts; `part` gives those behind a number.
Status take_lines(const std::string& log, std::int64_t after, json::Array& into,
                  const std::function<Result<json::Array>(std::int64_t after)>& part) {
  for (;;) {
    SEALCAST_TRY_ASSIGN(auto lines, part(after));
    if (lines.empty()) return {};
    for (auto& line : lines) {
      after = std::max(after, line.int_or("seq"));
      auto object = *line.as_object();
      object["log"] = log;
      into.push_back(std::move(object));
    }
  }
}

// A log that lies in this laboratory and whose role has no admin socket.
Status take_file(const std::string& name, const std::filesystem::path& file, const Flags& flags, json::Array& into) {
  if (!std::filesystem::exists(file)) return {};
  SEALCAST_TRY_ASSIGN(auto log, store::AuditLog::of(file));
  return take_lines(name, flags.after, into, [&](std::int64_t after) -> Result<json::Array> {
    SEALCAST_TRY_ASSIGN(auto rows, log.after(after, 1000));
    json::Array out;
    for (auto& row : rows) out.push_back(roles::audit_document(row));
    return out;
  });
}

void print_line(const json::Value& line) {
  auto time = static_cast<std::time_t>(line.int_or("time"));
  char shown[32];
  std::strftime(shown, sizeof shown, "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&time));
  print("%-8s %6lld  %s  %-12s %lld  %s  %s  %s\n", line.string_or("log").c_str(),
        static_cast<long long>(line.int_or("seq")), shown, printable(line.string_or("event")).c_str(),
        static_cast<long long>(line.int_or("status")), printable(line.string_or("who")).c_str(),
        printable(line.string_or("root")).c_str(), printable(line.string_or("reason"), 2000).c_str());
}

Status audit_query(const Globals& globals, const Flags& flags) {
  json::Array all;
  auto wanted = [&](const char* name) { return flags.log.empty() || flags.log == name; };
  if (wanted("cache"))
    SEALCAST_TRY(take_lines("cache", flags.after, all, [&](std::int64_t after) -> Result<json::Array> {
      SEALCAST_TRY_ASSIGN(auto document, ask_node(globals, flags.socket, "audit?after=" + std::to_string(after)));
      auto* lines = document.find("audit");
      return lines && lines->as_array() ? *lines->as_array() : json::Array{};
    }));
  const auto& dir = globals.directory;
  if (wanted("tracker")) SEALCAST_TRY(take_file("tracker", dir / "tracker" / "catalogue.db", flags, all));
  if (wanted("core")) SEALCAST_TRY(take_file("core", dir / "core" / "audit.db", flags, all));
  if (wanted("provider")) SEALCAST_TRY(take_file("provider", dir / "provider" / "audit.db", flags, all));
  std::stable_sort(all.begin(), all.end(), [](auto& a, auto& b) { return a.int_or("time") < b.int_or("time"); });
  if (globals.json)
    print("%s\n", json::Value(json::Object{{"audit", std::move(all)}}).text().c_str());
  else
    for (auto& line : all) print_line(line);
  return {};
}

}  // namespace

void add_key_commands(CLI::App& app, Globals& globals) {
  auto flags = std::make_shared<Flags>();  // owners: the parsers' options and the actions
  auto socket = [flags](CLI::App* command) {
    command->add_option("--socket", flags->socket, "admin socket of the cache (default: DIR/admin.sock)");
    return command;
  };
  auto uri = [flags](CLI::App* command) {
    command->add_option("URI", flags->uri, "sealcast:...@domain")->required();
    return command;
  };
  auto* key = app.add_subcommand("key", "content keys at a cache: list, import, export, revoke");
  key->require_subcommand(1);
  key->fallthrough();
  socket(add_command(*key, globals, "list", "contents whose key the cache holds",
                     [&globals, flags] { return key_list(globals, *flags); }));
  auto* in = socket(add_command(*key, globals, "import", "give a cache the key of a key file",
                                [&globals, flags] { return key_import(globals, *flags); }));
  in->add_option("FILE", flags->file, "written by publish --key-out or key export")->required();
  auto* out = uri(add_command(*key, globals, "export", "the provider's key of a content, into a key file (0600)",
                              [&globals, flags] { return key_export(globals, *flags); }));
  out->add_option("FILE", flags->file, "key file")->required();
  uri(socket(add_command(*key, globals, "revoke", "the cache forgets a key: it releases it no more",
                         [&globals, flags] { return key_revoke(globals, *flags); })));

  auto* who = uri(socket(add_command(app, globals, "entitle", "who may have a content",
                                     [&globals, flags] { return entitle(globals, *flags); })));
  who->add_option("NAME", flags->names, "subscribers to add");
  who->add_option("--remove", flags->removed, "subscriber to take out; may be given again");
  who->add_flag("--public", flags->everybody, "everybody");
  who->add_flag("--not-public", flags->not_everybody, "only those who are named");

  auto* audit = app.add_subcommand("audit", "who asked, changed or decided what: query");
  audit->require_subcommand(1);
  audit->fallthrough();
  auto* query = socket(add_command(*audit, globals, "query", "one line for each decision",
                                   [&globals, flags] { return audit_query(globals, *flags); }));
  query->add_option("--after", flags->after, "only lines behind this number of their log");
  query->add_option("--log", flags->log, "only this one: cache, tracker, core, provider")
      ->check(CLI::IsMember({"cache", "tracker", "core", "provider"}));
}

}  // namespace sealcast::app
