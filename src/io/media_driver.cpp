#include "io/media_driver.hpp"

#include <algorithm>
#include <utility>

#include "io/batch_socket.hpp"
#include "io/storage_worker.hpp"
#include "os/clock.hpp"

namespace sealcast::io {
namespace {

// What one turn of the loop may do before others get theirs: some milliseconds' work.
constexpr std::size_t k_receive_batches = 64, k_send_batches = 64, k_events = 256;
// An engine whose deadline has passed already (it waits for room in the socket, say) is not asked in a tight circle.
constexpr Duration k_shortest_wait = 200us;

MediaOptions g_of_process;

}  // namespace

const MediaOptions& MediaOptions::of_process() {
  return g_of_process;
}
void MediaOptions::set_of_process(MediaOptions options) {
  g_of_process = std::move(options);
}

struct MediaDriver::Impl {
  Impl(Loop& l, swarm::Engine& e, std::function<void(const swarm::Event&)> h)
      : loop(l), engine(e), on_event(std::move(h)) {}
  void ready(bool readable, bool writable);
  void receive();
  bool send_pending();
  std::size_t hand_over(const SendBatch& batch);
  bool send(std::size_t budget);
  void flush();
  void service();
  void set_timer();
  void deliver_later();
  void deliver();
  void post(void (Impl::*task)());
  void hand_out_jobs();
  void take_done();
  void jobs_done();
  void start_worker();
  void shut();

  Loop& loop;
  swarm::Engine& engine;
  std::function<void(const swarm::Event&)> on_event;
  BatchSocket socket;
  MediaCounters counters;

  // What the full socket did not take. While it waits the engine is not asked for more.
  Bytes pending;
  SendBatch pending_batch;

