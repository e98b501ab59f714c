// config check|print, sdp explain.
#include "base/json.hpp"
#include "base/text.hpp"
#include "command.hpp"
#include "io/file.hpp"
#include "os/random.hpp"
#include "output.hpp"
#include "sdp/offer_answer.hpp"

namespace sealcast::app {
namespace {

struct Flags {
  std::filesystem::path file, offer, answer;
};

Status check(const Globals& globals, const Flags& flags) {
  SEALCAST_TRY_ASSIGN(auto role, role_of_config(flags.file));
  if (role == "core")
    SEALCAST_TRY(read_core_config(flags.file));
  else if (role == "tracker")
    SEALCAST_TRY(read_tracker_config(flags.file));
  else if (role == "cache")
    SEALCAST_TRY(read_cache_config(flags.file));
  else if (role == "ue")
    SEALCAST_TRY(read_ue_config(flags.file));
  else
    return fail(ErrorCode::usage, flags.file.string() + ": \"role\" must be core, tracker, cache or ue");
  if (globals.json)
    print("%s\n", json::Value(json::Object{{"file", flags.file.string()}, {"role", role}}).text().c_str());
  else
    print("%s: a good configuration for the role \"%s\"\n", printable(flags.file.string()).c_str(), role.c_str());
  return {};
}

Result<sdp::MediaDescription> read_sdp(const std::filesystem::path& file, const char* side) {
  SEALCAST_TRY_ASSIGN(auto octets, io::read_file(file, 65536));
  auto parsed = sdp::parse(string_of(octets));
  if (!parsed)
    return fail(Error{
        ErrorCode::negotiation,
        std::string("the ") + side + " cannot be used: " + parsed.error().sentence + " (" + parsed.error().rule + ")",
        parsed.error().rule, side});
  return std::move(*parsed);
}

// Keys are named, never printed.
void print_media(const char* side, const sdp::MediaDescription& m) {
  print("%s: %s, %s, datagrams up to %zu octets, %s\n", side, m.address.text().c_str(),
        m.transport == sdp::Transport::savpf ? "RTP/SAVPF" : "RTP/AVPF", m.max_datagram,
        m.runs ? "runs" : "chunk by chunk");
  for (auto& line : m.crypto) print("  crypto tag %u: %s\n", line.tag, std::string(rtp::name(line.key.suite)).c_str());
  if (!m.crypto_trouble.empty()) print("  a crypto line was left out: %s\n", printable(m.crypto_trouble).c_str());
}

json::Object document_of(const sdp::MediaDescription& m) {
  json::Array crypto;
  for (auto& line : m.crypto)
    crypto.push_back(json::Object{{"tag", line.tag}, {"suite", std::string(rtp::name(line.key.suite))}});
  return {{"address", m.address.text()},
          {"profile", m.transport == sdp::Transport::savpf ? "RTP/SAVPF" : "RTP/AVPF"},
          {"max_datagram", static_cast<std::int64_t>(m.max_datagram)},
          {"runs", m.runs},
          {"crypto", std::move(crypto)}};
}

// What was said in lines, or in one document. No suite: RTP/AVPF, without SRTP.
void conclude(const Globals& globals, json::Object document, const std::optional<rtp::SrtpKey>& key,
              const char* words) {
  auto suite = key ? std::string(rtp::name(key->suite)) : std::string();
  document["suite"] = suite;
  if (globals.json)
    print("%s\n", json::Value(std::move(document)).text().c_str());
  else
    print("%s %s\n", words, key ? suite.c_str() : "RTP/AVPF, without SRTP");
}

Status explain(const Globals& globals, const Flags& flags) {
  SEALCAST_TRY_ASSIGN(auto offer, read_sdp(flags.offer, "offerer"));
  if (!globals.json) print_media("offer", offer);
  json::Object document{{"offer", document_of(offer)}};
  sdp::Policy policy;
  policy.secured_required = offer.transport == sdp::Transport::savpf;
  if (flags.answer.empty()) {
    os::SystemRandom random;
    auto answered = sdp::answer(offer, policy, offer.address, offer.max_datagram, random);
    if (!answered)
      return fail(Error{ErrorCode::negotiation,
                        "this node would refuse it: " + answered.error().sentence + " (" + answered.error().rule + ")",
                        answered.error().rule, "answerer"});
    conclude(globals, std::move(document), answered->send_key, "this node would answer with");
    return {};
  }
  SEALCAST_TRY_ASSIGN(auto answer, read_sdp(flags.answer, "answerer"));
  if (!globals.json) print_media("answer", answer);
  document["answer"] = document_of(answer);
  auto agreed = sdp::check_answer(offer, answer, policy);
  if (!agreed)
    return fail(
        Error{ErrorCode::negotiation,
              "the answer does not fit the offer: " + agreed.error().sentence + " (" + agreed.error().rule + ")",
              agreed.error().rule, "answerer"});
  conclude(globals, std::move(document), agreed->send_key, "they agree:");
  return {};
}

}  // namespace

void add_config_commands(CLI::App& app, Globals& globals) {
  auto flags = std::make_shared<Flags>();  // owners: the parsers' options and the actions
  auto* config = app.add_subcommand("config", "configuration files: check");
  config->require_subcommand(1);
  config->fallthrough();
  add_command(*config, globals, "check", "says what is wrong in a configuration file, with its line",
              [&globals, flags] { return check(globals, *flags); })
      ->add_option("FILE", flags->file, "TOML file")
      ->required();
  auto* sdp = app.add_subcommand("sdp", "offers and answers: explain");
  sdp->require_subcommand(1);
  sdp->fallthrough();
  auto* why = add_command(*sdp, globals, "explain", "why a negotiation works or fails",
                          [&globals, flags] { return explain(globals, *flags); });
  why->add_option("OFFER", flags->offer, "file with the offer")->required();
  why->add_option("ANSWER", flags->answer, "file with the answer");
}

}  // namespace sealcast::app
