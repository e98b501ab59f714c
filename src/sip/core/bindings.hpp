#pragma once
// Who is registered, and over which connection: a UE is reached only over the connection it registered on, and a
// request is a subscriber's only if it came over such a connection. A binding lives no longer than its connection.
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/bounded_table.hpp"
#include "base/time.hpp"
#include "sip/connection.hpp"

namespace sealcast::sip {

struct Binding {
  std::uint64_t id = 0;  // put() gives it; kept when the binding is refreshed
  std::string user;
  std::string key;      // +sip.instance, or the contact
  std::string contact;  // URI: the Request-URI of what is sent to the UE
  ConnectionId connection = k_no_connection;
  bool tls = false;
  Instant expires{};
};

class BindingTable {
 public:
  BindingTable();
  // The same key takes the place of the old binding. A living binding is never displaced: who comes when the
  // subscriber's places are taken is refused.
  std::optional<TableRefusal> put(Binding binding, const std::string& source);
  void remove(const std::string& user, const std::string& key);
  void remove_all(const std::string& user);
  // What came over a connection goes with it; returns whose bindings those were.
  std::vector<std::string> remove_connection(ConnectionId connection);
  std::vector<const Binding*> of(const std::string& user) const;  // newest first
  const Binding* find(const std::string& user, const std::string& key) const;
  // The binding with this id, else the newest one; nullptr: none.
  const Binding* reachable(const std::string& user, std::uint64_t preferred_id) const;
  // The newest one whose id is not among those; nullptr: none.
  const Binding* untried(const std::string& user, const std::set<std::uint64_t>& tried) const;
  std::vector<std::string> users_on(ConnectionId connection) const;
  bool any_on(ConnectionId connection) const { return by_connection_.contains(connection); }
  // The binding of `user` on this connection; nullptr: none.
  const Binding* on(const std::string& user, ConnectionId connection) const;
  // Drops what has expired; returns the connections that it came over.
  std::vector<ConnectionId> sweep(Instant now);
  std::vector<std::string> users() const;
  void clear();
  std::size_t size() const { return table_.size(); }
  json::Object status() const { return table_.status(); }

 private:
  void forget(std::uint64_t id);
  void unindex(const Binding& binding);

  BoundedTable<std::uint64_t, Binding> table_;
  std::unordered_map<std::string, std::vector<std::uint64_t>> by_user_;         // newest first
  std::unordered_map<ConnectionId, std::vector<std::uint64_t>> by_connection_;  // one entry per binding
  std::uint64_t last_id_ = 0;
};

}  // namespace sealcast::sip
