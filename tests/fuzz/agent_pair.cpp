// A user agent between its next hop, another service and strangers, whose messages the input makes, repeats, reorders,
// answers, spoils and sends over connections where they do not belong, while its owner asks, answers and hangs up,
// connections close and time passes. What must hold whatever happens: what the agent sends is a message; who has no
// trusted name is never parsed, served or believed; the owner hears once how each request of his ended; what is left
// ends by itself.
#include "tests/fuzz/fuzz.hpp"
#include "tests/support/agent_bench.hpp"

using namespace sealcast;
using fuzz::Input;

namespace {

constexpr const char* k_methods[] = {"INVITE",  "ACK",       "CANCEL", "BYE",     "MESSAGE",
                                     "PUBLISH", "SUBSCRIBE", "NOTIFY", "OPTIONS", "PRACK"};
constexpr const char* k_asked[] = {"MESSAGE", "PUBLISH"};
constexpr int k_statuses[] = {100, 180, 183, 200, 202, 401, 404, 423, 481, 486, 487, 503, 603};
constexpr const char* k_more[] = {"",
                                  "Event: e\r\nExpires: 60\r\n",
                                  "Event: e\r\nExpires: 0\r\n",
                                  "Event: e\r\nSubscription-State: terminated;reason=x\r\n",
                                  "P-Asserted-Identity: <sip:forged@d.test>\r\nP2PCDS-Device: forged\r\n",
                                  "Record-Route: <sip:r@192.0.2.1:5061;lr>\r\n"};
constexpr const char* k_answers[] = {
    "", "Contact: <sip:b@198.51.100.9:5061>\r\n", "Contact: <sip:b@198.51.100.9?X=y>\r\nExpires: 4294967295\r\n",
    "Record-Route: <sip:r@192.0.2.1:5061;lr>\r\nContact: *\r\nExpires: 0\r\n",
    "WWW-Authenticate: Digest realm=\"d.test\", nonce=\"n\", algorithm=SHA-256, qop=\"auth\"\r\nMin-Expires: 900\r\n"};

class Table {
 public:
  explicit Table(bool service) : bench_(service ? test::AgentBench::service() : test::AgentBench::ue()) {}

  void step(Input& in) {
    const auto op = in.u8() % 20;
    if (op < 5) return want(in);
    if (op == 5) return open(in);
    const auto id = any_connection(in);
    if (id == sip::k_no_connection) return open(in);
    switch (op) {
      case 6:
      case 7:
      case 8:
      case 9:
        return say(id, ask(in));
      case 10:
      case 11:
      case 12:
      case 13:
        return answer(id, in);
      case 14:
        if (!said_.empty()) feed(id, said_[in.below(said_.size())]);  // again, and perhaps from elsewhere
        return;
      case 15:
        if (!said_.empty()) feed(id, string_of(fuzz::damage(view_of(said_[in.below(said_.size())]), in)));
        return;
      case 16:
        close(id, in);
        return;
      case 17:
        return bench_.pass(Duration(in.u32() % 20'000'000));
      case 18:
        return feed(id, in.text(in.u8()));
      default:
        bench_.stops += in.flag() ? 1 : 0;
    }
  }

  void check() {
    for (const auto& [id, address] : bench_.wire.dialled) dialled_.insert(id);
    for (auto& [id, inbox] : bench_.wire.inbox) {
      for (; !inbox.empty(); inbox.pop_front()) keep(id, inbox.front());
    }
    for (auto told = bench_.told(); !told.empty(); told = bench_.told()) heard(told);
    for (auto id : strangers_) SEALCAST_ASSERT(!bench_.wire.admitted.contains(id));
  }

  // Said goodbye, and left alone: nothing stays.
  void end() {
    bool closed = false;
    agent().begin_close([&] { closed = true; });
    check();
    bench_.pass(60s);
    check();
    for (sip::ConnectionId id = 1; id <= bench_.wire.last; ++id) bench_.close(id);
    bench_.pass(60s);
    check();
    SEALCAST_ASSERT(closed && agent().clients().size() == 0 && agent().servers().size() == 0);
    SEALCAST_ASSERT(agent().calls().size() == 0 && agent().subscribers().size() == 0);
    SEALCAST_ASSERT(open_.empty() && agent().dialogs().empty() && agent().connections() == 0);
  }

 private:
  sip::UserAgent& agent() { return bench_.agent.at(bench_.now); }
  bool service() const { return !bench_.config.listen.empty(); }

  sip::ConnectionId any_connection(Input& in) {
    if (bench_.wire.open.empty()) return sip::k_no_connection;
    auto at = bench_.wire.open.begin();
    std::advance(at, static_cast<std::ptrdiff_t>(in.below(bench_.wire.open.size())));
    return *at;
  }
  void open(Input& in) {
    if (bench_.wire.open.size() > 12) return;
    if (in.flag()) {
      const auto id = bench_.agent.link().id();
      if (id != sip::k_no_connection && !bench_.agent.link().is_open()) bench_.open_link();
      return;
    }
    const bool trusted = in.flag();
    const auto id = bench_.incoming({trusted ? "core.d.test" : "mallory.d.test"});
    if (!trusted && service()) strangers_.insert(id);
  }
  void close(sip::ConnectionId id, Input& in) {
    static constexpr const char* k_reasons[] = {"closed by the other side", "Connection refused",
                                                "the certificate has expired", "TLS: alert"};
    bench_.close(id, k_reasons[in.below(std::size(k_reasons))]);
  }
  void feed(sip::ConnectionId id, const std::string& octets) {
    const auto before = bench_.agent.parsed();
    bench_.feed(id, octets);
    SEALCAST_ASSERT(!strangers_.contains(id) || bench_.agent.parsed() == before);
    believed_only_by_connection(id);
  }
  void believed_only_by_connection(sip::ConnectionId id) {
    const bool believed = service() ? !strangers_.contains(id) : dialled_.contains(id);
    SEALCAST_ASSERT(believed || bench_.last_request.device.empty());
    bench_.last_request = {};
  }
  void say(sip::ConnectionId id, std::string text) {
    feed(id, text);
    if (said_.size() > 64) said_.erase(said_.begin());
    said_.push_back(std::move(text));
  }

