#include "worker/requests/unsent.hpp"

#include <algorithm>
#include <iterator>

#include "worker/core/limits.hpp"

namespace windlass::worker {

std::size_t Unsent::waiting(const Peer& peer) const {
  if (lanes_.empty()) return 0;
  const auto found = lanes_.find(peer.route);
  return found == lanes_.end() ? 0 : found->second.entries.size();
}

// One may always wait, however large; and small ones, such as what tells of a refusal, as many as their number allows.
bool Unsent::may_keep(const Lane& lane, std::size_t bytes) {
  if (lane.entries.empty()) return true;
  if (lane.entries.size() >= kUnsentPerPeerMax) return false;
  return bytes <= kUnsentSmallMax || lane.bytes + bytes <= kUnsentBytesPerPeerMax;
}

bool Unsent::has_room(const Peer& peer, std::size_t bytes) const {
  if (lanes_.empty()) return true;
  const auto found = lanes_.find(peer.route);
  return found == lanes_.end() || (may_keep(found->second, bytes) && bytes_ + bytes <= kUnsentBytesMax);
}

Unsent::Entry Unsent::take(Lane& lane, std::deque<Entry>::iterator which) {
  Entry entry = std::move(*which);
  lane.entries.erase(which);
  const std::size_t bytes = bytes_of(entry.frames);
  lane.bytes -= bytes;
  bytes_ -= bytes;
  --size_;
  return entry;
}

void Unsent::keep(const Peer& peer, const proto::Header& header, const Frames& frames, Time now) {
  const std::size_t bytes = bytes_of(frames);
  Lane& lane = lanes_.try_emplace(peer.route, Lane{peer, {}, 0}).first->second;
  if (!may_keep(lane, bytes)) {
    ++dropped_;
    return;
  }
  lane.entries.push_back({header, frames, now});
  lane.bytes += bytes;
  bytes_ += bytes;
  ++size_;
  while (size_ > kUnsentMax || (bytes_ > kUnsentBytesMax && size_ > 1)) make_room();
}

// Drops the newest of the peer that has most of what there is too much of.
void Unsent::make_room() {
  const bool by_bytes = bytes_ > kUnsentBytesMax;
  const auto most = std::max_element(lanes_.begin(), lanes_.end(), [&](const auto& one, const auto& other) {
    return by_bytes ? one.second.bytes < other.second.bytes : one.second.entries.size() < other.second.entries.size();
  });
  take(most->second, std::prev(most->second.entries.end()));
  ++dropped_;
  if (most->second.entries.empty()) lanes_.erase(most);
}

Sent Unsent::send(const Peer& peer, const proto::Header& header, const Frames& frames, Time now) {
  // What waits for the same peer goes first.
  const Sent sent = waiting(peer) > 0 ? Sent::full : outbox_.send(peer, header, frames);
  if (sent == Sent::full) keep(peer, header, frames, now);
  return sent;
}

void Unsent::retry(Time now) {
  for (auto it = lanes_.begin(); it != lanes_.end();) {
    Lane& lane = it->second;
    while (!lane.entries.empty()) {
      const Entry& entry = lane.entries.front();
      const Sent sent = outbox_.send(lane.peer, entry.header, entry.frames);
      if (sent == Sent::full && now - entry.since < kUnsentKeep) break;
      if (sent != Sent::yes) ++dropped_;
      take(lane, lane.entries.begin());
    }
    it = lane.entries.empty() ? lanes_.erase(it) : std::next(it);
  }
}

}  // namespace windlass::worker
