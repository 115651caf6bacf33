// A file system and a queue that fail on purpose. Both pass through to another; a shared count of operations says where
// the fault strikes, so a test can let it strike at each in turn.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <random>

#include "plugin/stage/around.hpp"

namespace windlass::stage::testing {

// Thread-safe.
class Faults {
 public:
  // From now on operation number `at` (from 1) answers -error.
  void fail_at(std::uint64_t at, int error);
  // Reads and writes are cut short at random, one in `one_in`.
  void cut_short(std::uint32_t seed, unsigned one_in);
  // Read or write number `at` (from 1) moves so many bytes at most.
  void cut_at(std::uint64_t at, std::uint32_t bytes);
  [[nodiscard]] bool cut() const;
  // Reads and writes number `at` to `at + times - 1` do nothing and answer -error.
  void refuse_at(std::uint64_t at, int error, std::uint64_t times = 1);
  [[nodiscard]] bool refused() const;
  // The completions of `count` operations from number `at` on do not come before release(), however long that takes.
  void stall_at(std::uint64_t at, std::uint64_t count = 1);
  void release();
  [[nodiscard]] unsigned stalled() const;  // threads that wait so
  [[nodiscard]] std::uint64_t count() const { return count_; }

  int strike();  // 0 or -error; counts
  struct Move {
    int error = 0;  // 0 or -errno, and then nothing moves
    std::uint32_t bytes = 0;
  };
  Move move(std::uint32_t bytes);
  void stall_here();  // counts completions

 private:
  std::atomic<std::uint64_t> count_{0};
  std::atomic<std::uint64_t> at_{0};
  std::atomic<int> error_{0};
  mutable std::mutex mutex_;
  std::condition_variable released_;
  std::minstd_rand random_;
  unsigned one_in_ = 0;
  std::uint64_t moves_ = 0;  // reads and writes
  std::uint64_t cut_at_ = 0;
  std::uint32_t cut_bytes_ = 0;
  std::uint64_t refuse_from_ = 0;
  std::uint64_t refuse_times_ = 0;
  int refuse_error_ = 0;
  std::uint64_t completions_ = 0;
  std::uint64_t stall_from_ = 0;
  std::uint64_t stall_to_ = 0;
  unsigned stalled_ = 0;
};

class FaultyQueue final : public AroundQueue {
 public:
  FaultyQueue(std::unique_ptr<IoQueue> under, Faults& faults) : AroundQueue(std::move(under)), faults_(faults) {}
  void push(const IoOp& op) override;
  IoDone wait() override;

 private:
  Faults& faults_;
  std::deque<IoDone> struck_;
};

class FaultyFs : public AroundFs {
 public:
  FaultyFs(Fs& under, Faults& faults) : AroundFs(under), faults_(faults) {}

 private:
  int before(const Where& where) override { return where.always ? 0 : faults_.strike(); }
  void after(const Where& where) override {
    if (!where.always) faults_.stall_here();
  }

  Faults& faults_;
};

}  // namespace windlass::stage::testing
