#pragma once
// The batch of packets under construction: packets of one association, all of one size but the last.
#include "swarm/engine_core.hpp"

namespace sealcast::swarm {

class PacketBuilder {
 public:
  void begin();
  bool empty() const { return slots_.empty(); }
  // Room for an RTP payload of so many octets; empty when the batch is full, or has ended with a shorter packet.
  // behind: octets of payload of another packet that must find room, too; 0: none.
  MutableByteView room(const Association& a, std::size_t payload, std::size_t behind = 0);
  // Octets of the largest payload that room() has room for, and that is no misfit.
  std::size_t most(const Association& a) const;
  // A packet of this payload is larger than those before it.
  bool misfit(const Association& a, std::size_t payload) const;
  // The packet whose payload was written into room(): numbered, and on the books of congestion control.
  void add(Instant now, Association& a, std::size_t payload, SentPacket sent);
  // RTCP goes alone and is not on the books. False: there is nothing to report, or it cannot be protected.
  bool add_feedback(Instant now, EngineCore& core, Association& a);
  // Protects what was added. Empty: there was nothing, or the key is at its end; nothing goes out unprotected.
  std::optional<SendBatch> finish(EngineCore& core, Association& a);

 private:
  void tell_exhausted(EngineCore& core, Association& a);

  Bytes octets_ = Bytes(k_batch_octets + 64);
  std::vector<rtp::PacketSlot> slots_;
  std::size_t used_ = 0, segment_ = 0;
  bool ended_ = false, feedback_ = false;
};

}  // namespace sealcast::swarm
