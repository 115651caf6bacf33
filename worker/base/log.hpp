// Log lines of the daemon, to stderr, one JSON object or one line of text each. Any thread; lines never interleave.
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "worker/base/config.hpp"

namespace windlass::worker {

// A named value of a line: {"node", name}, {"bytes", n}.
struct LogField {
  using Value = std::variant<std::string_view, std::int64_t, std::uint64_t, double, bool>;
  std::string_view name;
  Value value;

  LogField(std::string_view n, std::string_view v) : name(n), value(v) {}
  LogField(std::string_view n, const std::string& v) : name(n), value(std::string_view(v)) {}
  LogField(std::string_view n, const char* v) : name(n), value(std::string_view(v)) {}
  LogField(std::string_view n, bool v) : name(n), value(v) {}
  LogField(std::string_view n, double v) : name(n), value(v) {}
  LogField(std::string_view n, int v) : name(n), value(std::int64_t{v}) {}
  LogField(std::string_view n, std::int64_t v) : name(n), value(v) {}
  LogField(std::string_view n, std::uint64_t v) : name(n), value(v) {}
};
using LogFields = std::initializer_list<LogField>;

enum class LogLevel { trace, debug, info, warn, error };

// Sets level and format; may be called again at a reload.
void log_configure(const LogConfig& config);

// One line. `event` is a fixed sentence ("bridge is silent"); what varies stands in the fields.
void log_line(LogLevel level, std::string_view event, LogFields fields = {});
inline void log_debug(std::string_view event, LogFields fields = {}) {
  log_line(LogLevel::debug, event, fields);
}
inline void log_info(std::string_view event, LogFields fields = {}) {
  log_line(LogLevel::info, event, fields);
}
inline void log_warn(std::string_view event, LogFields fields = {}) {
  log_line(LogLevel::warn, event, fields);
}
inline void log_error(std::string_view event, LogFields fields = {}) {
  log_line(LogLevel::error, event, fields);
}

// Lets a thing be said once per period and key; thread-safe.
//   if (auto unsaid = limit.pass("refused", now)) log_warn("peer refused", {{"unsaid", *unsaid}});
class LogLimit {
 public:
  using Clock = std::chrono::steady_clock;
  explicit LogLimit(std::chrono::milliseconds period = std::chrono::minutes{1}) : period_(period) {}

  // How many were held back since the last that passed, or nothing where this one is to be held back. Of more than
  // 1,000 keys within a period the rest share one.
  std::optional<std::uint64_t> pass(const std::string& key, Clock::time_point now = Clock::now());

 private:
  struct Entry {
    Clock::time_point last;
    std::uint64_t unsaid = 0;
  };
  std::chrono::milliseconds period_;
  std::mutex mutex_;
  std::map<std::string, Entry> entries_;
};

}  // namespace windlass::worker
