// Two engines that talk while the input loses, repeats, shuffles, splits and spoils their datagrams, makes storage
// fail, calls their interface at odd times, and speaks to both as an authenticated third party. Whatever happens: what
// counts as held is the content.
#include "tests/fuzz/engine_pair.hpp"

#include <algorithm>
#include <memory>

using namespace sealcast;
using fuzz::Datagram;
using fuzz::Input;
using fuzz::Node;
using fuzz::Stranger;

namespace {

rtp::SrtpKey srtp_key(std::uint64_t seed) {
  rtp::SrtpKey out{rtp::CryptoSuite::aead_aes_128_gcm, SecretBytes(28)};
  fuzz::FixedRandom(seed).fill(out.key_and_salt.fill());
  return out;
}

class Table {
 public:
  Table(const fuzz::Whole& content, std::uint8_t setup)
      : content_(content),
        secured_((setup & 1) != 0),
        seed_(1, content, true, secured_, options(setup)),
        leech_(2, content, (setup & 2) != 0, secured_, options(setup)) {
    if ((setup & 2) != 0) leech_.storage.octets[content.octets.size() / 2] ^= 1;  // a bad disk instead of an empty one
    if ((setup & 2) != 0) mark_missing();
    connect(leech_, leech_.partner, seed_, seed_.partner, 11, 12);
    meet(seed_, seed_.stranger, to_seed_, 21, 22, (setup & 4) != 0);
    meet(leech_, leech_.stranger, to_leech_, 31, 32, (setup & 4) == 0);
  }

  void step(Input& in) {
    auto op = in.u8();
    switch (op % 16) {
      case 0:
      case 1:
      case 2:
      case 3:
        deliver(in, op / 16);
        break;
      case 4:
        lose(in, op / 16);
        break;
      case 5:
      case 6:
        pass(Duration(op < 128 ? in.u16() : in.u32() % 20000000));
        break;
      case 7:
        misbehave((op & 16) != 0 ? seed_ : leech_, op / 32);
        break;
      case 8:
        call((op & 16) != 0 ? seed_ : leech_, in, op / 32);
        break;
      case 9:
        flood(in, (op & 16) != 0 ? seed_ : leech_);
        break;
      case 10:
        answer(in, op / 16);
        std::rotate(flights_.begin(), flights_.begin() + static_cast<std::ptrdiff_t>(in.below(flights_.size())),
                    flights_.end());
        break;
      case 11:
        say((op & 16) != 0 ? seed_ : leech_, (op & 16) != 0 ? to_seed_.report(in) : to_leech_.report(in));
        break;
      default:
        say((op & 16) != 0 ? seed_ : leech_, (op & 16) != 0 ? to_seed_.say(in, content_) : to_leech_.say(in, content_));
    }
    pump();
  }

  // No more trouble: datagrams arrive, disks work.
  void calm() {
    for (auto* node : {&seed_, &leech_})
      node->storage.fail_reads = node->storage.fail_writes = node->storage.flip_reads = false;
    for (int i = 0; i < 200; ++i) {
      Input nothing(nullptr, 0);
      while (!flights_.empty()) deliver(nothing, 0), pump();
      while (!storing_.empty()) answer(nothing, 0), pump();
      pass(50ms);
      pump();
    }
    check();
  }
  bool complete() const { return seed_.engine.held(content_.id)->full() && leech_.engine.held(content_.id)->full(); }
  void check() {
    seed_.check();
    leech_.check();
  }

