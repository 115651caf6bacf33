// The connections of a listener with keys, which of them are to be cut, and whose have ended: decisions alone, no
// socket and no clock. A connection has proved itself once a whole message came over it, which takes a key.
//
// ZeroMQ buffers a whole frame before it asks whose it is, as large as frames may ever be, and every frame of a message
// until its last. So a connection that sends more than a greeting needs before its first message is cut, and so is one
// that stays silent, one too many that has not spoken, one too many at all, one that sends more than its largest
// message may take without ending one, and whoever has sent most where all together hold too much. Control thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "proto/keyed_hash.hpp"
#include "worker/core/answer.hpp"

namespace windlass::worker {

class Connections {
 public:
  struct Limits {
    std::size_t connections_max;
    std::size_t silent_max;  // that have not spoken yet
    std::uint64_t greeting_bytes_max;
    std::chrono::milliseconds greeting_max;
    std::uint64_t held_bytes_max;  // of messages that have not come whole, of all
  };
  explicit Connections(Limits limits) : limits_(limits) {}

  // false: it is one too many and to be cut at once.
  bool accepted(int fd, Time now);
  // A whole message of `route` came over it, which took so many bytes there, and none of its messages may take more
  // than `message_bytes_max`. False where the connection has ended already.
  bool spoke(int fd, const std::string& route, std::uint64_t message_bytes, std::uint64_t message_bytes_max);
  void closed(int fd);
  // The routes of those that have spoken, and whose connections have ended since it was asked last.
  [[nodiscard]] std::vector<std::string> take_ended() { return std::exchange(ended_, {}); }

  // How many bytes have come over a connection.
  using Received = std::function<std::uint64_t(int)>;
  // Of those that have not spoken, the ones that are to be cut now, each told once.
  std::vector<int> due(Time now, const Received& received);
  // Likewise of the others, to be asked each kHeldLook. What is too much has to be so twice, with a look at the
  // messages in between: what has come whole and was not looked at for a while is nobody's fault.
  std::vector<int> holding(Time now, const Received& received);

  [[nodiscard]] bool any_silent() const { return !silent_.empty(); }
  [[nodiscard]] bool any_spoken() const { return !spoken_.empty(); }
  [[nodiscard]] std::size_t size() const { return open_.size(); }

 private:
  struct Spoken {
    std::string route;
    std::uint64_t message_bytes_max = 0;
    std::uint64_t counted = 0;  // bytes received that are no longer held
    std::uint64_t held = 0;     // at the last look; 0: a message has ended since
    bool ended_one = true;      // a message, since the last look
  };

  void end_of(int fd);

  Limits limits_;
  proto::KeyedSet<int> open_;
  proto::KeyedMap<int, Time> silent_;  // since when
  proto::KeyedMap<int, Spoken> spoken_;
  std::vector<std::string> ended_;
  Time looked_{};
};

}  // namespace windlass::worker
