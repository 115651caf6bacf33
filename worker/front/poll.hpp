// One epoll instance, level-triggered; whoever is ready is known by its tag. Control thread.
#pragma once

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <span>
#include <system_error>

#include "worker/front/descriptor.hpp"

namespace windlass::worker {

class Poll {
 public:
  Poll() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    if (!epoll_) throw std::system_error(errno, std::generic_category(), "epoll_create1");
  }

  // False where it cannot be watched; one that is watched already stays as it is.
  bool add(int fd, std::uint64_t tag, std::uint32_t events = EPOLLIN) {
    return control(EPOLL_CTL_ADD, fd, tag, events) || errno == EEXIST;
  }
  void change(int fd, std::uint64_t tag, std::uint32_t events) { control(EPOLL_CTL_MOD, fd, tag, events); }
  void remove(int fd) { control(EPOLL_CTL_DEL, fd, 0, 0); }

  // Those that are ready, until the next call; none after `timeout` or a signal. Whole milliseconds.
  std::span<const epoll_event> wait(std::chrono::milliseconds timeout) {
    const int count =
        ::epoll_wait(epoll_.get(), events_.data(), static_cast<int>(events_.size()), static_cast<int>(timeout.count()));
    return {events_.data(), static_cast<std::size_t>(std::max(0, count))};
  }
  // Where so many are told, more may be ready.
  [[nodiscard]] std::size_t told_max() const { return events_.size(); }

 private:
  bool control(int what, int fd, std::uint64_t tag, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = tag;
    return ::epoll_ctl(epoll_.get(), what, fd, &event) == 0;
  }

  Descriptor epoll_;
  std::array<epoll_event, 64> events_{};
};

}  // namespace windlass::worker
