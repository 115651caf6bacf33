#include "plugin/stage/survey.hpp"

#include <pthread.h>
#include <signal.h>

#include <memory>

namespace windlass::stage {

Survey::Survey() : thread_([this] { work(); }) {}

Survey::~Survey() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

bool Survey::at(Clock::time_point when, Look look) {
  {
    const std::lock_guard lock(mutex_);
    if (looks_.size() >= kLooksMax) return false;
    looks_.emplace(when, std::move(look));
  }
  changed_.notify_all();
  return true;
}

bool Survey::within(std::chrono::milliseconds limit, Look look) {
  const auto until = Clock::now() + limit;
  const auto ended = std::make_shared<bool>(false);
  std::unique_lock lock(mutex_);
  if (busy_since_ && Clock::now() - *busy_since_ > limit) return false;  // it hangs
  looks_.emplace(Clock::time_point::min(), [this, look = std::move(look), ended] {
    look();
    const std::lock_guard guard(mutex_);
    *ended = true;
  });
  changed_.notify_all();
  changed_.wait_until(lock, until, [&] { return *ended; });
  return *ended;
}

void Survey::work() {
  sigset_t all;  // the host's handlers run on the host's threads
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (looks_.empty()) {
      changed_.wait(lock);
    } else if (const auto when = looks_.begin()->first; when > Clock::now()) {
      changed_.wait_until(lock, when);
    } else {
      const Look look = std::move(looks_.begin()->second);
      looks_.erase(looks_.begin());
      busy_since_ = Clock::now();
      lock.unlock();
      look();
      lock.lock();
      busy_since_.reset();
      changed_.notify_all();
    }
  }
}

}  // namespace windlass::stage
