// ls, show, status: what a running node knows.
#include "base/text.hpp"
#include "command.hpp"
#include "content/uri.hpp"
#include "io/http.hpp"
#include "output.hpp"

namespace sealcast::app {
namespace {

struct Flags {
  std::string uri;
  std::filesystem::path socket;
};

std::string text_of(const json::Value& v) {
  if (auto* s = v.as_string()) return printable(*s);
  return printable(v.text(), 4096);
}

// Page by page; a line is printed as soon as it is known.
Status ls(const Globals& globals, const Flags& flags) {
  json::Array all;
  std::string after;
  do {
    SEALCAST_TRY_ASSIGN(auto document,
                        ask_node(globals, flags.socket, after.empty() ? "contents" : "contents?after=" + after));
    auto* contents = document.find("contents");
    if (!contents || !contents->as_array()) return fail(ErrorCode::network, "the node's answer cannot be read");
    for (auto& c : *contents->as_array()) {
      if (globals.json) {
        all.push_back(c);
        continue;
      }
      auto title = c.string_or("title", c.string_or("name"));
      print("%s  %10s  %-14s  %-9s  %s%s\n", text_of(*c.find("uri")).c_str(),
            human_size(static_cast<double>(c.int_or("plain_len"))).c_str(), c.string_or("prot").c_str(),
            c.string_or("state").c_str(), c.bool_or("key") ? "key  " : "     ", printable(title).c_str());
    }
    after = document.string_or("next");
  } while (!after.empty());
  if (globals.json) print("%s\n", json::Value(json::Object{{"contents", std::move(all)}}).text().c_str());
  return {};
}

Status show(const Globals& globals, const Flags& flags) {
  SEALCAST_TRY_ASSIGN(auto uri, content::parse_content_uri(flags.uri));
  SEALCAST_TRY_ASSIGN(auto document, ask_node(globals, flags.socket, "contents/" + content::root_text(uri.root)));
  if (globals.json)
    print("%s\n", document.text().c_str());
  else
    for (auto& [name, value] : *document.as_object())
      if (name != "description") print("%-12s %s\n", name.c_str(), text_of(value).c_str());
  return {};
}

void print_tree(const std::string& prefix, const json::Value& value) {
  if (auto* object = value.as_object())
    for (auto& [name, member] : *object) print_tree(prefix.empty() ? name : prefix + "." + name, member);
  else
    print("%-28s %s\n", prefix.c_str(), text_of(value).c_str());
}

Status status(const Globals& globals, const Flags& flags) {
  SEALCAST_TRY_ASSIGN(auto document, ask_node(globals, flags.socket, "status"));
  if (globals.json)
    print("%s\n", document.text().c_str());
  else
    print_tree({}, document);
  return {};
}

}  // namespace

void add_query_commands(CLI::App& app, Globals& globals) {
  auto flags = std::make_shared<Flags>();  // owners: the parsers' options and the actions
  auto socket = [flags](CLI::App* command) {
    command->add_option("--socket", flags->socket, "admin socket (default: DIR/admin.sock)");
  };
  socket(add_command(app, globals, "ls", "contents of the node", [&globals, flags] { return ls(globals, *flags); }));
  auto* one = add_command(app, globals, "show", "one content", [&globals, flags] { return show(globals, *flags); });
  one->add_option("URI", flags->uri, "sealcast:...@domain")->required();
  socket(one);
  socket(add_command(app, globals, "status", "counters and associations of the running node",
                     [&globals, flags] { return status(globals, *flags); }));
}

}  // namespace sealcast::app
