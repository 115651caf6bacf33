// echo_epoll ADDRESS: sends back the bytes that come, by one thread on epoll; prints where it listens. It keeps no
// queue: peers are expected to read what they get.
#include <poll.h>
#include <sys/epoll.h>

#include "common.hpp"

namespace {

void send_all(int fd, const char* bytes, std::size_t size) {
  while (size > 0) {
    const ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return;
    if (sent < 0) {
      pollfd writable{fd, POLLOUT, 0};
      poll(&writable, 1, -1);
      continue;
    }
    bytes += sent;
    size -= static_cast<std::size_t>(sent);
  }
}

void watch(int epoll, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  raise_descriptors();
  Address address = address_of(argv[1]);
  const int listener = socket(address.family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address.bytes), address.size) != 0) fail_errno("bind");
  if (listen(listener, 1024) != 0) fail_errno("listen");
  socklen_t size = sizeof address.bytes;
  getsockname(listener, reinterpret_cast<sockaddr*>(&address.bytes), &size);
  std::string where = argv[1];
  if (address.family == AF_INET) {
    where = "tcp://127.0.0.1:" + std::to_string(ntohs(reinterpret_cast<sockaddr_in*>(&address.bytes)->sin_port));
  }
  std::printf("%s\n", where.c_str());
  std::fflush(stdout);
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  watch(epoll, listener);
  for (;;) {
    epoll_event events[64];
    const int count = epoll_wait(epoll, events, 64, -1);
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      if (fd == listener) {
        const int accepted = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted < 0) continue;
        no_delay(accepted, address);
        watch(epoll, accepted);
        continue;
      }
      char bytes[65536];
      const ssize_t got = recv(fd, bytes, sizeof bytes, 0);
      if (got > 0) {
        send_all(fd, bytes, static_cast<std::size_t>(got));
      } else if (got == 0 || errno != EAGAIN) {
        close(fd);
      }
    }
  }
}
