#include "plugin/stage/pace.hpp"

namespace windlass::stage {

bool Meter::admit(Kind kind, std::uint64_t bytes, const std::atomic<bool>& cancelled) {
  if (limits_.least(kind) == 0) return !cancelled;
  Bandwidth::Wait wait{};
  {
    const std::lock_guard lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    wait = std::max(all_.take(now, bytes), kinds_[static_cast<std::size_t>(kind)].take(now, bytes));
  }
  return pause(wait, cancelled);
}

bool Meter::pause(Bandwidth::Wait wait, const std::atomic<bool>& cancelled) {
  if (wait.count() <= 0) return !cancelled;
  std::unique_lock lock(mutex_);
  return !woken_.wait_for(lock, wait, [&] { return cancelled.load(); });
}

void Meter::wake() {
  { const std::lock_guard lock(mutex_); }  // so that nobody is between its look and its wait
  woken_.notify_all();
}

Status FilePace::admit(std::uint64_t bytes) {
  if (!meter_.admit(kind_, bytes, cancelled_)) return cancelled_error();
  return {};
}

void FilePace::moved(std::uint64_t bytes) {
  meter_.steps.fetch_add(1, std::memory_order_relaxed);
  position_ += bytes;
  if (position_ <= told_) return;
  done_ += position_ - told_;
  told_ = position_;
}

// Longer from time to time; a hundred times take half a second.
Status FilePace::rest(int tries) {
  if (!meter_.pause(std::chrono::microseconds(100) * (tries - 1), cancelled_)) return cancelled_error();
  return {};
}

void FilePace::plain_instead() {
  if (!fell_back_) ++meter_.fallbacks.direct;
  fell_back_ = true;
}

}  // namespace windlass::stage
