#include "sip/core/relays.hpp"

namespace sealcast::sip {
namespace {

// A UE asks for a few contents at a time; a service speaks for everybody and has a part of the table that no subscriber
// gets.
constexpr std::size_t k_most = 10'000, k_of_services = 2'000;
constexpr std::size_t k_most_of_subscriber = 256, k_most_of_binding = 128, k_most_of_address = 4'000;
constexpr std::size_t k_most_finished = 20'000, k_most_finished_of_subscriber = 512;

BoundedTable<std::string, Relay>::Owners owners_of(const Source& source) {
  if (source.party.kind == Party::Kind::service) return {{}, true};
  return {{source.party.name, source.party.name + "#" + std::to_string(source.party.binding), source.address}, false};
}

void erase_from(std::unordered_map<ConnectionId, std::set<std::string>>& index, ConnectionId connection,
                const std::string& branch) {
  auto found = index.find(connection);
  if (found == index.end()) return;
  found->second.erase(branch);
  if (found->second.empty()) index.erase(found);
}

}  // namespace

RelayTable::RelayTable()
    : table_({k_most,
              k_of_services,
              {{"subscriber", k_most_of_subscriber},
               {"registration", k_most_of_binding},
               {"address", k_most_of_address}}}),
      finished_({k_most_finished, k_of_services, {{"subscriber", k_most_finished_of_subscriber}}}) {}

std::optional<TableRefusal> RelayTable::would_refuse(const Source& source) {
  return table_.would_refuse(owners_of(source));
}

std::optional<TableRefusal> RelayTable::add(const std::string& branch, Relay relay, Instant until) {
  const auto owners = owners_of(relay.source);
  const auto upstream = relay.upstream;
  const auto sender = relay.sender, onward = relay.onward;
  if (auto refusal = table_.add(branch, owners, until, std::move(relay))) return refusal;
  by_upstream_[upstream] = branch;
  by_sender_[sender].insert(branch);
  by_onward_[onward].insert(branch);
  return std::nullopt;
}

void RelayTable::unindex(const std::string& branch, const Relay& relay) {
  if (auto found = by_upstream_.find(relay.upstream); found != by_upstream_.end() && found->second == branch)
    by_upstream_.erase(found);
  erase_from(by_sender_, relay.sender, branch);
  erase_from(by_onward_, relay.onward, branch);
}

std::string RelayTable::under_way(const std::string& upstream) const {
  auto found = by_upstream_.find(upstream);
  return found == by_upstream_.end() ? std::string() : found->second;
}

std::optional<Relay> RelayTable::take(const std::string& branch) {
  auto out = table_.take(branch);
  if (out) unindex(branch, *out);
  return out;
}

std::optional<std::pair<std::string, Relay>> RelayTable::take_expired(Instant now) {
  auto out = table_.take_expired(now);
  if (out) unindex(out->first, out->second);
  return out;
}

std::vector<std::string> RelayTable::listed(const Index& index, ConnectionId connection) {
  auto found = index.find(connection);
  if (found == index.end()) return {};
  return {found->second.begin(), found->second.end()};
}

std::vector<std::string> RelayTable::of_subscriber(const std::string& user) const {
  std::vector<std::string> out;
  table_.each([&](const std::string& branch, const Relay& relay) {
    for (const auto* party : {&relay.source.party, &relay.callee}) {
      if (party->kind != Party::Kind::subscriber || party->name != user) continue;
      out.push_back(branch);
      return;
    }
  });
  return out;
}

void RelayTable::clear() {
  table_.clear();
  finished_.clear();
  by_upstream_.clear();
  by_sender_.clear();
  by_onward_.clear();
  finished_by_branch_.clear();
}

// What finds no room is forgotten: an ACK or a repetition that comes later is dropped then.
void RelayTable::remember(const std::string& upstream, Finished finished, const Source& source, Instant until) {
  const bool service = source.party.kind == Party::Kind::service;
  const auto branch = finished.branch;
  if (auto old = finished_.take(upstream)) finished_by_branch_.erase(old->branch);
  if (!finished_.add(upstream, {{service ? std::string() : source.party.name}, service}, until, std::move(finished)))
    finished_by_branch_[branch] = upstream;
}

const Finished* RelayTable::finished_as(const std::string& branch) const {
  auto found = finished_by_branch_.find(branch);
  return found == finished_by_branch_.end() ? nullptr : finished_.find(found->second);
}

void RelayTable::sweep_finished(Instant now) {
  while (auto gone = finished_.take_expired(now)) {
    if (auto found = finished_by_branch_.find(gone->second.branch);
        found != finished_by_branch_.end() && found->second == gone->first)
      finished_by_branch_.erase(found);
  }
}

}  // namespace sealcast::sip
