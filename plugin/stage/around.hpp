// What stands before a file system or a queue and passes all on: who inherits says what happens around the calls.
// As thread-safe as what is beneath and what is done around it.
#pragma once

#include <memory>
#include <utility>

#include "plugin/stage/fs.hpp"
#include "plugin/stage/io_queue.hpp"

namespace windlass::stage {

// `under` outlives it.
class AroundFs : public Fs {
 public:
  explicit AroundFs(Fs& under) : under_(under) {}

  int open(int folder, const char* path, int flags, mode_t mode, std::uint64_t resolve) override {
    return pass({folder, path}, [&] { return under_.open(folder, path, flags, mode, resolve); });
  }
  int info(int folder, const char* name, FileInfo& info) override {
    return pass({folder}, [&] { return under_.info(folder, name, info); });
  }
  int info(int fd, FileInfo& info) override {
    return pass({fd}, [&] { return under_.info(fd, info); });
  }
  int space(int fd, Space& space) override {
    return pass({fd}, [&] { return under_.space(fd, space); });
  }
  std::uint64_t mount(int fd) override {
    return pass({fd, nullptr, true}, [&] { return under_.mount(fd); });
  }
  std::uint32_t direct_alignment(int fd) override {
    return pass({fd, nullptr, true}, [&] { return under_.direct_alignment(fd); });
  }
  int list(int fd, std::vector<Entry>& entries) override {
    return pass({fd}, [&] { return under_.list(fd, entries); });
  }
  int read_link(int folder, const char* name, std::string& text) override {
    return pass({folder}, [&] { return under_.read_link(folder, name, text); });
  }
  int make_folder(int folder, const char* name, mode_t mode) override {
    return pass({folder}, [&] { return under_.make_folder(folder, name, mode); });
  }
  int make_link(const char* text, int folder, const char* name) override {
    return pass({folder}, [&] { return under_.make_link(text, folder, name); });
  }
  int remove(int folder, const char* name, bool is_folder) override {
    return pass({folder, nullptr, true}, [&] { return under_.remove(folder, name, is_folder); });
  }
  int rename(int folder, const char* from, const char* to, unsigned flags) override {
    return pass({folder}, [&] { return under_.rename(folder, from, to, flags); });
  }
  int allocate(int fd, std::uint64_t bytes) override {
    return pass({fd}, [&] { return under_.allocate(fd, bytes); });
  }
  int truncate(int fd, std::uint64_t bytes) override {
    return pass({fd}, [&] { return under_.truncate(fd, bytes); });
  }
  int clone(int to, int from) override {
    return pass({to}, [&] { return under_.clone(to, from); });
  }
  std::int64_t copy_range(int from, std::uint64_t from_at, int to, std::uint64_t to_at, std::uint64_t bytes) override {
    return pass({to}, [&] { return under_.copy_range(from, from_at, to, to_at, bytes); });
  }
  std::int64_t seek(int fd, std::uint64_t offset, int whence) override {
    return pass({fd}, [&] { return under_.seek(fd, offset, whence); });
  }
  int read_ahead(int fd, std::uint64_t bytes) override {
    return pass({fd, nullptr, true}, [&] { return under_.read_ahead(fd, bytes); });
  }
  int set_flags(int fd, int flags) override {
    return pass({fd}, [&] { return under_.set_flags(fd, flags); });
  }
  int set_mode(int fd, mode_t mode) override {
    return pass({fd}, [&] { return under_.set_mode(fd, mode); });
  }
  int set_modified(int fd, const Time& time) override {
    return pass({fd}, [&] { return under_.set_modified(fd, time); });
  }
  int set_link_modified(int folder, const char* name, const Time& time) override {
    return pass({folder}, [&] { return under_.set_link_modified(folder, name, time); });
  }
  int flush(int fd) override {
    return pass({fd}, [&] { return under_.flush(fd); });
  }
  int sync(int fd) override {
    return pass({fd}, [&] { return under_.sync(fd); });
  }
  int sync_all(int fd) override {
    return pass({fd}, [&] { return under_.sync_all(fd); });
  }

 protected:
  struct Where {
    int fd = -1;                 // what it is done with, or in
    const char* path = nullptr;  // beneath it, where that may lead to another file system
    // A hint, a question that has an answer always, or a removal: what is cleaned up after a fault could not be told
    // from what was forgotten, if that failed too.
    bool always = false;
  };
  // 0, or a -errno that is answered without the call; of those that are done `always` it must be 0.
  virtual int before(const Where& where) = 0;
  virtual void after(const Where& where) = 0;  // of each call that was made, also where it threw

 private:
  template <class Call>
  auto pass(const Where& where, Call call) -> decltype(call()) {
    if (const int refused = before(where); refused != 0) return static_cast<decltype(call())>(refused);
    const After after_it{*this, where};
    return call();
  }

  struct After {
    ~After() { of.after(where); }
    AroundFs& of;
    const Where& where;
  };

  Fs& under_;
};

// push() and wait() are for who inherits.
class AroundQueue : public IoQueue {
 public:
  explicit AroundQueue(std::unique_ptr<IoQueue> under) : under_(std::move(under)) {}
  [[nodiscard]] bool overlaps() const override { return under_->overlaps(); }
  [[nodiscard]] bool broken() const override { return under_->broken(); }
  [[nodiscard]] bool holds_memory() const override { return under_->holds_memory(); }
  std::size_t pin(char* data, std::size_t bytes) override { return under_->pin(data, bytes); }

 protected:
  [[nodiscard]] IoQueue& under() { return *under_; }

 private:
  std::unique_ptr<IoQueue> under_;
};

}  // namespace windlass::stage
