#include "plugin/stage/watch.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cstring>

namespace windlass::stage {
namespace {

thread_local Post* my_post = nullptr;

class Inside {
 public:
  explicit Inside(int fd, const char* path = nullptr) : post_(my_post) {
    if (post_ != nullptr) post_->enter(fd, path);
  }
  ~Inside() {
    if (post_ != nullptr) post_->leave();
  }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  Post* const post_;
};

}  // namespace

void Post::enter(int fd, const char* path) {
  const bool far = path != nullptr && (fd == AT_FDCWD || std::strchr(path, '/') != nullptr);
  if (far) {
    const std::lock_guard lock(mutex_);
    path_ = path;
  }
  has_path_.store(far, std::memory_order_relaxed);
  fd_.store(fd, std::memory_order_relaxed);
  moves_.store(moves_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

void Post::leave() {
  moves_.store(moves_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

// What is read while it changes is of a thread that does not hang, and nobody asks for more of that one.
Post::Look Post::look() const {
  Look look;
  look.moves = moves_.load(std::memory_order_acquire);
  look.inside = look.moves % 2 == 1;
  look.fd = fd_.load(std::memory_order_relaxed);
  if (!has_path_.load(std::memory_order_relaxed)) return look;
  const std::lock_guard lock(mutex_);
  look.path = path_;
  return look;
}

AtPost::AtPost(Post& post) {
  my_post = &post;
}
AtPost::~AtPost() {
  my_post = nullptr;
}

int WatchedFs::open(int folder, const char* path, int flags, mode_t mode, std::uint64_t resolve) {
  const Inside inside(folder, path);
  return under_.open(folder, path, flags, mode, resolve);
}
int WatchedFs::info(int folder, const char* name, FileInfo& info) {
  const Inside inside(folder);
  return under_.info(folder, name, info);
}
int WatchedFs::info(int fd, FileInfo& info) {
  const Inside inside(fd);
  return under_.info(fd, info);
}
int WatchedFs::space(int fd, Space& space) {
  const Inside inside(fd);
  return under_.space(fd, space);
}
std::uint64_t WatchedFs::mount(int fd) {
  const Inside inside(fd);
  return under_.mount(fd);
}
std::uint32_t WatchedFs::direct_alignment(int fd) {
  const Inside inside(fd);
  return under_.direct_alignment(fd);
}
int WatchedFs::list(int fd, std::vector<Entry>& entries) {
  const Inside inside(fd);
  return under_.list(fd, entries);
}
int WatchedFs::read_link(int folder, const char* name, std::string& text) {
  const Inside inside(folder);
  return under_.read_link(folder, name, text);
}
int WatchedFs::make_folder(int folder, const char* name, mode_t mode) {
  const Inside inside(folder);
  return under_.make_folder(folder, name, mode);
}
int WatchedFs::make_link(const char* text, int folder, const char* name) {
  const Inside inside(folder);
  return under_.make_link(text, folder, name);
}
int WatchedFs::remove(int folder, const char* name, bool is_folder) {
  const Inside inside(folder);
  return under_.remove(folder, name, is_folder);
}
int WatchedFs::rename(int folder, const char* from, const char* to, unsigned flags) {
  const Inside inside(folder);
  return under_.rename(folder, from, to, flags);
}
int WatchedFs::allocate(int fd, std::uint64_t bytes) {
  const Inside inside(fd);
  return under_.allocate(fd, bytes);
}
int WatchedFs::truncate(int fd, std::uint64_t bytes) {
  const Inside inside(fd);
  return under_.truncate(fd, bytes);
}
int WatchedFs::clone(int to, int from) {
  const Inside inside(to);
  return under_.clone(to, from);
}
std::int64_t WatchedFs::copy_range(int from, std::uint64_t from_at, int to, std::uint64_t to_at, std::uint64_t bytes) {
  const Inside inside(to);
  return under_.copy_range(from, from_at, to, to_at, bytes);
}
std::int64_t WatchedFs::seek(int fd, std::uint64_t offset, int whence) {
  const Inside inside(fd);
  return under_.seek(fd, offset, whence);
}
int WatchedFs::read_ahead(int fd, std::uint64_t bytes) {
  const Inside inside(fd);
  return under_.read_ahead(fd, bytes);
}
int WatchedFs::set_flags(int fd, int flags) {
  const Inside inside(fd);
  return under_.set_flags(fd, flags);
}
int WatchedFs::set_mode(int fd, mode_t mode) {
  const Inside inside(fd);
  return under_.set_mode(fd, mode);
}
int WatchedFs::set_modified(int fd, const Time& time) {
  const Inside inside(fd);
  return under_.set_modified(fd, time);
}
int WatchedFs::set_link_modified(int folder, const char* name, const Time& time) {
  const Inside inside(folder);
  return under_.set_link_modified(folder, name, time);
}
int WatchedFs::flush(int fd) {
  const Inside inside(fd);
  return under_.flush(fd);
}
int WatchedFs::sync(int fd) {
  const Inside inside(fd);
  return under_.sync(fd);
}
int WatchedFs::sync_all(int fd) {
  const Inside inside(fd);
  return under_.sync_all(fd);
}

void WatchedQueue::push(const IoOp& op) {
  flying_[count_++] = {op.tag, op.fd};
  const Inside inside(op.fd);
  under_->push(op);
}

IoDone WatchedQueue::wait() {
  const auto end = flying_.begin() + count_;
  const bool one_file = std::all_of(flying_.begin(), end, [&](const Flying& one) { return one.fd == flying_[0].fd; });
  const Inside inside(one_file ? flying_[0].fd : -1);
  const IoDone done = under_->wait();
  const auto at = std::find_if(flying_.begin(), end, [&](const Flying& one) { return one.tag == done.tag; });
  *at = flying_[--count_];
  return done;
}

}  // namespace windlass::stage
