// A stager over either engine, with or without faults, and one transfer through it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "plugin/stage/stager.hpp"
#include "plugin/stage/testing/faulty.hpp"
#include "plugin/stage/testing/folder.hpp"

namespace windlass::stage::testing {

// "uring" or "threads"; false where the kernel denies it.
bool engine_is_here(const std::string& engine);

std::unique_ptr<Stager> open_stager(const std::string& engine, Options options = {}, Faults* faults = nullptr);
// Over a file system of the test's own, which outlives it.
std::unique_ptr<Stager> open_stager(const std::string& engine, Options options, Fs& fs, Faults* faults = nullptr);

Transfer transfer_of(const std::string& source, const std::string& target);

// Through a stager, to its end.
Outcome stage_one(Stager& stager, Transfer transfer);
Outcome stage_one(Stager& stager, const std::string& source, const std::string& target);
std::shared_ptr<Call> submit_one(Stager& stager, Transfer transfer);

// Of a copy by itself: counts, and cancels where it is told to.
class QuietPace final : public Pace {
 public:
  Status admit(std::uint64_t) override {
    if (cancel_after-- == 0) return fail(Code::cancelled, "");
    return {};
  }
  void moved(std::uint64_t bytes) override { bytes_moved += bytes; }
  void holding(std::int64_t bytes) override { held += bytes; }
  void plain_instead() override { ++fallbacks; }
  Status rest(int) override { return admit(0); }
  std::int64_t cancel_after = -1;
  std::uint64_t bytes_moved = 0;
  std::int64_t held = 0;
  int fallbacks = 0;
};

// Polls, for at most 20 s.
template <class Condition>
bool eventually(Condition condition) {
  const auto until = Clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (Clock::now() > until) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace windlass::stage::testing
