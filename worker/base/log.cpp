#include "worker/base/log.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <atomic>
#include <cmath>

#include "worker/base/json.hpp"

namespace windlass::worker {
namespace {

constexpr std::string_view kNames[] = {"trace", "debug", "info", "warn", "error"};
constexpr std::size_t kLimitKeysMax = 1000;

std::atomic<bool> g_json{true};

spdlog::logger& logger() {
  // Made at first use and never ended: threads may still log while the process ends.
  static auto* made = [] {
    auto* fresh = new spdlog::logger("windlass", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    fresh->set_pattern("%v");
    fresh->set_level(spdlog::level::info);
    fresh->flush_on(spdlog::level::trace);
    return fresh;
  }();
  return *made;
}

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::trace:
      return spdlog::level::trace;
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warn:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

std::string now_utc() {
  const auto now = std::chrono::system_clock::now();
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03d}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(now)), ms % 1000);
}

std::string json_value(const LogField::Value& value) {
  if (const auto* text = std::get_if<std::string_view>(&value)) return json_string(*text);
  if (const auto* number = std::get_if<double>(&value); number && !std::isfinite(*number)) return "null";
  return std::visit(
      [](const auto& v) {
        if constexpr (std::is_same_v<std::decay_t<decltype(v)>, std::string_view>)
          return std::string(v);
        else
          return fmt::format("{}", v);
      },
      value);
}

std::string json_line(LogLevel level, std::string_view event, LogFields fields) {
  std::string line = fmt::format(R"({{"time":"{}","level":"{}","event":{})", now_utc(), kNames[static_cast<int>(level)],
                                 json_string(event));
  for (const LogField& field : fields) line += fmt::format(",{}:{}", json_string(field.name), json_value(field.value));
  return line + "}";
}

std::string text_line(LogLevel level, std::string_view event, LogFields fields) {
  std::string line = fmt::format("{} {:5} {}", now_utc(), kNames[static_cast<int>(level)], event);
  for (const LogField& field : fields) line += fmt::format(" {}={}", field.name, json_value(field.value));
  return line;
}

}  // namespace

void log_configure(const LogConfig& config) {
  g_json.store(config.format != "text", std::memory_order_relaxed);
  for (int i = 0; i < static_cast<int>(std::size(kNames)); ++i) {
    if (kNames[i] == config.level) logger().set_level(spdlog_level(static_cast<LogLevel>(i)));
  }
}

void log_line(LogLevel level, std::string_view event, LogFields fields) {
  const auto as = spdlog_level(level);
  if (!logger().should_log(as)) return;
  const std::string line =
      g_json.load(std::memory_order_relaxed) ? json_line(level, event, fields) : text_line(level, event, fields);
  logger().log(as, "{}", line);
}

std::optional<std::uint64_t> LogLimit::pass(const std::string& key, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  if (entries_.size() >= kLimitKeysMax && !entries_.contains(key)) {
    std::erase_if(entries_, [&](const auto& entry) { return now - entry.second.last >= period_; });
  }
  const bool shared = entries_.size() >= kLimitKeysMax && !entries_.contains(key);
  const auto [entry, fresh] = entries_.try_emplace(shared ? std::string() : key, Entry{now, 0});
  if (fresh) return 0;
  if (now - entry->second.last < period_) {
    ++entry->second.unsaid;
    return std::nullopt;
  }
  const std::uint64_t unsaid = entry->second.unsaid;
  entry->second = Entry{now, 0};
  return unsaid;
}

}  // namespace windlass::worker
