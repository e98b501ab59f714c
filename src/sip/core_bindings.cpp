#include "sip/core_bindings.hpp"

#include <algorithm>

namespace sealcast::sip {
namespace {
constexpr std::size_t k_most_bindings = 100'000, k_most_per_user = 16;
const std::vector<Binding> k_no_bindings;
const std::vector<std::string> k_no_users;
}  // namespace

void BindingTable::forget(const std::string& user, const Binding& binding) {
  --size_;
  auto found = by_connection_.find(binding.connection.get());
  if (found == by_connection_.end()) return;
  auto entry = std::find(found->second.begin(), found->second.end(), user);
  if (entry != found->second.end()) found->second.erase(entry);
  if (found->second.empty()) by_connection_.erase(found);
}

bool BindingTable::put(const std::string& user, Binding binding) {
  for (const auto& each : of(user)) {
    if (each.key == binding.key) binding.id = each.id;  // a refresh: dialogs that name this binding stay with it
  }
  remove(user, binding.key);
  // A living one is never displaced: the newcomer hears that there is no room. Who is gone makes room.
  if (auto own = users_.find(user); own != users_.end() && own->second.size() >= k_most_per_user) {
    std::erase_if(own->second, [&](const Binding& each) {
      if (each.connection.alive()) return false;
      forget(user, each);
      return true;
    });
    if (own->second.size() >= k_most_per_user) return false;
  }
  if (size_ >= k_most_bindings) return false;
  auto& bindings = users_[user];
  if (binding.id == 0) binding.id = ++last_id_;
  by_connection_[binding.connection.get()].push_back(user);
  bindings.insert(bindings.begin(), std::move(binding));
  ++size_;
  return true;
}

void BindingTable::remove(const std::string& user, const std::string& key) {
  auto found = users_.find(user);
  if (found == users_.end()) return;
  std::erase_if(found->second, [&](const Binding& each) {
    if (each.key != key) return false;
    forget(user, each);
    return true;
  });
  if (found->second.empty()) users_.erase(found);
}

void BindingTable::remove_all(const std::string& user) {
  auto found = users_.find(user);
  if (found == users_.end()) return;
  for (const auto& each : found->second) forget(user, each);
  users_.erase(found);
}

const std::vector<Binding>& BindingTable::of(const std::string& user) const {
  auto found = users_.find(user);
  return found == users_.end() ? k_no_bindings : found->second;
}

const Binding* BindingTable::reachable(const std::string& user, std::uint64_t preferred_id) const {
  const Binding* newest = nullptr;
  for (const auto& each : of(user)) {
    if (!each.connection.alive()) continue;
    if (each.id == preferred_id) return &each;
    if (!newest) newest = &each;
  }
  return newest;
}

const Binding* BindingTable::untried(const std::string& user, const std::set<std::uint64_t>& tried) const {
  for (const auto& each : of(user)) {
    if (each.connection.alive() && !tried.contains(each.id)) return &each;
  }
  return nullptr;
}

const std::vector<std::string>& BindingTable::users_on(const tport_t* connection) const {
  auto found = by_connection_.find(connection);
  return found == by_connection_.end() ? k_no_users : found->second;
}

const Binding* BindingTable::on(const std::string& user, const tport_t* connection) const {
  for (const auto& each : of(user)) {
    if (each.connection.get() == connection) return &each;
  }
  return nullptr;
}

std::size_t BindingTable::sweep(std::int64_t now) {
  const auto before = size_;
  for (auto entry = users_.begin(); entry != users_.end();) {
    std::erase_if(entry->second, [&](const Binding& each) {
      if (each.expires > now && each.connection.alive()) return false;
      forget(entry->first, each);
      return true;
    });
    entry = entry->second.empty() ? users_.erase(entry) : std::next(entry);
  }
  return before - size_;
}

void BindingTable::clear() {
  users_.clear();
  by_connection_.clear();
  size_ = 0;
}

}  // namespace sealcast::sip
