#include "man_page.hpp"

namespace sealcast::app {
namespace {

// roff takes lines that begin with a dot or a quote as requests, and a backslash as an escape.
std::string roff(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if ((c == '.' || c == '\'') && (i == 0 || text[i - 1] == '\n')) out += "\\&";
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
  }
  return out;
}

void write_options(const CLI::App& command, std::string& out) {
  for (auto* option : command.get_options([](const CLI::Option* o) { return !o->get_group().empty(); })) {
    auto name = option->get_positional() ? option->get_name(true) : option->get_name(false, true);
    for (auto& c : name)
      if (c == ',') c = ' ';
    bool takes_value = !option->get_positional() && option->get_items_expected_max() > 0;
    out += ".TP\n\\fB" + roff(name) + "\\fR" +
           (takes_value ? " \\fI" + roff(option->get_type_name().empty() ? "VALUE" : option->get_type_name()) + "\\fR"
                        : "") +
           "\n" + roff(option->get_description()) + "\n";
  }
}

void write_command(const CLI::App& command, const std::string& path, std::string& out) {
  auto children = command.get_subcommands([](const CLI::App*) { return true; });
  if (children.empty()) {
    out += ".SS \"" + roff(path) + "\"\n" + roff(command.get_description()) + "\n";
    write_options(command, out);
  }
  for (auto* child : children) write_command(*child, path + " " + child->get_name(), out);
}

}  // namespace

std::string man_page(const CLI::App& app, const std::string& version) {
  std::string out =
      ".TH SEALCAST 1 \"\" \"Sealcast " + version + "\" \"User Commands\"\n.SH NAME\nsealcast \\- " +
      roff(app.get_description()) +
      "\n.SH SYNOPSIS\n.B sealcast\n.I command\n.RI [ options ]\n.SH OPTIONS\nThese may be given with every command.\n";
  write_options(app, out);
  out += ".SH COMMANDS\n";
  for (auto* child : app.get_subcommands([](const CLI::App*) { return true; }))
    write_command(*child, child->get_name(), out);
  out +=
      ".SH EXIT STATUS\n" + roff(app.get_footer()) +
      ".SH ENVIRONMENT\n.TP\n.B SEALCAST_DIR\nwhat \\-\\-dir is when it is not given\n.TP\n.B SEALCAST_CRYPTO\nopenssl "
      "or ipsec\\-mb: which library encrypts packets and hashes chunks (default: the faster one that works here); "
      "ipsec\\-mb\\-avx2 and ipsec\\-mb\\-sse do without wider vectors\n.TP\n.B SEALCAST_MEDIA\nno\\-gso, no\\-gro, "
      "one\\-thread, with commas between: steps of the media plane that are left out\n";
  return out;
}

}  // namespace sealcast::app
