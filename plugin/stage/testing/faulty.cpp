#include "plugin/stage/testing/faulty.hpp"

namespace windlass::stage::testing {

void Faults::fail_at(std::uint64_t at, int error) {
  count_ = 0;
  error_ = error;
  at_ = at;
}

void Faults::cut_short(std::uint32_t seed, unsigned one_in) {
  const std::lock_guard lock(mutex_);
  random_.seed(seed);
  one_in_ = one_in;
}

void Faults::stall_at(std::uint64_t at) {
  const std::lock_guard lock(mutex_);
  transfers_ = 0;
  stall_at_ = at;
}

void Faults::release() {
  {
    const std::lock_guard lock(mutex_);
    stall_at_ = 0;
    stalled_ = false;
  }
  released_.notify_all();
}

bool Faults::stalled() const {
  const std::lock_guard lock(mutex_);
  return stalled_;
}

int Faults::strike() {
  return ++count_ == at_ ? -error_ : 0;
}

std::uint32_t Faults::shortened(std::uint32_t bytes) {
  const std::lock_guard lock(mutex_);
  if (one_in_ == 0 || bytes < 2 || random_() % one_in_ != 0) return bytes;
  return 1 + static_cast<std::uint32_t>(random_() % (bytes - 1));
}

void Faults::stall_here() {
  std::unique_lock lock(mutex_);
  if (++transfers_ != stall_at_) return;
  stalled_ = true;
  released_.wait(lock, [&] { return !stalled_; });
}

void FaultyQueue::push(const IoOp& op) {
  if (const int fault = faults_.strike(); fault != 0) {
    struck_.push_back({op.tag, fault});
    return;
  }
  IoOp passed = op;
  passed.bytes = faults_.shortened(op.bytes);
  under_->push(passed);
}

IoDone FaultyQueue::wait() {
  if (!struck_.empty()) {
    const IoDone done = struck_.front();
    struck_.pop_front();
    return done;
  }
  const IoDone done = under_->wait();
  faults_.stall_here();
  return done;
}

}  // namespace windlass::stage::testing
