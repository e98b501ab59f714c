#include "sip/agent/clients.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "base/text.hpp"
#include "sip/agent/message.hpp"

namespace sealcast::sip {
namespace {

constexpr Duration k_cancel_limit = 4s;  // for the 487 of a side that may be gone
constexpr Duration k_remembered = 32s;   // a 2xx may come again: 64 * T1 (RFC 3261 section 13.3.1.4)
constexpr std::size_t k_most_acknowledgements = 4096;

}  // namespace

ClientTransactions::ClientTransactions(const AgentConfig& config, RandomSource& random, Wire& wire, AgentLink& link)
    : config_(config), random_(random), wire_(wire), link_(link), acknowledgements_({k_most_acknowledgements}) {}

std::string ClientTransactions::via_of(const std::string& branch) const {
  return std::string("SIP/2.0/") + (config_.tls ? "TLS " : "TCP ") + addresses_.own + ";branch=" + branch;
}

std::string ClientTransactions::branch_of(TransactionId id) const {
  const auto found = branches_.find(id);
  return found == branches_.end() ? std::string() : found->second;
}

TransactionId ClientTransactions::begin(Draft draft, std::function<void(const Answer&)> done, Instant now) {
  const auto branch = "z9hG4bK" + fresh_token(random_);
  Transaction transaction;
  transaction.id = next_++;
  transaction.invite = draft.method == "INVITE";
  transaction.draft = std::move(draft);
  transaction.done = std::move(done);
  transaction.begun = now;
  transaction.deadline = now + k_request_limit;
  const auto id = transaction.id;
  branches_[id] = branch;
  auto& kept = transactions_[branch] = std::move(transaction);
  if (link_.is_open())
    launch(branch, kept);
  else
    link_.want(now);
  return id;
}

// A connection that does not take it is closed, and says so later.
void ClientTransactions::launch(const std::string& branch, Transaction& transaction) {
  transaction.via = via_of(branch);
  wire_.send(link_.id(), print(transaction.draft, transaction.via, addresses_.contact));
  transaction.draft.headers.clear();
  transaction.draft.body.clear();
}

void ClientTransactions::link_opened(const Addresses& addresses) {
  addresses_ = addresses;
  for (const auto& [id, branch] : branches_) {  // in their order: CSeq grows
    auto& transaction = transactions_.at(branch);
    if (transaction.via.empty()) launch(branch, transaction);
  }
}

void ClientTransactions::link_closed(const std::string& sentence) {
  std::vector<std::string> all;
  for (const auto& [id, branch] : branches_) all.push_back(branch);
  for (const auto& branch : all) unanswered(branch, sentence);
}

bool ClientTransactions::waiting() const {
  return std::any_of(transactions_.begin(), transactions_.end(),
                     [](const auto& each) { return each.second.via.empty(); });
}

// What the owner asked is on its way, and nobody is told of the answer any more.
bool ClientTransactions::only_requests_without_end() const {
  return std::all_of(transactions_.begin(), transactions_.end(), [](const auto& each) {
    return each.second.draft.method == "MESSAGE" || each.second.draft.method == "PUBLISH";
  });
}

void ClientTransactions::cancel(TransactionId id, Instant now) {
  auto found = transactions_.find(branch_of(id));
  if (found == transactions_.end() || found->second.cancelled) return;
  auto& transaction = found->second;
  transaction.cancelled = true;
  transaction.deadline = now + k_cancel_limit;
  if (transaction.proceeding) send_cancel(transaction);
}

void ClientTransactions::send_cancel(Transaction& transaction) {
  if (std::exchange(transaction.cancel_sent, true) || !link_.is_open()) return;
  wire_.send(link_.id(), print(follower_of(transaction.draft, "CANCEL", {}), transaction.via, {}));
}

void ClientTransactions::forget(TransactionId id) {
  auto found = transactions_.find(branch_of(id));
  if (found != transactions_.end()) found->second.done = nullptr;
}

void ClientTransactions::acknowledge(const Draft& ack, const std::string& branch, Instant now) {
  if (!link_.is_open()) return;
  auto octets = print(ack, via_of("z9hG4bK" + fresh_token(random_)), addresses_.contact);
  wire_.send(link_.id(), octets);
  acknowledgements_.add(branch, {}, now + k_remembered, std::move(octets));
}

void ClientTransactions::provisional(Transaction& transaction) {
  if (!transaction.invite) return;
  if (!transaction.proceeding && !transaction.cancelled) transaction.deadline = transaction.begun + k_invite_limit;
  transaction.proceeding = true;
  if (transaction.cancelled) send_cancel(transaction);
}

void ClientTransactions::answered(const Message& message) {
  const auto* sip = message.sip();
  const auto branch = sealcast::sip::branch_of(sip->sip_via);
  const int status = sip->sip_status->st_status;
  const auto found = transactions_.find(branch);
  if (found == transactions_.end()) return sent_again(message, branch);
  auto& transaction = found->second;
  const auto* number = sip->sip_cseq;
  // The answer to a CANCEL says nothing: the INVITE's own comes.
  if (text_or_empty(number->cs_method_name) != transaction.draft.method || number->cs_seq != transaction.draft.number ||
      transaction.via.empty() || status < 100) {
    ++unmatched_;
    return;
  }
  if (status < 200) return provisional(transaction);
  if (transaction.invite && status >= 300)
    wire_.send(link_.id(), print(follower_of(transaction.draft, "ACK", field_text(sip->sip_to)), transaction.via, {}));
  finish(branch, {response_of(message), sip, branch});
}

// A 2xx is said again until its ACK is there (section 13.2.2.4).
void ClientTransactions::sent_again(const Message& message, const std::string& branch) {
  const auto* sip = message.sip();
  const auto* ack = acknowledgements_.find(branch);
  if (ack == nullptr || sip->sip_status->st_status / 100 != 2 || sip->sip_cseq->cs_method != sip_method_invite) {
    ++unmatched_;
    return;
  }
  wire_.send(link_.id(), *ack);
}

void ClientTransactions::finish(const std::string& branch, const Answer& answer) {
  auto node = transactions_.extract(branch);
  if (node.empty()) return;
  auto& transaction = node.mapped();
  branches_.erase(transaction.id);
  log(LogLevel::debug, "sip",
      transaction.draft.method + " answered " + std::to_string(answer.response.status) + " " +
          printable(answer.response.reason));
  if (transaction.done) transaction.done(answer);
}

void ClientTransactions::unanswered(const std::string& branch, const std::string& reason) {
  Answer answer;
  answer.response.reason = reason;
  answer.branch = branch;
  finish(branch, answer);
}

void ClientTransactions::tick(Instant now) {
  std::vector<std::string> late;
  for (const auto& [branch, transaction] : transactions_) {
    if (now >= transaction.deadline) late.push_back(branch);
  }
  for (const auto& branch : late) {
    const auto found = transactions_.find(branch);
    if (found == transactions_.end()) continue;
    auto& transaction = found->second;
    if (transaction.proceeding && !transaction.cancelled)
      cancel(transaction.id, now);
    else
      unanswered(branch, "no answer from " + config_.next_hop);
  }
  while (acknowledgements_.take_expired(now)) {
  }
  if (waiting()) link_.want(now);
}

}  // namespace sealcast::sip
