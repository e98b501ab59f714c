#include "roles/core/core_role.hpp"

#include <map>

#include "base/log.hpp"
#include "store/subscribers.hpp"

namespace sealcast::roles {

// The core's view of the subscribers' database. Used on the core's thread only. What was read is kept until somebody
// changes the database: a request costs no query, and those who are known are served while it is locked.
class CoreRole::Directory final : public sip::SubscriberDirectory {
 public:
  explicit Directory(store::Subscribers store) : store_(std::move(store)) {
    store_.set_patience(store::k_serving_patience);
  }

  Result<std::optional<sip::SubscriberCredentials>> find(const std::string& user) override {
    SEALCAST_TRY_ASSIGN(const auto* found, look_up(user));
    if (!found) return std::nullopt;
    return sip::SubscriberCredentials{found->ha1_sha256, found->ha1_md5, found->bare_sha256};
  }
  Result<std::string> device_of(const std::string& user) override {
    SEALCAST_TRY_ASSIGN(const auto* found, look_up(user));
    return found ? found->device : std::string();
  }
  Result<bool> enrol_device(const std::string& user, const std::string& thumbprint) override {
    SEALCAST_TRY_ASSIGN(const auto* found, look_up(user));
    if (found && !found->device.empty()) return found->device == thumbprint;
    known_.erase(user);
    return store_.enrol(user, thumbprint);
  }
  std::uint64_t revision() override {
    if (auto now = store_.revision(); now && *now != revision_) {
      revision_ = *now;
      known_.clear();
    }
    return static_cast<std::uint64_t>(revision_);
  }

 private:
  // Who is not there is not kept: invented names cost no memory.
  Result<const store::Subscriber*> look_up(const std::string& user) {
    revision();
    if (auto found = known_.find(user); found != known_.end()) return &found->second;
    SEALCAST_TRY_ASSIGN(auto found, store_.find(user));
    if (!found) return nullptr;
    if (known_.size() >= k_most_known) known_.clear();
    return &known_.insert_or_assign(user, std::move(*found)).first->second;
  }
  static constexpr std::size_t k_most_known = 100'000;
  store::Subscribers store_;
  std::int64_t revision_ = 0;
  std::map<std::string, store::Subscriber> known_;
};

CoreRole::CoreRole(CoreConfig config) : config_(std::move(config)) {}
CoreRole::~CoreRole() {
  stop();
}

Status CoreRole::start() {
  SEALCAST_TRY_ASSIGN(auto store, store::Subscribers::open(config_.state / "subscribers.db"));
  directory_ = std::make_unique<Directory>(std::move(store));
  core_ = std::make_unique<sip::Core>(config_.sip, *directory_);
  return core_->start();
}

Status CoreRole::renew_certificates() {
  return core_->renew_certificates();
}

void CoreRole::stop() {
  if (core_) core_->stop();
  core_.reset();
}

json::Object CoreRole::status() const {
  if (!core_) return {};
  auto c = core_->counters();
  return {{"ue", core_->ue_address()},
          {"ue_tcp", core_->ue_tcp_address()},
          {"service", core_->service_address()},
          {"registrations", c.registrations},
          {"bindings", c.bindings},
          {"challenges", c.challenges},
          {"refused", c.refused},
          {"relayed", c.relayed},
          {"tables", core_->status()}};
}

}  // namespace sealcast::roles
