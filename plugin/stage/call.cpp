#include "plugin/stage/call.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

#include "plugin/stage/report.hpp"

namespace windlass::stage {

Ends::Ends() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void Ends::add(const Call& call, std::uint64_t tag) {
  const std::lock_guard lock(mutex_);
  ended_.emplace_back(&call, tag);
  const std::uint64_t one = 1;
  // cannot fail but by a count of 2^64, which is cleared long before
  [[maybe_unused]] const auto written = ::write(event_.get(), &one, sizeof one);
}

void Ends::clear_event() {
  if (!ended_.empty()) return;
  std::uint64_t count = 0;
  [[maybe_unused]] const auto taken = ::read(event_.get(), &count, sizeof count);
}

void Ends::forget(const Call& call) {
  const std::lock_guard lock(mutex_);
  if (std::erase_if(ended_, [&](const auto& end) { return end.first == &call; }) > 0) clear_event();
}

std::optional<std::uint64_t> Ends::take() {
  const std::lock_guard lock(mutex_);
  if (ended_.empty()) return std::nullopt;
  const std::uint64_t tag = ended_.front().second;
  ended_.pop_front();
  clear_event();
  return tag;
}

Call::Call(std::vector<Transfer> transfers, Sequence first, std::uint64_t tag, std::shared_ptr<Ends> ends)
    : transfers_(std::move(transfers)),
      first_(first),
      tag_(tag),
      begun_(std::chrono::steady_clock::now()),
      ends_(std::move(ends)),
      outcomes_(transfers_.size()),
      unfinished_(transfers_.size()) {}

void Call::set_totals(std::optional<std::uint64_t> bytes, std::uint64_t files) {
  if (bytes) bytes_total_ = static_cast<std::int64_t>(*bytes);
  files_total_ = static_cast<std::int64_t>(files);
}

void Call::set_outcome(std::size_t transfer, Outcome outcome) {
  outcomes_[transfer] = std::move(outcome);
  if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1) end();
}

void Call::end_if_empty() {
  if (transfers_.empty()) end();
}

void Call::end() {
  if (bytes_total_ < 0) set_totals(bytes_done, files_done);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begun_;
  report_ = encode_report(transfers_, outcomes_, seconds.count());
  {
    const std::lock_guard lock(mutex_);  // whoever waited in wait() finds the end told already
    ended_.store(true, std::memory_order_release);
    ends_->add(*this, tag_);
  }
  done_.notify_all();
}

Progress Call::progress() const {
  watched = true;
  Progress progress;
  progress.ended = ended();
  progress.bytes_done = bytes_done;
  progress.files_done = files_done;
  progress.bytes_total = bytes_total_;
  progress.files_total = files_total_;
  return progress;
}

bool Call::wait(std::optional<std::chrono::milliseconds> at_most) {
  std::unique_lock lock(mutex_);
  const auto is_ended = [&] { return ended(); };
  if (at_most) return done_.wait_for(lock, *at_most, is_ended);
  done_.wait(lock, is_ended);
  return true;
}

}  // namespace windlass::stage
