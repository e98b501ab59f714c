// publish: seal, sign, upload, announce.
#include "base/text.hpp"
#include "command.hpp"
#include "io/http.hpp"
#include "os/clock.hpp"
#include "os/random.hpp"
#include "output.hpp"
#include "progress.hpp"
#include "roles/provider/publisher.hpp"

namespace sealcast::app {
namespace {

// Larger chunks do not fit a datagram on every path (docs/protocol.md section 5).
constexpr std::uint32_t k_safe_chunk_size = 1183;

struct Flags {
  roles::PublishOptions options;
  std::string protection = "sealed+session", progress = "auto";
  std::vector<std::string> entitled;
  bool everybody = false;
  std::filesystem::path socket, provider;
  int valid_days = 30;
};

Status publish(const Globals& globals, Flags& flags) {
  auto protection = content::parse_protection(flags.protection);
  if (!protection) return fail(ErrorCode::usage, "--protect is sealed+session, sealed, session or none");
  flags.options.protection = *protection;
  flags.options.validity = UnixSeconds{flags.valid_days} * 86400;
  if (flags.options.title.size() > 200 || !is_utf8(flags.options.title))
    return fail(ErrorCode::usage, "--title must be UTF-8 of at most 200 octets");
  if (flags.options.chunk_size > k_safe_chunk_size)
    std::fprintf(stderr, "sealcast: chunks of %u octets do not fit a datagram on every path: transfers may stall\n",
                 flags.options.chunk_size);
  SEALCAST_TRY_ASSIGN(auto socket, find_admin_socket(globals, flags.socket));
  SEALCAST_TRY_ASSIGN(auto domain, domain_of_node(socket));
  flags.options.access.everybody = flags.everybody;
  for (auto& name : flags.entitled) {
    SEALCAST_TRY_ASSIGN(auto identity, identity_of(name, domain));
    flags.options.access.who.push_back(identity);
  }
  if (!flags.everybody && flags.entitled.empty())
    std::fprintf(stderr, "sealcast: nobody is entitled yet: sealcast entitle URI NAME\n");
  Progress progress(progress_style(flags.progress));
  os::SystemRandom random;
  auto provider = flags.provider.empty() ? globals.directory / "provider" : flags.provider;
  roles::Publisher publisher(provider, socket, random, [&](const roles::PublishProgress& p) {
    progress.update(os::monotonic_now(), {p.phase, p.total, p.done, 0, 0});
  });
  auto published = publisher.publish(flags.options);
  progress.finish();
  io::set_interrupt(io::Interrupt::remembered);  // what was published is told
  if (!published) return fail(published.error());
  auto& d = published->description;
  auto uri = published->uri.text();
  if (published->reused) std::fprintf(stderr, "sealcast: went on with an earlier sealing of this file\n");
  if (!published->announced)
    std::fprintf(stderr, "sealcast: the tracker has not confirmed the announcement yet; the cache goes on trying\n");
  if (globals.json) {
    print("%s\n", json::Value(json::Object{{"uri", uri},
                                           {"root", content::root_text(d.root)},
                                           {"cid", d.content_id},
                                           {"bytes", d.plain_length},
                                           {"object_bytes", d.length},
                                           {"protection", std::string(content::name(d.protection))},
                                           {"chunk", std::int64_t{d.chunk_size}},
                                           {"announced", published->announced}})
                      .text()
                      .c_str());
  } else {
    print("%s\n", uri.c_str());
  }
  auto told = flush_output();
  // Nobody can guess it.
  if (!told) std::fprintf(stderr, "sealcast: the content is published as %s\n", uri.c_str());
  return told;
}

}  // namespace

void add_publish_command(CLI::App& app, Globals& globals) {
  auto flags = std::make_shared<Flags>();  // owners: the parser's options and the action
  auto* command = add_command(app, globals, "publish", "publish a file: prints the content URI",
                              [&globals, flags] { return publish(globals, *flags); });
  command->add_option("FILE", flags->options.source, "regular file")->required();
  command->add_option("--protect", flags->protection,
                      "sealed+session (default), sealed (no SRTP: cheapest to serve; who reads what is visible), "
                      "session (SRTP only: caches and SIP hops can read), none");
  command->add_option("--entitle", flags->entitled, "subscriber who may have it; may be given again");
  command->add_flag("--public", flags->everybody, "every subscriber may have it");
  command->add_option("--title", flags->options.title, "public title, in clear in the catalogue");
  command->add_option("--type", flags->options.type, "MIME type (default application/octet-stream)");
  command
      ->add_option("--chunk-size", flags->options.chunk_size,
                   "octets of a chunk, 512..8192 (default 1152: fits every path)")
      ->check(CLI::Range(512, 8192));
  command->add_option("--valid-days", flags->valid_days, "validity of the description (default 30)")
      ->check(CLI::Range(1, 3650));
  command->add_option("--not-before", flags->options.not_before,
                      "time (seconds since 1970) from which the key is released");
  command->add_option("--key-out", flags->options.key_out,
                      "write the key into this file (0600) instead of giving it to the cache");
  command->add_option("--socket", flags->socket, "admin socket of the cache (default: DIR/admin.sock)");
  command->add_option("--provider", flags->provider, "directory with provider.pem and spool (default: DIR/provider)");
  command->add_option("--progress", flags->progress, "auto, bar, plain, json, none")
      ->check(CLI::IsMember({"auto", "bar", "plain", "json", "none"}));
}

}  // namespace sealcast::app
