#include "plugin/stage/testing/faulty.hpp"

#include <algorithm>

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

void Faults::cut_at(std::uint64_t at, std::uint32_t bytes) {
  const std::lock_guard lock(mutex_);
  moves_ = 0;
  cut_at_ = at;
  cut_bytes_ = bytes;
}

bool Faults::cut() const {
  const std::lock_guard lock(mutex_);
  return moves_ >= cut_at_;
}

void Faults::stall_at(std::uint64_t at, std::uint64_t count) {
  const std::lock_guard lock(mutex_);
  completions_ = 0;
  stall_from_ = at;
  stall_to_ = at + count;
}

void Faults::release() {
  {
    const std::lock_guard lock(mutex_);
    stall_from_ = stall_to_ = 0;
  }
  released_.notify_all();
}

unsigned Faults::stalled() const {
  const std::lock_guard lock(mutex_);
  return stalled_;
}

int Faults::strike() {
  return ++count_ == at_ ? -error_ : 0;
}

std::uint32_t Faults::shortened(std::uint32_t bytes) {
  const std::lock_guard lock(mutex_);
  if (++moves_ == cut_at_) return std::min(bytes, cut_bytes_);
  if (one_in_ == 0 || bytes < 2 || random_() % one_in_ != 0) return bytes;
  return 1 + static_cast<std::uint32_t>(random_() % (bytes - 1));
}

void Faults::stall_here() {
  std::unique_lock lock(mutex_);
  const std::uint64_t mine = ++completions_;
  if (mine < stall_from_ || mine >= stall_to_) return;
  ++stalled_;
  released_.wait(lock, [&] { return stall_to_ == 0; });
  --stalled_;
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
