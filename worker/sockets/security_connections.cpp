#include "worker/sockets/security_connections.hpp"

namespace windlass::worker {

bool Connections::accepted(int fd, Time now) {
  closed(fd);  // whoever had the number before is gone
  open_.insert(fd);
  silent_.emplace(fd, now);
  if (open_.size() <= limits_.connections_max && silent_.size() <= limits_.silent_max) return true;
  silent_.erase(fd);
  return false;
}

void Connections::spoke(int fd) {
  silent_.erase(fd);
}

void Connections::closed(int fd) {
  silent_.erase(fd);
  open_.erase(fd);
}

std::vector<int> Connections::due(Time now, const std::function<std::uint64_t(int)>& received) {
  std::vector<int> cut;
  for (const auto& [fd, since] : silent_) {
    if (now - since >= limits_.greeting_max || received(fd) > limits_.greeting_bytes_max) cut.push_back(fd);
  }
  for (const int fd : cut) silent_.erase(fd);
  return cut;
}

}  // namespace windlass::worker
