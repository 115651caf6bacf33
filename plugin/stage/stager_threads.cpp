// The stager's threads: what each takes next, and who stands in for those that a disk keeps.
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <new>
#include <system_error>
#include <utility>

#include "plugin/stage/confine.hpp"
#include "plugin/stage/stager.hpp"
#include "plugin/stage/tree.hpp"

namespace windlass::stage {
namespace {

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

// Touches no disk.
void Stager::keep_deadlines() {
  block_signals();
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    expire(lock);
    join_ended(lock);
    look_for_hangs();
    stand_in_where_threads_hang();
    if (stopping_) break;
    const auto deadline = schedule_.next_deadline();
    if (const bool waits = schedule_.queued() > 0 || !batch_.empty(); waits || deadline)
      deadlines_.wait_until(lock, std::min(deadline.value_or(Clock::time_point::max()),
                                           waits ? Clock::now() + Hangs::kHangs / 4 : Clock::time_point::max()));
    else
      deadlines_.wait(lock);
  }
}

void Stager::look_for_hangs() {
  const auto now = Clock::now();
  const unsigned before = hangs_.threads();
  mounts_.refresh();
  hangs_.begin();
  for (const std::list<Worker>* all : {&workers_, &stand_ins_}) {
    for (const Worker& worker : *all) {
      const Post::Look look = worker.post.look();
      if (!look.inside || !hangs_.look(&worker, look.moves, now)) continue;
      hangs_.hangs_in(look.fd == -1       ? 0
                      : look.path.empty() ? mounts_.device_of(look.fd)
                                          : mounts_.device_beneath(look.fd, look.path));
    }
  }
  hangs_.end();
  if (hangs_.threads() != before) work_.notify_all();  // others may be taken now
}

void Stager::join_ended(std::unique_lock<std::mutex>& lock) {
  for (auto one = stand_ins_.begin(); one != stand_ins_.end();) {
    const auto at = one++;
    if (!at->ended) continue;
    std::list<Worker> over;
    over.splice(over.begin(), stand_ins_, at);
    lock.unlock();
    over.front().thread.join();
    lock.lock();
    one = stand_ins_.begin();
  }
}

// Each has its share of the byte budget, which is the limit; windows of zstd may hold more of it at the moment.
bool Stager::may_have_one_more() const {
  return stand_ins_.size() < kStandInsMax && memory_.has(plan_.whole());
}

// Threads are missing: some hang in a disk, or wait for memory, or none has got on for long, whatever keeps them.
bool Stager::wants_stand_in(Clock::time_point now) {
  const std::uint64_t steps = meter_.steps.load(std::memory_order_relaxed);
  if ((schedule_.queued() == 0 && batch_.empty()) || steps != std::exchange(steps_seen_, steps)) stuck_since_ = now;
  const bool all_stuck = now - stuck_since_ >= Hangs::kHangs;
  return all_stuck || stand_ins_.size() < hangs_.threads() + memory_.waiting;
}

void Stager::stand_in_where_threads_hang() {
  const auto now = Clock::now();
  if (!wants_stand_in(now) || idle_ > 0 || !may_have_one_more()) return;
  auto memory = memory_.take(plan_.whole());
  if (!memory) return;
  Worker& one = stand_ins_.emplace_back(std::move(*memory));
  const MayBegin may = may_begin(one);
  if (!schedule_.has_next(may) && !batch_.has(may)) return stand_ins_.pop_back();
  stuck_since_ = now;
  try {
    one.thread = std::thread([this, &one] {
      try {
        work(one);
      } catch (const std::bad_alloc&) {  // no memory for its buffers: it helps another time
      }
      const std::lock_guard guard(mutex_);
      one.ended = true;
      deadlines_.notify_all();
    });
  } catch (const std::system_error&) {
    stand_ins_.pop_back();  // no more threads are to be had
  }
}

// What a thread may take. A device keeps so many threads at most; the last one to be had is risked in none that hangs,
// and stand-ins take what surely does not hang before what may.
MayBegin Stager::may_begin(const Worker& me) const {
  if (stopping_) return [](const Devices&) { return true; };
  const MayBegin free = [this](const Devices& devices) { return hangs_.free(devices); };
  if (me.stands_in() && (!may_have_one_more() || schedule_.has_next(free) || batch_.has(free))) return free;
  return [this](const Devices& devices) { return hangs_.open(devices); };
}

std::unique_ptr<IoQueue> Stager::new_queue(const Buffers& buffers) {
  auto queue = make_queue_();
  if (!queue) {
    ++meter_.fallbacks.ring;
    return std::make_unique<WatchedQueue>(make_plain_queue());
  }
  if ((*queue)->pin(buffers.at(0), buffers.whole()) < buffers.whole()) ++meter_.fallbacks.buffers;
  return std::make_unique<WatchedQueue>(std::move(*queue));
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
bool Stager::wait_for_work(std::unique_lock<std::mutex>& lock, const Worker& me) {
  if (!me.stands_in() && ++idle_ == 1 && !stand_ins_.empty()) work_.notify_all();
  const auto has_work = [&] {
    const MayBegin may = may_begin(me);
    return schedule_.has_next(may) || batch_.has(may);
  };
  work_.wait(lock,
             [&] { return stopping_ || has_work() || (me.stands_in() ? idle_ > 0 : tree_with_work() != nullptr); });
  if (!me.stands_in()) --idle_;
  return !stopping_ && (!me.stands_in() || has_work());
}

void Stager::work(Worker& me) {
  block_signals();
  confine_here();
  const AtPost at_post(me.post);
  auto buffers = std::make_unique<Buffers>(plan_.count, plan_.bytes);
  std::unique_ptr<IoQueue> io = new_queue(*buffers);
  std::unique_lock lock(mutex_);
  for (bool stays = true; stays;) {
    stays = wait_for_work(lock, me);
    expire(lock);
    const MayBegin may = may_begin(me);
    std::vector<FileBatch::Item> written = batch_.take_due(Clock::now(), may);
    const auto next = written.empty() ? schedule_.next(may) : std::nullopt;
    const std::optional<Job> job = next ? std::optional(job_of(*next)) : std::nullopt;
    if (!job && written.empty()) written = batch_.take(may);
    const std::shared_ptr<TreeRun> tree = job || !written.empty() || me.stands_in() ? nullptr : tree_with_work();
    if (!job && tree == nullptr && written.empty()) continue;
    stays = true;
    if (job) ++running_;
    lock.unlock();
    if (io->broken()) replace_lost(io, buffers);
    const Tools tools{fs_, *io, *buffers};
    if (job)
      run(tools, *job);
    else if (tree != nullptr)
      help_tree(*tree, tools);
    else
      FileBatch::flush(tools, std::move(written));
    lock.lock();
  }
}

}  // namespace windlass::stage
