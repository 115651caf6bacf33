#include "worker/front/front.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <random>

#include "worker/front/front_limits.hpp"
#include "worker/front/open_files.hpp"

namespace windlass::worker {
namespace {

Descriptor reserve() {
  return Descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

}  // namespace

Front::Front(Poll& poll)
    : poll_(poll),
      scratch_(std::make_unique_for_overwrite<char[]>(Incoming::kRestBytesMax + kReadBytesMax)),
      reserve_(reserve()),
      connections_max_(share_open_files(open_files_limit(), false).front),
      next_route_(std::random_device{}()),
      held_max_(kHeldBytesMax),
      waiting_max_(kQueuesBytesMax) {
  listeners_.reserve(kListenersMax);
}

Front::~Front() = default;

void Front::listen(Listener listener) {
  poll_.add(listener.fd(), kFirstTag + listeners_.size());
  listeners_.push_back(std::move(listener));
}

void Front::ready(const epoll_event& event, Time now) {
  now_ = now;
  const std::uint64_t at = event.data.u64 - kFirstTag;
  if (at < kListenersMax) {
    if (at < listeners_.size()) accept(listeners_[at], now);
    return;
  }
  const auto slot = static_cast<Slot>(at - kListenersMax);
  if (slot >= slots_.size() || !slots_[slot]) return;
  if ((event.events & ~std::uint32_t{EPOLLIN}) != 0) flush_one(slot);  // finds out, too, who went with answers waiting
  if ((event.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && slots_[slot]) ready_.push_back(slot);
}

void Front::accept(Listener& listener, Time now) {
  using Fate = Listener::Accepted::Fate;
  // Those who come in one turn are read in the next, so two turns of them must not look like too many who don't greet.
  const std::size_t most = std::min(kAcceptsPerTurn, greetings_max() / 4 + 1);
  for (std::size_t i = 0; i < most; ++i) {
    Listener::Accepted accepted = listener.accept();
    switch (accepted.fate) {
      case Fate::none:
        return;
      case Fate::stranger:
        refuse("user", "its process runs as a user that security.local_uids does not list");
        break;
      case Fate::no_descriptors:
        if (!refuse_one_waiting(listener)) return rest(now);
        break;
      case Fate::failed:
        refuse("system", "the system has no memory for another connection");
        return rest(now);
      case Fate::client:
        if (!admit(std::move(accepted), now)) return rest(now);
        break;
    }
  }
}

std::size_t Front::greetings_max() const {
  return std::min(kHandshakesMax, connections_max_ / 2 + 1);
}

bool Front::admit(Listener::Accepted accepted, Time now) {
  if (connections_ >= connections_max_) {
    refuse("descriptors", "the limit of open files (LimitNOFILE, ulimit -n) allows no more clients");
    return true;
  }
  if (greeting_ >= greetings_max()) {
    while (!still_greets(greetings_.front())) greetings_.pop_front();
    refuse_and_hang_up(greetings_.front().slot, "greeting",
                       "too many clients that came after it have not greeted either");
  }
  if (free_.empty()) {
    free_.push_back(static_cast<Slot>(slots_.size()));
    slots_.emplace_back();
  }
  const Slot slot = free_.back();
  static const std::string kGreeting = zmtp::greeting();
  const int fd = accepted.socket.get();
  if (!poll_.add(fd, tag_of(slot))) {
    refuse("system", "the system cannot watch another connection");
    return false;
  }
  if (::send(fd, kGreeting.data(), kGreeting.size(), MSG_NOSIGNAL | MSG_DONTWAIT) !=
      static_cast<ssize_t>(kGreeting.size())) {
    return true;  // it went again already
  }
  free_.pop_back();
  auto connection = std::make_unique<Connection>();
  connection->socket = std::move(accepted.socket);
  connection->uid = accepted.uid;
  connection->number = ++came_;
  greetings_.push_back({slot, connection->number, now + kHandshakeMax});
  mute_.push_back({slot, connection->number, now + kHelloMax});
  slots_[slot] = std::move(connection);
  ++connections_;
  if (mute_.size() > 2 * connections_ + kHandshakesMax) {  // many have come and gone
    std::erase_if(mute_, [&](const Greeting& each) { return !still_mute(each); });
  }
  ++greeting_;
  return true;
}

// With no descriptor left nobody can be accepted, and who waits would make the listener ready for ever.
bool Front::refuse_one_waiting(Listener& listener) {
  using Fate = Listener::Accepted::Fate;
  refuse("descriptors", "all open files that the limit allows (LimitNOFILE, ulimit -n) are in use");
  reserve_.reset();
  const Fate fate = listener.accept().fate;
  reserve_ = reserve();
  return reserve_ && fate != Fate::no_descriptors && fate != Fate::failed;
}

void Front::rest(Time now) {
  for (const Listener& listener : listeners_) poll_.remove(listener.fd());
  rested_until_ = now + kAcceptRest;
}

void Front::turn(Time now) {
  now_ = now;
  if (rested_until_ && now >= *rested_until_) {
    rested_until_.reset();
    if (!reserve_) reserve_ = reserve();
    for (std::size_t i = 0; i < listeners_.size(); ++i) poll_.add(listeners_[i].fd(), kFirstTag + i);
  }
  hang_up_on_late(greetings_, &Front::still_greets, "it did not greet within 10 s", now);
  hang_up_on_late(mute_, &Front::still_mute, "it did not say HELLO within 60 s", now);
  hang_up_on_half(now);
  hang_up_on_vanished(now);
  relieve(now);
}

void Front::hang_up_on_late(std::deque<Greeting>& greetings, Still still, std::string_view why, Time now) {
  while (!greetings.empty()) {
    const Greeting& oldest = greetings.front();
    if ((this->*still)(oldest)) {
      if (now < oldest.until) return;
      refuse_and_hang_up(oldest.slot, "greeting", why);
    }
    greetings.pop_front();
  }
}

Time Front::next_due() const {
  Time due = Time::max();
  if (rested_until_) due = *rested_until_;
  if (!greetings_.empty()) due = std::min(due, greetings_.front().until);
  if (!mute_.empty()) due = std::min(due, mute_.front().until);
  if (!holders_.empty()) due = std::min(due, half_due_);
  if (!unconfirmed_.empty()) due = std::min(due, confirm_due_);
  if (judged_) due = std::min(due, *judged_);
  return due;
}

// Null where it has gone.
const Front::Connection* Front::found(const Greeting& greeting) const {
  const auto& connection = slots_[greeting.slot];
  return connection && connection->number == greeting.number ? connection.get() : nullptr;
}

bool Front::still_greets(const Greeting& greeting) const {
  const Connection* connection = found(greeting);
  return connection != nullptr && !connection->open;
}

bool Front::still_mute(const Greeting& greeting) const {
  const Connection* connection = found(greeting);
  return connection != nullptr && !connection->welcomed;
}

void Front::welcomed(const std::string& route) {
  if (const auto found = routes_.find(route); found != routes_.end()) slots_[found->second]->welcomed = true;
}

void Front::refuse(const char* reason, std::string_view why) const {
  if (refused_) refused_(reason, why);
}

void Front::refuse_and_hang_up(Slot slot, const char* reason, std::string_view why, bool tell) {
  refuse(reason, why);
  if (tell) {
    const std::string said = zmtp::error(why);
    (void)::send(slots_[slot]->socket.get(), said.data(), said.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  hang_up(slot);
}

void Front::hang_up(Slot slot) {
  Connection& connection = *slots_[slot];
  if (current_ == slot) {
    current_ = kNobody;
    unread_ = {};
  }
  if (connection.open) {
    const auto found = routes_.find(connection.route);
    if (found != routes_.end() && found->second == slot) routes_.erase(found);
    ended_.push_back(std::move(connection.route));
  } else {
    --greeting_;
  }
  forget_held(slot);
  if (connection.outgoing) {
    waiting_ -= connection.outgoing->bytes();
    --waiters_;
  }
  slots_[slot].reset();
  free_.push_back(slot);
  --connections_;
}

void Front::close(std::chrono::milliseconds linger) {
  for (const Listener& listener : listeners_) poll_.remove(listener.fd());
  listeners_.clear();
  flush();
  const Time until = Clock::now() + linger;
  while (waiting_ > 0 && Clock::now() < until) {
    ::poll(nullptr, 0, 1);
    for (Slot slot = 0; slot < slots_.size(); ++slot) {
      if (slots_[slot] && slots_[slot]->outgoing) flush_one(slot);
    }
  }
  for (Slot slot = 0; slot < slots_.size(); ++slot) {
    if (slots_[slot]) hang_up(slot);
  }
}

}  // namespace windlass::worker
