#include "worker/engines/matchers.hpp"

#include <utility>

#include "worker/core/limits.hpp"
#include "worker/engines/match_run.hpp"

namespace windlass::worker {

Matchers::Matchers(std::size_t threads) : queue_(kMatchQueueMax, kMatchQueueBytesMax) {
  for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

Matchers::~Matchers() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    queue_.clear();
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool Matchers::start(const std::shared_ptr<MatchTask>& task) {
  if (is_small_match(*task)) {
    run_match(*task);
    task->ended = true;
    return true;
  }
  {
    const std::lock_guard lock(mutex_);
    auto pushed = queue_.push(task->client, task, bytes_of(task->frames));
    if (!pushed.taken) return false;
    for (auto& displaced : pushed.displaced) {
      displaced->answer =
          error_answer(proto::Code::resource_exhausted,
                       "too many matches wait, most of them of this client: come again later", true, kRetryAfterMs);
      displaced->displaced = true;
      ended_.push_back(std::move(displaced));
      event_.ring();
    }
  }
  wake_.notify_one();
  return true;
}

bool Matchers::withdraw(const std::shared_ptr<MatchTask>& task) {
  const std::lock_guard lock(mutex_);
  return queue_.remove(task->client, task);
}

std::vector<std::shared_ptr<MatchTask>> Matchers::take_ended() {
  event_.clear();
  const std::lock_guard lock(mutex_);
  return std::exchange(ended_, {});
}

std::size_t Matchers::queued() const {
  const std::lock_guard lock(mutex_);
  return queue_.size();
}

std::optional<Time> Matchers::oldest() const {
  const std::lock_guard lock(mutex_);
  std::optional<Time> oldest;
  queue_.fronts([&](const std::shared_ptr<MatchTask>& task) {
    if (!oldest || task->received < *oldest) oldest = task->received;
  });
  return oldest;
}

void Matchers::work() {
  for (;;) {
    std::shared_ptr<MatchTask> task;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stop_ || !queue_.empty(); });
      if (stop_) return;
      task = *queue_.pop();
    }
    run_match(*task);
    task->payload = payload_of(*task);
    {
      const std::lock_guard lock(mutex_);
      ended_.push_back(std::move(task));
    }
    event_.ring();
  }
}

}  // namespace windlass::worker
