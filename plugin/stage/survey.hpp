// Looks at disks that nobody may wait for: a thread of its own, because a disk that hangs keeps it for as long.
// Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

namespace windlass::stage {

class Survey {
 public:
  static constexpr std::size_t kLooksMax = 1000;
  using Clock = std::chrono::steady_clock;
  using Look = std::function<void()>;

  Survey();
  // Waits for the look that is under way; the others are not begun.
  ~Survey();
  Survey(const Survey&) = delete;
  Survey& operator=(const Survey&) = delete;

  // false where kLooksMax wait already: it is not taken then.
  bool at(Clock::time_point when, Look look);
  // Begins as soon as it can. True where it has ended within the limit; else it goes on later, or never, and must own
  // what it touches.
  bool within(std::chrono::milliseconds limit, Look look);

 private:
  void work();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::multimap<Clock::time_point, Look> looks_;
  std::optional<Clock::time_point> busy_since_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace windlass::stage
