#include "plugin/stage/stager.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <system_error>
#include <utility>

#include "plugin/stage/confine.hpp"
#include "plugin/stage/tree.hpp"
#include "plugin/stage/uring_queue.hpp"

namespace windlass::stage {
namespace {

constexpr auto kRetryPause = std::chrono::milliseconds(50);  // doubled each time
constexpr unsigned kRetryDoublings = 5;
constexpr auto kHangs = std::chrono::milliseconds(1000);  // no thread has got on for so long

Outcome ended_before_begin(State state, Code code, std::string message) {
  Outcome outcome;
  outcome.state = state;
  outcome.error.emplace();
  outcome.error->code = code;
  outcome.error->message = std::move(message);
  return outcome;
}

Outcome cancelled_outcome() {
  return ended_before_begin(State::cancelled, Code::cancelled, "the transfer was cancelled before it began");
}

Outcome expired_outcome(const Transfer& transfer) {
  return ended_before_begin(State::expired, Code::deadline_exceeded,
                            quoted(transfer.source.given) +
                                " had not begun when its deadline was over; give it more time, or a " +
                                "higher priority");
}

std::chrono::seconds wall_now() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch());
}

// Memory that the kernel may yet write to.
void keep_for_ever(std::unique_ptr<Buffers> buffers) {
  static std::mutex mutex;
  static auto* kept = new std::vector<std::unique_ptr<Buffers>>;  // never destroyed
  const std::lock_guard lock(mutex);
  kept->push_back(std::move(buffers));
}

// The host's handlers run on the host's threads.
void block_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
}

}  // namespace

Result<BufferPlan> plan_buffers(std::uint64_t bytes_in_flight_max, unsigned threads) {
  constexpr std::uint64_t kUnit = 4096;
  const std::uint64_t share = bytes_in_flight_max / threads;
  if (share < kUnit)
    return fail(Code::invalid_argument, "bytes_in_flight_max is " + std::to_string(bytes_in_flight_max) + ", and " +
                                            std::to_string(threads) + " threads need " +
                                            std::to_string(kUnit * threads) + "; raise it (stage.bytes_in_flight_max)");
  const std::uint64_t bytes = std::min<std::uint64_t>(kRequestBytes, share / kUnit * kUnit);
  return BufferPlan{static_cast<unsigned>(std::min<std::uint64_t>(kRequestsPerThread, share / bytes)),
                    static_cast<std::uint32_t>(bytes)};
}

namespace {

// Whose temporaries are swept must be known in the next life too, so with a state it is the state's name.
std::string owner_of(const Options& options) {
  if (!options.owner.empty()) return options.owner;
  if (options.state_path.empty()) return "pid" + std::to_string(::getpid());
  const auto hasher = make_hasher(ChecksumKind::xxh3);
  hasher->add(options.state_path.data(), options.state_path.size());
  return "state" + hasher->hex();
}

}  // namespace

Stager::Stager(Options options, const BufferPlan& plan, Fs& fs, std::string engine, MakeQueue make_queue)
    : options_(std::move(options)),
      plan_(plan),
      fs_(fs),
      make_queue_(std::move(make_queue)),
      roots_(fs),
      names_(owner_of(options_)),
      meter_({options_.bandwidth_max, options_.bandwidth_max_input, options_.bandwidth_max_result}),
      shared_{fs_, roots_, targets_, names_, meter_, options_.space, std::move(engine), nullptr},
      schedule_(options_.schedule) {}

Result<std::unique_ptr<Stager>> Stager::open(Options options, Fs& fs, std::string engine, MakeQueue make_queue) {
  if (options.threads == 0 || options.threads > kThreadsMax)
    return fail(Code::invalid_argument,
                "threads is " + std::to_string(options.threads) + "; give 1 to " + std::to_string(kThreadsMax));
  auto plan = plan_buffers(options.bytes_in_flight_max, options.threads);
  if (!plan) return fail(plan.error());
  std::unique_ptr<Stager> stager(new Stager(std::move(options), *plan, fs, std::move(engine), std::move(make_queue)));
  if (auto opened = stager->roots_.open(stager->options_.roots); !opened) return fail(opened.error());
  if (auto opened = stager->open_journal(); !opened) return fail(opened.error());
  if (stager->ends_->fd() < 0) return fail_errno(EMFILE, "make", "an eventfd");
  stager->start();
  return stager;
}

Result<std::unique_ptr<Stager>> Stager::open(Options options) {
  const bool ring = options.engine != EngineWish::threads && probe_uring().has_value();
  const bool fell_back = !ring && options.engine != EngineWish::threads;
  auto stager =
      open(std::move(options), real_fs(), ring ? "uring" : "threads",
           ring ? MakeQueue([] { return make_uring_queue(); }) : MakeQueue([] { return make_plain_queue(); }));
  if (stager && fell_back) ++(*stager)->meter_.fallbacks.ring;
  return stager;
}

