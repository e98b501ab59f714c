#include "roles/common/media_node.hpp"

#include "crypto/backend.hpp"
#include "io/loop.hpp"

namespace sealcast::roles {
namespace {

constexpr rtp::CryptoSuite k_suites[] = {rtp::CryptoSuite::aead_aes_128_gcm, rtp::CryptoSuite::aes_cm_128_hmac_sha1_80,
                                         rtp::CryptoSuite::aead_aes_256_gcm};
// What is received: DATA of the largest chunk. What is sent is no larger than 1204 octets unless the content's chunks
// are: with IP, UDP, RTP and the tag below IPv6's minimum MTU of 1280.
constexpr std::size_t k_max_datagram = 8213;

swarm::EngineOptions polled(swarm::EngineOptions options) {
  options.storage_jobs = swarm::StorageJobs::polled;
  return options;
}

}  // namespace

MediaNode::MediaNode(io::Loop& loop, RandomSource& random, swarm::EngineOptions options, OnEvent on_event)
    : timers_(loop),
      random_(random),
      on_event_(std::move(on_event)),
      engine_(random, polled(std::move(options))),
      driver_(loop, engine_, [this](const swarm::Event& event) { deliver(event); }) {}

void MediaNode::deliver(const swarm::Event& event) {
  if (auto at = makers_.find(event.association); at != makers_.end()) {
    auto maker = at->second;  // it may drop the association
    maker(event);
  }
  if (event.swarm != swarm::SwarmId{}) on_event_(event);
}

Status MediaNode::open(const std::string& listen) {
  auto endpoint = parse_endpoint(listen);
  if (!endpoint) return fail(ErrorCode::usage, "media address \"" + listen + "\" is not an address and port");
  return driver_.open(*endpoint, io::MediaOptions::of_process());
}

json::Object MediaNode::status() const {
  auto& options = io::MediaOptions::of_process();
  return {{"segmentation", driver_.segmentation()},
          {"coalescing", driver_.coalescing()},
          {"storage_thread", options.storage_thread},
          {"crypto", crypto::backend_name()}};
}

void MediaNode::remove_swarm(const swarm::SwarmId& swarm) {
  driver_.settle();
  engine_.remove_swarm(timers_.now(), swarm);
}

void MediaNode::close() {
  driver_.close();
}

PendingOffer MediaNode::offer(bool secured) {
  PendingOffer out;
  out.offer = sdp::make_offer(driver_.local(), secured ? sdp::Transport::savpf : sdp::Transport::avpf, k_suites,
                              k_max_datagram, random_);
  out.text = sdp::write(out.offer, random_.u32());
  return out;
}

Result<NegotiatedAssociation> MediaNode::accept_answer(const PendingOffer& pending, std::string_view answer,
                                                       bool secured_required, swarm::PartnerKind partner,
                                                       OnEvent on_event) {
  auto parsed = sdp::parse(answer);
  if (!parsed) return fail(negotiation_error(parsed.error(), "answerer"));
  sdp::Policy policy;
  policy.secured_required = secured_required;
  auto agreed = sdp::check_answer(pending.offer, *parsed, policy);
  if (!agreed) return fail(negotiation_error(agreed.error(), "answerer"));
  return add(std::move(*agreed), true, partner, std::move(on_event));
}

Expected<NegotiatedAssociation, sdp::Refusal> MediaNode::answer_offer(std::string_view offer, const sdp::Policy& policy,
                                                                      swarm::PartnerKind partner, OnEvent on_event) {
  auto parsed = sdp::parse(offer);
  if (!parsed) return unexpected(parsed.error());
  auto agreed = sdp::answer(*parsed, policy, driver_.local(), k_max_datagram, random_);
  if (!agreed) return unexpected(agreed.error());
  auto text = sdp::write(agreed->answer, random_.u32());
  auto added = add(std::move(*agreed), false, partner, std::move(on_event));
  if (!added) return unexpected(sdp::Refusal{"no-media-line", added.error().message});
  added->answer = std::move(text);
  return std::move(*added);
}

Result<NegotiatedAssociation> MediaNode::add(sdp::Agreement agreement, bool initiator, swarm::PartnerKind partner,
                                             OnEvent on_event) {
  NegotiatedAssociation out;
  out.remote = agreement.remote;
  out.secured = agreement.transport == sdp::Transport::savpf;
  if (agreement.send_key) out.suite = rtp::name(agreement.send_key->suite);
  swarm::AssociationConfig config;
  config.remote = agreement.remote;
  config.local = driver_.local();
  config.local_ssrc = agreement.local_ssrc;
  config.remote_ssrc = agreement.remote_ssrc;
  config.payload_type = agreement.answer.payload_type;
  config.send_key = std::move(agreement.send_key);
  config.receive_key = std::move(agreement.receive_key);
  config.srtp.window = agreement.receive_window;
  config.max_datagram = agreement.max_datagram;
  config.runs = agreement.runs;
  config.initiator = initiator;
  config.partner = partner;
  SEALCAST_TRY_ASSIGN(out.id, engine_.add_association(timers_.now(), std::move(config)));
  makers_[out.id] = std::move(on_event);
  return out;
}

json::Object MediaNode::memory_status() const {
  const auto use = engine_.memory();
  return {{"limit", use.limit},       {"used", use.used()},         {"associations", use.associations},
          {"arriving", use.arriving}, {"intervals", use.intervals}, {"serving", use.serving},
          {"queues", use.queues},     {"in_flight", use.in_flight}, {"contents", use.contents}};
}

Status MediaNode::open_channel(swarm::AssociationId id, const swarm::SwarmId& swarm) {
  auto opened = engine_.open_channel(timers_.now(), id, swarm);
  pump();
  return opened;
}

void MediaNode::drop(swarm::AssociationId id) {
  makers_.erase(id);
  engine_.remove_association(timers_.now(), id);
  pump();
}

}  // namespace sealcast::roles
