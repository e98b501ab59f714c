// The embedded core between several connections of subscribers, a service and strangers, whose messages the input
// makes, repeats, reorders, answers, spoils and sends over connections where they do not belong, while connections
// close, time passes, stores fail and subscribers are removed. What must hold whatever happens: what the core sends is
// a message; nobody speaks in another one's name; what is left ends by itself.
#include "tests/fuzz/fuzz.hpp"
#include "tests/support/core_bench.hpp"

using namespace sealcast;
using fuzz::Input;

namespace {

constexpr const char* k_users[] = {"alice", "bob", "carol"};
constexpr const char* k_methods[] = {"INVITE", "ACK", "CANCEL", "BYE", "MESSAGE", "SUBSCRIBE", "OPTIONS", "REGISTER"};
constexpr const char* k_targets[] = {"sip:alice@d.test",   "sip:bob@d.test", "sip:tracker@d.test",
                                     "sip:x@peers.d.test", "sip:d.test",     "sip:x@198.51.100.1:1"};
constexpr const char* k_vias[] = {"", ";maddr=224.0.0.1", ";received=192.0.2.99;rport=1", ";rport"};
constexpr int k_statuses[] = {100, 180, 183, 200, 202, 404, 486, 487, 503, 603};

class Table {
 public:
  void step(Input& in) {
    const auto op = in.u8();
    if (op % 32 == 0 || connections_.empty()) return open(in);
    const auto id = connections_[in.below(connections_.size())];
    switch (op % 16) {
      case 1:
        return (void)core_.enter(id, k_users[in.below(std::size(k_users))]);
      case 2:
      case 3:
      case 4:
      case 5:
        return say(id, ask(in));
      case 6:
      case 7:
      case 8:
        return answer(id, in);
      case 9:
        if (!said_.empty()) core_.feed(id, said_[in.below(said_.size())]);  // again, and perhaps from elsewhere
        return;
      case 10:
        if (!said_.empty()) core_.feed(id, string_of(fuzz::damage(view_of(said_[in.below(said_.size())]), in)));
        return;
      case 11:
        return core_.close(id);
      case 12:
        return core_.pass(Duration(in.u32() % 20'000'000));
      case 13:
        return trouble(id, in);
      case 14:
        return core_.feed(id, in.text(in.u8()));
      default:
        return route_back(id, in);
    }
  }

  void check() {
    for (auto& [id, inbox] : core_.wire.inbox) {
      for (; !inbox.empty(); inbox.pop_front()) keep(id, inbox.front());
    }
    while (seen_ < core_.wire.dialled.size()) {
      const auto& [id, address] = core_.wire.dialled[seen_++];
      SEALCAST_ASSERT(address == "192.0.2.7:5071");  // configured, and nothing else is ever called
      connections_.push_back(id);
    }
  }

  void end() {
    core_.subscribers.broken = false;
    for (auto id : connections_) core_.close(id);
    core_.pass(40s);
    SEALCAST_ASSERT(core_.state.under_way() == 0 && core_.state.connections() == 0);
    SEALCAST_ASSERT(core_.state.counters().bindings == 0);
  }

 private:
  void open(Input& in) {
    if (connections_.size() > 12) return;
    connections_.push_back(core_.connect(in.flag() ? "198.51.100.1" : "198.51.100.2", in.u8() % 4 == 0));
  }

  std::string ask(Input& in) {
    core_.via_parameters = k_vias[in.below(std::size(k_vias))];
    const std::string method = k_methods[in.below(std::size(k_methods))];
    auto more = std::string(in.flag() ? "Contact: <sip:x@198.51.100.1>\r\n" : "");
    if (in.u8() % 4 == 0) more += "P-Asserted-Identity: <sip:forged@d.test>\r\n";
    return core_.request(method, k_targets[in.below(std::size(k_targets))], k_users[in.below(std::size(k_users))],
                         std::to_string(in.u8() % 6), more, method == "ACK" || in.u8() % 16 ? "" : "INVITE");
  }
  void say(sip::ConnectionId id, std::string text) {
    core_.feed(id, text);
    if (said_.size() > 64) said_.erase(said_.begin());
    said_.push_back(std::move(text));
  }
  void answer(sip::ConnectionId id, Input& in) {
    if (asked_.empty()) return;
    auto& [at, request] = asked_[in.below(asked_.size())];
    const auto to = in.u8() % 4 == 0 ? id : at;
    say(to, core_.reply(request, k_statuses[in.below(std::size(k_statuses))],
                        in.flag() ? "P-Asserted-Identity: <sip:forged@d.test>\r\n" : ""));
  }
  // Within a dialog: with the route that the core put into a request.
  void route_back(sip::ConnectionId id, Input& in) {
    if (asked_.empty()) return;
    const auto route = test::header_of(asked_[in.below(asked_.size())].second, "Record-Route");
    if (route.empty()) return;
    say(id, core_.request(in.flag() ? "BYE" : "ACK", "sip:x@198.51.100.1", k_users[in.below(std::size(k_users))],
                          "d" + std::to_string(in.u8() % 4), "Route: " + route + "\r\n"));
  }
  void trouble(sip::ConnectionId id, Input& in) {
    switch (in.u8() % 5) {
      case 0:
        core_.subscribers.broken = !core_.subscribers.broken;
        return;
      case 1:
        core_.subscribers.gone.insert(k_users[in.below(std::size(k_users))]);
        ++core_.subscribers.changes;
        return;
      case 2:
        core_.subscribers.gone.clear();
        ++core_.subscribers.changes;
        return;
      case 3:
        core_.wire.deaf.insert(id);
        return;
      default:
        core_.wire.reachable = !core_.wire.reachable;
    }
  }
  void keep(sip::ConnectionId id, const std::string& message) {
    SEALCAST_ASSERT(test::header_of(message, "P-Asserted-Identity").find("forged") == std::string::npos);
    if (message.starts_with("SIP/2.0 ")) {
      // Our own Via never comes back to who asked; who sends a spoilt answer of ours gets his own lines back.
      SEALCAST_ASSERT(test::status_of(message) / 100 == 4 ||
                      test::header_of(message, "Via").find("192.0.2.1") == std::string::npos);
      return;
    }
    SEALCAST_ASSERT(test::header_of(message, "Via").find("192.0.2.1") != std::string::npos);
    if (asked_.size() > 32) asked_.erase(asked_.begin());
    asked_.emplace_back(id, message);
  }

  test::CoreBench core_;
  std::vector<sip::ConnectionId> connections_;
  std::vector<std::string> said_;
  std::vector<std::pair<sip::ConnectionId, std::string>> asked_;
  std::size_t seen_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  Table table;
  for (int step = 0; step < 200 && !in.empty(); ++step) {
    table.step(in);
    table.check();
  }
  table.end();
  return 0;
}
