#pragma once
// The requests that are on their way through the core, and those that were a moment ago. No library transactions: a
// request is remembered under the branch of our own Via, which nobody can guess, and its answer counts only when it
// comes over the connection that the request went to.
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>

#include "base/bounded_table.hpp"
#include "sip/connection.hpp"
#include "sip/core/token.hpp"
#include "sip/library_message.hpp"

namespace sealcast::sip {

// Who sent a request: a subscriber over his registered connection, or a service over TLS with its certificate.
struct Source {
  Party party;
  std::string identity;  // what the core asserts: "sip:alice@domain"
  bool tls = false;
  std::string address;  // whose budget it is, beside the subscriber's
};

// Where a request goes.
struct Target {
  Party party;
  ConnectionId connection = k_no_connection;  // of the UE; alive
  bool tls = true;
  std::string request_uri;    // empty: as it came
  std::string address, name;  // of the service: its listener, and what its certificate must say
};

struct Relay {
  ConnectionId sender = k_no_connection, onward = k_no_connection;
  std::string upstream;      // how the sender's CANCEL and ACK name it, see upstream_key()
  Message request{nullptr};  // as it came: answers are made from it
  Message sent{nullptr};     // as it went on: CANCEL and ACK are made from it
  Source source;
  Party callee;
  bool to_tls = false, invite = false;
  bool proceeding = false;  // a provisional response came: only now may a CANCEL be sent (RFC 3261 section 9.1)
  bool cancelled = false, cancel_sent = false;
  bool answered = false;  // its sender has his answer, or is gone; what the callee says is only acknowledged
  Instant end{};          // of its whole life
  // For a subscriber with several devices: the request as it was before it was made for one of them, and who was tried.
  std::optional<Message> original;
  std::set<std::uint64_t> tried;  // bindings
};

// What is left of an INVITE after its final answer: its ACK, a repeated answer or a repeated request may still come.
struct Finished {
  ConnectionId sender = k_no_connection, onward = k_no_connection;
  std::string branch;
  bool accepted = false;  // 2xx: repeated by who sent it until the ACK is there (RFC 3261 section 13.3.1.4)
};

class RelayTable {
 public:
  RelayTable();
  std::optional<TableRefusal> would_refuse(const Source& source);
  std::optional<TableRefusal> add(const std::string& branch, Relay relay, Instant until);
  Relay* find(const std::string& branch) { return table_.find(branch); }
  // The branch of the request that is named so; empty: none.
  std::string under_way(const std::string& upstream) const;
  void prolong(const std::string& branch, Instant until) { table_.prolong(branch, until); }
  std::optional<Relay> take(const std::string& branch);
  std::optional<std::pair<std::string, Relay>> take_expired(Instant now);
  // Requests that came over this connection, or went to it.
  std::vector<std::string> from(ConnectionId connection) const { return listed(by_sender_, connection); }
  std::vector<std::string> towards(ConnectionId connection) const { return listed(by_onward_, connection); }
  std::vector<std::string> of_subscriber(const std::string& user) const;
  std::size_t size() const { return table_.size(); }
  json::Object status() const { return table_.status(); }
  void clear();

  void remember(const std::string& upstream, Finished finished, const Source& source, Instant until);
  const Finished* finished(const std::string& upstream) const { return finished_.find(upstream); }
  const Finished* finished_as(const std::string& branch) const;
  void sweep_finished(Instant now);
  json::Object finished_status() const { return finished_.status(); }

 private:
  using Index = std::unordered_map<ConnectionId, std::set<std::string>>;
  static std::vector<std::string> listed(const Index& index, ConnectionId connection);
  void unindex(const std::string& branch, const Relay& relay);

  BoundedTable<std::string, Relay> table_;  // by branch
  std::unordered_map<std::string, std::string> by_upstream_;
  Index by_sender_, by_onward_;
  BoundedTable<std::string, Finished> finished_;  // by upstream key
  std::unordered_map<std::string, std::string> finished_by_branch_;
};

}  // namespace sealcast::sip
