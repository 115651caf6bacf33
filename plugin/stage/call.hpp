// One accepted call: its transfers, how far they are, how they ended. Thread-safe; each outcome is set once, by one
// thread.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "plugin/stage/fd.hpp"
#include "plugin/stage/targets.hpp"
#include "plugin/stage/transfer.hpp"

namespace windlass::stage {

class Call;

// Calls that have ended and were not yet told, with an eventfd that is readable while there are some. Thread-safe;
// outlives the stager where a call does.
class Ends {
 public:
  Ends();
  void add(const Call& call, std::uint64_t tag);
  void forget(const Call& call);
  std::optional<std::uint64_t> take();
  [[nodiscard]] int fd() const { return event_.get(); }

 private:
  void clear_event();

  std::mutex mutex_;
  std::deque<std::pair<const Call*, std::uint64_t>> ended_;
  Fd event_;
};

struct Progress {
  bool ended = false;
  std::uint64_t bytes_done = 0;
  std::uint64_t files_done = 0;
  std::int64_t bytes_total = -1;
  std::int64_t files_total = -1;
};

class Call {
 public:
  Call(std::vector<Transfer> transfers, Sequence first, std::uint64_t tag, std::shared_ptr<Ends> ends);

  [[nodiscard]] const std::vector<Transfer>& transfers() const { return transfers_; }
  [[nodiscard]] Sequence first() const { return first_; }

  // By the stager.
  std::atomic<bool> cancelled{false};
  std::atomic<bool> measured{false};
  mutable std::atomic<bool> watched{false};  // somebody asked for progress
  std::atomic<std::uint64_t> bytes_done{0};
  std::atomic<std::uint64_t> files_done{0};
  void set_totals(std::optional<std::uint64_t> bytes, std::uint64_t files);
  // The last one ends the call.
  void set_outcome(std::size_t transfer, Outcome outcome);
  void end_if_empty();

  // By whoever asked.
  [[nodiscard]] Progress progress() const;
  bool wait(std::optional<std::chrono::milliseconds> at_most);
  [[nodiscard]] bool ended() const { return ended_.load(std::memory_order_acquire); }
  [[nodiscard]] const std::string& report() const { return report_; }                               // after the end
  [[nodiscard]] const Outcome& outcome(std::size_t transfer) const { return outcomes_[transfer]; }  // after the end
  void forget_end() { ends_->forget(*this); }

 private:
  void end();

  const std::vector<Transfer> transfers_;
  const Sequence first_;
  const std::uint64_t tag_;
  const std::chrono::steady_clock::time_point begun_;
  std::shared_ptr<Ends> ends_;
  std::vector<Outcome> outcomes_;
  std::atomic<std::size_t> unfinished_;
  std::atomic<std::int64_t> bytes_total_{-1};
  std::atomic<std::int64_t> files_total_{-1};
  std::string report_;
  std::atomic<bool> ended_{false};
  std::mutex mutex_;
  std::condition_variable done_;
};

}  // namespace windlass::stage
