// A file system and a queue that fail on purpose. Both pass through to another; a shared count of operations says where
// the fault strikes, so a test can let it strike at each in turn.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <random>

#include "plugin/stage/fs.hpp"
#include "plugin/stage/io_queue.hpp"

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

class FaultyQueue final : public IoQueue {
 public:
  FaultyQueue(std::unique_ptr<IoQueue> under, Faults& faults) : under_(std::move(under)), faults_(faults) {}
  void push(const IoOp& op) override;
  IoDone wait() override;
  [[nodiscard]] bool overlaps() const override { return under_->overlaps(); }
  [[nodiscard]] bool broken() const override { return under_->broken(); }
  [[nodiscard]] bool holds_memory() const override { return under_->holds_memory(); }
  std::size_t pin(char* data, std::size_t bytes) override { return under_->pin(data, bytes); }

 private:
  std::unique_ptr<IoQueue> under_;
  Faults& faults_;
  std::deque<IoDone> struck_;
};

class FaultyFs : public Fs {
 public:
  FaultyFs(Fs& under, Faults& faults) : under_(under), faults_(faults) {}

  int open(int folder, const char* path, int flags, mode_t mode, std::uint64_t resolve) override {
    return pass([&] { return under_.open(folder, path, flags, mode, resolve); });
  }
  int info(int folder, const char* name, FileInfo& info) override {
    return pass([&] { return under_.info(folder, name, info); });
  }
  int info(int fd, FileInfo& info) override {
    return pass([&] { return under_.info(fd, info); });
  }
  int space(int fd, Space& space) override {
    return pass([&] { return under_.space(fd, space); });
  }
  std::uint64_t mount(int fd) override { return under_.mount(fd); }
  std::uint32_t direct_alignment(int fd) override { return under_.direct_alignment(fd); }
  int list(int fd, std::vector<Entry>& entries) override {
    return pass([&] { return under_.list(fd, entries); });
  }
  int read_link(int folder, const char* name, std::string& text) override {
    return pass([&] { return under_.read_link(folder, name, text); });
  }
  int make_folder(int folder, const char* name, mode_t mode) override {
    return pass([&] { return under_.make_folder(folder, name, mode); });
  }
  int make_link(const char* text, int folder, const char* name) override {
    return pass([&] { return under_.make_link(text, folder, name); });
  }
  // Never fails: what is cleaned up after a fault could not be told from what was forgotten.
  int remove(int folder, const char* name, bool is_folder) override { return under_.remove(folder, name, is_folder); }
  int rename(int folder, const char* from, const char* to, unsigned flags) override {
    return pass([&] { return under_.rename(folder, from, to, flags); });
  }
  int allocate(int fd, std::uint64_t bytes) override {
    return pass([&] { return under_.allocate(fd, bytes); });
  }
  int truncate(int fd, std::uint64_t bytes) override {
    return pass([&] { return under_.truncate(fd, bytes); });
  }
  int clone(int to, int from) override {
    return pass([&] { return under_.clone(to, from); });
  }
  std::int64_t copy_range(int from, std::uint64_t from_at, int to, std::uint64_t to_at, std::uint64_t bytes) override {
    return pass([&] { return under_.copy_range(from, from_at, to, to_at, bytes); });
  }
  std::int64_t seek(int fd, std::uint64_t offset, int whence) override {
    return pass([&] { return under_.seek(fd, offset, whence); });
  }
  int read_ahead(int fd, std::uint64_t bytes) override { return under_.read_ahead(fd, bytes); }
  int set_flags(int fd, int flags) override {
    return pass([&] { return under_.set_flags(fd, flags); });
  }
  int set_mode(int fd, mode_t mode) override {
    return pass([&] { return under_.set_mode(fd, mode); });
  }
  int set_modified(int fd, const Time& time) override {
    return pass([&] { return under_.set_modified(fd, time); });
  }
  int set_link_modified(int folder, const char* name, const Time& time) override {
    return pass([&] { return under_.set_link_modified(folder, name, time); });
  }
  int flush(int fd) override {
    return pass([&] { return under_.flush(fd); });
  }
  int sync(int fd) override {
    return pass([&] { return under_.sync(fd); });
  }
  int sync_all(int fd) override {
    return pass([&] { return under_.sync_all(fd); });
  }

 private:
  template <class Call>
  auto pass(Call call) -> decltype(call()) {
    if (const int fault = faults_.strike(); fault != 0) return fault;
    const auto result = call();
    faults_.stall_here();
    return result;
  }

  Fs& under_;
  Faults& faults_;
};

}  // namespace windlass::stage::testing
