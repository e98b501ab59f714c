// subscriber add|list|remove: provisioning of the embedded core.
#include <sys/stat.h>

#include <iostream>

#include "base/encoding.hpp"
#include "base/text.hpp"
#include "command.hpp"
#include "io/file.hpp"
#include "io/unix_socket.hpp"
#include "os/clock.hpp"
#include "os/random.hpp"
#include "output.hpp"
#include "roles/common/names.hpp"
#include "store/audit.hpp"
#include "store/subscribers.hpp"

namespace sealcast::app {
namespace {

struct Flags {
  std::string name;
  bool password_stdin = false;
};

struct Provisioning {
  roles::Laboratory lab;
  std::string domain;
  store::Subscribers store;
};

Result<Provisioning> open(const Globals& globals) {
  SEALCAST_TRY_ASSIGN(auto lab, find_laboratory(globals));
  SEALCAST_TRY_ASSIGN(auto core, read_core_config(lab.core_config()));
  SEALCAST_TRY_ASSIGN(auto store, store::Subscribers::open(core.state / "subscribers.db"));
  return Provisioning{std::move(lab), core.sip.domain, std::move(store)};
}

Result<std::string> password_of(const Flags& flags) {
  std::string out;
  if (flags.password_stdin) {
    std::getline(std::cin, out);
    if (out.empty() || out.size() > 512)
      return fail(ErrorCode::usage, "standard input gives no password of 1 to 512 octets on its first line");
    return out;
  }
  std::array<std::uint8_t, 18> octets;
  os::SystemRandom().fill(octets);
  out = base64url(octets);
  wipe(octets);
  return out;
}

// Who may register is who may be entitled: an auditor asks who changed it.
Status audit(const roles::Laboratory& lab, const std::string& event, const std::string& identity,
             const std::string& what) {
  SEALCAST_TRY_ASSIGN(auto core, read_core_config(lab.core_config()));
  SEALCAST_TRY_ASSIGN(auto log, store::AuditLog::open(core.state / "audit.db"));
  return log.append({0, os::unix_now(), event, io::own_user_text(), identity, {}, {}, 200, what});
}

Status add(const Globals& globals, const Flags& flags) {
  SEALCAST_TRY(check_subscriber_name(flags.name));
  SEALCAST_TRY_ASSIGN(auto to, open(globals));
  SEALCAST_TRY_ASSIGN(auto password, password_of(flags));
  io::set_interrupt(io::Interrupt::remembered);  // in both places or in none
  SEALCAST_TRY(to.store.add(flags.name, to.domain, password));
  SEALCAST_TRY(audit(to.lab, "subscriber-add", "sip:" + flags.name + "@" + to.domain, "may register"));
  // For --as on this machine. Whoever reads it is this subscriber.
  auto place = to.lab.subscriber(flags.name);
  SEALCAST_TRY(io::make_directory(place, 0700));
  auto kept = io::write_file_atomically(place / "password", view_of(password + "\n"), 0600);
  wipe({reinterpret_cast<std::uint8_t*>(password.data()), password.size()});
  SEALCAST_TRY(std::move(kept));
  auto identity = "sip:" + flags.name + "@" + to.domain;
  if (globals.json)
    print("%s\n", json::Value(json::Object{{"name", flags.name}, {"identity", identity}}).text().c_str());
  else
    print("%s\n", identity.c_str());
  return {};
}

Status list(const Globals& globals) {
  SEALCAST_TRY_ASSIGN(auto from, open(globals));
  SEALCAST_TRY_ASSIGN(auto all, from.store.list());
  json::Array out;
  for (auto& each : all) {
    if (globals.json)
      out.push_back(json::Object{
          {"name", each.name}, {"identity", "sip:" + each.name + "@" + from.domain}, {"device", each.device}});
    else
      print("%-32s %s\n", each.name.c_str(), each.device.empty() ? "no device yet" : ("device " + each.device).c_str());
  }
  if (globals.json) print("%s\n", json::Value(json::Object{{"subscribers", std::move(out)}}).text().c_str());
  return {};
}

Status remove(const Globals& globals, const Flags& flags) {
  SEALCAST_TRY(check_subscriber_name(flags.name));
  SEALCAST_TRY_ASSIGN(auto from, open(globals));
  io::set_interrupt(io::Interrupt::remembered);
  SEALCAST_TRY(from.store.remove(flags.name));
  SEALCAST_TRY(audit(from.lab, "subscriber-remove", "sip:" + flags.name + "@" + from.domain, "may register no more"));
  std::error_code ignored;
  std::filesystem::remove(from.lab.subscriber(flags.name) / "password", ignored);
  if (globals.json)
    print("%s\n", json::Value(json::Object{{"name", flags.name}, {"identity", "sip:" + flags.name + "@" + from.domain}})
                      .text()
                      .c_str());
  return {};
}

}  // namespace

void add_subscriber_commands(CLI::App& app, Globals& globals) {
  auto flags = std::make_shared<Flags>();  // owners: the parsers' options and the actions
  auto* group = app.add_subcommand("subscriber", "who may register with the embedded core: add, list, remove");
  group->require_subcommand(1);
  group->fallthrough();
  auto* adding =
      add_command(*group, globals, "add", "a new subscriber; the password is generated and kept for --as, or read",
                  [&globals, flags] { return add(globals, *flags); });
  adding->add_option("NAME", flags->name, "1 to 32 of a-z 0-9 . _ -")->required();
  adding->add_flag("--password-stdin", flags->password_stdin,
                   "read the password from the first line of standard input");
  add_command(*group, globals, "list", "all subscribers", [&globals] { return list(globals); });
  add_command(*group, globals, "remove", "remove a subscriber; a running registration ends with its expiry",
              [&globals, flags] { return remove(globals, *flags); })
      ->add_option("NAME", flags->name, "subscriber")
      ->required();
}

}  // namespace sealcast::app
