#include "sip/agent/servers.hpp"

#include "sip/agent/message.hpp"

namespace sealcast::sip {
namespace {

constexpr std::size_t k_most = 8192, k_most_of_method = 2048;
// Answers that may be asked for again: for 64 * T1 (RFC 3261 section 17.2), in KiB all together.
constexpr Duration k_remembered = 32s;
constexpr std::size_t k_most_remembered = 16 << 10;

std::string method_name(const sip_t* request) {
  return text_or_empty(request->sip_request->rq_method_name);
}

}  // namespace

ServerTransactions::ServerTransactions(Wire& wire)
    : wire_(wire), table_({k_most, 0, {{"method", k_most_of_method}}}), finished_({k_most_remembered}) {}

AnswerHead ServerTransactions::head_of(const sip_t* request, const std::string& tag) {
  AnswerHead out;
  const auto line = [&](const char* name, const void* header) {
    return std::string(name) + ": " + field_text(header) + "\r\n";
  };
  for (const auto* via = request->sip_via; via != nullptr; via = via->v_next) out.lines += line("Via", via);
  out.lines += line("From", request->sip_from);
  const bool tagged = request->sip_to->a_tag != nullptr;
  out.lines += "To: " + field_text(request->sip_to) + (tagged ? "" : ";tag=" + tag) + "\r\n";
  out.lines += line("Call-ID", request->sip_call_id) + line("CSeq", request->sip_cseq);
  const auto method = request->sip_request->rq_method;
  if (tagged || (method != sip_method_invite && method != sip_method_subscribe)) return out;
  for (const auto* route = request->sip_record_route; route != nullptr; route = route->r_next)
    out.record_route += line("Record-Route", route);
  return out;
}

IncomingId ServerTransactions::add(ConnectionId connection, const std::string& key, const sip_t* request,
                                   const std::string& tag, Instant until) {
  const auto id = next_++;
  Transaction transaction{connection, key, head_of(request, tag), tag, request->sip_request->rq_method};
  if (table_.add(id, {{method_name(request)}}, until, std::move(transaction))) return 0;
  by_key_[key] = id;
  by_connection_[connection].insert(id);
  return id;
}

void ServerTransactions::forget(IncomingId id, const std::string& key) {
  if (auto found = by_key_.find(key); found != by_key_.end() && found->second == id) by_key_.erase(found);
}

bool ServerTransactions::repeated(ConnectionId connection, const std::string& key) {
  if (const auto* finished = finished_.find(key)) {
    wire_.send(connection, *finished);
    return true;
  }
  const auto id = under_way(key);
  if (id != 0 && method_of(id) == sip_method_invite) trying(id);
  return id != 0;
}

IncomingId ServerTransactions::under_way(const std::string& key) const {
  const auto found = by_key_.find(key);
  return found == by_key_.end() ? 0 : found->second;
}

sip_method_t ServerTransactions::method_of(IncomingId id) const {
  const auto* found = table_.find(id);
  return found == nullptr ? sip_method_unknown : found->method;
}

ConnectionId ServerTransactions::connection_of(IncomingId id) const {
  const auto* found = table_.find(id);
  return found == nullptr ? k_no_connection : found->connection;
}

void ServerTransactions::trying(IncomingId id) {
  if (const auto* found = table_.find(id)) wire_.send(found->connection, print_answer(found->head, 100, {}, {}));
}

void ServerTransactions::answer(IncomingId id, int status, const std::string& reason, const std::string& headers,
                                const std::string& content_type, const std::string& body, Instant now) {
  auto transaction = table_.take(id);
  if (!transaction) return;
  conclude(id, *transaction, print_answer(transaction->head, status, reason, headers, content_type, body), now);
}

void ServerTransactions::conclude(IncomingId id, const Transaction& transaction, std::string octets, Instant now) {
  forget(id, transaction.key);
  auto& of_connection = by_connection_[transaction.connection];
  of_connection.erase(id);
  if (of_connection.empty()) by_connection_.erase(transaction.connection);
  wire_.send(transaction.connection, octets);
  const auto weight = octets.size() / 1024 + 1;
  finished_.add(transaction.key, {}, now + k_remembered, std::move(octets), weight);
}

void ServerTransactions::refuse(ConnectionId connection, const sip_t* request, const std::string& tag, int status,
                                const std::string& reason, const std::string& headers) {
  wire_.send(connection, print_answer(head_of(request, tag), status, reason, headers));
}

// With the tag that the INVITE's answer has (RFC 3261 section 9.2).
void ServerTransactions::answer_cancel(ConnectionId connection, const sip_t* cancel, IncomingId of) {
  const auto* transaction = table_.find(of);
  refuse(connection, cancel, transaction == nullptr ? "cancelled" : transaction->tag, 200, {});
}

void ServerTransactions::connection_closed(ConnectionId connection) {
  auto node = by_connection_.extract(connection);
  if (node.empty()) return;
  for (auto id : node.mapped()) {
    if (auto transaction = table_.take(id)) forget(id, transaction->key);
  }
}

void ServerTransactions::refuse_all(int status, Instant now) {
  std::vector<IncomingId> all;
  table_.each([&](IncomingId id, const Transaction&) { all.push_back(id); });
  for (auto id : all) answer(id, status, {}, {}, {}, {}, now);
}

void ServerTransactions::tick(Instant now) {
  while (finished_.take_expired(now)) {
  }
  while (auto overdue = table_.take_expired(now)) {
    const auto& transaction = overdue->second;
    conclude(overdue->first, transaction, print_answer(transaction.head, 500, {}, {}), now);
  }
}

}  // namespace sealcast::sip
