#include "roles/transfer.hpp"

#include <algorithm>
#include <utility>

#include "base/encoding.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "os/clock.hpp"

namespace sealcast::roles {
namespace {

constexpr Duration k_watch = 1s;
constexpr int k_runs_a_step = 128;                         // of 32 chunks
constexpr int k_shortest_retry = 1, k_longest_retry = 30;  // seconds, of 429
constexpr Duration k_ask_again = 2s;
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
  *alive_ = false;
  node_.loop().cancel(watch_timer_);
  node_.loop().cancel(key_timer_);
  node_.forget_key_requests();
}

void Transfer::start() {
  started_ = phase_since_ = os::monotonic_now();
  if (uri_.domain != node_.config().domain)
    return fail_with({ErrorCode::not_found, "the URI's tracker is in " + printable(uri_.domain) +
                                                ", and this subscriber belongs to " + node_.config().domain});
  if (auto writable = prepare_output(); !writable) return fail_with(writable.error());
  auto state = ContentState::open(node_.config().state, uri_.root);
  if (!state) return fail_with(state.error());
  state_ = std::move(*state);
  watch_timer_ = node_.loop().after(k_watch, [this] { watch(); });
  node_.register_identity([this, alive = alive_](Status status) {
    if (!*alive) return;
    if (!status) return fail_with(status.error());
    registered();
  });
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
  node_.fetch_description(uri_.root, [this, alive = alive_](Result<std::string> jws) {
    if (!*alive || !done_) return;
    if (!jws) return fail_with(jws.error());
    take_description(*jws);
  });
}

void Transfer::take_description(const std::string& jws) {
  auto accepted = state_->accept_description(jws, node_.trust().providers, os::unix_now());
  if (!accepted) return fail_with(accepted.error());
  description_ = std::move(*accepted);
  if (!content::is_sealed(description_->protection))
    if (auto named = name_output(); !named) return fail_with(named.error());
  if (auto ready = prepare_object(); !ready) return fail_with(ready.error());
  bool sealed = content::is_sealed(description_->protection);
  phase_ = sealed ? "key" : "chunks";
  UeSwarmEvents events;
  events.on_keyinfo = [this](const std::string& keyinfo) { take_keyinfo(keyinfo); };
  events.on_complete = [this] { complete(); };
  events.on_failed = [this](const Error& error) { fail_with(error); };
  auto appetite = sealed && options_.key_first ? swarm::Appetite::none : swarm::Appetite::all;
  swarm_ = std::make_unique<UeSwarm>(node_, *state_, *description_, appetite, std::move(events));
  if (auto started = swarm_->start(); !started) return fail_with(started.error());
  if (sealed && !state_->keyinfo().empty()) take_keyinfo(state_->keyinfo());
  if (!sealed && swarm_->complete()) complete();
}

Status Transfer::prepare_object() {
  auto opened = state_->open_object(description_->geometry(), output_key_);
  if (!opened && !options_.resume && opened.error().code == ErrorCode::failure) {
    log(LogLevel::warning, "get", "begun anew: " + opened.error().message);
    if (state_->discard_object()) opened = state_->open_object(description_->geometry(), output_key_);
  }
  if (!opened) return fail(opened.error());
  if (!*opened) return fail("this content is in use by another process of this subscriber: wait for it");
  auto& held = state_->held();
  if (!held.full() && !held.empty())
    log(LogLevel::info, "get",
        "going on with " + std::to_string(held.count()) + " of " + std::to_string(held.size()) + " chunks");
  if (held.empty()) next_check_ = description_->geometry().chunks();
  return check_space();
}

Status Transfer::check_space() const {
  auto& held = state_->held();
  auto missing = std::uint64_t{description_->geometry().chunks() - held.count()} * description_->chunk_size;
  auto free = io::free_space(state_->object().data_path());
  if (free && *free < missing)
    return fail(ErrorCode::disk_full, "the disk of " + node_.config().state.string() + " has " +
                                          human_size(static_cast<double>(*free)) + " free, and " +
                                          human_size(static_cast<double>(missing)) + " are missing");
  return {};
}

// ---- key

void Transfer::take_keyinfo(const std::string& keyinfo) {
  if (key_ || !content::is_sealed(description_->protection)) return;
  auto holder = keys::verify_keyinfo(keyinfo, *description_, os::unix_now());
  if (!holder) {  // costs us nothing; another peer may say better
    key_trouble_ = holder.error();
    return log(LogLevel::warning, "get", holder.error().message);
  }
  if (std::any_of(holders_.begin(), holders_.end(),
                  [&](auto& known) { return known.uri == holder->uri && known.key == holder->key; }))
    return;
  holders_.push_back(*holder);
  if (auto kept = state_->keep_keyinfo(keyinfo); !kept) log(LogLevel::warning, "get", kept.error().message);
  node_.media().engine().set_keyinfo(description_->root, keyinfo);  // for those who get their bitmap from us
  ask_for_key();
}

void Transfer::ask_for_key() {
  if (!done_ || asking_ || key_ || next_holder_ >= holders_.size()) return;
  asking_ = true;
  auto& holder = holders_[next_holder_];
  key_holder_ = holder.uri;
  node_.request_key(*description_, holder, [this](Result<keys::KeyAnswer> answer) { take_key(std::move(answer)); });
}

void Transfer::take_key(Result<keys::KeyAnswer> answer) {
  if (!done_) return;
  asking_ = false;
  if (answer && answer->status == 200) {
    key_.emplace(std::move(answer->key));
    busy_since_.reset();
    log(LogLevel::info, "get", "key released by " + key_holder_);
    if (auto named = name_output(); !named) return fail_with(named.error());
    phase_ = "chunks";
    phase_since_ = os::monotonic_now();
    swarm_->set_appetite(swarm::Appetite::all);
    if (swarm_->complete()) complete();
    return;
  }
  if (answer && answer->status == 429) {
    auto wait = std::chrono::seconds(std::clamp(answer->retry_after, k_shortest_retry, k_longest_retry));
    if (!busy_since_) busy_since_ = os::monotonic_now();
    log(LogLevel::warning, "get",
        "the key holder has many requests of this subscriber: asking again in " + std::to_string(wait.count()) + " s");
    key_timer_ = node_.loop().after(wait, [this] { ask_for_key(); });
    return;
  }
  busy_since_.reset();
  Error trouble = answer ? Error{} : answer.error();
  if (answer) {
    auto from = " (" + key_holder_ + ")";
    switch (answer->status) {
      case 403:
        trouble = {ErrorCode::not_entitled, "not entitled to the key of this content" + from};
        break;
      case 404:
        trouble = {ErrorCode::not_found, "the key holder does not know this content" + from};
        break;
      case 410:
        trouble = {ErrorCode::not_entitled, "the content's validity has ended" + from};
        break;
      case 425:
        trouble = {ErrorCode::key_not_released, "the key is not released yet" + from};
        break;
      default:
        trouble = {ErrorCode::failure, "the key holder answers " + std::to_string(answer->status) + from};
        break;
    }
  }
  log(LogLevel::info, "get", trouble.message);
  // Another holder may know better. A verdict of the last one is the end; silence is not.
  if (trouble.code != ErrorCode::network) key_verdict_ = trouble;
  key_trouble_ = trouble;
  if (++next_holder_ < holders_.size()) return ask_for_key();
  if (key_verdict_) return fail_with(*key_verdict_);
  next_holder_ = 0;
  key_timer_ = node_.loop().after(k_ask_again, [this] { ask_for_key(); });
}

// ---- opening

Result<content::Metadata> Transfer::metadata() const {
  if (!content::is_sealed(description_->protection)) return content::Metadata{description_->name, description_->type};
  auto opened = content::open_metadata(description_->metadata, *description_->header, *key_, description_->root);
  if (!opened) return fail(ErrorCode::integrity, "the description's sealed name does not open with the content's key");
  return std::move(*opened);
}

void Transfer::complete() {
  if (opener_ || phase_ == "checking" || !done_ || !swarm_->complete()) return;
  if (content::is_sealed(description_->protection) && !key_)
    return;  // --key-order parallel: the key is still on its way
  if (next_check_ < description_->geometry().chunks()) {
    phase_ = "checking";
    return check_some();
  }
  state_->share();
  if (auto named = name_output(); !named) return fail_with(named.error());
  bool keep = compare_ || (options_.output.empty() && !options_.overwrite);
  auto part = output_path_;
  if (compare_) part += ".sealcast";  // of its own name; it never becomes a file
  auto output = io::OutputFile::create(part, keep ? io::Replace::never : io::Replace::allowed);
  if (!output) return fail_with(output.error());
  output_.emplace(std::move(*output));
  phase_ = "opening";
  opener_ = std::make_unique<ObjectOpener>(state_->object(), *description_, key_ ? &*key_ : nullptr);
  node_.loop().post([this, alive = alive_] {
    if (*alive) open_some();
  });
}

// Chunks of an earlier run may have been damaged on the disk since: once through all of them, then what was is fetched
// again.
void Transfer::check_some() {
  if (!done_) return;
  auto chunks = description_->geometry().chunks();
  for (int i = 0; i < k_runs_a_step && next_check_ < chunks; ++i, next_check_ += 32)
    (void)node_.media().engine().check_run(os::monotonic_now(), description_->root, next_check_);
  node_.media().pump();
  node_.loop().post([this, alive = alive_, more = next_check_ < chunks] {
    if (!*alive) return;
    if (more) return check_some();
    phase_ = "chunks";
    phase_since_ = os::monotonic_now();
    complete();
  });
}

// In slices: partners are served meanwhile.
void Transfer::open_some() {
  if (!done_) return;
  auto more = opener_->step(*output_);
  if (!more) return fail_with(more.error());
  if (*more)
    return node_.loop().post([this, alive = alive_] {
      if (*alive) open_some();
    });
  if (opener_->written() != description_->plain_length)
    return fail_with({ErrorCode::integrity, "the opened content has another length than its description says"});
  if (auto written = write_output(); !written) return fail_with(written.error());
  TransferReport report;
  report.file = output_path_;
  report.protection = content::name(description_->protection);
  report.suite = swarm_->suite();
  if (key_) report.key_id = content::key_id(*description_->header), report.key_holder = key_holder_;
  report.title = description_->title;
  report.octets = opener_->written();
  report.traffic = swarm_->traffic();
  report.elapsed = os::monotonic_now() - started_;
  finish(std::move(report));
}

Status Transfer::write_output() {
  if (!compare_) return output_->commit();
  SEALCAST_TRY_ASSIGN(auto same, output_->same_as(output_path_));
  if (same) return {};
  return fail(ErrorCode::usage, "cannot write to " + output_path_.string() +
                                    ": it exists already and is another file (-o FILE names another, --overwrite "
                                    "replaces it)");
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
  if (busy_since_) return std::max(options_.patience, k_busy_patience);
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
  if (phase_ == "key" && busy_since_)
    return give_up(ErrorCode::key_not_released, "the key holder has been too busy to release the key");
  if (phase_ == "key" && key_trouble_)
    return give_up(key_trouble_->code,
                   "no peer gives the key or says credibly who holds it (" + key_trouble_->message + ")");
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
  watch_timer_ = node_.loop().after(k_watch, [this] { watch(); });
  auto last = swarm_ ? std::max(phase_since_, swarm_->last_verified()) : phase_since_;
  if (phase_ == "opening" || phase_ == "checking" || os::monotonic_now() - last < patience()) return;
  fail_with(waiting_for());
}

void Transfer::interrupt() {
  fail_with({ErrorCode::interrupted, "interrupted; get -c goes on with the chunks that are verified"});
}

void Transfer::finish(Result<TransferReport> result) {
  if (!done_) return;
  node_.loop().cancel(watch_timer_);
  node_.loop().cancel(key_timer_);
  node_.forget_key_requests();
  auto done = std::exchange(done_, nullptr);
  output_.reset();
  // Events of the swarm may have brought us here: it goes when they are over.
  node_.loop().post([this, alive = alive_, done = std::move(done), result = std::move(result)]() mutable {
    if (!*alive) return;
    bool whole = swarm_ && swarm_->complete();
    swarm_.reset();
    if (state_) state_->settle(whole);
    outputs_.clear();
    done(std::move(result));
  });
}

}  // namespace sealcast::roles
