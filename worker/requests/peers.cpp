#include "worker/requests/peers.hpp"

#include "worker/core/limits.hpp"

namespace windlass::worker {

bool Peers::welcome(const std::string& route, Time now) {
  if (const auto found = peers_.find(route); found != peers_.end()) {
    found->second.heard = now;
    return true;
  }
  if (peers_.size() >= kPeersMax) return false;
  peers_.emplace(route, Peer{++stays_, now});
  return true;
}

bool Peers::heard(const std::string& route, Time now) {
  const auto found = peers_.find(route);
  if (found == peers_.end()) return false;
  found->second.heard = now;
  return true;
}

void Peers::sweep(Time now) {
  std::erase_if(
      peers_, [&](const auto& entry) { return now - entry.second.heard > kPeerIdleMax && entry.second.requests == 0; });
}

std::vector<std::string> Peers::routes() const {
  std::vector<std::string> routes;
  routes.reserve(peers_.size());
  for (const auto& [route, peer] : peers_) routes.push_back(route);
  return routes;
}

bool Peers::has_credit(const std::string& route, std::size_t bytes, std::size_t unsent) const {
  const auto found = peers_.find(route);
  if (found == peers_.end()) return false;
  const Peer& peer = found->second;
  if (peer.requests + unsent == 0) return true;
  return peer.requests + unsent < kCreditRequests && peer.bytes + bytes <= kCreditBytes;
}

std::uint64_t Peers::take(const std::string& route, std::size_t bytes) {
  const auto found = peers_.find(route);
  if (found == peers_.end()) return 0;
  ++found->second.requests;
  found->second.bytes += bytes;
  return found->second.stay;
}

// Of an earlier stay nothing is held in this one.
void Peers::give_back(const std::string& route, std::uint64_t stay, std::size_t bytes) {
  const auto found = peers_.find(route);
  if (found == peers_.end() || found->second.stay != stay) return;
  --found->second.requests;
  found->second.bytes -= bytes;
}

}  // namespace windlass::worker
