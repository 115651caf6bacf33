// Bandwidth, cancelling and progress of running copies. Meter is shared and thread-safe; a FilePace belongs to one
// copy.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>

#include "plugin/stage/bandwidth.hpp"
#include "plugin/stage/copier.hpp"

namespace windlass::stage {

class Meter {
 public:
  explicit Meter(std::uint64_t bandwidth_max)
      : bandwidth_(bandwidth_max), limited_(bandwidth_max > 0), bytes_at_once_(at_once(bandwidth_max)) {}

  // So few that a limited copy moves several times a second; 0: no limit.
  [[nodiscard]] std::uint32_t bytes_at_once() const { return bytes_at_once_; }

  // Waits until the bytes may move; false where `cancelled` came first.
  bool admit(std::uint64_t bytes, const std::atomic<bool>& cancelled);
  // Waits for that long; false where `cancelled` came first.
  bool pause(Bandwidth::Wait wait, const std::atomic<bool>& cancelled);
  void wake();  // after a `cancelled` was set

  std::atomic<std::int64_t> bytes_in_flight{0};
  std::atomic<std::uint64_t> fallbacks{0};
  std::atomic<std::uint64_t> steps{0};  // grows as long as anything gets on

 private:
  static std::uint32_t at_once(std::uint64_t bandwidth_max) {
    constexpr std::uint64_t kUnit = 4096;
    constexpr std::uint64_t kMost = 1U << 30U;
    if (bandwidth_max == 0) return 0;
    return static_cast<std::uint32_t>(std::clamp(bandwidth_max / 16 / kUnit * kUnit, kUnit, kMost));
  }

  std::mutex mutex_;
  std::condition_variable woken_;
  Bandwidth bandwidth_;
  const bool limited_;
  const std::uint32_t bytes_at_once_;
};

class FilePace final : public Pace {
 public:
  // `done` is raised as bytes arrive, never lowered: bytes read again count once.
  FilePace(Meter& meter, const std::atomic<bool>& cancelled, std::atomic<std::uint64_t>& done)
      : meter_(meter), cancelled_(cancelled), done_(done) {}

  Status admit(std::uint64_t bytes) override;
  [[nodiscard]] std::uint32_t bytes_at_once() const override { return meter_.bytes_at_once(); }
  void moved(std::uint64_t bytes) override;
  void holding(std::int64_t bytes) override { meter_.bytes_in_flight += bytes; }
  void plain_instead() override;
  void restart() { position_ = 0; }
  void reached(std::uint64_t written) override {
    if (on_reached) on_reached(written);
  }
  std::function<void(std::uint64_t)> on_reached;

 private:
  Meter& meter_;
  const std::atomic<bool>& cancelled_;
  std::atomic<std::uint64_t>& done_;
  std::uint64_t position_ = 0;
  std::uint64_t told_ = 0;
  bool fell_back_ = false;
};

inline tl::unexpected<Error> cancelled_error() {
  return fail(Code::cancelled, "the transfer was cancelled before its target was published");
}

}  // namespace windlass::stage