 private:
  static swarm::EngineOptions options(std::uint8_t setup) {
    swarm::EngineOptions out;
    out.max_half_open = 4;
    if ((setup & 8) != 0) out.download_limit = 50000;
    if ((setup & 16) != 0) out.upload_limit = 50000;
    if ((setup & 32) != 0) out.storage_jobs = swarm::StorageJobs::polled;
    return out;
  }
  void mark_missing() {
    leech_.engine.remove_swarm(now_, content_.id);
    content::Bitmap held(content_.geometry.chunks(), true);
    held.reset(static_cast<std::uint32_t>(content_.octets.size() / 2 / content_.geometry.chunk_size()));
    leech_.join(std::move(held), secured_);
  }
  swarm::AssociationConfig config(const Endpoint& remote, std::uint32_t local, std::uint32_t other) const {
    swarm::AssociationConfig out;
    out.remote = remote;
    out.local_ssrc = local;
    out.remote_ssrc = other;
    if (secured_) {
      out.send_key = srtp_key(local);
      out.receive_key = srtp_key(other);
    }
    return out;
  }
  void connect(Node& opener, swarm::AssociationId& here, Node& other, swarm::AssociationId& there, std::uint32_t a,
               std::uint32_t b) {
    here = *opener.engine.add_association(now_, config(other.address, a, b));
    there = *other.engine.add_association(now_, config(opener.address, b, a));
    other.engine.admit(there, content_.id);
    SEALCAST_ASSERT(opener.engine.open_channel(now_, here, content_.id));
  }
  void meet(Node& node, swarm::AssociationId& id, Stranger& stranger, std::uint32_t local, std::uint32_t other,
            bool open) {
    id = *node.engine.add_association(now_, config(stranger.address(), local, other));
    stranger.knows(local);
    if (secured_) stranger.secure(srtp_key(other), srtp_key(local), local);
    node.engine.admit(id, content_.id);
    if (open) (void)node.engine.open_channel(now_, id, content_.id);
  }

  void pump() {
    for (auto* node : {&seed_, &leech_}) {
      int batches = 0;
      while (auto batch = node->engine.output(now_)) {
        SEALCAST_ASSERT(++batches < 20000 && batch->segment > 0 && batch->data.size() <= 64 * batch->segment);
        for (std::size_t at = 0; at < batch->data.size(); at += batch->segment)
          launch({node->address, batch->to,
                  bytes_of(batch->data.subspan(at, std::min(batch->segment, batch->data.size() - at)))});
      }
      while (auto job = node->engine.poll_job()) storing_.emplace_back(node, std::move(*job));
      SEALCAST_ASSERT(storing_.size() <= 4096);
      int events = 0;
      while (node->engine.poll_event()) SEALCAST_ASSERT(++events < 100000);
      node->engine.check();
    }
  }
  void launch(Datagram datagram) {
    if (datagram.to == to_seed_.address())
      to_seed_.hear(std::move(datagram.octets));
    else if (datagram.to == to_leech_.address())
      to_leech_.hear(std::move(datagram.octets));
    else if (flights_.size() < 4096)
      flights_.push_back(std::move(datagram));
  }
  void arrive(const Endpoint& from, const Endpoint& to, Bytes octets, std::size_t segment) {
    for (auto* node : {&seed_, &leech_})
      if (node->address == to) node->engine.input(now_, {from, segment, octets});
  }
  void say(Node& node, Bytes octets) {
    auto& from = &node == &seed_ ? to_seed_.address() : to_leech_.address();
    auto size = octets.size();
    arrive(from, node.address, std::move(octets), size);
  }

