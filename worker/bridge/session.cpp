#include "worker/bridge/session.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "proto/codec.hpp"

namespace windlass::worker {

using proto::Type;

Session::Session(SessionOptions options, Time now)
    : options_(std::move(options)),
      random_(options_.seed),
      backoff_(options_.backoff_min),
      beat_(options_.beat),
      dial_at_(now) {
  incarnation_ = fresh_incarnation();
  process_ = incarnation_;
}

proto::RequestId Session::fresh_id() {
  proto::RequestId id;
  const std::uint64_t halves[2] = {random_(), random_()};
  static_assert(sizeof halves == sizeof id.bytes);
  std::memcpy(id.bytes.data(), halves, sizeof halves);
  return id;
}

std::string Session::fresh_incarnation() {
  constexpr const char* kHex = "0123456789abcdef";
  std::uint64_t bits = random_();
  std::string text(16, '0');
  for (char& digit : text) {
    digit = kHex[bits & 15U];
    bits >>= 4U;
  }
  return text;
}

std::chrono::milliseconds Session::silence_max(std::chrono::milliseconds without_link) const {
  return linked_ ? options_.dead_after * options_.patience : without_link;
}

Time Session::due() const {
  switch (state_) {
    case State::waiting:
      return dial_at_;
    case State::greeting:
      return greeted_at_ + silence_max(options_.suspect_after);
    case State::registered: {
      const Time next = heard_at_ + (silent_ ? silence_max(options_.dead_after) : options_.suspect_after);
      return std::min(report_at_, next);
    }
    case State::over:
      break;
  }
  return Time::max();
}

Actions Session::dial(Time now) {
  state_ = State::greeting;
  greeted_at_ = now;
  if (std::exchange(dialled_, true)) incarnation_ = fresh_incarnation();
  hello_id_ = fresh_id();
  sequence_ = 0;
  offers_pending_ = true;
  silent_ = false;
  linked_ = false;
  SendHello hello{hello_id_, {}};
  hello.hello.role = proto::Role::node;
  hello.hello.features = {"match", "stage", "load", "grant", "credits"};
  hello.hello.credit_requests = options_.credit_requests;
  hello.hello.credit_bytes = options_.credit_bytes;
  hello.hello.software = options_.software;
  hello.hello.pid = options_.pid;
  hello.hello.name = options_.name;
  hello.hello.incarnation = incarnation_;
  hello.hello.labels = options_.labels;
  hello.hello.process = process_;
  Actions actions;
  actions.emplace_back(Dial{incarnation_});
  actions.emplace_back(std::move(hello));
  return actions;
}

// Hangs up and dials again after a while: a share of the backoff, so that many nodes do not come back at once.
void Session::lose(Actions& actions, std::string why, Time now) {
  state_ = State::waiting;
  silent_ = false;
  linked_ = false;
  const std::chrono::milliseconds half = backoff_ / 2;
  const auto jitter = std::chrono::milliseconds(random_() % static_cast<std::uint64_t>(half.count() + 1));
  dial_at_ = now + half + jitter;
  backoff_ = std::min(backoff_ * 2, options_.backoff_max);
  actions.emplace_back(HangUp{});
  actions.emplace_back(Lost{std::move(why)});
}

void Session::report(Actions& actions, Time now) {
  actions.emplace_back(SendLoad{fresh_id(), ++sequence_, offers_pending_});
  offers_pending_ = false;
  report_at_ = std::max(report_at_ + beat_, now + beat_ / 2);
}

Actions Session::tick(Time now) {
  Actions actions;
  if (state_ == State::waiting && now >= dial_at_) return dial(now);
  if (state_ == State::greeting && now >= greeted_at_ + silence_max(options_.suspect_after)) {
    lose(actions, "the bridge did not answer HELLO", now);
  }
  if (state_ != State::registered) return actions;
  const auto quiet = now - heard_at_;
  if (quiet >= silence_max(options_.dead_after)) {
    lose(actions, "the bridge has been silent for too long", now);
    std::get<Lost>(actions.back()).by_silence = true;
    return actions;
  }
  if (!silent_ && quiet >= options_.suspect_after) {
    silent_ = true;
    actions.emplace_back(Silent{true});
  }
  if (now >= report_at_) report(actions, now);
  return actions;
}

void Session::welcome(Actions& actions, std::string_view body, Time now) {
  const auto welcome = proto::decode<proto::Welcome>(body);
  if (!welcome) return lose(actions, "the bridge's WELCOME is malformed: " + welcome.error().message, now);
  if (welcome->version < proto::kVersionLowest || welcome->version > proto::kVersionHighest) {
    return lose(actions, "the bridge chose version " + std::to_string(welcome->version) + ", which is not spoken here",
                now);
  }
  state_ = State::registered;
  backoff_ = options_.backoff_min;
  beat_ = std::min(options_.beat, std::chrono::milliseconds(welcome->beat_ms));
  report_at_ = now;
  actions.emplace_back(Registered{});
  report(actions, now);
  if (draining_) actions.emplace_back(SendDrain{fresh_id()});
}

void Session::refused(Actions& actions, const proto::Header& header, std::string_view body, Time now) {
  const auto error = proto::decode<proto::Error>(body);
  const std::string said = error ? error->message : "a malformed ERROR";
  if (state_ == State::greeting && header.id == hello_id_)
    return lose(actions, "the bridge refused HELLO: " + said, now);
  if (state_ != State::registered || !error || error->code != proto::Code::failed_precondition) return;
  // The bridge does not know us: it is another one than before.
  actions.emplace_back(Lost{"the bridge does not know this node any more: " + said});
  for (Action& action : dial(now)) actions.push_back(std::move(action));
}

Actions Session::heard(const proto::Header& header, std::string_view body, Time now) {
  Actions actions;
  if (state_ != State::greeting && state_ != State::registered) return actions;
  heard_at_ = now;
  if (silent_) {
    silent_ = false;
    actions.emplace_back(Silent{false});
  }
  switch (static_cast<Type>(header.t)) {
    case Type::welcome:
      if (state_ == State::greeting && header.id == hello_id_) welcome(actions, body, now);
      break;
    case Type::error:
      refused(actions, header, body, now);
      break;
    case Type::bye:
      lose(actions, "the bridge said BYE", now);
      break;
    default:
      break;
  }
  return actions;
}

Actions Session::link(bool up, Time now) {
  Actions actions;
  const bool had = std::exchange(linked_, up);
  // Before the connection first came up ZeroMQ still tries; once it is gone, what was said over it may be lost.
  if (had && !up && (state_ == State::greeting || state_ == State::registered)) {
    lose(actions, "the connection to the bridge is lost", now);
  }
  return actions;
}

Actions Session::turned_away(Time now) {
  if (linked_ || state_ != State::greeting) return link(false, now);
  Actions actions;
  lose(actions, "the bridge broke the handshake off", now);
  return actions;
}

Actions Session::drain(Time now) {
  Actions actions;
  draining_ = true;
  if (state_ != State::registered) return actions;
  actions.emplace_back(SendDrain{fresh_id()});
  report(actions, now);
  return actions;
}

Actions Session::bye(Time) {
  Actions actions;
  if (state_ == State::registered || state_ == State::greeting) {
    actions.emplace_back(SendBye{fresh_id()});
    actions.emplace_back(HangUp{});
  }
  state_ = State::over;
  return actions;
}

}  // namespace windlass::worker
