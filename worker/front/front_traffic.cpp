// Front: what clients say, and what they are told.
#include <sys/socket.h>

#include <cerrno>
#include <new>

#include "worker/front/front.hpp"
#include "worker/front/front_limits.hpp"

namespace windlass::worker {
namespace {

std::string numbered(std::uint32_t number) {
  std::string text(1, '\0');
  for (unsigned shift = 0; shift < 32; shift += 8) text.push_back(static_cast<char>(number >> shift & 0xffU));
  return text;
}

}  // namespace

std::optional<Front::Message> Front::receive() {
  for (;;) {
    if (current_ == kNobody && !begin_reading()) return std::nullopt;
    try {
      if (auto message = take()) return message;
    } catch (const std::bad_alloc&) {
      refuse_and_hang_up(current_, "memory", "there is not enough memory for its message");
    }
  }
}

// One step with the client whose turn it is.
std::optional<Front::Message> Front::take() {
  using Kind = Incoming::Event::Kind;
  const Slot slot = current_;
  Connection& connection = *slots_[slot];
  Incoming::Event event = connection.incoming.take(unread_);
  switch (event.kind) {
    case Kind::frame:
      count_held(slot);
      return Message{connection.route, std::move(event.frames)};
    case Kind::ready:
      enrol(slot, event.bytes);
      break;
    case Kind::ping:
      say(slot, zmtp::pong(event.bytes));
      break;
    case Kind::fault:
      refuse_and_hang_up(slot, "protocol", event.bytes, event.refused_type);
      break;
    case Kind::more:
      count_held(slot);
      end_reading();
      bound_held(slot);
      break;
    default:
      break;
  }
  return std::nullopt;
}

// Reads from the next client that is ready, and makes it the current one; false where none is.
bool Front::begin_reading() {
  while (at_ready_ < ready_.size()) {
    const Slot slot = ready_[at_ready_++];
    if (!slots_[slot] || is_paused(*slots_[slot])) continue;
    current_ = slot;
    bool lives = false;
    try {
      lives = read_some(*slots_[slot]);
    } catch (const std::bad_alloc&) {
      refuse("memory", "there is not enough memory for its message");
    }
    if (lives) return true;
    hang_up(slot);
  }
  ready_.clear();
  at_ready_ = 0;
  return false;
}

// False where the peer has gone.
bool Front::read_some(Connection& connection) {
  const std::span<char> room = connection.incoming.room();
  char* to = room.data();
  std::size_t had = 0;
  std::size_t size = room.size();
  if (room.empty()) {
    had = connection.incoming.give_rest(scratch_.get());
    to = scratch_.get() + had;
    size = kReadBytesMax;
  }
  ssize_t got = 0;
  do {
    got = ::recv(connection.socket.get(), to, size, MSG_DONTWAIT);
  } while (got < 0 && errno == EINTR);
  if (got == 0 || (got < 0 && errno != EAGAIN)) return false;
  const std::size_t came = got < 0 ? 0 : static_cast<std::size_t>(got);
  unread_ = room.empty() ? std::string_view(scratch_.get(), had + came) : std::string_view();
  if (!room.empty()) connection.incoming.filled(came);
  return true;
}

void Front::end_reading() {
  current_ = kNobody;
  // Each sending may wake a client, which takes longer than a small answer does.
  if (dirty_.size() >= kFlushAfter) flush();
}

// Numbers that no peer may choose: a zero, and four bytes.
std::string Front::new_route() {
  std::string route;
  do {
    route = numbered(next_route_++);
  } while (routes_.contains(route));
  return route;
}

// What is kept under a route outlives its connection, so nobody else may come to it by bearing the same name: that of a
// local client begins with its user, and a zero. No other of ours is as long, and a peer may not choose one with a
// zero.
std::string Front::route_of(const Connection& connection, std::string_view wished) {
  if (wished.empty()) return new_route();
  if (!connection.uid) return std::string(wished);
  std::string route = numbered(*connection.uid);
  route.append(wished);
  return route;
}

void Front::enrol(Slot slot, std::string_view wished) {
  Connection& connection = *slots_[slot];
  std::string route = route_of(connection, wished);
  if (const auto found = routes_.find(route); found != routes_.end()) {
    // A client that was started anew takes the place of the one it was, whose connection may seem to live.
    refuse_and_hang_up(found->second, "replaced", "another client came with its routing id");
  }
  routes_.emplace(route, slot);
  connection.route = std::move(route);
  connection.open = true;
  --greeting_;
  static const std::string kReady = zmtp::ready();
  say(slot, kReady);
}

Outgoing& Front::outgoing_of(Slot slot) {
  Connection& connection = *slots_[slot];
  if (!connection.outgoing) {
    ++waiters_;
    if (spare_.empty()) {
      connection.outgoing = std::make_unique<Outgoing>();
    } else {
      connection.outgoing = std::move(spare_.back());
      spare_.pop_back();
    }
  }
  if (!std::exchange(connection.dirty, true)) dirty_.push_back(slot);
  return *connection.outgoing;
}

void Front::say(Slot slot, std::string_view bytes) {
  outgoing_of(slot).add_bytes(bytes);
  waiting_ += bytes.size();
}

Sent Front::send(const std::string& route, std::string_view header, const Frames& frames) {
  const auto found = routes_.find(route);
  if (found == routes_.end()) return Sent::gone;
  const Slot slot = found->second;
  if (is_full(*slots_[slot])) {
    flush_one(slot);  // it may have read meanwhile
    if (!slots_[slot]) return Sent::gone;
    if (is_full(*slots_[slot])) return Sent::full;
  }
  Outgoing& outgoing = outgoing_of(slot);
  const std::size_t before = outgoing.bytes();
  outgoing.add(header, frames);
  waiting_ += outgoing.bytes() - before;
  return Sent::yes;
}

void Front::flush() {
  for (std::size_t i = 0; i < dirty_.size(); ++i) {
    const Slot slot = dirty_[i];
    if (!slots_[slot] || !std::exchange(slots_[slot]->dirty, false)) continue;
    flush_one(slot);
  }
  dirty_.clear();
}

void Front::flush_one(Slot slot) {
  Connection& connection = *slots_[slot];
  if (!connection.outgoing) return;
  const std::size_t before = connection.outgoing->bytes();
  const Outgoing::Left left = connection.outgoing->flush(connection.socket.get());
  waiting_ -= before - connection.outgoing->bytes();
  connection.taken += before - connection.outgoing->bytes();
  if (!connection.uid && !connection.unconfirmed) expect_confirmation(slot);
  if (left == Outgoing::Left::broken) return hang_up(slot);
  if (left == Outgoing::Left::some) return watch(slot);
  --waiters_;
  connection.round = 0;
  if (spare_.size() < kSpareQueues) {
    spare_.push_back(std::move(connection.outgoing));
  } else {
    connection.outgoing.reset();
  }
  watch(slot);
}

bool Front::is_paused(const Connection& connection) {
  return connection.outgoing && connection.outgoing->bytes() >= kPauseBytes;
}

// For what it says, unless it is paused; for room where something waits for it.
void Front::watch(Slot slot) {
  Connection& connection = *slots_[slot];
  const std::uint32_t wanted = (is_paused(connection) ? 0U : EPOLLIN) | (connection.outgoing ? EPOLLOUT : 0U);
  if (std::exchange(connection.watched, wanted) != wanted) poll_.change(connection.socket.get(), tag_of(slot), wanted);
}

}  // namespace windlass::worker
