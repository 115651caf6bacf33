// What is accepted and what begins next. A decision: times are given, no clock is read, nothing is done.
// One thread at a time; the stager guards it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "plugin/stage/hangs.hpp"
#include "plugin/stage/result.hpp"
#include "plugin/stage/targets.hpp"

namespace windlass::stage {

using Clock = std::chrono::steady_clock;

struct ScheduleLimits {
  std::uint64_t queue_max = 10'000;
  std::uint64_t quota_per_client = 0;  // bytes; 0: none
};

// One transfer as the schedule sees it.
struct Ticket {
  Sequence sequence = 0;
  std::int64_t priority = 0;
  std::uint64_t bytes = 0;  // counted against the quota
  std::string client;
  std::optional<Clock::time_point> deadline;
  Clock::time_point accepted{};
  Devices devices{};  // that it reads and writes
};

using MayBegin = std::function<bool(const Devices&)>;

class Schedule {
 public:
  explicit Schedule(ScheduleLimits limits) : limits_(limits) {}

  // Whether a call of so many transfers and bytes may come in now; RESOURCE_EXHAUSTED, retryable where it may later.
  [[nodiscard]] Status admits(const std::string& client, std::uint64_t transfers, std::uint64_t bytes) const;
  // Accepts it; it is queued.
  void accept(Ticket ticket);

  // Takes the next to begin: highest priority, then the order of acceptance; of those whose devices may be touched.
  std::optional<Sequence> next(const MayBegin& may = any);
  [[nodiscard]] bool has_next(const MayBegin& may = any) const;
  // Takes those queued whose deadline is over.
  std::vector<Sequence> expired(Clock::time_point now);
  // The next moment at which one may expire.
  [[nodiscard]] std::optional<Clock::time_point> next_deadline() const;
  // Takes it out of the queue; false where it is not queued.
  bool withdraw(Sequence transfer);
  // It turned out to have so many bytes in all, where these are more than was known; RESOURCE_EXHAUSTED, and nothing
  // counted, where its client may not have as many.
  Status grown(Sequence transfer, std::uint64_t bytes);
  // It is no more: it counts against nothing.
  void ended(Sequence transfer);

  [[nodiscard]] std::uint64_t queued() const { return queued_.size(); }
  [[nodiscard]] std::uint64_t unfinished() const { return tickets_.size(); }
  [[nodiscard]] std::optional<Clock::time_point> oldest_queued() const;

 private:
  struct Turn {
    std::int64_t priority;
    Sequence sequence;
    bool operator<(const Turn& other) const {
      return priority != other.priority ? priority > other.priority : sequence < other.sequence;
    }
  };
  static bool any(const Devices& /*all*/) { return true; }
  void remove_from_queue(const Ticket& ticket);

  ScheduleLimits limits_;
  std::map<Sequence, Ticket> tickets_;       // accepted and not ended
  std::map<Devices, std::set<Turn>> order_;  // those queued
  std::set<Sequence> queued_;
  std::set<std::pair<Clock::time_point, Sequence>> deadlines_;  // of those queued
  std::map<std::string, std::uint64_t> bytes_by_client_;
};

}  // namespace windlass::stage
