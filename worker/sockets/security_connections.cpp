#include "worker/sockets/security_connections.hpp"

#include <algorithm>
#include <utility>

#include "worker/core/limits.hpp"

namespace windlass::worker {

bool Connections::accepted(int fd, Time now) {
  closed(fd);  // whoever had the number before is gone
  open_.insert(fd);
  silent_.emplace(fd, now);
  if (open_.size() <= limits_.connections_max && silent_.size() <= limits_.silent_max) return true;
  silent_.erase(fd);
  return false;
}

bool Connections::spoke(int fd, const std::string& route, std::uint64_t message_bytes,
                        std::uint64_t message_bytes_max) {
  silent_.erase(fd);
  if (!open_.contains(fd)) return false;
  Spoken& spoken = spoken_[fd];
  if (spoken.route != route) {
    // Its number was another's before, whose last message came late: that one is gone.
    if (!spoken.route.empty()) ended_.push_back(std::move(spoken.route));
    spoken.route = route;
  }
  spoken.message_bytes_max = message_bytes_max;
  spoken.counted += message_bytes;
  spoken.ended_one = true;
  return true;
}

void Connections::closed(int fd) {
  silent_.erase(fd);
  open_.erase(fd);
  end_of(fd);
}

void Connections::end_of(int fd) {
  const auto found = spoken_.find(fd);
  if (found == spoken_.end()) return;
  ended_.push_back(std::move(found->second.route));
  spoken_.erase(found);
}

std::vector<int> Connections::due(Time now, const Received& received) {
  std::vector<int> cut;
  for (const auto& [fd, since] : silent_) {
    if (now - since >= limits_.greeting_max || received(fd) > limits_.greeting_bytes_max) cut.push_back(fd);
  }
  for (const int fd : cut) silent_.erase(fd);
  return cut;
}

std::vector<int> Connections::holding(Time now, const Received& received) {
  // Pings, which are no messages, may come for days.
  const auto pings = static_cast<std::uint64_t>(std::chrono::duration<double>(now - looked_).count() *
                                                static_cast<double>(kPingBytesPerSecond));
  looked_ = now;
  std::vector<int> cut;
  std::vector<std::pair<std::uint64_t, int>> held;
  std::uint64_t sum = 0;
  for (auto& [fd, spoken] : spoken_) {
    const std::uint64_t bytes = received(fd);
    spoken.counted = std::min(bytes, spoken.counted + pings);
    const std::uint64_t before = std::exchange(spoken.held, bytes - spoken.counted);
    if (std::exchange(spoken.ended_one, false)) {
      // What little is left may be the handshake, or the beginning of the next message: it does not add up.
      if (spoken.held <= limits_.greeting_bytes_max) spoken.counted = bytes;
      spoken.held = 0;
      continue;
    }
    if (before > spoken.message_bytes_max) {
      cut.push_back(fd);
    } else if (before > 0) {
      held.emplace_back(before, fd);
      sum += before;
    }
  }
  if (sum > limits_.held_bytes_max) {
    std::sort(held.begin(), held.end());
    for (; sum > limits_.held_bytes_max; held.pop_back()) {
      sum -= held.back().first;
      cut.push_back(held.back().second);
    }
  }
  for (const int fd : cut) end_of(fd);
  return cut;
}

}  // namespace windlass::worker