void Stager::start() {
  // OpenSSL reads its configuration when it is first used, which a confined thread could not
  for (const ChecksumKind kind : {ChecksumKind::sha256, ChecksumKind::md5}) make_hasher(kind);
  survey_.at(Clock::time_point::min(), [this] { confine_here(); });
  for (unsigned i = 0; i < options_.threads; ++i) threads_.emplace_back([this] { work(false); });
  threads_.emplace_back([this] { keep_deadlines(); });
  if (journal_) survey_.at(Clock::now(), [this] { sweep_dead(); });
}

Stager::~Stager() {
  std::vector<std::shared_ptr<Call>> calls;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [sequence, job] : jobs_) calls.push_back(job.call);
  }
  for (const auto& call : calls) cancel(call);
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_all();
  deadlines_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  for (StandIn& one : stand_ins_) one.thread.join();
}

Result<std::shared_ptr<Call>> Stager::submit(Request request, const std::string& client, std::uint64_t tag) {
  std::vector<std::uint64_t> bytes;
  const std::uint64_t sum = measured_bytes(request, bytes);
  std::shared_ptr<Call> call;
  {
    const std::lock_guard lock(mutex_);
    if (auto admitted = schedule_.admits(client, request.transfers.size(), sum); !admitted)
      return fail(admitted.error());
    call = std::make_shared<Call>(std::move(request.transfers), next_sequence_, tag, ends_);
    next_sequence_ += call->transfers().size();
    const auto now = Clock::now();
    for (std::size_t i = 0; i < call->transfers().size(); ++i) {
      const Transfer& transfer = call->transfers()[i];
      Job job{call, i, call->first() + i, std::nullopt};
      constexpr std::int64_t kFarMs = 1000LL * 60 * 60 * 24 * 365;
      if (transfer.deadline_ms)
        job.deadline = now + std::chrono::milliseconds(std::clamp(*transfer.deadline_ms, -kFarMs, kFarMs));
      schedule_.accept({job.sequence, transfer.priority, bytes[i], client, job.deadline, now});
      targets_.accepted(job.sequence);
      jobs_.emplace(job.sequence, std::move(job));
    }
  }
  call->end_if_empty();
  work_.notify_all();
  deadlines_.notify_all();
  return call;
}

bool Stager::cancel(const std::shared_ptr<Call>& call) {
  if (call->ended()) return false;
  call->cancelled = true;
  meter_.wake();
  std::vector<Job> withdrawn;
  {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < call->transfers().size(); ++i)
      if (schedule_.withdraw(call->first() + i)) withdrawn.push_back(job_of(call->first() + i));
  }
  for (const Job& job : withdrawn) finish(job, cancelled_outcome());
  return true;
}

Stager::Job Stager::job_of(Sequence transfer) const {
  return jobs_.at(transfer);
}

void Stager::finish(const Job& job, Outcome outcome) {
  {
    const std::lock_guard lock(mutex_);
    schedule_.ended(job.sequence);
    jobs_.erase(job.sequence);
    totals_.bytes_total += outcome.bytes;
    totals_.files_total += outcome.files;
    ++totals_.ended[static_cast<std::size_t>(outcome.state)];
    totals_.retries_total += outcome.retries;
    totals_.resumed_bytes_total += outcome.resumed_bytes;
  }
  targets_.ended(job.sequence);
  job.call->set_outcome(job.index, std::move(outcome));
}

void Stager::expire(std::unique_lock<std::mutex>& lock) {
  std::vector<Job> over;
  for (const Sequence transfer : schedule_.expired(Clock::now())) over.push_back(job_of(transfer));
  if (over.empty()) return;
  lock.unlock();
  for (const Job& job : over) finish(job, expired_outcome(job.call->transfers()[job.index]));
  lock.lock();
}

Status Stager::open_journal() {
  if (options_.state_path.empty()) return {};
  const auto place = parse_place(options_.state_path);
  if (!place) return fail(place.error());
  if (roots_.hold(*place))
    return fail(Code::invalid_argument,
                "the state's folder " + quoted(options_.state_path) +
                    " lies in a root, where transfers could write to it; choose another (state.path)");
  auto journal = Journal::open(options_.state_path, wall_now(), options_.resume_keep);
  if (!journal) return fail(journal.error());
  journal_ = std::move(*journal);
  state_folder_ = Fd(fs_.open(AT_FDCWD, options_.state_path.c_str(), O_PATH | O_DIRECTORY, 0, 0));
  shared_.journal = journal_.get();
  return {};
}

