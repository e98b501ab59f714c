#include "sim/network.hpp"

#include <algorithm>

namespace sealcast::sim {
namespace {

// An engine whose deadline has passed already is not asked in a tight circle; io::MediaDriver waits longer.
constexpr Duration k_shortest_wait = 100us;

}  // namespace

void Network::add(const Endpoint& address, swarm::Engine& engine, OnEvent on_event) {
  nodes_.insert_or_assign(address, Place{&engine, std::move(on_event)});
}

Link& Network::link(const Endpoint& from, const Endpoint& to) {
  return links_.try_emplace({from, to}, every_).first->second;
}

void Network::launch(const Endpoint& from, const Endpoint& to, ByteView octets, bool fragment) {
  auto at = now;
  if (auto up = uplinks_.find(from); up != uplinks_.end()) {
    auto passed = up->second->carry(at, octets.size(), *random_, fragment);
    if (passed.count == 0) return;
    at = passed.at[0];
  }
  auto arrivals = link(from, to).carry(at, octets.size(), *random_, fragment);
  for (int i = 0; i < arrivals.count; ++i) {
    Flying flying{arrivals.at[static_cast<std::size_t>(i)], ++order_, from, to, bytes_of(octets)};
    if (tamper) tamper(flying.octets, from);
    air_.push(std::move(flying));
  }
}

void Network::pump(const Endpoint& address, Place& node) {
  while (auto batch = node.engine->output(now))
    for (std::size_t at = 0; at < batch->data.size(); at += batch->segment)
      launch(address, batch->to, batch->data.subspan(at, std::min(batch->segment, batch->data.size() - at)),
             batch->fragment);
  while (auto job = node.engine->poll_job()) {
    auto [least, most] = node.storage;
    auto span = static_cast<std::uint32_t>((most - least).count()) + 1;
    storing_.emplace(std::pair(now + least + Duration(random_->u32() % span), random_->u32()),
                     Storing{address, std::move(*job)});
  }
  while (auto event = node.engine->poll_event()) node.on_event(std::move(*event));
  node.deadline = std::max(node.engine->deadline(), now + k_shortest_wait);
  node.touched = false;
}

void Network::run(Duration duration, const std::function<bool()>& done) {
  for (auto& [address, node] : nodes_) node.touched = true;  // whoever calls us may have called the engines
  for (auto end = now + duration; now < end && !done();) step(end);
}

void Network::store() {
  while (!storing_.empty() && storing_.begin()->first.first <= now) {
    auto next = storing_.extract(storing_.begin());
    auto node = nodes_.find(next.mapped().node);
    if (node == nodes_.end()) continue;
    node->second.engine->job_done(now, swarm::run(std::move(next.mapped().job)));
    node->second.touched = true;
  }
}

void Network::step(Instant end) {
  auto next = end;
  for (auto& [address, node] : nodes_) {
    if (node.touched) pump(address, node);
    next = std::min(next, node.deadline);
  }
  if (!air_.empty()) next = std::min(next, air_.top().at);
  if (!storing_.empty()) next = std::min(next, storing_.begin()->first.first);
  now = std::max(now, next);
  while (!air_.empty() && air_.top().at <= now) {
    auto flying = air_.top();
    air_.pop();
    auto to = nodes_.find(flying.to);
    if (to == nodes_.end()) continue;
    ++datagrams;
    to->second.engine->input(now, {flying.from, flying.octets.size(), flying.octets});
    to->second.touched = true;
  }
  store();
  for (auto& [address, node] : nodes_) {
    if (node.deadline > now) continue;
    if (node.engine->deadline() <= now) node.engine->on_deadline(now);
    node.touched = true;
  }
}

}  // namespace sealcast::sim
