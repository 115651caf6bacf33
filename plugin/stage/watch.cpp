#include "plugin/stage/watch.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cstring>

namespace windlass::stage {
namespace {

thread_local Post* my_post = nullptr;

class Inside {
 public:
  explicit Inside(int fd) : post_(my_post) {
    if (post_ != nullptr) post_->enter(fd);
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

int WatchedFs::before(const Where& where) {
  if (my_post != nullptr) my_post->enter(where.fd, where.path);
  return 0;
}
void WatchedFs::after(const Where&) {
  if (my_post != nullptr) my_post->leave();
}

void WatchedQueue::push(const IoOp& op) {
  flying_[count_++] = {op.tag, op.fd};
  const Inside inside(op.fd);
  under().push(op);
}

IoDone WatchedQueue::wait() {
  const auto end = flying_.begin() + count_;
  const bool one_file = std::all_of(flying_.begin(), end, [&](const Flying& one) { return one.fd == flying_[0].fd; });
  const Inside inside(one_file ? flying_[0].fd : -1);
  const IoDone done = under().wait();
  const auto at = std::find_if(flying_.begin(), end, [&](const Flying& one) { return one.tag == done.tag; });
  *at = flying_[--count_];
  return done;
}

}  // namespace windlass::stage
