#include "worker/peers.hpp"

#include "worker/limits.hpp"

namespace windlass::worker {

bool Peers::welcome(const std::string& route, Time now) {
  if (heard_.size() >= kPeersMax && !heard_.contains(route)) {
    sweep(now);
    if (heard_.size() >= kPeersMax) return false;
  }
  heard_[route] = now;
  return true;
}

bool Peers::heard(const std::string& route, Time now) {
  const auto found = heard_.find(route);
  if (found == heard_.end()) return false;
  found->second = now;
  return true;
}

void Peers::sweep(Time now) {
  std::erase_if(heard_, [&](const auto& entry) { return now - entry.second > kPeerIdleMax; });
}

std::vector<std::string> Peers::routes() const {
  std::vector<std::string> routes;
  routes.reserve(heard_.size());
  for (const auto& [route, at] : heard_) routes.push_back(route);
  return routes;
}

}  // namespace windlass::worker
