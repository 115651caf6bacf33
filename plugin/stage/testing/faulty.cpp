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

void Faults::refuse_at(std::uint64_t at, int error, std::uint64_t times) {
  const std::lock_guard lock(mutex_);
  moves_ = 0;
  refuse_from_ = at;
  refuse_times_ = times;
  refuse_error_ = error;
}

bool Faults::refused() const {
  const std::lock_guard lock(mutex_);
  return moves_ >= refuse_from_;
}

Faults::Move Faults::move(std::uint32_t bytes) {
  const std::lock_guard lock(mutex_);
  ++moves_;
  if (moves_ >= refuse_from_ && moves_ - refuse_from_ < refuse_times_) return {-refuse_error_, 0};
  if (moves_ == cut_at_) return {0, std::min(bytes, cut_bytes_)};
  if (one_in_ == 0 || bytes < 2 || random_() % one_in_ != 0) return {0, bytes};
  return {0, 1 + static_cast<std::uint32_t>(random_() % (bytes - 1))};
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
  const int fault = faults_.strike();
  const Faults::Move move = fault != 0 ? Faults::Move{fault, 0} : faults_.move(op.bytes);
  if (move.error != 0) {
    struck_.push_back({op.tag, move.error});
    return;
  }
  IoOp passed = op;
  passed.bytes = move.bytes;
  under().push(passed);
}

IoDone FaultyQueue::wait() {
  if (!struck_.empty()) {
    const IoDone done = struck_.front();
    struck_.pop_front();
    return done;
  }
  const IoDone done = under().wait();
  faults_.stall_here();
  return done;
}

}  // namespace windlass::stage::testing
