#pragma once
// Requests of others under way: server transactions over a reliable transport (RFC 3261 section 17.2). A request is
// known by the connection that it came over, its branch and its method; an answer goes back over that connection, and
// nowhere else; what is asked again gets the same answer again.
#include <map>
#include <set>

#include "base/bounded_table.hpp"
#include "sip/agent/dialog.hpp"
#include "sip/connection.hpp"

namespace sealcast::sip {

using IncomingId = std::uint64_t;  // never 0, never used again

// A request as it came. Lives while it is looked at; its transaction until it is answered.
struct Incoming {
  IncomingId id = 0;
  ConnectionId connection = k_no_connection;
  const Message& message;
  const std::string& tag;  // ours, of a To without one
  bool believed = false;   // what it asserts is the core's word
  bool tls = false;
  const sip_t* sip() const { return message.sip(); }
  sip_method_t method() const { return sip()->sip_request->rq_method; }
};

class ServerTransactions {
 public:
  explicit ServerTransactions(Wire& wire);

  // 0: too many are under way. `key`: upstream_key().
  IncomingId add(ConnectionId connection, const std::string& key, const sip_t* request, const std::string& tag,
                 Instant until);
  // True: it was there before, and its answer, if there is one, is sent again.
  bool repeated(ConnectionId connection, const std::string& key);
  IncomingId under_way(const std::string& key) const;  // 0: none
  bool alive(IncomingId id) const { return table_.contains(id); }
  sip_method_t method_of(IncomingId id) const;
  ConnectionId connection_of(IncomingId id) const;
  void trying(IncomingId id);  // 100
  // `headers`: lines. Ignored when it is answered already, or its connection is gone.
  void answer(IncomingId id, int status, const std::string& reason, const std::string& headers,
              const std::string& content_type, const std::string& body, Instant now);
  // One that nobody keeps.
  void refuse(ConnectionId connection, const sip_t* request, const std::string& tag, int status,
              const std::string& reason, const std::string& headers = {});
  void answer_cancel(ConnectionId connection, const sip_t* cancel, IncomingId of);
  // An ACK of a refusal ends here.
  bool acknowledged(const std::string& key) const { return finished_.contains(key); }
  void connection_closed(ConnectionId connection);
  void refuse_all(int status, Instant now);
  void tick(Instant now);  // who is overdue gets 500
  std::size_t size() const { return table_.size(); }

 private:
  struct Transaction {
    ConnectionId connection = k_no_connection;
    std::string key;
    AnswerHead head;
    std::string tag;
    sip_method_t method = sip_method_unknown;
  };
  static AnswerHead head_of(const sip_t* request, const std::string& tag);
  void forget(IncomingId id, const std::string& key);
  void conclude(IncomingId id, const Transaction& transaction, std::string octets, Instant now);

  Wire& wire_;
  BoundedTable<IncomingId, Transaction> table_;
  std::map<std::string, IncomingId> by_key_;
  std::map<ConnectionId, std::set<IncomingId>> by_connection_;
  BoundedTable<std::string, std::string> finished_;  // final answers by key
  IncomingId next_ = 1;
};

}  // namespace sealcast::sip
