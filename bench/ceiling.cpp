// The ceiling of a secure transfer: nothing but the work that has to be done for each octet. One thread reads a file,
// encrypts (AES-128-GCM) and sends with UDP_SEGMENT over loopback; the other receives with UDP_GRO, decrypts, hashes
// runs of chunks (SHA-256, Merkle) and writes. No loss, no signalling, no choice of what to ask for.
//
//   bench_ceiling FILE OUTPUT [clear]     prints one JSON document; "clear": sealed content, not encrypted on the way
#include <fcntl.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <thread>

#include "base/wire.hpp"
#include "content/merkle_tree.hpp"
#include "crypto/packet_cipher.hpp"
#include "io/batch_socket.hpp"
#include "os/descriptor.hpp"

namespace sealcast {
namespace {

constexpr std::size_t k_chunk = 1152, k_header = 12, k_tag = 16, k_datagram = k_header + k_chunk + k_tag;
constexpr std::size_t k_segments = k_batch_octets / k_datagram, k_run = 32;
constexpr std::uint64_t k_ahead = 4096;  // datagrams that may be under way: less than a socket holds

double seconds_of(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

struct Transfer {
  os::Descriptor in, out;
  std::uint64_t octets = 0, chunks = 0;
  bool encrypted = true;
  io::BatchSocket sender, receiver;
  std::atomic<std::uint64_t> arrived{0};
  double sender_cpu = 0, receiver_cpu = 0;
};

// The jobs of a batch of datagrams that lie back to back.
std::span<crypto::PacketJob> jobs_of(MutableByteView batch, std::vector<crypto::PacketJob>& jobs) {
  jobs.resize(batch.size() / k_datagram);
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    auto datagram = batch.subspan(i * k_datagram, k_datagram);
    std::copy_n(datagram.begin(), k_header, jobs[i].iv.begin());
    jobs[i].aad = datagram.first(k_header);
    jobs[i].text = datagram.subspan(k_header, k_chunk);
    jobs[i].tag = datagram.data() + k_header + k_chunk;
  }
  return jobs;
}

void send_all(Transfer& t, crypto::PacketCipher& cipher) {
  Bytes batch(k_segments * k_datagram), file(k_segments * k_chunk);
  std::vector<crypto::PacketJob> jobs;
  io::MediaCounters counters;
  for (std::uint64_t next = 0; next < t.chunks;) {
    while (next > t.arrived.load(std::memory_order_acquire) + k_ahead) ::usleep(20);
    const auto count = std::min<std::uint64_t>(k_segments, t.chunks - next);
    const auto got = ::pread(t.in.get(), file.data(), count * k_chunk, static_cast<off_t>(next * k_chunk));
    if (got <= 0) die("read");
    for (std::uint64_t i = 0; i < count; ++i) {
      Writer w(MutableByteView(batch).subspan(i * k_datagram, k_header + k_chunk));
      w.u32(0);
      w.u64(next + i);
      w.bytes(ByteView(file).subspan(i * k_chunk, k_chunk));
    }
    auto all = MutableByteView(batch).first(count * k_datagram);
    if (t.encrypted) cipher.seal(jobs_of(all, jobs));
    for (std::size_t sent = 0; sent < all.size();) {
      const auto some = t.sender.send({t.receiver.local(), k_datagram, ByteView(all).subspan(sent)}, counters);
      if (some == 0) ::usleep(20);
      sent += some;
    }
    next += count;
  }
  t.sender_cpu = seconds_of(CLOCK_THREAD_CPUTIME_ID);
}

void receive_all(Transfer& t, crypto::PacketCipher& cipher) {
  Bytes run(k_run * k_chunk);
  std::vector<ByteView> chunks;
  for (std::size_t i = 0; i < k_run; ++i) chunks.push_back(ByteView(run).subspan(i * k_chunk, k_chunk));
  std::vector<content::Digest> leaves(k_run);
  content::MerkleRoot root;
  std::vector<crypto::PacketJob> jobs;
  io::MediaCounters counters;
  std::uint64_t next = 0;
  const auto take = [&](ByteView chunk) {
    std::copy(chunk.begin(), chunk.end(), run.begin() + static_cast<std::ptrdiff_t>(next % k_run * k_chunk));
    ++next;
    if (next % k_run != 0 && next != t.chunks) return;
    const auto count = (next - 1) % k_run + 1;
    crypto::sha256_batch(std::span(chunks).first(count), std::span(leaves).first(count));
    root.add(std::span(leaves).first(count));
    if (::pwrite(t.out.get(), run.data(), count * k_chunk, static_cast<off_t>((next - count) * k_chunk)) < 0)
      die("write");
  };
  while (next < t.chunks) {
    pollfd waiting{t.receiver.descriptor(), POLLIN, 0};
    if (::poll(&waiting, 1, 5000) != 1) die("datagrams were lost");
    for (auto& batch : t.receiver.receive(counters)) {
      auto datagrams = jobs_of(batch.data, jobs);
      if (t.encrypted) cipher.open(datagrams);
      for (auto& job : datagrams) {
        if (t.encrypted && !job.ok) die("wrong tag");
        take(job.text);
      }
    }
    t.arrived.store(next, std::memory_order_release);
  }
  t.receiver_cpu = seconds_of(CLOCK_THREAD_CPUTIME_ID);
}

int run(const char* from, const char* to, bool encrypted) {
  Transfer t;
  t.encrypted = encrypted;
  t.octets = std::filesystem::file_size(from);
  t.chunks = t.octets / k_chunk;  // what is left is less than a datagram
  t.in.reset(::open(from, O_RDONLY | O_CLOEXEC));
  t.out.reset(::open(to, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!t.in || !t.out) die("open");
  const auto local = *parse_endpoint("127.0.0.1:0");
  if (!t.sender.open(local, {}) || !t.receiver.open(local, {})) die("socket");
  const Bytes key(16, 9);
  auto sealing = crypto::make_gcm_cipher(key), opening = crypto::make_gcm_cipher(key);
  const auto begun = seconds_of(CLOCK_MONOTONIC);
  std::thread sender([&] { send_all(t, *sealing); });
  std::thread receiver([&] { receive_all(t, *opening); });
  sender.join();
  receiver.join();
  const auto wall = seconds_of(CLOCK_MONOTONIC) - begun;
  const auto gigabytes = static_cast<double>(t.chunks * k_chunk) * 1e-9;
  std::printf("{\"seconds\": %.4f, \"gb\": %.4f, \"sender_cpu\": %.4f, \"receiver_cpu\": %.4f}\n", wall, gigabytes,
              t.sender_cpu, t.receiver_cpu);
  return 0;
}

}  // namespace
}  // namespace sealcast

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: bench_ceiling FILE OUTPUT [clear]\n");
    return 2;
  }
  return sealcast::run(argv[1], argv[2], argc == 3);
}
