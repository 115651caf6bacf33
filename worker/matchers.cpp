#include "worker/matchers.hpp"

#include <utility>

#include "worker/limits.hpp"
#include "worker/match_run.hpp"

namespace windlass::worker {

Matchers::Matchers(std::size_t threads) {
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
    task->state = MatchTask::State::running;
    run_match(*task);
    task->ended = true;
    return true;
  }
  {
    const std::lock_guard lock(mutex_);
    const std::size_t bytes = bytes_of(task->frames);
    if (queue_.size() >= kMatchQueueMax || queue_bytes_ + bytes > kMatchQueueBytesMax) return false;
    queue_.push_back(task);
    queue_bytes_ += bytes;
  }
  wake_.notify_one();
  return true;
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
  if (queue_.empty()) return std::nullopt;
  return queue_.front()->received;
}

void Matchers::work() {
  for (;;) {
    std::shared_ptr<MatchTask> task;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stop_ || !queue_.empty(); });
      if (stop_) return;
      task = std::move(queue_.front());
      queue_.pop_front();
      queue_bytes_ -= bytes_of(task->frames);
    }
    auto state = MatchTask::State::queued;
    if (task->state.compare_exchange_strong(state, MatchTask::State::running)) {
      run_match(*task);
    } else {
      task->answer = error_answer(proto::Code::cancelled, "the request was cancelled before it began");
    }
    task->ended = true;
    {
      const std::lock_guard lock(mutex_);
      ended_.push_back(std::move(task));
    }
    event_.ring();
  }
}

}  // namespace windlass::worker
