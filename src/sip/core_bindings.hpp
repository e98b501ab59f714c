#pragma once
// Who is registered, and over which connection: a UE is reached only over the connection it registered on, and a
// request is a subscriber's only if it came over such a connection.
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sip/sofia.hpp"

namespace sealcast::sip {

// A counted reference to a connection of the library. Held, its address cannot be given to another connection.
class Connection {
 public:
  Connection() = default;
  explicit Connection(tport_t* tport) : tport_(::tport_ref(tport)) {}
  Connection(Connection&& other) noexcept : tport_(std::exchange(other.tport_, nullptr)) {}
  Connection& operator=(Connection&& other) noexcept {
    std::swap(tport_, other.tport_);
    return *this;
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { ::tport_unref(tport_); }

  tport_t* get() const { return tport_; }
  bool alive() const { return tport_ && ::tport_is_clear_to_send(tport_) && !::tport_is_closed(tport_); }
  bool tls() const { return tport_ && ::tport_has_tls(tport_); }

 private:
  tport_t* tport_ = nullptr;
};

struct Binding {
  std::uint64_t id = 0;  // put() gives it; kept when the binding is refreshed
  std::string key;       // +sip.instance, or the contact
  std::string contact;   // URI: the Request-URI of what is sent to the UE
  Connection connection;
  std::int64_t expires = 0;  // seconds of the core's monotonic clock
};

class BindingTable {
 public:
  // Newest first. The same key takes the place of the old binding; beyond sixteen there is no room. False: the table,
  // or the user's share of it, is full.
  bool put(const std::string& user, Binding binding);
  void remove(const std::string& user, const std::string& key);
  void remove_all(const std::string& user);
  const std::vector<Binding>& of(const std::string& user) const;
  // The binding with this id, else the newest one, whose connection is alive; nullptr: none.
  const Binding* reachable(const std::string& user, std::uint64_t preferred_id) const;
  // The newest one whose connection is alive and whose id is not among those; nullptr: none.
  const Binding* untried(const std::string& user, const std::set<std::uint64_t>& tried) const;
  // Users whose live binding came over this connection.
  const std::vector<std::string>& users_on(const tport_t* connection) const;
  // The binding of `user` on this connection; nullptr: none.
  const Binding* on(const std::string& user, const tport_t* connection) const;
  // Drops what has expired or lost its connection; returns how many.
  std::size_t sweep(std::int64_t now);
  void clear();
  std::size_t size() const { return size_; }

 private:
  void forget(const std::string& user, const Binding& binding);

  std::unordered_map<std::string, std::vector<Binding>> users_;
  std::unordered_map<const tport_t*, std::vector<std::string>> by_connection_;  // one entry per binding
  std::size_t size_ = 0;
  std::uint64_t last_id_ = 0;
};

}  // namespace sealcast::sip