  Loop::TimerId timer = 0;
  Instant timer_at = k_never;
  bool flush_posted = false, delivery_posted = false;
  // Owners: this, and each posted task weakly, which may run after the driver is gone.
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
  bool storage_thread = false;  // else jobs are done on the spot
  std::unique_ptr<StorageWorker> worker;
};

void MediaDriver::Impl::post(void (Impl::*task)()) {
  loop.post([this, task, weak = std::weak_ptr(alive)] {
    if (!weak.expired() && socket.is_open()) (this->*task)();
  });
}

void MediaDriver::Impl::ready(bool readable, bool writable) {
  if (writable && send_pending()) loop.rewatch(socket.descriptor(), true, false);
  if (readable) receive();
  flush();
  deliver();
}

void MediaDriver::Impl::receive() {
  for (std::size_t taken = 0; taken < k_receive_batches;) {
    auto batches = socket.receive(counters);
    if (batches.empty()) return;
    taken += batches.size();
    auto now = os::monotonic_now();
    for (auto& batch : batches) {
      engine.input(now, batch);
      hand_out_jobs();
    }
    // Acknowledgements keep the partner's window moving: they do not wait for the whole backlog.
    if (!send(k_send_batches / 4)) return;
  }
}

std::size_t MediaDriver::Impl::hand_over(const SendBatch& batch) {
  auto before = counters.too_large;
  auto done = socket.send(batch, counters);
  if (counters.too_large != before) engine.too_large(batch.to, batch.segment, batch.fragment);
  return done;
}

// True when nothing waits any more.
bool MediaDriver::Impl::send_pending() {
  if (pending_batch.data.empty()) return true;
  auto done = hand_over(pending_batch);
  pending_batch.data = pending_batch.data.subspan(done);
  return pending_batch.data.empty();
}

// False when the socket is full or the budget is spent, and there may be more.
bool MediaDriver::Impl::send(std::size_t budget) {
  if (!pending_batch.data.empty()) return false;
  for (std::size_t sent = 0; sent < budget; ++sent) {
    auto batch = engine.output(os::monotonic_now());
    if (!batch) return true;
    auto done = hand_over(*batch);
    if (done == batch->data.size()) continue;
    // Protected already, numbered and on its books: the engine never makes the same packets again.
    ++counters.send_waits;
    pending.assign(batch->data.begin() + static_cast<std::ptrdiff_t>(done), batch->data.end());
    pending_batch = {batch->to, batch->segment, pending, batch->fragment};
    loop.rewatch(socket.descriptor(), true, true);
    return false;
  }
  return false;
}

void MediaDriver::Impl::flush() {
  if (!socket.is_open()) return;
  hand_out_jobs();
  bool idle = send(k_send_batches);
  if (!idle && pending_batch.data.empty() && !std::exchange(flush_posted, true)) post(&Impl::service);
  set_timer();
}

void MediaDriver::Impl::service() {
  flush_posted = false;
  flush();
  deliver();
}

// ---- Runs that have come

void MediaDriver::Impl::start_worker() {
  worker = std::make_unique<StorageWorker>([this, weak = std::weak_ptr(alive)] {
    loop.post([this, weak] {
      if (!weak.expired() && socket.is_open()) jobs_done();
    });
  });
}

void MediaDriver::Impl::hand_out_jobs() {
  while (auto job = engine.poll_job()) {
    if (!storage_thread) {
      engine.job_done(os::monotonic_now(), swarm::run(std::move(*job)));
      continue;
    }
    if (!worker) start_worker();
    worker->add(std::move(*job));
  }
}

void MediaDriver::Impl::take_done() {
  if (!worker) return;
  auto now = os::monotonic_now();
  for (auto& done : worker->take_done()) engine.job_done(now, std::move(done));
}

void MediaDriver::Impl::jobs_done() {
  take_done();
  flush();
  deliver();
}

void MediaDriver::Impl::set_timer() {
  auto wanted = engine.deadline();
  if (wanted != k_never) wanted = std::max(wanted, os::monotonic_now() + k_shortest_wait);
  // One that is a little early does no harm, one for each packet would.
  if (timer != 0 && wanted >= timer_at && wanted < timer_at + k_shortest_wait) return;
  loop.cancel(std::exchange(timer, 0));
  timer_at = wanted;
  if (wanted == k_never) return;
  timer = loop.at(wanted, [this] {
    timer = 0;
    auto now = os::monotonic_now();
    if (engine.deadline() <= now) engine.on_deadline(now);
    flush();
    deliver();
  });
}

void MediaDriver::Impl::deliver_later() {
  if (!std::exchange(delivery_posted, true)) post(&Impl::deliver);
}

void MediaDriver::Impl::deliver() {
  delivery_posted = false;
  for (std::size_t given = 0; given < k_events; ++given) {
    auto event = engine.poll_event();
    if (!event) return;
    on_event(*event);
    if (!socket.is_open()) return;
  }
  deliver_later();
}

void MediaDriver::Impl::shut() {
  if (!socket.is_open()) return;
  loop.unwatch(socket.descriptor());
  loop.cancel(std::exchange(timer, 0));
  socket.close();
  pending_batch = {};
  flush_posted = delivery_posted = false;
  worker.reset();
}

MediaDriver::MediaDriver(Loop& loop, swarm::Engine& engine, std::function<void(const swarm::Event&)> on_event)
    : impl_(std::make_unique<Impl>(loop, engine, std::move(on_event))) {}

// Without asking the engine: what its swarms lie in may be gone.
MediaDriver::~MediaDriver() {
  impl_->shut();
}

Status MediaDriver::open(const Endpoint& local, MediaOptions options) {
  auto& i = *impl_;
  close();
  SEALCAST_TRY(i.socket.open(local, options));
  i.counters = {};
  i.storage_thread = options.storage_thread;
  i.loop.watch(i.socket.descriptor(), true, false, [&i](bool readable, bool writable) { i.ready(readable, writable); });
  pump();
  return {};
}

Endpoint MediaDriver::local() const {
  return impl_->socket.local();
}

void MediaDriver::pump() {
  if (!impl_->socket.is_open()) return;
  impl_->flush();
  // The caller is in the middle of something: events come from the loop.
  impl_->deliver_later();
}

void MediaDriver::settle() {
  if (!impl_->worker) return;
  impl_->worker->settle();
  impl_->take_done();
}

void MediaDriver::close() {
  auto& i = *impl_;
  if (!i.socket.is_open()) return;
  settle();
  if (i.send_pending()) (void)i.send(k_send_batches);
  i.shut();
}

const MediaCounters& MediaDriver::counters() const {
  return impl_->counters;
}
bool MediaDriver::coalescing() const {
  return impl_->socket.coalescing();
}
bool MediaDriver::segmentation() const {
  return impl_->socket.segmentation();
}

}  // namespace sealcast::io
