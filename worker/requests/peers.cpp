#include "worker/requests/peers.hpp"

#include <algorithm>

#include "worker/core/limits.hpp"

namespace windlass::worker {

bool Peers::welcome(const std::string& route, Time now) {
  if (peers_.size() >= kPeersMax && !peers_.contains(route)) {
    sweep(now);
    if (peers_.size() >= kPeersMax) return false;
  }
  peers_[route].heard = now;
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

void Peers::take(const std::string& route, std::size_t bytes) {
  Peer& peer = peers_[route];
  ++peer.requests;
  peer.bytes += bytes;
}

// A peer that said BYE and HELLO again in between owes nothing of what it had before.
void Peers::give_back(const std::string& route, std::size_t bytes) {
  const auto found = peers_.find(route);
  if (found == peers_.end()) return;
  Peer& peer = found->second;
  peer.requests -= std::min<std::size_t>(peer.requests, 1);
  peer.bytes -= std::min(peer.bytes, bytes);
}

}  // namespace windlass::worker
