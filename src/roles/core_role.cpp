#include "roles/core_role.hpp"

#include "base/log.hpp"
#include "store/subscribers.hpp"

namespace sealcast::roles {

// The core's view of the subscribers' database. Used on the core's thread only.
class CoreRole::Directory final : public sip::SubscriberDirectory {
 public:
  explicit Directory(store::Subscribers store) : store_(std::move(store)) {}

  std::optional<sip::SubscriberCredentials> find(const std::string& user) override {
    auto found = look_up(user);
    if (!found) return std::nullopt;
    return sip::SubscriberCredentials{found->ha1_sha256, found->ha1_md5};
  }
  std::string device_of(const std::string& user) override {
    auto found = look_up(user);
    return found ? found->device : std::string();
  }
  bool enrol_device(const std::string& user, const std::string& thumbprint) override {
    auto enrolled = store_.enrol(user, thumbprint);
    if (!enrolled) log(LogLevel::error, "core", enrolled.error().message);
    return enrolled && *enrolled;
  }

 private:
  std::optional<store::Subscriber> look_up(const std::string& user) {
    auto found = store_.find(user);
    if (!found) log(LogLevel::error, "core", found.error().message);
    return found ? *found : std::nullopt;
  }
  store::Subscribers store_;
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
          {"relayed", c.relayed}};
}

}  // namespace sealcast::roles
