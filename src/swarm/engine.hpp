#pragma once
// The peer engine: associations (a pair of transport addresses, SRTP or plain RTP), PPSPP channels on them, and the
// swarms they serve and fetch. Sans I/O: five verbs (input, output, deadline, on_deadline, poll_event) and a clock that
// is an argument. One thread.
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/datagram.hpp"
#include "base/random.hpp"
#include "base/time.hpp"
#include "content/bitmap.hpp"
#include "content/merkle_tree.hpp"
#include "rtp/srtp.hpp"
#include "swarm/memory.hpp"
#include "swarm/storage_job.hpp"

namespace sealcast::swarm {

class CongestionControl;
using SwarmId = crypto::Digest;
using AssociationId = std::uint32_t;  // chosen by the engine, never reused, 0 = none

enum class PartnerKind : std::uint8_t { cache, ue };

// What signalling agreed. Keys are moved in; both are empty for a plain (RTP/AVPF) association, both set for a secured
// one.
struct AssociationConfig {
  Endpoint remote;      // media address in the partner's SDP; datagrams from elsewhere are not taken
  Endpoint local = {};  // ours, as the partner knows it
  std::uint32_t local_ssrc = 0;
  std::uint32_t remote_ssrc = 0;
  std::uint8_t payload_type = 98;
  std::optional<rtp::SrtpKey> send_key;
  std::optional<rtp::SrtpKey> receive_key;
  rtp::SrtpOptions srtp;
  std::size_t max_datagram = 1204;  // largest RTP payload the partner takes (a=fmtp maxdg)
  bool runs = true;                 // both said ig=run; else each chunk is sent with what proves it alone
  bool initiator = false;           // we open channels, the partner answers
  PartnerKind partner = PartnerKind::cache;
};

enum class Appetite : std::uint8_t { none, all };

// The engine borrows nodes and storage until remove_swarm().
struct SwarmConfig {
  SwarmId id{};
  content::Geometry geometry;
  bool secured_only = true;  // strictest protection known asks for session protection
  std::span<content::Digest> nodes =
      {};                     // MerkleTree::octets() / 32 of them; may hold verified nodes of an earlier run
  content::Bitmap held = {};  // chunks in storage that were verified
  ChunkStorage* storage = nullptr;
  Appetite appetite = Appetite::none;
  std::string keyinfo = {};  // KEYINFO to hand out (holder certificate "~" key information), or empty
};

enum class EventKind : std::uint8_t {
  channel_open,       // handshake done on (association, swarm); the partner's bitmap follows
  channel_closed,     // closed by the partner, or dead (reason)
  keyinfo,            // text = KEYINFO as received, not verified; at most once per channel and text
  bitmap,             // first HAVE of a channel has come
  chunks_verified,    // range is in storage now
  swarm_complete,     // every chunk is held
  stalled,            // useless for 10 s: choked, requests unanswered, or nothing that verifies; to be replaced (text)
  integrity_failure,  // bytes from this partner did not verify (certain blame when secured)
  lied,               // certain: several runs did not verify on a secured association; channel_closed follows
  path_too_small,     // datagrams of DATA's size do not pass, small ones do (text); once per association
  storage_corrupt,    // range read from storage did not verify: now missing, will be fetched again when anybody has it
  storage_failed,     // error text; the swarm's appetite is set to none
  key_exhausted,      // 1/16 of the SRTP lifetime is left: rekey
};
struct Event {
  EventKind kind;
  AssociationId association = 0;
  SwarmId swarm{};
  content::ChunkRange range{};
  std::string text;
  Error error{};
};

// Octets of content, counted after verification (received) or when sent.
struct Traffic {
  std::uint64_t received_from_caches = 0;
  std::uint64_t received_from_ues = 0;
  std::uint64_t sent = 0;
};
// Progress is content that verified, nothing else: a partner may say and send what it likes.
struct SwarmProgress {
  Instant verified{};          // when octets verified last; the epoch when none have since the swarm was added
  bool held_by_limit = false;  // nothing is under way because our own download limit says wait
};
// What serving has cost in SHA-256 since the beginning (hash_budget.hpp), and requests that were dropped for it.
struct ServingHashes {
  std::uint64_t octets = 0, put_off = 0;
};
struct AssociationState {
  AssociationId id = 0;
  Endpoint remote;
  PartnerKind partner = PartnerKind::cache;
  bool secured = false;
  std::uint64_t content_received = 0, content_sent = 0;  // octets
  std::uint64_t congestion_window = 0, in_flight = 0;    // packets
  Duration round_trip{};
  std::uint64_t packets_lost = 0, authentication_failures = 0, integrity_failures = 0;
};

// Who writes runs that have arrived: the engine itself, within the call that completes them, or whoever drives it, by
// poll_job() and job_done().
enum class StorageJobs : std::uint8_t { within, polled };

struct EngineOptions {
  std::size_t max_associations = 4096;
  std::size_t max_channels = 16384;
  std::size_t max_half_open = 64;    // channels whose handshake is not complete (attack 7)
  std::uint64_t download_limit = 0;  // octets of content a second, 0 = none
  std::uint64_t upload_limit = 0;
  std::size_t memory_limit = k_default_memory_limit;  // octets of all that is kept because of others
  StorageJobs storage_jobs = StorageJobs::within;
  // Of each association; NewReno when empty.
  std::function<std::unique_ptr<CongestionControl>()> congestion_control = {};
};

class Engine {
 public:
  Engine(RandomSource& random, EngineOptions options);
  ~Engine();