// By the survey, and again when the next ones die.
void Stager::sweep_dead() {
  for (const Journal::Left& left : journal_->take_dead(wall_now())) {
    sweep(shared_, left.entry);
    journal_->end(left.id);
  }
  if (const auto next = journal_->next_dead())
    survey_.at(Clock::now() + std::max(*next - wall_now(), std::chrono::seconds(1)), [this] { sweep_dead(); });
}

// Touches no disk.
void Stager::keep_deadlines() {
  block_signals();
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    expire(lock);
    stand_in_where_all_hang(lock);
    if (stopping_) break;
    const auto deadline = schedule_.next_deadline();
    if (const bool waits = schedule_.queued() > 0 || !batch_.empty(); waits || deadline)
      deadlines_.wait_until(lock, std::min(deadline.value_or(Clock::time_point::max()),
                                           waits ? Clock::now() + kHangs / 4 : Clock::time_point::max()));
    else
      deadlines_.wait(lock);
  }
}

// Each thread is kept by a disk that does not answer while others' transfers wait: one more thread serves these. Each
// has its share of the byte budget, which is the limit.
void Stager::stand_in_where_all_hang(std::unique_lock<std::mutex>& lock) {
  const auto now = Clock::now();
  const std::uint64_t steps = meter_.steps.load(std::memory_order_relaxed);
  if ((schedule_.queued() == 0 && batch_.empty()) || steps != std::exchange(steps_seen_, steps)) stuck_since_ = now;
  for (auto one = stand_ins_.begin(); one != stand_ins_.end();) {
    const auto at = one++;
    if (!at->ended) continue;
    std::list<StandIn> over;
    over.splice(over.begin(), stand_ins_, at);
    lock.unlock();
    over.front().thread.join();
    lock.lock();
    one = stand_ins_.begin();
  }
  if (stopping_ || now - stuck_since_ < kHangs) return;
  const std::uint64_t threads = options_.threads + stand_ins_.size() + 1;
  if (stand_ins_.size() >= kStandInsMax || threads * plan_.count * plan_.bytes > options_.bytes_in_flight_max) return;
  stuck_since_ = now;
  StandIn& one = stand_ins_.emplace_back();
  try {
    one.thread = std::thread([this, &one] {
      try {
        work(true);
      } catch (const std::bad_alloc&) {  // no memory for its buffers: it helps another time
      }
      const std::lock_guard guard(mutex_);
      one.ended = true;
    });
  } catch (const std::system_error&) {
    stand_ins_.pop_back();  // no more threads are to be had
  }
}

std::unique_ptr<IoQueue> Stager::new_queue(const Buffers& buffers) {
  auto queue = make_queue_();
  if (!queue) {
    ++meter_.fallbacks.ring;
    return make_plain_queue();
  }
  if ((*queue)->pin(buffers.at(0), buffers.whole()) < buffers.whole()) ++meter_.fallbacks.buffers;
  return std::move(*queue);
}

void Stager::replace_lost(std::unique_ptr<IoQueue>& io, std::unique_ptr<Buffers>& buffers) {
  ++meter_.fallbacks.ring;
  if (io->holds_memory()) {
    keep_for_ever(std::move(buffers));
    buffers = std::make_unique<Buffers>(plan_.count, plan_.bytes);
  }
  io = new_queue(*buffers);
}

// By each thread that follows paths of requests, before it follows one.
void Stager::confine_here() {
  if (!options_.confine || options_.roots.empty()) return;
  Grounds grounds{roots_.folders()};
  if (state_folder_) grounds.folders.push_back(state_folder_.get());
  ++(confine_thread(grounds) == 0 ? confined_ : meter_.fallbacks.confine);
}

// A stand-in helps no tree, which may be what hangs, and ends as soon as another thread is free.
bool Stager::wait_for_work(std::unique_lock<std::mutex>& lock, bool stands_in) {
  if (!stands_in && ++idle_ == 1 && !stand_ins_.empty()) work_.notify_all();
  work_.wait(lock, [&] {
    return stopping_ || schedule_.queued() > 0 || !batch_.empty() ||
           (stands_in ? idle_ > 0 : tree_with_work() != nullptr);
  });
  if (!stands_in) --idle_;
  return !stopping_ && !(stands_in && idle_ > 0 && schedule_.queued() == 0);
}

void Stager::work(bool stands_in) {
  block_signals();
  confine_here();
  auto buffers = std::make_unique<Buffers>(plan_.count, plan_.bytes);
  std::unique_ptr<IoQueue> io = new_queue(*buffers);
  std::unique_lock lock(mutex_);
  for (bool stays = true; stays;) {
    stays = wait_for_work(lock, stands_in);
    expire(lock);
    const auto next = schedule_.next();
    const std::optional<Job> job = next ? std::optional(job_of(*next)) : std::nullopt;
    const std::shared_ptr<TreeRun> tree = next || stands_in ? nullptr : tree_with_work();
    std::vector<FileBatch::Item> written = job ? batch_.take_due(Clock::now()) : batch_.take_all();
    if (!job && tree == nullptr && written.empty()) continue;
    stays = true;
    if (job) ++running_;
    lock.unlock();
    if (io->broken()) replace_lost(io, buffers);
    const Tools tools{fs_, *io, *buffers};
    flush(tools, std::move(written));
    if (job)
      run(tools, *job);
    else if (tree != nullptr)
      help_tree(*tree, tools);
    lock.lock();
  }
}