  // The next datagram, as it is or not; sometimes several as one batch, as UDP_GRO gives them.
  void deliver(Input& in, int how) {
    if (flights_.empty()) return;
    auto next = std::move(flights_.front());
    flights_.pop_front();
    auto segment = next.octets.size();
    if (how == 1) flights_.push_back(next);
    if (how == 2) next.octets = fuzz::damage(next.octets, in);
    if (how == 3) segment = 1 + in.below(2 * segment);
    if (how >= 4)
      while (!flights_.empty() && next.octets.size() < 60000 && flights_.front().from == next.from &&
             flights_.front().octets.size() == segment) {
        next.octets.insert(next.octets.end(), flights_.front().octets.begin(), flights_.front().octets.end());
        flights_.pop_front();
      }
    arrive(next.from, next.to, std::move(next.octets), segment);
  }
  // What was with storage comes back, in any order; sometimes its swarm is gone by now.
  void answer(Input& in, int how) {
    if (storing_.empty()) return;
    auto at = storing_.begin() + static_cast<std::ptrdiff_t>(in.below(storing_.size()));
    auto [node, job] = std::move(*at);
    storing_.erase(at);
    auto id = job.id;
    node->engine.job_done(now_, run(std::move(job)));
    if (how % 4 != 0) return;
    swarm::JobDone again;  // nobody waits for it
    again.id = id;
    node->engine.job_done(now_, std::move(again));
  }
  void lose(Input& in, int how) {
    if (flights_.empty()) return;
    auto at = flights_.begin() + static_cast<std::ptrdiff_t>(in.below(flights_.size()));
    flights_.erase(at, how == 15 ? flights_.end() : at + 1);
  }
  void pass(Duration time) {
    now_ += time;
    for (auto* node : {&seed_, &leech_})
      if (node->engine.deadline() <= now_) node->engine.on_deadline(now_);
  }
  void misbehave(Node& node, int how) {
    auto& s = node.storage;
    auto& flag = how % 3 == 0 ? s.fail_reads : how % 3 == 1 ? s.fail_writes : s.flip_reads;
    flag = !flag;
  }
  // Octets from anybody, at the partner's address.
  void flood(Input& in, Node& node) {
    auto octets = bytes_of(in.take(in.u8()));
    if (octets.size() >= 12 && in.flag()) {
      octets[0] = 0x80;
      octets[1] = 98;
      std::copy_n("\0\0\0", 3, octets.begin() + 8);
      octets[11] = &node == &seed_ ? 11 : 12;
    }
    auto& other = &node == &seed_ ? leech_ : seed_;
    arrive(other.address, node.address, std::move(octets), 1 + in.below(300));
  }
  void call(Node& node, Input& in, int what) {
    auto& e = node.engine;
    // What ends an association or a swarm is rare, or nothing would be left to talk about.
    bool grave = what == 2 || what == 3 || what == 6;
    if (grave && in.u8() % 8 != 0) return;
    switch (what) {
      case 0:
        return e.set_appetite(now_, content_.id, in.u8() % 8 != 0 ? swarm::Appetite::all : swarm::Appetite::none);
      case 1:
        return e.set_keyinfo(content_.id, in.text(in.u8()));
      case 2:
        return e.set_secured_only(content_.id);
      case 3:
        return e.remove_association(now_, in.flag() ? node.partner : node.stranger);
      case 4:
        (void)e.open_channel(now_, in.flag() ? node.partner : node.stranger, content_.id);
        return;
      case 5:
        e.admit(node.stranger, content_.id);
        return;
      case 6:
        return rejoin(node);
      default: {
        // What an import brings: the octets are put where they belong and told.
        auto chunk = static_cast<std::uint32_t>(in.below(content_.geometry.chunks()));
        if (!node.present || node.nodes != content_.nodes) return;
        auto from = static_cast<std::ptrdiff_t>(content_.geometry.offset_of(chunk));
        std::copy_n(content_.octets.begin() + from, content_.geometry.size_of(chunk),
                    node.storage.octets.begin() + from);
        return e.add_chunks(now_, content_.id, {chunk, chunk});
      }
    }
  }
  void rejoin(Node& node) {
    if (node.present) {
      held_before_ = *node.engine.held(content_.id);
      holder_ = &node;
      node.engine.remove_swarm(now_, content_.id);
      node.present = false;
    } else {
      node.join(holder_ == &node ? held_before_ : content::Bitmap(content_.geometry.chunks()), secured_);
    }
  }

  const fuzz::Whole& content_;
  bool secured_;
  Instant now_{1s};
  Node seed_, leech_;
  Stranger to_seed_{{IpAddress::v4(127, 0, 0, 1), 3}, 22}, to_leech_{{IpAddress::v4(127, 0, 0, 1), 4}, 32};
  std::deque<Datagram> flights_;
  std::deque<std::pair<Node*, swarm::StorageJob>> storing_;
  content::Bitmap held_before_;
  Node* holder_ = nullptr;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::Whole contents[] = {fuzz::Whole(1), fuzz::Whole(512 * 33 + 1), fuzz::Whole(512 * 100),
                                         fuzz::Whole(512 * 7)};
  Input in(data, size);
  auto setup = in.u8();
  Table table(contents[setup >> 6], setup);
  for (int i = 0; i < 400 && !in.empty(); ++i) table.step(in);
  table.check();
  table.calm();
  SEALCAST_ASSERT(size != 1 || table.complete());  // left alone, they get it done
  return 0;
}
