// Front: what may be held of what clients say, and what may wait for them, of each and in all.
#include <algorithm>

#include "worker/front/confirmed.hpp"
#include "worker/front/front.hpp"
#include "worker/front/front_limits.hpp"

namespace windlass::worker {

void Front::fit(std::size_t memory_bytes) {
  if (memory_bytes == 0) return;  // not known
  held_max_ = std::clamp(memory_bytes / kHeldShare, kHeldBytesLeast, kHeldBytesMax);
  waiting_max_ = std::clamp(memory_bytes / kQueuesShare, 2 * kQueueBytesMax, kQueuesBytesMax);
}

void Front::count_held(Slot slot) {
  Connection& connection = *slots_[slot];
  const std::size_t held = connection.incoming.held();
  if (held == 0) return forget_held(slot);
  connection.heard = now_;
  if (connection.held == 0) {
    if (holders_.empty()) half_due_ = now_ + kHalfLook;
    connection.at_holder = holders_.size();
    holders_.push_back(slot);
  }
  held_ += held - connection.held;
  connection.held = held;
}

void Front::forget_held(Slot slot) {
  Connection& connection = *slots_[slot];
  if (connection.held == 0) return;
  held_ -= std::exchange(connection.held, 0);
  holders_[connection.at_holder] = holders_.back();
  slots_[holders_.back()]->at_holder = connection.at_holder;
  holders_.pop_back();
}

// Who has just said more may have to go, and so may whoever holds most.
void Front::bound_held(Slot slot) {
  const Connection& connection = *slots_[slot];
  if (!connection.welcomed && connection.held > kMuteBytesMax) {
    return refuse_and_hang_up(slot, "memory", "it sends more than 64 KiB at once and has not said HELLO");
  }
  while (held_ > held_max_) {
    const auto most = std::ranges::max_element(holders_, {}, [&](Slot holder) { return slots_[holder]->held; });
    refuse_and_hang_up(*most, "memory",
                       "the messages of all clients that have not come whole take too much memory, and its own most");
  }
}

void Front::hang_up_on_half(Time now) {
  if (holders_.empty() || now < half_due_) return;
  half_due_ = now + kHalfLook;
  for (std::size_t i = holders_.size(); i-- > 0;) {  // one that goes is replaced by one that was looked at
    Connection& connection = *slots_[holders_[i]];
    if (is_paused(connection)) connection.heard = now;  // it is we who do not read
    if (now - connection.heard < kHalfMax) continue;
    refuse_and_hang_up(holders_[i], "slow", "it stopped in the middle of a message for 60 s");
  }
}

void Front::expect_confirmation(Slot slot) {
  if (unconfirmed_.empty()) confirm_due_ = now_ + kConfirmLook;
  slots_[slot]->unconfirmed = true;
  unconfirmed_.push_back({slot, slots_[slot]->number});
}

void Front::hang_up_on_vanished(Time now) {
  if (unconfirmed_.empty() || now < confirm_due_) return;
  confirm_due_ = now + kConfirmLook;
  std::erase_if(unconfirmed_, [&](const Known& known) {
    const auto& connection = slots_[known.slot];
    if (!connection || connection->number != known.number) return true;
    const Confirmed confirms = confirmed(connection->socket.get());
    connection->unconfirmed = confirms == Confirmed::some || connection->outgoing;
    if (confirms == Confirmed::nothing) hang_up(known.slot);
    return confirms == Confirmed::nothing || !connection->unconfirmed;
  });
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
  if (judged_ && now >= *judged_) hang_up_on_stalled();
  if (waiting_ <= waiting_max_) return judged_.reset();
  if (judged_ && now < *judged_) return;
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
