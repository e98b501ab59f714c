#include "io/guarded_mapping.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "io/file.hpp"
#include "os/descriptor.hpp"

namespace sealcast::io {
namespace {

// What the handler reads: no lock, no allocation. A slot whose begin is 0 is free; begin is set last and cleared first.
struct Slot {
  std::atomic<std::uintptr_t> begin{0}, end{0};
  std::atomic<bool> broken{false};
};
constexpr std::size_t k_slots = 65536;  // the kernel gives a process about as many mappings
std::array<Slot, k_slots> slots;
std::atomic<std::size_t> used{0};  // slots that were ever taken
std::uintptr_t page_size = 4096;
std::mutex making;  // of slots; the handler takes none

Slot* slot_of(std::uintptr_t address) {
  for (std::size_t i = 0, n = used.load(std::memory_order_acquire); i < n; ++i) {
    const auto begin = slots[i].begin.load(std::memory_order_acquire);
    if (begin != 0 && begin <= address && address < slots[i].end.load(std::memory_order_relaxed)) return &slots[i];
  }
  return nullptr;
}

// The instruction is run again when this returns: with zeros there, or, for a fault that is none of ours, to die of it.
void on_bus_error(int number, siginfo_t* about, void*) {
  const int kept = errno;
  const auto address = reinterpret_cast<std::uintptr_t>(about->si_addr);
  auto* slot = slot_of(address);
  auto* page = reinterpret_cast<void*>(address & ~(page_size - 1));
  if (!slot ||
      ::mmap(page, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) {
    ::signal(number, SIG_DFL);
  } else {
    slot->broken.store(true, std::memory_order_release);
  }
  errno = kept;
}

void install() {
  page_size = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGBUS, &action, nullptr);
}

std::optional<std::size_t> take_slot(std::uintptr_t begin, std::size_t octets) {
  static std::once_flag once;
  std::call_once(once, install);
  const std::lock_guard lock(making);
  static std::size_t next = 0;  // where the search for a free one begins
  for (std::size_t i = 0; i < k_slots; ++i) {
    const auto at = (next + i) % k_slots;
    if (slots[at].begin.load(std::memory_order_relaxed) != 0) continue;
    slots[at].end.store(begin + octets, std::memory_order_relaxed);
    slots[at].broken.store(false, std::memory_order_relaxed);
    slots[at].begin.store(begin, std::memory_order_release);
    if (used.load(std::memory_order_relaxed) <= at) used.store(at + 1, std::memory_order_release);
    next = at + 1 < k_slots ? at + 1 : 0;
    return at;
  }
  return std::nullopt;
}

// Mappings that were used since the kernel got their pages back.
struct WorkingSet {
  std::mutex mutex;
  std::vector<std::pair<void*, std::size_t>> used;
  std::uint64_t turn = 1;
  long faults = 0;          // when it was looked at last
  std::size_t at_rest = 0;  // octets of files in memory when the turn began: programs and libraries
};
WorkingSet working_set;

// What is mapped needs a fault first, and one maps up to a huge page: so often it is worth a look.
constexpr long k_faults = 8;

// Of all threads: one may use a mapping, and another one say so.
long faults() {
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt + usage.ru_majflt;
}

// Octets of files that the process has in memory. 0: nobody says so.
std::size_t octets_of_files() {
  const os::Descriptor statm(::open("/proc/self/statm", O_RDONLY | O_CLOEXEC));
  std::array<char, 128> text{};
  if (!statm || ::pread(statm.get(), text.data(), text.size() - 1, 0) <= 0) return 0;
  std::size_t all = 0, resident = 0, of_files = 0;
  return std::sscanf(text.data(), "%zu %zu %zu", &all, &resident, &of_files) == 3 ? of_files * page_size : 0;
}

}  // namespace

Result<GuardedMapping> GuardedMapping::make(int descriptor, std::size_t octets, const std::filesystem::path& path) {
  GuardedMapping out;
  auto* data = ::mmap(nullptr, octets, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (data == MAP_FAILED) return fail(system_error("cannot map", path, errno));
  const auto slot = take_slot(reinterpret_cast<std::uintptr_t>(data), octets);
  if (!slot) {
    ::munmap(data, octets);
    return fail(system_error("cannot map", path, ENOMEM));
  }
  out.data_ = data;
  out.size_ = octets;
  out.slot_ = *slot;
  return out;
}

GuardedMapping::GuardedMapping(GuardedMapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(other.size_), slot_(other.slot_), turn_(other.turn_) {}
GuardedMapping& GuardedMapping::operator=(GuardedMapping&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(slot_, other.slot_);
  std::swap(turn_, other.turn_);
  return *this;
}

// The slot first: nobody else can be given this range while it is guarded for us.
GuardedMapping::~GuardedMapping() {
  if (!data_) return;
  {
    const std::lock_guard lock(working_set.mutex);
    std::erase_if(working_set.used, [this](auto& each) { return each.first == data_; });
  }
  slots[slot_].begin.store(0, std::memory_order_release);
  ::munmap(data_, size_);
}

// Of a shared mapping MADV_DONTNEED forgets where pages are, and not what is in them. Where nobody says how much there
// is they go each time.
void GuardedMapping::used() {
  auto& set = working_set;
  const std::lock_guard lock(set.mutex);
  if (turn_ != set.turn) {
    turn_ = set.turn;
    set.used.emplace_back(data_, size_);
  }
  const auto now = faults();
  if (now - set.faults < k_faults) return;
  set.faults = now;
  const auto octets = octets_of_files();
  if (octets != 0 && octets < set.at_rest + k_most_mapped) return;
  for (auto& [data, size] : set.used) ::madvise(data, size, MADV_DONTNEED);
  set.used.clear();
  ++set.turn;
  set.at_rest = octets_of_files();
}

bool GuardedMapping::broken() const {
  return data_ && slots[slot_].broken.load(std::memory_order_acquire);
}

}  // namespace sealcast::io
