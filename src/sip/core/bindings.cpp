#include "sip/core/bindings.hpp"

#include <algorithm>

namespace sealcast::sip {
namespace {

// Each process of a subscriber registers for itself: 16 are enough for several transfers side by side on some devices.
constexpr std::size_t k_most_bindings = 100'000, k_most_per_subscriber = 16, k_most_per_address = 20'000;

template <class Key>
void drop(std::unordered_map<Key, std::vector<std::uint64_t>>& index, const Key& key, std::uint64_t id) {
  auto found = index.find(key);
  if (found == index.end()) return;
  std::erase(found->second, id);
  if (found->second.empty()) index.erase(found);
}

}  // namespace

BindingTable::BindingTable()
    : table_({k_most_bindings, 0, {{"subscriber", k_most_per_subscriber}, {"address", k_most_per_address}}}) {}

void BindingTable::unindex(const Binding& binding) {
  drop(by_user_, binding.user, binding.id);
  drop(by_connection_, binding.connection, binding.id);
}

void BindingTable::forget(std::uint64_t id) {
  if (auto taken = table_.take(id)) unindex(*taken);
}

std::optional<TableRefusal> BindingTable::put(Binding binding, const std::string& source) {
  if (const auto* old = find(binding.user, binding.key)) {
    binding.id = old->id;  // a refresh: dialogs that name this binding stay with it
    forget(old->id);
  } else {
    binding.id = ++last_id_;
  }
  const auto id = binding.id;
  const auto user = binding.user;
  const auto connection = binding.connection;
  const auto expires = binding.expires;
  if (auto refusal = table_.add(id, {{user, source}, false}, expires, std::move(binding))) return refusal;
  auto& ids = by_user_[user];
  ids.insert(ids.begin(), id);
  by_connection_[connection].push_back(id);
  return std::nullopt;
}

void BindingTable::remove(const std::string& user, const std::string& key) {
  if (const auto* found = find(user, key)) forget(found->id);
}

void BindingTable::remove_all(const std::string& user) {
  auto found = by_user_.find(user);
  if (found == by_user_.end()) return;
  const auto ids = found->second;
  for (auto id : ids) forget(id);
}

std::vector<std::string> BindingTable::remove_connection(ConnectionId connection) {
  std::vector<std::string> users = users_on(connection);
  auto found = by_connection_.find(connection);
  if (found == by_connection_.end()) return users;
  const auto ids = found->second;
  for (auto id : ids) forget(id);
  return users;
}

std::vector<const Binding*> BindingTable::of(const std::string& user) const {
  std::vector<const Binding*> out;
  auto found = by_user_.find(user);
  if (found == by_user_.end()) return out;
  for (auto id : found->second) out.push_back(table_.find(id));
  return out;
}

const Binding* BindingTable::find(const std::string& user, const std::string& key) const {
  for (const auto* each : of(user)) {
    if (each->key == key) return each;
  }
  return nullptr;
}

const Binding* BindingTable::reachable(const std::string& user, std::uint64_t preferred_id) const {
  const Binding* newest = nullptr;
  for (const auto* each : of(user)) {
    if (each->id == preferred_id) return each;
    if (!newest) newest = each;
  }
  return newest;
}

const Binding* BindingTable::untried(const std::string& user, const std::set<std::uint64_t>& tried) const {
  for (const auto* each : of(user)) {
    if (!tried.contains(each->id)) return each;
  }
  return nullptr;
}

std::vector<std::string> BindingTable::users_on(ConnectionId connection) const {
  std::vector<std::string> out;
  auto found = by_connection_.find(connection);
  if (found == by_connection_.end()) return out;
  for (auto id : found->second) {
    const auto& user = table_.find(id)->user;
    if (std::find(out.begin(), out.end(), user) == out.end()) out.push_back(user);
  }
  return out;
}

const Binding* BindingTable::on(const std::string& user, ConnectionId connection) const {
  auto found = by_connection_.find(connection);
  if (found == by_connection_.end()) return nullptr;
  for (auto id : found->second) {
    const auto* each = table_.find(id);
    if (each->user == user) return each;
  }
  return nullptr;
}

std::vector<ConnectionId> BindingTable::sweep(Instant now) {
  std::vector<ConnectionId> out;
  while (auto expired = table_.take_expired(now)) {
    unindex(expired->second);
    out.push_back(expired->second.connection);
  }
  return out;
}

std::vector<std::string> BindingTable::users() const {
  std::vector<std::string> out;
  for (const auto& [user, ids] : by_user_) out.push_back(user);
  return out;
}

void BindingTable::clear() {
  table_.clear();
  by_user_.clear();
  by_connection_.clear();
}

}  // namespace sealcast::sip
