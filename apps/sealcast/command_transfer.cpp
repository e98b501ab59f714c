// get, seed: what a subscriber does with a content.
#include "base/text.hpp"
#include "command.hpp"
#include "logging.hpp"
#include "os/clock.hpp"
#include "output.hpp"
#include "progress.hpp"
#include "roles/ue/seeder.hpp"
#include "roles/ue/transfer.hpp"
#include "service.hpp"

namespace sealcast::app {
namespace {

struct Flags {
  std::string uri;
  std::vector<std::string> uris;
  roles::TransferOptions options;
  std::optional<std::string> out;
  std::string as, progress = "auto", key_order = "first", download_limit, upload_limit, memory_limit;
  std::filesystem::path config;
  int stall_timeout = 60;
  bool sealed_only = false;
};

constexpr Duration k_progress_interval = 100ms;

Result<roles::UeConfig> ue_config(const Globals& globals, const Flags& flags) {
  SEALCAST_TRY_ASSIGN(auto name, subscriber_name(globals, flags.as));
  SEALCAST_TRY_ASSIGN(auto config, subscriber_config(globals, flags.config, name));
  if (!flags.download_limit.empty()) {
    SEALCAST_TRY_ASSIGN(config.download_limit, parse_rate(flags.download_limit));
  }
  if (!flags.upload_limit.empty()) {
    SEALCAST_TRY_ASSIGN(config.upload_limit, parse_rate(flags.upload_limit));
  }
  if (!flags.memory_limit.empty()) {
    SEALCAST_TRY_ASSIGN(config.memory_limit, parse_octets(flags.memory_limit));
    if (config.memory_limit < swarm::k_least_memory_limit)
      return fail(ErrorCode::usage, "--memory-limit " + printable(flags.memory_limit, 40) + ": 4M is the least");
  }
  return config;
}

json::Object document_of(const content::ContentUri& uri, const roles::TransferReport& r) {
  json::Object out{
      {"uri", uri.text()},
      {"root", content::root_text(uri.root)},
      {"file", r.file.string()},
      {"bytes", r.octets},
      {"seconds", std::chrono::duration<double>(r.elapsed).count()},
      {"protection", r.protection},
      {"suite", r.suite},
      {"from", json::Object{{"cache", r.traffic.received_from_caches}, {"peers", r.traffic.received_from_ues}}}};
  if (!r.key_id.empty()) out["key"] = json::Object{{"id", r.key_id}, {"holder", r.key_holder}};
  if (!r.title.empty()) out["title"] = r.title;
  if (r.kept.runs != 0)
    out["kept"] = json::Object{{"sampled", r.kept.sampled}, {"checked", r.kept.runs}, {"damaged", r.kept.damaged}};
  return out;
}

void print_report(const roles::TransferReport& r) {
  auto seconds = std::chrono::duration<double>(r.elapsed).count();
  auto taken = r.traffic.received_from_caches + r.traffic.received_from_ues;
  std::fprintf(stderr, "%s: %s in %.2f s (%s/s), %s from caches, %s from peers; %s%s%s\n",
               printable(r.file.string()).c_str(), human_size(static_cast<double>(r.octets)).c_str(), seconds,
               human_size(seconds > 0 ? static_cast<double>(taken) / seconds : 0).c_str(),
               human_size(static_cast<double>(r.traffic.received_from_caches)).c_str(),
               human_size(static_cast<double>(r.traffic.received_from_ues)).c_str(), r.protection.c_str(),
               r.suite.empty() ? "" : ", ", r.suite.c_str());
}

Result<roles::TransferReport> transfer(io::Loop& loop, roles::UeNode& node, const content::ContentUri& uri,
                                       const Flags& flags) {
  Result<roles::TransferReport> result = fail("the transfer has not ended");
  roles::Transfer transfer(node, uri, flags.options, [&](Result<roles::TransferReport> end) {
    result = std::move(end);
    loop.stop();
  });
  Progress progress(progress_style(flags.progress));
  std::function<void()> draw = [&] {
    auto p = transfer.progress();
    progress.update(os::monotonic_now(),
                    {p.phase, p.total, p.done, p.traffic.received_from_caches, p.traffic.received_from_ues});
    loop.after(k_progress_interval, draw);
  };
  SEALCAST_TRY(loop.on_signal([&](int) { transfer.interrupt(); }));
  transfer.start();
  draw();
  loop.run();
  progress.finish();
  return result;
}

Status check_flags(Flags& flags) {
  if (!flags.out) return {};
  if (flags.out->empty()) return fail(ErrorCode::usage, "-o is empty: it names the output file");
  if (*flags.out == "-")
    return fail(ErrorCode::usage,
                "-o -: the output appears when it is whole, so it must be a file (./- for that name)");
  flags.options.output = *flags.out;
  return {};
}

Status get_checked(const Globals& globals, Flags& flags) {
  SEALCAST_TRY(check_flags(flags));
  SEALCAST_TRY_ASSIGN(auto uri, content::parse_content_uri(flags.uri));
  SEALCAST_TRY_ASSIGN(auto config, ue_config(globals, flags));
  flags.options.key_first = flags.key_order == "first";
  flags.options.patience = std::chrono::seconds(flags.stall_timeout);
  io::Loop loop;
  roles::UeNode node(loop, std::move(config));
  SEALCAST_TRY(node.start());
  SEALCAST_TRY_ASSIGN(auto report, transfer(loop, node, uri, flags));
  node.stop();
  if (globals.json)
    print("%s\n", json::Value(document_of(uri, report)).text().c_str());
  else if (flags.progress != "none")
    print_report(report);
  return {};
}

// With --json a failure is a document too, beside the sentence on stderr.
Status get(const Globals& globals, Flags& flags) {
  auto got = get_checked(globals, flags);
  if (!got && globals.json) {
    auto out = failure_document(got.error());
    out["uri"] = flags.uri;
    print("%s\n", json::Value(std::move(out)).text().c_str());
  }
  return got;
}

Status seed(const Globals& globals, Flags& flags) {
  std::vector<crypto::Digest> roots;
  for (auto& text : flags.uris) {
    SEALCAST_TRY_ASSIGN(auto uri, content::parse_content_uri(text));
    roots.push_back(uri.root);
  }
  SEALCAST_TRY_ASSIGN(auto config, ue_config(globals, flags));
  auto name = config.name;
  io::Loop loop;
  roles::UeNode node(loop, std::move(config));
  SEALCAST_TRY(node.start());
  Status ended;
  roles::Seeder::Totals totals;
  std::size_t announced = 0;
  {
    roles::Seeder seeder(
        node, std::move(roots), flags.sealed_only,
        [&] {
          auto is = seeder.totals();
          ended = tell_ready("seeding " + std::to_string(is.contents) + " as " + name + ", " +
                             std::to_string(node.swarms_announced()) + " announced" +
                             (is.waiting == 0 ? "" : ", " + std::to_string(is.waiting) + " in use by other processes"));
          if (!ended) loop.stop();
        },
        [&](const Error& error) {
          ended = fail(error);
          loop.stop();
        });
    seeder.start();
    SEALCAST_TRY(run_until_signal(loop));
    totals = seeder.totals();
    announced = node.swarms_announced();
  }
  node.stop();
  if (ended && globals.json)
    print("%s\n", json::Value(json::Object{{"contents", static_cast<std::int64_t>(totals.contents)},
                                           {"complete", static_cast<std::int64_t>(totals.complete)},
                                           {"announced", static_cast<std::int64_t>(announced)},
                                           {"sent", totals.sent}})
                      .text()
                      .c_str());
  return ended;
}

}  // namespace

json::Object failure_document(const Error& error) {
  json::Object out{{"error", error.message}, {"code", static_cast<int>(error.code)}};
  if (!error.rule.empty()) out["rule"] = error.rule;
  if (!error.side.empty()) out["side"] = error.side;
  return out;
}

void add_transfer_commands(CLI::App& app, Globals& globals) {
  auto flags = std::make_shared<Flags>();  // owners: the parsers' options and the actions
  auto common = [flags](CLI::App* command) {
    command->add_option("--as", flags->as, "subscriber (default: the only one that is kept in --dir)");
    command->add_option("--config", flags->config, "UE configuration file (default: that of the laboratory)");
    command->add_option("--max-upload-limit", flags->upload_limit,
                        "octets of content a second, with K, M, G; 0 = none");
    command->add_option("--max-download-limit", flags->download_limit,
                        "octets of content a second, with K, M, G; 0 = none");
    command->add_option("--memory-limit", flags->memory_limit,
                        "octets of memory for what partners ask and send, with K, M, G (default 512M)");
  };
  auto* fetch = add_command(
      app, globals, "get", "fetch a content from caches and peers", [&globals, flags] { return get(globals, *flags); },
      io::Interrupt::remembered);
  fetch->add_option("URI", flags->uri, "sealcast:...@domain")->required();
  fetch->add_option("-o,--out", flags->out, "output file (default: the content's name); appears when it is whole");
  fetch->add_flag("--overwrite", flags->options.overwrite,
                  "without -o: replace a file that has the content's name already");
  fetch->add_flag("-c,--continue", flags->options.resume,
                  "go on with the verified chunks of an interrupted get, or say why not (without: begin anew then)");
  fetch->add_flag("--check", flags->options.check,
                  "verify every chunk of an interrupted get first (without: some of them; the others before the end)");
  fetch->add_flag("--keep", flags->options.keep,
                  "keep the content as it comes as well, to serve it without the key; takes its room twice");
  fetch
      ->add_option("--key-order", flags->key_order,
                   "first: no chunk before the key is there; parallel: both at once, with --keep")
      ->check(CLI::IsMember({"first", "parallel"}));
  fetch
      ->add_option("--stall-timeout", flags->stall_timeout,
                   "give up when for so many seconds no octet of content was verified (default 60)")
      ->check(CLI::Range(1, 86400));
  fetch->add_option("--progress", flags->progress, "auto, bar, plain, json, none")
      ->check(CLI::IsMember({"auto", "bar", "plain", "json", "none"}));
  common(fetch);
  auto* stay = add_command(
      app, globals, "seed", "stay and serve what this subscriber holds",
      [&globals, flags] { return seed(globals, *flags); }, io::Interrupt::remembered);
  stay->add_flag("--sealed", flags->sealed_only, "only what get --keep has kept as it came: no key is asked for");
  stay->add_option("URI", flags->uris, "contents (default: all that are kept)");
  common(stay);
}

}  // namespace sealcast::app
