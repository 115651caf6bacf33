// Front: what may wait for clients, of each and in all.
#include <algorithm>

#include "worker/front/front.hpp"
#include "worker/front/front_limits.hpp"

namespace windlass::worker {

void Front::fit(std::size_t memory_bytes) {
  if (memory_bytes == 0) return;  // not known
  waiting_max_ = std::clamp(memory_bytes / kQueuesShare, 2 * kQueueBytesMax, kQueuesBytesMax);
}

// Shares are equal, and nobody has less than what is written at once.
std::size_t Front::share_of(std::size_t bytes, std::size_t clients) const {
  return std::max(bytes / std::max<std::size_t>(clients, 1), kReadBytesMax);
}

// One message always fits, however large. Where much waits in all, those who read go on with the room that is theirs.
bool Front::is_full(const Connection& connection) const {
  if (!connection.outgoing || connection.outgoing->empty()) return false;
  const std::size_t bytes = connection.outgoing->bytes();
  return bytes >= kQueueBytesMax || (waiting_ >= waiting_max_ && bytes >= share_of(waiting_max_, waiters_));
}

bool Front::has_room(const std::string& route, std::size_t bytes) const {
  if (waiting_ < waiting_max_) return true;
  const auto found = routes_.find(route);
  if (found == routes_.end()) return true;
  const auto& outgoing = slots_[found->second]->outgoing;
  const std::size_t had = outgoing ? outgoing->bytes() : 0;
  if (had >= waiting_max_) return false;
  const std::size_t most = kRoomFactor * waiting_max_;
  return waiting_ < most || had + bytes < share_of(most, waiters_ + 1);
}

// While more waits in all than may, whoever has most of it and takes nothing of it is hung up on.
void Front::relieve(Time now) {
  if (waiting_ <= waiting_max_) return judged_.reset();
  if (judged_ && now < *judged_) return;
  if (judged_) hang_up_on_stalled();
  judged_ = now + kStallMax;
  ++round_;
  for (const auto& connection : slots_) {
    if (!connection || !connection->outgoing) continue;
    connection->round = round_;
    connection->taken_before = connection->taken;
  }
}

void Front::hang_up_on_stalled() {
  std::vector<Slot> stalled;
  for (Slot slot = 0; slot < slots_.size(); ++slot) {
    const auto& connection = slots_[slot];
    if (!connection || !connection->outgoing || connection->round != round_) continue;
    if (connection->taken - connection->taken_before < kTakenMin) stalled.push_back(slot);
  }
  std::ranges::sort(stalled, std::greater{}, [&](Slot slot) { return slots_[slot]->outgoing->bytes(); });
  for (const Slot slot : stalled) {
    if (waiting_ <= waiting_max_) return;
    refuse_and_hang_up(slot, "slow", "it does not take its answers, and too much waits for all clients together");
  }
}

}  // namespace windlass::worker
