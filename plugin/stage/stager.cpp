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

}  // namespace

Result<BufferPlan> plan_buffers(std::uint64_t bytes_in_flight_max, unsigned threads) {
  constexpr std::uint64_t kUnit = 4096;
  std::uint64_t share = bytes_in_flight_max / (threads + 1);
  if (share < kUnit) share = bytes_in_flight_max / threads;
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
      spare_bytes_(options_.bytes_in_flight_max - options_.threads * plan.whole()),
      memory_(spare_bytes_),
      fs_(fs),
      make_queue_(std::move(make_queue)),
      roots_(fs),
      names_(owner_of(options_)),
      meter_({options_.bandwidth_max, options_.bandwidth_max_input, options_.bandwidth_max_result}),
      shared_{fs_,
              roots_,
              targets_,
              names_,
              meter_,
              options_.space,
              {options_.decompress_ratio_max, spare_bytes_, memory_},
              [this](Sequence transfer, std::uint64_t bytes) { return grown(transfer, bytes); },
              std::move(engine),
              nullptr},
      schedule_(options_.schedule) {}

Result<std::unique_ptr<Stager>> Stager::open(Options options, Fs& fs, std::string engine, MakeQueue make_queue) {
  if (options.threads == 0 || options.threads > kThreadsMax)
    return fail(Code::invalid_argument,
                "threads is " + std::to_string(options.threads) + "; give 1 to " + std::to_string(kThreadsMax));
  if (!(options.decompress_ratio_max >= 1))
    return fail(Code::invalid_argument, "decompress_ratio_max is " + std::to_string(options.decompress_ratio_max) +
                                            "; give a number from 1 on");
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
  for (unsigned i = 0; i < options_.threads; ++i) {
    Worker& worker = workers_.emplace_back();
    worker.thread = std::thread([this, &worker] { work(worker); });
  }
  keeper_ = std::thread([this] { keep_deadlines(); });
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
  if (keeper_.joinable()) keeper_.join();  // first, as it makes stand-ins
  for (std::list<Worker>* all : {&workers_, &stand_ins_})
    for (Worker& worker : *all) worker.thread.join();
}

Result<std::shared_ptr<Call>> Stager::submit(Request request, const std::string& client, std::uint64_t tag) {
  std::vector<std::uint64_t> bytes;
  const std::uint64_t sum = measured_bytes(request, bytes);
  std::vector<Devices> devices;
  mounts_.refresh();
  for (const Transfer& transfer : request.transfers) devices.push_back(devices_of(transfer));
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
      Job job{call, i, call->first() + i, std::nullopt, devices[i]};
      constexpr std::int64_t kFarMs = 1000LL * 60 * 60 * 24 * 365;
      if (transfer.deadline_ms)
        job.deadline = now + std::chrono::milliseconds(std::clamp(*transfer.deadline_ms, -kFarMs, kFarMs));
      schedule_.accept({job.sequence, transfer.priority, bytes[i], client, job.deadline, now, job.devices});
      targets_.accepted(job.sequence);
      jobs_.emplace(job.sequence, std::move(job));
    }
  }
  call->end_if_empty();
  work_.notify_all();
  deadlines_.notify_all();
  return call;
}

// As its paths say.
Devices Stager::devices_of(const Transfer& transfer) {
  const auto [one, other] = std::minmax(
      {mounts_.device_of(roots_.real_path(transfer.source)), mounts_.device_of(roots_.real_path(transfer.target))});
  return {one, other};
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

Status Stager::grown(Sequence transfer, std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  return schedule_.grown(transfer, bytes);
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
    batch_.add({job.devices, std::move(ran.written), ended}, Clock::now());
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