  // Fails when (remote, remote ssrc) is taken, when the limit is reached, or when only one key is given.
  Result<AssociationId> add_association(Instant now, AssociationConfig config);
  // Closes its channels politely (HANDSHAKE with channel 0) with the next output().
  void remove_association(Instant now, AssociationId id);
  // The partner may open channels of this swarm on this association (its membership token was good). Without it
  // HANDSHAKE is not answered.
  void admit(AssociationId id, const SwarmId& swarm);
  // Sends HANDSHAKE (again until answered; channel_closed after 10 s without answer). Both must exist and be strong
  // enough.
  Status open_channel(Instant now, AssociationId id, const SwarmId& swarm);

  Status add_swarm(SwarmConfig config);
  void remove_swarm(Instant now, const SwarmId& swarm);
  void set_appetite(Instant now, const SwarmId& swarm, Appetite appetite);
  void set_secured_only(const SwarmId& swarm);  // never the other way; channels on plain associations are closed
  void set_keyinfo(const SwarmId& swarm, std::string keyinfo);
  // Chunks that came by another way (an import): verified by the caller, whole tree present.
  void add_chunks(Instant now, const SwarmId& swarm, content::ChunkRange range);

  // Reads what is held of the run of 32 chunks that `chunk` is in. False: something does not verify; it is missing from
  // now on (storage_corrupt) and fetched again.
  bool check_run(Instant now, const SwarmId& swarm, std::uint32_t chunk);

  void input(Instant now, ReceivedBatch batch);
  // The next batch to send; empty when there is nothing (or the windows are full). Call until empty.
  std::optional<SendBatch> output(Instant now);
  Instant deadline() const;  // when on_deadline wants to be called; k_never if not at all
  void on_deadline(Instant now);
  std::optional<Event> poll_event();

  // Runs to be hashed, compared and written by run(), on any thread that the storage allows and in any order; each
  // comes back once, at whatever time. A run counts as held, and partners are told, when it has come back. What was
  // handed out when its swarm was removed comes back, too, and is forgotten; until then it may use the swarm's storage.
  std::optional<StorageJob> poll_job();
  void job_done(Instant now, JobDone done);

  const content::Bitmap* held(const SwarmId& swarm) const;  // nullptr when unknown
  Traffic traffic(const SwarmId& swarm) const;
  SwarmProgress progress(Instant now, const SwarmId& swarm) const;
  // The system refused datagrams of this size to this address as too large (EMSGSIZE); fragment: of SendBatch.
  void too_large(const Endpoint& to, std::size_t octets, bool fragment);
  ServingHashes serving_hashes() const;
  std::uint64_t work() const;  // steps that input and timers have cost since the beginning
  std::vector<AssociationState> associations() const;
  MemoryUse memory() const;
  void check() const;  // what must hold between calls; ends the process if it does not (tests and fuzzing)

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sealcast::swarm
