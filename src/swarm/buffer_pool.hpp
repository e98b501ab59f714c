#pragma once
// Memory of runs that come in: reserved when a run is asked for, had when its first chunk comes, used again when it is
// done. What is reserved has a bound, so that no number of partners makes us ask for more than we can hold.
#include <cstddef>
#include <utility>
#include <vector>

#include "base/bytes.hpp"

namespace sealcast::swarm {

class BufferPool {
 public:
  explicit BufferPool(std::size_t most) : most_(most) {}
  // For one run more of a partner that has some already; for the first one of a partner, which a quarter is kept for.
  // The only one of all is always let in.
  bool room(std::size_t octets) const { return fits(octets, most_ - most_ / 4); }
  bool room_for_first(std::size_t octets) const { return fits(octets, most_); }
  std::size_t reserved() const { return reserved_; }

  // A reservation and, once opened, its memory. Goes back when it goes.
  class Buffer {
   public:
    Buffer() = default;
    Buffer(BufferPool& pool, std::size_t octets) : pool_(&pool), reserved_(octets) {
      pool.reserved_ += octets + k_beside;
    }
    Buffer(Buffer&& other) noexcept
        : pool_(std::exchange(other.pool_, nullptr)), reserved_(other.reserved_), octets_(std::move(other.octets_)) {}
    Buffer& operator=(Buffer&& other) noexcept {
      std::swap(pool_, other.pool_);
      std::swap(reserved_, other.reserved_);
      std::swap(octets_, other.octets_);
      return *this;
    }
    ~Buffer() {
      if (!pool_) return;
      pool_->reserved_ -= reserved_ + k_beside;
      pool_->keep(std::move(octets_));
    }
    std::size_t size() const { return reserved_; }
    // Made when it is asked for first; what was in it before may still be.
    MutableByteView octets() {
      if (octets_.empty()) octets_ = pool_->make(reserved_);
      return octets_;
    }
    bool empty() const { return octets_.empty(); }
    Bytes take() { return std::move(octets_); }  // the reservation stays until put() and beyond
    void put(Bytes octets) { octets_ = std::move(octets); }

   private:
    BufferPool* pool_ = nullptr;
    std::size_t reserved_ = 0;
    Bytes octets_;
  };

  static constexpr std::size_t k_beside = 4096;  // hashes that prove a run, and what is written down about it

 private:
  bool fits(std::size_t octets, std::size_t most) const {
    return reserved_ == 0 || reserved_ + octets + k_beside <= most;
  }
  // What is kept is less than what was reserved at its highest, and never much.
  static constexpr std::size_t k_most_kept = 64;
  Bytes make(std::size_t octets) {
    if (kept_.empty()) return Bytes(octets);
    auto out = std::move(kept_.back());
    kept_.pop_back();
    kept_octets_ -= out.capacity();
    out.resize(octets);
    return out;
  }
  void keep(Bytes octets) {
    if (octets.capacity() == 0 || kept_.size() >= k_most_kept) return;
    if (reserved_ + kept_octets_ + octets.capacity() > most_) return;
    kept_octets_ += octets.capacity();
    kept_.push_back(std::move(octets));
  }
  std::size_t most_, reserved_ = 0, kept_octets_ = 0;
  std::vector<Bytes> kept_;
};

}  // namespace sealcast::swarm
