#include "worker/unsent.hpp"

#include <algorithm>

#include "worker/limits.hpp"

namespace windlass::worker {

bool Unsent::waits(const Peer& peer) const {
  return std::any_of(waiting_.begin(), waiting_.end(), [&](const Entry& entry) { return entry.peer == peer; });
}

void Unsent::keep(const Peer& peer, const proto::Header& header, const Frames& frames, Time now) {
  const std::size_t bytes = bytes_of(frames);
  if (waiting_.size() >= kUnsentMax || bytes_ + bytes > kUnsentBytesMax) {
    ++dropped_;
    return;
  }
  bytes_ += bytes;
  waiting_.push_back({peer, header, frames, now});
}

Sent Unsent::send(const Peer& peer, const proto::Header& header, const Frames& frames, Time now) {
  // What waits for the same peer goes first.
  const Sent sent = !waiting_.empty() && waits(peer) ? Sent::full : outbox_.send(peer, header, frames);
  if (sent == Sent::full) keep(peer, header, frames, now);
  return sent;
}

void Unsent::retry(Time now) {
  std::deque<Entry> still;
  std::vector<Peer> full;
  for (Entry& entry : waiting_) {
    const bool blocked = std::find(full.begin(), full.end(), entry.peer) != full.end();
    const Sent sent = blocked ? Sent::full : outbox_.send(entry.peer, entry.header, entry.frames);
    if (sent == Sent::full && now - entry.since < kUnsentKeep) {
      if (!blocked) full.push_back(entry.peer);
      still.push_back(std::move(entry));
      continue;
    }
    bytes_ -= bytes_of(entry.frames);
    if (sent != Sent::yes) ++dropped_;
  }
  waiting_ = std::move(still);
}

}  // namespace windlass::worker
