// Bandwidth, cancelling and progress of running copies. Meter is shared and thread-safe; a FilePace belongs to one
// copy.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>

#include "plugin/stage/bandwidth.hpp"
#include "plugin/stage/copier.hpp"
#include "plugin/stage/transfer.hpp"

namespace windlass::stage {

// How often the plain way served where a faster or safer one was to. Thread-safe.
struct Fallbacks {
  std::atomic<std::uint64_t> ring{0};     // io_uring is denied, or a ring was lost: plain calls
  std::atomic<std::uint64_t> direct{0};   // a file went through the page cache
  std::atomic<std::uint64_t> buffers{0};  // a thread's memory is not, or not all, registered with its ring
  std::atomic<std::uint64_t> confine{0};  // a thread could not be confined to the roots
};

// Bytes per second, for all transfers together and for those of one kind; 0: no limit.
struct BandwidthLimits {
  std::uint64_t all = 0;
  std::uint64_t input = 0;
  std::uint64_t result = 0;
  [[nodiscard]] std::uint64_t of(Kind kind) const { return kind == Kind::input ? input : result; }
  // The lower of the two that hold for it.
  [[nodiscard]] std::uint64_t least(Kind kind) const {
    return all == 0 || of(kind) == 0 ? std::max(all, of(kind)) : std::min(all, of(kind));
  }
};

class Meter {
 public:
  explicit Meter(const BandwidthLimits& limits)
      : limits_(limits), all_(limits.all), kinds_{Bandwidth(limits.input), Bandwidth(limits.result)} {}

  // So few that a limited copy moves several times a second; 0: no limit.
  [[nodiscard]] std::uint32_t bytes_at_once(Kind kind) const { return at_once(limits_.least(kind)); }

  // Waits until the bytes may move; false where `cancelled` came first.
  bool admit(Kind kind, std::uint64_t bytes, const std::atomic<bool>& cancelled);
  // Waits for that long; false where `cancelled` came first.
  bool pause(Bandwidth::Wait wait, const std::atomic<bool>& cancelled);
  void wake();  // after a `cancelled` was set

  std::atomic<std::int64_t> bytes_in_flight{0};
  Fallbacks fallbacks;
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
  const BandwidthLimits limits_;
  Bandwidth all_;
  std::array<Bandwidth, 2> kinds_;  // by Kind
};

class FilePace final : public Pace {
 public:
  // `done` is raised as bytes arrive, never lowered: bytes read again count once.
  FilePace(Meter& meter, Kind kind, const std::atomic<bool>& cancelled, std::atomic<std::uint64_t>& done)
      : meter_(meter), kind_(kind), cancelled_(cancelled), done_(done) {}

  Status admit(std::uint64_t bytes) override;
  [[nodiscard]] std::uint32_t bytes_at_once() const override { return meter_.bytes_at_once(kind_); }
  void moved(std::uint64_t bytes) override;
  void holding(std::int64_t bytes) override { meter_.bytes_in_flight += bytes; }
  void plain_instead() override;
  Status rest(int tries) override;
  void restart() { position_ = 0; }
  void reached(std::uint64_t written) override {
    if (on_reached) on_reached(written);
  }
  std::function<void(std::uint64_t)> on_reached;

 private:
  Meter& meter_;
  const Kind kind_;
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
