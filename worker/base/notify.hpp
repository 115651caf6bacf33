// Tells systemd how the daemon is (Type=notify), without libsystemd: datagrams to the socket named by the environment.
// Where none is named every call does nothing. Used by the control thread.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <string_view>

namespace windlass::worker {

class Notify {
 public:
  using Clock = std::chrono::steady_clock;
  // Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID from `environment`; opens the socket.
  explicit Notify(const std::map<std::string, std::string>& environment);
  ~Notify();
  Notify(const Notify&) = delete;
  Notify& operator=(const Notify&) = delete;

  void ready(std::string_view status);
  void stopping(std::string_view status);
  void reloading();  // followed by ready() once the reload is done
  void status(std::string_view text);

  // Call at least this often; zero where there is no watchdog.
  std::chrono::milliseconds watchdog_period() const { return period_; }
  // Sends WATCHDOG=1 where watchdog_period has passed since the last; cheap otherwise.
  void feed_watchdog(Clock::time_point now);

 private:
  void send(const std::string& lines);

  int socket_ = -1;
  std::string address_;  // path, or "@name" for the abstract namespace
  std::chrono::milliseconds period_{0};
  Clock::time_point fed_{};
};

}  // namespace windlass::worker
