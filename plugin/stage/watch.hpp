// Where each I/O thread is inside of a file system at this moment, so that one that hangs can be told, and its disk.
#pragma once

#include <array>
#include <atomic>
#include <mutex>
#include <string>

#include "plugin/stage/fs.hpp"
#include "plugin/stage/io_queue.hpp"

namespace windlass::stage {

// Written by its thread alone, read by any.
class Post {
 public:
  // `path`: beneath the descriptor, where it may lead to another file system; else null.
  void enter(int fd, const char* path = nullptr);
  void leave();

  struct Look {
    std::uint64_t moves = 0;  // differs whenever it has got on
    bool inside = false;
    int fd = -1;       // -1: of several
    std::string path;  // empty: the descriptor itself
  };
  [[nodiscard]] Look look() const;

 private:
  std::atomic<std::uint64_t> moves_{0};  // odd: inside
  std::atomic<int> fd_{-1};
  std::atomic<bool> has_path_{false};
  mutable std::mutex mutex_;
  std::string path_;
};

// As long as it lives, the post is the calling thread's.
class AtPost {
 public:
  explicit AtPost(Post& post);
  ~AtPost();
  AtPost(const AtPost&) = delete;
  AtPost& operator=(const AtPost&) = delete;
};

// Passes all on, and notes it at the calling thread's post where it has one.
class WatchedFs final : public Fs {
 public:
  explicit WatchedFs(Fs& under) : under_(under) {}
  int open(int folder, const char* path, int flags, mode_t mode, std::uint64_t resolve) override;
  int info(int folder, const char* name, FileInfo& info) override;
  int info(int fd, FileInfo& info) override;
  int space(int fd, Space& space) override;
  std::uint64_t mount(int fd) override;
  std::uint32_t direct_alignment(int fd) override;
  int list(int fd, std::vector<Entry>& entries) override;
  int read_link(int folder, const char* name, std::string& text) override;
  int make_folder(int folder, const char* name, mode_t mode) override;
  int make_link(const char* text, int folder, const char* name) override;
  int remove(int folder, const char* name, bool is_folder) override;
  int rename(int folder, const char* from, const char* to, unsigned flags) override;
  int allocate(int fd, std::uint64_t bytes) override;
  int truncate(int fd, std::uint64_t bytes) override;
  int clone(int to, int from) override;
  std::int64_t copy_range(int from, std::uint64_t from_at, int to, std::uint64_t to_at, std::uint64_t bytes) override;
  std::int64_t seek(int fd, std::uint64_t offset, int whence) override;
  int read_ahead(int fd, std::uint64_t bytes) override;
  int set_flags(int fd, int flags) override;
  int set_mode(int fd, mode_t mode) override;
  int set_modified(int fd, const Time& time) override;
  int set_link_modified(int folder, const char* name, const Time& time) override;
  int flush(int fd) override;
  int sync(int fd) override;
  int sync_all(int fd) override;

 private:
  Fs& under_;
};

// Likewise. Whoever waits for operations on one file alone is inside of that.
class WatchedQueue final : public IoQueue {
 public:
  explicit WatchedQueue(std::unique_ptr<IoQueue> under) : under_(std::move(under)) {}
  void push(const IoOp& op) override;
  IoDone wait() override;
  [[nodiscard]] bool overlaps() const override { return under_->overlaps(); }
  [[nodiscard]] bool broken() const override { return under_->broken(); }
  [[nodiscard]] bool holds_memory() const override { return under_->holds_memory(); }
  std::size_t pin(char* data, std::size_t bytes) override { return under_->pin(data, bytes); }

 private:
  struct Flying {
    std::uint32_t tag;
    int fd;
  };
  std::unique_ptr<IoQueue> under_;
  std::array<Flying, kIoInFlightMax> flying_{};
  unsigned count_ = 0;
};

}  // namespace windlass::stage
