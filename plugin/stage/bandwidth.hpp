// A token bucket: how long to wait before so many bytes may move. A decision: the time is given, no clock is read.
// One thread at a time; the stager guards it.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace windlass::stage {

class Bandwidth {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Wait = std::chrono::nanoseconds;

  // `bytes_per_s` 0: no limit. A burst of an eighth of a second is let through.
  explicit Bandwidth(std::uint64_t bytes_per_s) : rate_(static_cast<double>(bytes_per_s)) {}

  [[nodiscard]] bool limited() const { return rate_ > 0; }

  // Takes the bytes at once and answers how long their mover has to wait before it moves them, so that callers are
  // served in the order they came and a large one cannot starve.
  Wait take(Time now, std::uint64_t bytes) {
    if (!limited()) return Wait{0};
    const double burst = rate_ / 8;
    if (known_) {
      const double elapsed = std::chrono::duration<double>(now - last_).count();
      tokens_ = std::min(burst, tokens_ + std::max(0.0, elapsed) * rate_);
    }
    known_ = true;
    last_ = now;
    tokens_ -= static_cast<double>(bytes);
    if (tokens_ >= 0) return Wait{0};
    return std::chrono::duration_cast<Wait>(std::chrono::duration<double>(-tokens_ / rate_));
  }

 private:
  double rate_;
  double tokens_ = 0;
  bool known_ = false;
  Time last_{};
};

}  // namespace windlass::stage
