#include "roles/ue/transfer.hpp"

#include <algorithm>
#include <utility>

#include "base/encoding.hpp"
#include "base/log.hpp"
#include "base/text.hpp"

namespace sealcast::roles {
namespace {

constexpr Duration k_watch = 1s;
constexpr int k_runs_a_step = 128;   // of 32 chunks
constexpr int k_pieces_a_step = 64;  // records, or runs, that are written out
constexpr int k_sample = 32;         // runs that are looked at before a transfer goes on
// A holder that says "later" (429: many requests of one subscriber) is waited for longer than one that says nothing.
constexpr Duration k_busy_patience = 600s;
// Under a limit so many chunks may have to come before the first of them can be verified.
constexpr std::uint64_t k_chunks_under_limit = 32;

// The same for every way to write a path, and for a file that is not there yet.
std::string canonical_text(const std::filesystem::path& path) {
  std::error_code error;
  auto absolute = std::filesystem::absolute(path, error);
  auto directory = std::filesystem::weakly_canonical(absolute.parent_path(), error);
  return error ? absolute.string() : (directory / absolute.filename()).string();
}

std::string short_hash(const std::string& text) {
  return hex(crypto::sha256(view_of(text))).substr(0, 32);
}

}  // namespace

Transfer::Transfer(UeNode& node, content::ContentUri uri, TransferOptions options,
                   std::function<void(Result<TransferReport>)> done)
    : node_(node), uri_(std::move(uri)), options_(std::move(options)), done_(std::move(done)) {}

Transfer::~Transfer() {
  lifetime_.end();
  node_.timers().cancel(watch_timer_);
  node_.forget_key_requests();
}

void Transfer::start() {
  started_ = phase_since_ = node_.timers().now();
  if (uri_.domain != node_.config().domain)
    return fail_with({ErrorCode::not_found, "the URI's tracker is in " + printable(uri_.domain) +
                                                ", and this subscriber belongs to " + node_.config().domain});
  if (auto writable = prepare_output(); !writable) return fail_with(writable.error());
  auto session = ContentSession::open(node_, uri_.root, "get", *this);
  if (!session) return fail_with(session.error());
  session_ = std::move(*session);
  watch_timer_ = node_.timers().after(k_watch, [this] { watch(); });
  auto done = [this](const Status& status) {
    if (!status) return fail_with(status.error());
    registered();
  };
  node_.register_identity(lifetime_.guard(done), lifetime_.guard([this](const Error& error) { fail_with(error); }));
}

// An output that cannot be written is better known before the transfer than after it. One that has no name yet is named
// as soon as the description, or the key to it, is there.
Status Transfer::prepare_output() {
  if (options_.output.empty()) {
    output_key_ = short_hash(canonical_text("./") + "\n" + content::root_text(uri_.root));
    SEALCAST_TRY(lock_output(output_key_, "this content's file in this directory"));
    return io::OutputFile::check(".sealcast-output");
  }
  output_path_ = options_.output;
  SEALCAST_TRY(io::OutputFile::check(output_path_));
  output_key_ = short_hash(canonical_text(output_path_));
  return lock_output(output_key_, printable(output_path_.string(), 4096));
}

Status Transfer::lock_output(const std::string& key, const std::string& shown) {
  auto directory = node_.config().state / "outputs";
  SEALCAST_TRY(io::make_directory(directory, 0700));
  SEALCAST_TRY_ASSIGN(auto lock, io::FileLock::try_take(directory / key, io::LockKind::exclusive, io::LockFile::goes));
  if (!lock)
    return fail(shown + " is in use by " + io::FileLock::holder(directory / key) +
                ", another get of this subscriber: wait for it, or name another file with -o");
  outputs_.push_back(std::move(*lock));
  return {};
}

// The provider chose the name: nothing that is there is replaced by it, unless it is this very content.
Status Transfer::name_output() {
  if (!output_path_.empty()) return {};
  SEALCAST_TRY_ASSIGN(auto described, session_->metadata());
  output_path_ = safe_file_name(described.name, content::root_text(uri_.root));
  SEALCAST_TRY(lock_output(short_hash(canonical_text(output_path_)), output_path_.string()));
  if (options_.overwrite) return io::OutputFile::check(output_path_);
  SEALCAST_TRY_ASSIGN(compare_, output_is_there());
  return compare_ ? Status{} : io::OutputFile::check(output_path_, io::Replace::never);
}

// A regular file of the same length. One of another length is refused before anything is fetched.
Result<bool> Transfer::output_is_there() const {
  std::error_code error;
  auto status = std::filesystem::symlink_status(output_path_, error);
  if (!std::filesystem::exists(status)) return false;
  auto same_length = std::filesystem::is_regular_file(status) &&
                     std::filesystem::file_size(output_path_, error) == description().plain_length && !error;
  if (same_length) return true;
  return fail(ErrorCode::usage, "cannot write to " + output_path_.string() +
                                    ": it exists already (-o FILE names another, --overwrite replaces it)");
}

void Transfer::registered() {
  phase_ = "description";
  session_->describe(ContentSession::Earlier::never, [this](const Status& status) {
    if (!done_) return;
    auto gone_on = status ? described() : status;
    if (!gone_on) fail_with(gone_on.error());
  });
}

Status Transfer::described() {
  const bool sealed = session_->sealed();
  if (!sealed) SEALCAST_TRY(name_output());
  SEALCAST_TRY(prepare_object());
  phase_ = sealed ? "key" : "chunks";
  bool nothing_to_check = state().held().empty() || state().held().full();
  SEALCAST_TRY(session_->join(key_first() || !nothing_to_check ? swarm::Appetite::none : swarm::Appetite::all));
  if (sealed) session_->seek_key();
  if (!key_first()) begin_chunks();
  return {};
}

bool Transfer::key_first() const {
  return session_->sealed() && (options_.key_first || session_->state().form() == Form::opened);
}

void Transfer::all_held(ContentSession&) {
  complete();
}

void Transfer::swarm_failed(ContentSession&, const Error& error) {
  if (done_) discard_ = error.code == ErrorCode::integrity;  // what was signed is not what it says
  fail_with(error);
}

// Chunks that may come before the key have to be kept as they are.
Status Transfer::prepare_object() {
  bool sealed = session_->sealed();
  auto form = options_.keep || (sealed && !options_.key_first) ? Form::kept : Form::opened;
  auto opened = state().open_object(description().geometry(), output_key_, form);
  if (!opened && !options_.resume && opened.error().code == ErrorCode::failure) {
    log(LogLevel::warning, "get", "begun anew: " + opened.error().message);
    if (state().discard_object()) opened = state().open_object(description().geometry(), output_key_, form);
  }
  if (!opened) return fail(opened.error());
  if (!*opened) return fail("this content is in use by another process of this subscriber: wait for it");
  return sealed && state().form() == Form::opened ? Status{} : open_output();
}

// From here on octets can be read and written.
Status Transfer::open_output() {
  if (state().form() == Form::opened) {
    auto tag = short_hash(node_.config().state.string() + "\n" + content::root_text(uri_.root) + "\n" + output_key_);
    SEALCAST_TRY(state().open_output(canonical_text(output_path_), tag.substr(0, 16), session_->opening()));
  }
  if (options_.resume && state().not_taken()) return fail(*state().not_taken());
  auto& held = state().held();
  if (!held.full() && !held.empty())
    log(LogLevel::info, "get",
        "going on with " + std::to_string(held.count()) + " of " + std::to_string(held.size()) + " chunks");
  if (held.empty()) next_check_ = description().geometry().chunks();
  return check_space();
}

Status Transfer::check_space() const {
  auto& held = state().held();
  auto missing = std::min(std::uint64_t{description().geometry().chunks() - held.count()} * description().chunk_size,
                          description().room());
  auto free = io::free_space(state().object().data_path());
  if (free && *free < missing)
    return fail(ErrorCode::disk_full, "the disk of " + printable(state().object().data_path().string(), 4096) +
                                          " has " + human_size(static_cast<double>(*free)) + " free, and " +
                                          human_size(static_cast<double>(missing)) + " are missing");
  return {};
}

// ---- key

void Transfer::key_refused(ContentSession&, const Error& error) {
  fail_with(error);
}

void Transfer::key_released(ContentSession&) {
  if (!done_) return;
  if (auto gone_on = go_on_with_key(); !gone_on) fail_with(gone_on.error());
}

Status Transfer::go_on_with_key() {
  SEALCAST_TRY(name_output());
  if (phase_ == "checking") return {};  // --key-order parallel
  phase_ = "chunks";
  phase_since_ = node_.timers().now();
  if (wants_chunks_) {
    complete();
    return {};
  }
  if (state().form() == Form::opened) SEALCAST_TRY(open_output());
  swarm().take_kept();
  begin_chunks();
  return {};
}

// ---- what an earlier run has left

// It is asked for what is missing at once, whatever is kept: a sample says whether the disk is to be believed so far.
// Before the output gets its name every chunk that is kept was verified in any case (complete()).
void Transfer::begin_chunks() {
  const auto& earlier = state().held();
  if (earlier.empty() || earlier.full() || (!options_.check && sample_is_good())) return want_chunks();
  phase_ = "checking";
  check_some();
}

// One that is damaged is no accident of its own: all are looked at first.
bool Transfer::sample_is_good() {
  const auto& earlier = state().held();
  const auto chunks = description().geometry().chunks();
  for (int i = 0; i < k_sample; ++i) {
    auto chunk = earlier.next_set(node_.random().u32() % chunks);
    if (chunk == chunks) chunk = earlier.next_set(0);
    ++kept_.sampled;
    if (check_kept(chunk)) continue;
    log(LogLevel::warning, "get", "what an earlier run has left is damaged on disk: all of it is checked first");
    return false;
  }
  return true;
}

bool Transfer::check_kept(std::uint32_t chunk) {
  auto& engine = node_.media().engine();
  if (engine.check_run(node_.timers().now(), description().root, chunk)) return true;
  ++kept_.damaged;
  if (!wants_chunks_) engine.set_appetite(node_.timers().now(), description().root, swarm::Appetite::none);
  return false;
}

void Transfer::want_chunks() {
  wants_chunks_ = true;
  swarm().begin();
  if (swarm().complete()) complete();
}

// ---- opening

void Transfer::complete() {
  if (reader_ || phase_ == "checking" || phase_ == "opening" || !done_ || !swarm().complete()) return;
  if (session_->lacks_key()) return;  // --key-order parallel: the key is still on its way
  if (next_check_ < description().geometry().chunks()) {
    phase_ = "checking";
    return check_some();
  }
  if (auto named = name_output(); !named) return fail_with(named.error());
  phase_ = "opening";
  if (state().form() == Form::opened) return check_tags();
  open_kept();
}

void Transfer::open_kept() {
  state().share();
  auto part = output_path_;
  if (compare_) part += ".sealcast";  // of its own name; it never becomes a file
  auto output = io::OutputFile::create(part, compare_ ? io::Replace::never : replace());
  if (!output) return fail_with(output.error());
  output_.emplace(std::move(*output));
  reader_.emplace(session_->reader());
  written_ = 0;
  node_.timers().post(lifetime_.guard([this] { open_some(); }));
}

// Whoever chose the name may replace what has it.
io::Replace Transfer::replace() const {
  return options_.output.empty() && !options_.overwrite ? io::Replace::never : io::Replace::allowed;
}

// Records that did not come in order, or in an earlier run.
void Transfer::check_tags() {
  if (!done_) return;
  auto more = state().opened()->check_some();
  if (!more) {
    if (begin_again(more.error())) return;
    discard_ = more.error().code == ErrorCode::integrity;
    return fail_with(more.error());
  }
  if (*more) return node_.timers().post(lifetime_.guard([this] { check_tags(); }));
  if (auto named = name_opened(); !named) return fail_with(named.error());
  report(description().plain_length);
}

Status Transfer::name_opened() {
  if (!compare_) {
    SEALCAST_TRY(state().opened()->commit(replace()));
    state().share();
    return {};
  }
  SEALCAST_TRY_ASSIGN(auto same, state().opened()->adopt());
  discard_ = !same;
  return same ? Status{} : fail(another_file());
}

// Chunks of an earlier run may have been damaged on the disk since: once through all of them, then what was is fetched
// again.
void Transfer::check_some() {
  if (!done_) return;
  auto chunks = description().geometry().chunks();
  const auto& earlier = state().held();
  for (int i = 0; i < k_runs_a_step && next_check_ < chunks; next_check_ += 32) {
    if (!checked_again_ && !earlier.test_any({next_check_, std::min(next_check_ + 31, chunks - 1)})) continue;
    ++i;
    if (!checked_again_) ++kept_.runs;
    (void)check_kept(next_check_);
  }
  node_.media().pump();
  node_.timers().post(lifetime_.guard([this, more = next_check_ < chunks] {
    if (more) return check_some();
    phase_ = session_->lacks_key() ? "key" : "chunks";
    phase_since_ = node_.timers().now();
    wants_chunks_ ? complete() : want_chunks();
  }));
}

// The disk may have changed it since: then it is fetched again, and what partners asked for meanwhile may be under way
// already. What is as it was published, and does not open, is the provider's fault.
bool Transfer::begin_again(const Error& why) {
  const bool lost = why.code == ErrorCode::unavailable && !swarm().complete();
  if (!lost && (why.code != ErrorCode::integrity || checked_again_)) return false;
  if (!lost) {
    log(LogLevel::warning, "get", why.message + ": all chunks are checked again");
    checked_again_ = true;
    next_check_ = 0;
  }
  reader_.reset();
  output_.reset();
  if (state().opened()) state().opened()->unverified();
  phase_ = "chunks";
  phase_since_ = node_.timers().now();
  complete();
  return true;
}

// In slices: partners are served meanwhile.
void Transfer::open_some() {
  if (!done_) return;
  auto more = write_some();
  if (!more) {
    if (!begin_again(more.error())) fail_with(more.error());
    return;
  }
  if (*more) return node_.timers().post(lifetime_.guard([this] { open_some(); }));
  if (auto written = write_output(); !written) return fail_with(written.error());
  report(written_);
}

// Some 4 MiB. False: all is written.
Result<bool> Transfer::write_some() {
  for (int i = 0; i < k_pieces_a_step; ++i) {
    SEALCAST_TRY_ASSIGN(auto piece, reader_->read(swarm().held(), written_));
    SEALCAST_TRY(output_->write(piece));
    written_ += piece.size();
    if (written_ == reader_->length()) return false;
  }
  return true;
}

void Transfer::report(std::uint64_t octets) {
  TransferReport report;
  report.file = output_path_;
  report.protection = content::name(description().protection);
  report.suite = swarm().suite();
  if (auto* quest = session_->quest())
    report.key_id = content::key_id(*description().header), report.key_holder = quest->holder();
  report.title = description().title;
  report.octets = octets;
  report.traffic = swarm().traffic();
  report.elapsed = node_.timers().now() - started_;
  report.kept = kept_;
  finish(std::move(report));
}

Error Transfer::another_file() const {
  return {ErrorCode::usage, "cannot write to " + output_path_.string() +
                                ": it exists already and is another file (-o FILE names another, --overwrite "
                                "replaces it)"};
}

Status Transfer::write_output() {
  if (!compare_) return output_->commit();
  SEALCAST_TRY_ASSIGN(auto same, output_->same_as(output_path_));
  return same ? Status{} : fail(another_file());
}

// ---- time, interruption, end

TransferProgress Transfer::progress() const {
  TransferProgress out{phase_, 0, 0, {}};
  const auto* swarm = session_ ? session_->swarm() : nullptr;
  if (!swarm) return out;
  out.total = description().length;
  out.done = swarm->octets_held();
  out.traffic = swarm->traffic();
  return out;
}

// At a limit of r octets a second the first verified chunk may take its time: that is no stall.
Duration Transfer::patience() const {
  const auto* quest = session_ ? session_->quest() : nullptr;
  if (quest && quest->busy()) return std::max(options_.patience, k_busy_patience);
  auto limit = node_.config().download_limit;
  if (limit == 0 || !session_ || !session_->described()) return options_.patience;
  return options_.patience + std::chrono::seconds(k_chunks_under_limit * description().chunk_size / limit);
}

// What a person should hear when nothing has moved for long.
Error Transfer::waiting_for() const {
  auto seconds = std::to_string(std::chrono::duration_cast<std::chrono::seconds>(patience()).count());
  auto gone = node_.registered() ? std::string() : " (and the core at " + node_.config().core + " does not answer)";
  auto error = session_->swarm() ? session_->obstacle() : Error{ErrorCode::network, "no answer (" + phase_ + ")"};
  error.message += " for " + seconds + " s" + gone + "; get -c goes on with the chunks that are verified";
  return error;
}

// Only octets of content that were verified count, and the beginning of a phase: a partner may open channels, shake
// hands and say what it has for ever.
void Transfer::watch() {
  watch_timer_ = node_.timers().after(k_watch, [this] { watch(); });
  auto last = session_->swarm() ? std::max(phase_since_, swarm().last_verified()) : phase_since_;
  if (phase_ == "opening" || phase_ == "checking" || node_.timers().now() - last < patience()) return;
  fail_with(waiting_for());
}

void Transfer::interrupt() {
  fail_with({ErrorCode::interrupted, "interrupted; get -c goes on with the chunks that are verified"});
}

void Transfer::settle() {
  bool whole = session_->swarm() && swarm().complete();
  session_->leave();
  if (discard_) (void)state().discard_object();
  state().settle(whole && !discard_);
}

void Transfer::finish(Result<TransferReport> result) {
  if (!done_) return;
  node_.timers().cancel(watch_timer_);
  if (session_) session_->stop_seeking();
  node_.forget_key_requests();
  auto done = std::exchange(done_, nullptr);
  reader_.reset();
  output_.reset();
  // Events of the swarm may have brought us here: it goes when they are over.
  node_.timers().post(lifetime_.guard([this, done = std::move(done), result = std::move(result)]() mutable {
    if (session_) settle();
    outputs_.clear();
    done(std::move(result));
  }));
}

}  // namespace sealcast::roles
