// A foreign session description, as an offer and as an answer. What we answer to a good offer is an answer that its
// offerer may take.
#include <algorithm>

#include "sdp/offer_answer.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace sealcast;

namespace {

const Endpoint k_here{IpAddress::v4(192, 0, 2, 1), 4000};

void as_offer(const sdp::MediaDescription& offer, const sdp::Policy& policy) {
  fuzz::FixedRandom random(0x5ea1);  // other keys than those of the corpus
  auto agreed = sdp::answer(offer, policy, k_here, 1204, random);
  if (!agreed) {
    SEALCAST_ASSERT(!agreed.error().rule.empty() && !agreed.error().sentence.empty());
    return;
  }
  SEALCAST_ASSERT(agreed->send_key.has_value() == (agreed->transport == sdp::Transport::savpf) &&
                  agreed->receive_key.has_value() == agreed->send_key.has_value());
  SEALCAST_ASSERT(!policy.secured_required || agreed->send_key);
  SEALCAST_ASSERT(agreed->receive_window >= 64 && agreed->receive_window <= 32768 && agreed->remote_ssrc != 0);
  auto answer = sdp::parse(sdp::write(agreed->answer, 7));
  SEALCAST_ASSERT(answer);
  auto taken = sdp::check_answer(offer, *answer, policy);
  // Two equal tags in one offer are its maker's fault.
  bool tags_differ = true;
  for (auto& a : offer.crypto)
    tags_differ = tags_differ &&
                  std::count_if(offer.crypto.begin(), offer.crypto.end(), [&](auto& b) { return a.tag == b.tag; }) == 1;
  SEALCAST_ASSERT(taken || !tags_differ);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input in(data, size);
  sdp::Policy policy;
  auto wishes = in.u8();
  policy.secured_required = (wishes & 1) != 0;
  policy.inline_key_allowed = (wishes & 2) == 0;
  if ((wishes & 4) != 0) policy.suites = {rtp::CryptoSuite::aead_aes_256_gcm};
  auto description = sdp::parse(in.text(size));
  if (!description) {
    SEALCAST_ASSERT(!description.error().rule.empty());
    return 0;
  }
  SEALCAST_ASSERT(description->ssrc != 0 && description->max_datagram >= 600);
  auto again = sdp::parse(sdp::write(*description, 1));
  SEALCAST_ASSERT(again && again->crypto.size() == description->crypto.size() &&
                  again->address == description->address && again->ssrc == description->ssrc);
  as_offer(*description, policy);
  fuzz::FixedRandom random(2);
  for (auto transport : {sdp::Transport::savpf, sdp::Transport::avpf}) {
    auto ours = sdp::make_offer(k_here, transport, policy.suites, 1204, random);
    auto taken = sdp::check_answer(ours, *description, policy);
    if (taken)
      SEALCAST_ASSERT(taken->send_key.has_value() == (transport == sdp::Transport::savpf) &&
                      !(policy.secured_required && !taken->send_key));
  }
  return 0;
}
