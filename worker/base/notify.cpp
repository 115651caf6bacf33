#include "worker/base/notify.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

namespace windlass::worker {
namespace {

std::string variable(const std::map<std::string, std::string>& environment, const std::string& name) {
  const auto found = environment.find(name);
  return found == environment.end() ? std::string() : found->second;
}

std::optional<std::int64_t> number_of(const std::string& text) {
  std::int64_t number = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = !text.empty() && fault == std::errc{} && end == text.data() + text.size();
  return whole ? std::optional(number) : std::nullopt;
}

// Line breaks would begin another assignment.
std::string one_line(std::string_view text) {
  std::string line(text);
  for (char& c : line) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  return line;
}

std::int64_t monotonic_us() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1000000 + now.tv_nsec / 1000;
}

}  // namespace

Notify::Notify(const std::map<std::string, std::string>& environment)
    : address_(variable(environment, "NOTIFY_SOCKET")) {
  const bool usable = address_.size() > 1 && address_.size() < sizeof(sockaddr_un::sun_path) &&
                      (address_[0] == '/' || address_[0] == '@');
  if (!usable) return;
  socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const auto watchdog_us = number_of(variable(environment, "WATCHDOG_USEC"));
  const auto watchdog_pid = number_of(variable(environment, "WATCHDOG_PID"));
  if (watchdog_us && *watchdog_us > 0 && (!watchdog_pid || *watchdog_pid == ::getpid())) {
    // Twice as often as asked for, so that one late turn is no alarm.
    period_ = std::chrono::milliseconds(std::max<std::int64_t>(1, *watchdog_us / 2000));
  }
}

Notify::~Notify() {
  if (socket_ >= 0) ::close(socket_);
}

void Notify::ready(std::string_view status) {
  send("READY=1\nSTATUS=" + one_line(status));
}
void Notify::stopping(std::string_view status) {
  send("STOPPING=1\nSTATUS=" + one_line(status));
}
void Notify::reloading() {
  send("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(monotonic_us()));
}
void Notify::status(std::string_view text) {
  send("STATUS=" + one_line(text));
}

void Notify::feed_watchdog(Clock::time_point now) {
  if (period_.count() == 0 || now - fed_ < period_) return;
  fed_ = now;
  send("WATCHDOG=1");
}

// A full socket drops the notice: the control thread never waits for systemd, and the next notice tells anew.
void Notify::send(const std::string& lines) {
  if (socket_ < 0) return;
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, address_.data(), address_.size());
  if (address_[0] == '@') to.sun_path[0] = '\0';
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
  (void)::sendto(socket_, lines.data(), lines.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&to), length);
}

}  // namespace windlass::worker