  // What the owner does.
  void want(Input& in) {
    sip::Request request;
    request.uri = in.flag() ? "sip:bob@d.test" : "sip:peer@peers.d.test";
    request.event = "e";
    const auto known = in.u16() % 24;
    const auto response = sip::Response{k_statuses[in.below(std::size(k_statuses))], "said", {}, {}, {}};
    switch (in.u8() % 12) {
      case 0:
        request.method = k_asked[in.below(std::size(k_asked))];
        open_.insert(own_ += 2);
        return agent().send(own_, request);
      case 1:
        open_.insert(own_ += 2);
        return agent().calls().invite(own_, request);
      case 2:
        open_.insert(own_ += 2);
        return agent().calls().reinvite(known, own_, request);
      case 3:
        open_.insert(own_ += 2);
        return agent().calls().probe(known, own_);
      case 4:
        return agent().calls().answer(known, response);
      case 5:
        return agent().calls().bye(known, "enough");
      case 6:
        request.expires = in.flag() ? 60 : 0;
        return agent().watches().subscribe(own_ += 2, request);
      case 7:
        return agent().watches().unsubscribe(known);
      case 8:
        return agent().subscribers().accept(known, response.status < 200 ? 200 : response.status, "", in.u8());
      case 9:
        return agent().subscribers().notify(known, "text/plain", "x", in.u8() % 4 == 0);
      case 10:
        return agent().reply(known, response);
      default:
        return agent().registration().begin({"alice@d.test", "d.test", SecretBytes(view_of("p"))}, 600);
    }
  }
  // Each request of the owner ends once.
  void heard(const std::string& told) {
    if (told == "registration due") return agent().registration().attempt({});
    const auto space = told.find(' ');
    const auto what = told.substr(0, space);
    if (what != "response" && what != "failed") return;
    SEALCAST_ASSERT(open_.erase(std::stoull(told.substr(space + 1))) == 1);
  }

  std::string ask(Input& in) {
    const std::string method = k_methods[in.below(std::size(k_methods))];
    const auto more = k_more[in.below(std::size(k_more))];
    const auto branch = std::to_string(in.u8() % 8);
    // In a dialog of the agent's, when there is one.
    if (in.flag() && !dialogs_.empty()) {
      const auto& [call_id, ours, theirs] = dialogs_[in.below(dialogs_.size())];
      auto text = bench_.request(method, branch, more, ours, in.u8() % 16, call_id);
      return text.replace(text.find(";tag=f"), 6, ";tag=" + theirs);
    }
    return bench_.request(method, branch, more, in.u8() % 8 == 0 ? "unknown" : "", 1 + in.u8() % 4);
  }
  void answer(sip::ConnectionId id, Input& in) {
    if (asked_.empty()) return;
    const auto& [at, request] = asked_[in.below(asked_.size())];
    const auto to = in.u8() % 4 == 0 ? id : at;
    say(to, test::AgentBench::reply(request, k_statuses[in.below(std::size(k_statuses))],
                                    k_answers[in.below(std::size(k_answers))], in.u8() % 8 == 0 ? "" : "t"));
  }
  void keep(sip::ConnectionId id, const std::string& message) {
    const auto call_id = test::header_of(message, "Call-ID");
    const auto from = test::AgentBench::tag_of(test::header_of(message, "From")),
               to = test::AgentBench::tag_of(test::header_of(message, "To"));
    if (dialogs_.size() > 32) dialogs_.erase(dialogs_.begin());
    if (message.starts_with("SIP/2.0 ")) {
      SEALCAST_ASSERT(!strangers_.contains(id) || test::status_of(message) >= 400);
      dialogs_.emplace_back(call_id, to, from);
      return;
    }
    SEALCAST_ASSERT(dialled_.contains(id));  // the agent asks its next hop, and nobody else
    dialogs_.emplace_back(call_id, from, to.empty() ? "t" : to);
    if (asked_.size() > 32) asked_.erase(asked_.begin());
    asked_.emplace_back(id, message);
  }

  test::AgentBench bench_;
  std::set<sip::ConnectionId> strangers_, dialled_;
  std::set<std::uint64_t> open_;  // requests of the owner that have not ended
  std::uint64_t own_ = 1;
  std::vector<std::string> said_;
  std::vector<std::pair<sip::ConnectionId, std::string>> asked_;
  std::vector<std::tuple<std::string, std::string, std::string>> dialogs_;  // Call-ID, the agent's tag, the other one
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  Table table(in.flag());
  for (int step = 0; step < 200 && !in.empty(); ++step) {
    table.step(in);
    table.check();
  }
  table.end();
  return 0;
}
