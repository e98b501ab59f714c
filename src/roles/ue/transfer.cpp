#include "roles/ue/transfer.hpp"

#include <algorithm>
#include <utility>

#include "base/encoding.hpp"
#include "base/log.hpp"
#include "base/text.hpp"

namespace sealcast::roles {
namespace {

constexpr Duration k_watch = 1s;
constexpr int k_runs_a_step = 128;  // of 32 chunks
constexpr int k_sample = 32;        // runs that are looked at before a transfer goes on
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
  auto state = ContentState::open(node_.config().state, uri_.root);
  if (!state) return fail_with(state.error());
  state_ = std::move(*state);
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
  SEALCAST_TRY_ASSIGN(auto described, metadata());
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
                     std::filesystem::file_size(output_path_, error) == description_->plain_length && !error;
  if (same_length) return true;
  return fail(ErrorCode::usage, "cannot write to " + output_path_.string() +
                                    ": it exists already (-o FILE names another, --overwrite replaces it)");
}

void Transfer::registered() {
  phase_ = "description";
  node_.fetch_description(uri_.root, lifetime_.guard([this](Result<std::string> jws) {
    if (!done_) return;
    if (!jws) return fail_with(jws.error());
    take_description(*jws);
  }));
}

void Transfer::take_description(const std::string& jws) {
  auto accepted = state_->accept_description(jws, node_.trust().providers, node_.timers().unix_now());
  if (!accepted) return fail_with(accepted.error());
  description_ = std::move(*accepted);
  if (!content::is_sealed(description_->protection))
    if (auto named = name_output(); !named) return fail_with(named.error());
  if (auto ready = prepare_object(); !ready) return fail_with(ready.error());
  bool sealed = content::is_sealed(description_->protection);
  phase_ = sealed ? "key" : "chunks";
  if (sealed) seek_key();
  UeSwarmEvents events;
  events.on_keyinfo = [this](const std::string& keyinfo) {
    if (quest_) quest_->take_keyinfo(keyinfo);
  };
  events.on_complete = [this] { complete(); };
  events.on_failed = [this](const Error& error) {
    if (done_) discard_ = error.code == ErrorCode::integrity;  // what was signed is not what it says
    fail_with(error);
  };
  bool key_first = sealed && (options_.key_first || state_->form() == Form::opened);
  bool nothing_to_check = state_->held().empty() || state_->held().full();
  auto appetite = key_first || !nothing_to_check ? swarm::Appetite::none : swarm::Appetite::all;
  swarm_ = std::make_unique<UeSwarm>(node_, *state_, *description_, appetite, std::move(events));
  if (auto started = swarm_->start(); !started) return fail_with(started.error());
  if (sealed && !state_->keyinfo().empty()) quest_->take_keyinfo(state_->keyinfo());
  if (!key_first) begin_chunks();
}

// Chunks that may come before the key have to be kept as they are.
Status Transfer::prepare_object() {
  bool sealed = content::is_sealed(description_->protection);
  auto form = options_.keep || (sealed && !options_.key_first) ? Form::kept : Form::opened;
  auto opened = state_->open_object(description_->geometry(), output_key_, form);
  if (!opened && !options_.resume && opened.error().code == ErrorCode::failure) {
    log(LogLevel::warning, "get", "begun anew: " + opened.error().message);
    if (state_->discard_object()) opened = state_->open_object(description_->geometry(), output_key_, form);
  }
  if (!opened) return fail(opened.error());
  if (!*opened) return fail("this content is in use by another process of this subscriber: wait for it");
  return sealed && state_->form() == Form::opened ? Status{} : open_output();
}

// From here on octets can be read and written.
Status Transfer::open_output() {
  if (state_->form() == Form::opened) {
    auto tag = short_hash(node_.config().state.string() + "\n" + content::root_text(uri_.root) + "\n" + output_key_);
    SEALCAST_TRY(state_->open_output(canonical_text(output_path_), tag.substr(0, 16),
                                     opening_of(*description_, quest_ ? quest_->key() : nullptr)));
  }
  if (options_.resume && state_->not_taken()) return fail(*state_->not_taken());
  auto& held = state_->held();
  if (!held.full() && !held.empty())
    log(LogLevel::info, "get",
        "going on with " + std::to_string(held.count()) + " of " + std::to_string(held.size()) + " chunks");
  if (held.empty()) next_check_ = description_->geometry().chunks();
  return check_space();
}

Status Transfer::check_space() const {
  auto& held = state_->held();
  auto missing = std::min(std::uint64_t{description_->geometry().chunks() - held.count()} * description_->chunk_size,
                          description_->room());
  auto free = io::free_space(state_->object().data_path());
  if (free && *free < missing)
    return fail(ErrorCode::disk_full, "the disk of " + printable(state_->object().data_path().string(), 4096) +
                                          " has " + human_size(static_cast<double>(*free)) + " free, and " +
                                          human_size(static_cast<double>(missing)) + " are missing");
  return {};
}

// ---- key

void Transfer::seek_key() {
  KeyQuestEvents events;
  events.on_keyinfo = [this](const std::string& keyinfo) {
    if (auto kept = state_->keep_keyinfo(keyinfo); !kept) log(LogLevel::warning, "get", kept.error().message);
    node_.media().engine().set_keyinfo(description_->root, keyinfo);  // for those who get their bitmap from us
  };
  events.on_key = [this] { key_released(); };
  events.on_refused = [this](const Error& error) { fail_with(error); };
  quest_ = std::make_unique<KeyQuest>(node_.timers(), node_.key_requests(), *description_, "get", std::move(events));
}

void Transfer::key_released() {
  if (!done_) return;
  if (auto named = name_output(); !named) return fail_with(named.error());
  if (phase_ == "checking") return;  // --key-order parallel
  phase_ = "chunks";
  phase_since_ = node_.timers().now();
  if (wants_chunks_) return complete();
  if (state_->form() == Form::opened)
    if (auto ready = open_output(); !ready) return fail_with(ready.error());
  swarm_->take_kept();
  begin_chunks();
}

// ---- what an earlier run has left

// It is asked for what is missing at once, whatever is kept: a sample says whether the disk is to be believed so far.
// Before the output gets its name every chunk that is kept was verified in any case (complete()).
void Transfer::begin_chunks() {
  const auto& earlier = state_->held();
  if (earlier.empty() || earlier.full() || (!options_.check && sample_is_good())) return want_chunks();
  phase_ = "checking";
  check_some();
}

// One that is damaged is no accident of its own: all are looked at first.
bool Transfer::sample_is_good() {
  const auto& earlier = state_->held();
  const auto chunks = description_->geometry().chunks();
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
  if (engine.check_run(node_.timers().now(), description_->root, chunk)) return true;
  ++kept_.damaged;
  if (!wants_chunks_) engine.set_appetite(node_.timers().now(), description_->root, swarm::Appetite::none);
  return false;
}

void Transfer::want_chunks() {
  wants_chunks_ = true;
  swarm_->begin();
  if (swarm_->complete()) complete();
}

// ---- opening

Result<content::Metadata> Transfer::metadata() const {
  if (!content::is_sealed(description_->protection)) return content::Metadata{description_->name, description_->type};
  auto opened =
      content::open_metadata(description_->metadata, *description_->header, *quest_->key(), description_->root);
  if (!opened) return fail(ErrorCode::integrity, "the description's sealed name does not open with the content's key");
  return std::move(*opened);
}

void Transfer::complete() {
  if (opener_ || phase_ == "checking" || phase_ == "opening" || !done_ || !swarm_->complete()) return;
  if (quest_ && !quest_->key()) return;  // --key-order parallel: the key is still on its way
  if (next_check_ < description_->geometry().chunks()) {
    phase_ = "checking";
    return check_some();
  }
  if (auto named = name_output(); !named) return fail_with(named.error());
  phase_ = "opening";
  if (state_->form() == Form::opened) return check_tags();
  open_kept();
}

void Transfer::open_kept() {
  state_->share();
  auto part = output_path_;
  if (compare_) part += ".sealcast";  // of its own name; it never becomes a file
  auto output = io::OutputFile::create(part, compare_ ? io::Replace::never : replace());
  if (!output) return fail_with(output.error());
  output_.emplace(std::move(*output));
  opener_ = std::make_unique<ObjectOpener>(state_->object(), *description_, quest_ ? quest_->key() : nullptr,
                                           checked_again_ ? ObjectOpener::Plain::trusted : ObjectOpener::Plain::by_sum);
  node_.timers().post(lifetime_.guard([this] { open_some(); }));
}

// Whoever chose the name may replace what has it.
io::Replace Transfer::replace() const {
  return options_.output.empty() && !options_.overwrite ? io::Replace::never : io::Replace::allowed;
}

// Records that did not come in order, or in an earlier run.
void Transfer::check_tags() {
  if (!done_) return;
  auto more = state_->opened()->check_some();
  if (!more) {
    if (check_again(more.error())) return;
    discard_ = more.error().code == ErrorCode::integrity;
    return fail_with(more.error());
  }
  if (*more) return node_.timers().post(lifetime_.guard([this] { check_tags(); }));
  if (auto named = name_opened(); !named) return fail_with(named.error());
  report(description_->plain_length);
}

Status Transfer::name_opened() {
  if (!compare_) {
    SEALCAST_TRY(state_->opened()->commit(replace()));
    state_->share();
    return {};
  }
  SEALCAST_TRY_ASSIGN(auto same, state_->opened()->adopt());
  discard_ = !same;
  return same ? Status{} : fail(another_file());
}

// Chunks of an earlier run may have been damaged on the disk since: once through all of them, then what was is fetched
// again.
void Transfer::check_some() {
  if (!done_) return;
  auto chunks = description_->geometry().chunks();
  const auto& earlier = state_->held();
  for (int i = 0; i < k_runs_a_step && next_check_ < chunks; next_check_ += 32) {
    if (!checked_again_ && !earlier.test_any({next_check_, std::min(next_check_ + 31, chunks - 1)})) continue;
    ++i;
    if (!checked_again_) ++kept_.runs;
    (void)check_kept(next_check_);
  }
  node_.media().pump();
  node_.timers().post(lifetime_.guard([this, more = next_check_ < chunks] {
    if (more) return check_some();
    phase_ = quest_ && !quest_->key() ? "key" : "chunks";
    phase_since_ = node_.timers().now();
    wants_chunks_ ? complete() : want_chunks();
  }));
}

// The disk may have changed it since: then it is fetched again. What is as it was published, and does not open, is the
// provider's fault.
bool Transfer::check_again(const Error& why) {
  if (why.code != ErrorCode::integrity || checked_again_) return false;
  log(LogLevel::warning, "get", why.message + ": all chunks are checked again");
  checked_again_ = true;
  next_check_ = 0;
  opener_.reset();
  output_.reset();
  if (state_->opened()) state_->opened()->unverified();
  phase_ = "chunks";
  complete();
  return true;
}

// In slices: partners are served meanwhile.
void Transfer::open_some() {
  if (!done_) return;
  auto more = opener_->step(*output_);
  if (!more) {
    if (!check_again(more.error())) fail_with(more.error());
    return;
  }
  if (*more) return node_.timers().post(lifetime_.guard([this] { open_some(); }));
  if (opener_->written() != description_->plain_length)
    return fail_with({ErrorCode::integrity, "the opened content has another length than its description says"});
  if (auto written = write_output(); !written) return fail_with(written.error());
  report(opener_->written());
}

void Transfer::report(std::uint64_t octets) {
  TransferReport report;
  report.file = output_path_;
  report.protection = content::name(description_->protection);
  report.suite = swarm_->suite();
  if (quest_) report.key_id = content::key_id(*description_->header), report.key_holder = quest_->holder();
  report.title = description_->title;
  report.octets = octets;
  report.traffic = swarm_->traffic();
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
  if (!description_ || !swarm_) return out;
  out.total = description_->length;
  out.done = swarm_->octets_held();
  out.traffic = swarm_->traffic();
  return out;
}

// At a limit of r octets a second the first verified chunk may take its time: that is no stall.
Duration Transfer::patience() const {
  if (quest_ && quest_->busy()) return std::max(options_.patience, k_busy_patience);
  auto limit = node_.config().download_limit;
  if (limit == 0 || !description_) return options_.patience;
  return options_.patience + std::chrono::seconds(k_chunks_under_limit * description_->chunk_size / limit);
}

// What a person should hear when nothing has moved for long.
Error Transfer::waiting_for() const {
  auto seconds = std::to_string(std::chrono::duration_cast<std::chrono::seconds>(patience()).count());
  auto give_up = [&](ErrorCode code, const std::string& what) {
    auto gone = node_.registered() ? std::string() : " (and the core at " + node_.config().core + " does not answer)";
    return Error{code, what + " for " + seconds + " s" + gone + "; get -c goes on with the chunks that are verified"};
  };
  if (!swarm_) return give_up(ErrorCode::network, "no answer (" + phase_ + ")");
  if (phase_ == "key" && quest_->busy())
    return give_up(ErrorCode::key_not_released, "the key holder has been too busy to release the key");
  if (phase_ == "key" && quest_->trouble())
    return give_up(quest_->trouble()->code,
                   "no peer gives the key or says credibly who holds it (" + quest_->trouble()->message + ")");
  if (phase_ == "key" && swarm_->connected() > 0)
    return give_up(ErrorCode::key_not_released, "no peer says who holds the key");
  if (swarm_->listed() == 0) return give_up(ErrorCode::network, "the tracker names no peer that has this content");
  if (auto trouble = swarm_->path_trouble(); !trouble.empty())
    return give_up(ErrorCode::network, "no chunk has come (" + printable(trouble, 200) + ")");
  if (swarm_->connected() == 0) return give_up(ErrorCode::network, "no peer has answered");
  return give_up(ErrorCode::network, "no chunk has come");
}

// Only octets of content that were verified count, and the beginning of a phase: a partner may open channels, shake
// hands and say what it has for ever.
void Transfer::watch() {
  watch_timer_ = node_.timers().after(k_watch, [this] { watch(); });
  auto last = swarm_ ? std::max(phase_since_, swarm_->last_verified()) : phase_since_;
  if (phase_ == "opening" || phase_ == "checking" || node_.timers().now() - last < patience()) return;
  fail_with(waiting_for());
}

void Transfer::interrupt() {
  fail_with({ErrorCode::interrupted, "interrupted; get -c goes on with the chunks that are verified"});
}

void Transfer::finish(Result<TransferReport> result) {
  if (!done_) return;
  node_.timers().cancel(watch_timer_);
  if (quest_) quest_->end();
  node_.forget_key_requests();
  auto done = std::exchange(done_, nullptr);
  output_.reset();
  // Events of the swarm may have brought us here: it goes when they are over.
  node_.timers().post(lifetime_.guard([this, done = std::move(done), result = std::move(result)]() mutable {
    bool whole = swarm_ && swarm_->complete();
    swarm_.reset();
    if (discard_) (void)state_->discard_object();
    if (state_) state_->settle(whole && !discard_);
    outputs_.clear();
    done(std::move(result));
  }));
}

}  // namespace sealcast::roles
