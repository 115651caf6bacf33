// What goes back to an asker, and who askers are. Plain values.
#pragma once

#include <chrono>
#include <string>
#include <utility>

#include "proto/codec.hpp"
#include "worker/core/authority.hpp"
#include "worker/core/frame.hpp"

namespace windlass::worker {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;

// A client (its routing id, which is its own among those of all endpoints), or the bridge. `standing` and `who` are
// what the endpoint found out about it: its role, and the name of its key, "" where it has none.
struct Peer {
  bool bridge = false;
  std::string route;
  Standing standing = Standing::local;
  std::string who{};
  bool operator==(const Peer&) const = default;
};

struct Answer {
  proto::Type type = proto::Type::result;
  proto::Code code = proto::Code::ok;  // of an ERROR
  Frames frames;                       // body and columns
};

template <class Body>
[[nodiscard]] Answer answer_of(proto::Type type, const Body& body) {
  return {type, proto::Code::ok, {Frame(proto::encode(body))}};
}

[[nodiscard]] inline Answer error_answer(const proto::Error& error) {
  return {proto::Type::error, error.code, {Frame(proto::encode(error))}};
}

[[nodiscard]] inline Answer error_answer(proto::Code code, std::string message, bool retryable = false,
                                         std::uint64_t retry_after_ms = 0) {
  proto::Error error;
  error.code = code;
  error.message = std::move(message);
  error.retryable = retryable;
  error.retry_after_ms = retry_after_ms;
  return error_answer(error);
}

enum class Sent { yes, full, gone };  // full: the peer's queue is; gone: there is no such peer now

// Where answers go. Never blocks.
class Outbox {
 public:
  virtual ~Outbox() = default;
  virtual Sent send(const Peer& peer, const proto::Header& header, const Frames& frames) = 0;
  // Whether an answer of so many bytes would not be too much beside what waits for the peer, and for all.
  [[nodiscard]] virtual bool has_room(const Peer& /*peer*/, std::size_t /*bytes*/) const { return true; }
  // The peer has said HELLO and is welcome.
  virtual void welcomed(const Peer& /*peer*/) {}
};

}  // namespace windlass::worker
