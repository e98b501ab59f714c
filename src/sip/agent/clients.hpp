#pragma once
// Requests of ours under way: client transactions over a reliable transport (RFC 3261 section 17.1). Nothing is sent
// twice; a request lives until its final answer, its limit, or the end of the connection that it went out on.
#include <functional>
#include <map>

#include "base/bounded_table.hpp"
#include "sip/agent/dialog.hpp"
#include "sip/agent/link.hpp"

namespace sealcast::sip {

using TransactionId = std::uint64_t;

// The final answer to a request of ours.
struct Answer {
  Response response;           // status 0: nobody answered, `reason` says why
  const sip_t* sip = nullptr;  // null: nobody answered
  std::string branch;          // of the request
};

// RFC 3261 section 17.1.2.2 (timer F) lets a request go on for 32 s; people wait less. The same for an INVITE without
// any answer (timer B); one that rings has longer.
inline constexpr Duration k_request_limit = 9500ms, k_invite_limit = 35s;

class ClientTransactions {
 public:
  // `own`: where we are reached over this connection, "192.0.2.1:5061"; `contact`: "<sip:...>".
  struct Addresses {
    std::string own, contact;
  };
  ClientTransactions(const AgentConfig& config, RandomSource& random, Wire& wire, AgentLink& link);

  // `done` is called once, never from within: unless it is forgotten.
  TransactionId begin(Draft draft, std::function<void(const Answer&)> done, Instant now);
  // RFC 3261 section 9.1: the CANCEL waits for a provisional answer.
  void cancel(TransactionId id, Instant now);
  void forget(TransactionId id);  // its answer is of no interest any more
  // The ACK of a 2xx (section 13.2.2.4), and again when the 2xx comes again.
  void acknowledge(const Draft& ack, const std::string& branch, Instant now);

  void link_opened(const Addresses& addresses);
  void link_closed(const std::string& sentence);
  void answered(const Message& message);  // came over the link
  void tick(Instant now);

  bool waiting() const;  // somebody wants the link
  bool only_requests_without_end() const;
  std::size_t size() const { return transactions_.size(); }
  std::uint64_t unmatched() const { return unmatched_; }

 private:
  struct Transaction {
    TransactionId id = 0;
    Draft draft;
    std::string via;  // empty: waits for the connection
    std::function<void(const Answer&)> done;
    Instant begun{}, deadline{};
    bool invite = false, proceeding = false, cancelled = false, cancel_sent = false;
  };
  void launch(const std::string& branch, Transaction& transaction);
  void send_cancel(Transaction& transaction);
  void finish(const std::string& branch, const Answer& answer);
  void unanswered(const std::string& branch, const std::string& reason);
  std::string via_of(const std::string& branch) const;
  std::string branch_of(TransactionId id) const;
  void provisional(Transaction& transaction);
  void sent_again(const Message& message, const std::string& branch);

  const AgentConfig& config_;
  RandomSource& random_;
  Wire& wire_;
  AgentLink& link_;
  Addresses addresses_;
  std::map<std::string, Transaction> transactions_;  // by branch
  std::map<TransactionId, std::string> branches_;
  TransactionId next_ = 1;
  BoundedTable<std::string, std::string> acknowledgements_;  // by the branch of the INVITE
  std::uint64_t unmatched_ = 0;
};

}  // namespace sealcast::sip