void Stager::flush(const Tools& tools, std::vector<FileBatch::Item> items) {
  if (items.empty()) return;
  FileBatch::flush(tools, std::move(items));
}

Ran Stager::run_once(const Tools& tools, const Job& job, bool may_wait) {
  Call& call = *job.call;
  const Running running{call.transfers()[job.index], job.sequence, call.cancelled, call.bytes_done, call.files_done};
  try {
    return run_transfer(tools, shared_, running, *this, may_wait);
  } catch (const std::bad_alloc&) {
    return {failed_outcome(errno_error(ENOMEM, "stage", running.transfer.source.given)), nullptr};
  }
}

// Small files of a call with many may wait for one another, that one sync serves them.
void Stager::run(const Tools& tools, const Job& job) {
  if (job.call->cancelled) return finish_running(job, cancelled_outcome());
  const auto begun = Clock::now();
  begin_measuring(job.call);
  const Kind kind = job.call->transfers()[job.index].kind;
  const bool may_wait = job.call->transfers().size() > 1 && meter_.bytes_at_once(kind) == 0;
  Ran ran = run_once(tools, job, may_wait);
  const auto ended = [this, job, begun](const Tools& ended_by, Outcome outcome) {
    outcome = run_again(ended_by, job, std::move(outcome));
    outcome.seconds = std::chrono::duration<double>(Clock::now() - begun).count();
    finish_running(job, std::move(outcome));
  };
  if (ran.written)
    batch_.add({std::move(ran.written), ended}, Clock::now());
  else
    ended(tools, std::move(ran.outcome));
}

void Stager::finish_running(const Job& job, Outcome outcome) {
  {
    const std::lock_guard lock(mutex_);
    --running_;
  }
  finish(job, std::move(outcome));
  meter_.steps.fetch_add(1, std::memory_order_relaxed);
}

// As often as is allowed, where the failure may pass.
Outcome Stager::run_again(const Tools& tools, const Job& job, Outcome outcome) {
  const Call& call = *job.call;
  unsigned retries = 0;
  while (outcome.state == State::failed && outcome.error->again && retries < options_.retries) {
    const auto pause = kRetryPause * (1U << std::min(retries, kRetryDoublings));
    if (job.deadline && Clock::now() + pause >= *job.deadline) break;
    if (!meter_.pause(pause, call.cancelled)) {
      outcome = failed_outcome(cancelled_error().value());
      break;
    }
    ++retries;
    outcome = run_once(tools, job, false).outcome;
  }
  outcome.retries += retries;
  return outcome;
}

void Stager::offer(const std::shared_ptr<TreeRun>& tree) {
  {
    const std::lock_guard lock(mutex_);
    trees_.push_back(tree);
  }
  work_.notify_all();
}

void Stager::more() {
  { const std::lock_guard lock(mutex_); }  // so that no thread is between its look and its wait
  work_.notify_all();
}

bool Stager::wanted() const {
  const std::lock_guard lock(mutex_);
  return schedule_.queued() > 0;
}

std::shared_ptr<TreeRun> Stager::tree_with_work() const {
  for (const auto& tree : trees_)
    if (has_work(*tree)) return tree;
  return nullptr;
}

void Stager::withdraw(const std::shared_ptr<TreeRun>& tree) {
  const std::lock_guard lock(mutex_);
  trees_.remove(tree);
}

Counters Stager::counters() const {
  const std::lock_guard lock(mutex_);
  Counters counters = totals_;
  counters.bytes_in_flight = static_cast<std::uint64_t>(std::max<std::int64_t>(0, meter_.bytes_in_flight));
  counters.queued = schedule_.queued();
  counters.running = running_;
  counters.fallbacks_ring = meter_.fallbacks.ring;
  counters.fallbacks_direct = meter_.fallbacks.direct;
  counters.fallbacks_buffers = meter_.fallbacks.buffers;
  counters.fallbacks_confine = meter_.fallbacks.confine;
  counters.confined_threads = confined_;
  counters.state_set_aside_total = journal_ ? journal_->set_aside() : 0;
  if (const auto oldest = schedule_.oldest_queued())
    counters.oldest_queued_ms = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - *oldest).count());
  return counters;
}

}  // namespace windlass::stage
