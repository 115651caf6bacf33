// Connections of a listener that have not proved themselves yet, and which of them are to be cut: decisions alone, no
// socket and no clock. A connection has proved itself once a whole message came over it, which takes a key.
//
// ZeroMQ buffers a whole frame before it asks whose it is, as large as frames may ever be. So a connection that sends
// more than a greeting needs before its first message is cut, and so is one that stays silent, one too many that has
// not spoken, and one too many at all. Control thread.
#pragma once

#include <cstdint>
#include <functional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "worker/core/answer.hpp"

namespace windlass::worker {

class Connections {
 public:
  struct Limits {
    std::size_t connections_max;
    std::size_t silent_max;  // that have not spoken yet
    std::uint64_t greeting_bytes_max;
    std::chrono::milliseconds greeting_max;
  };
  explicit Connections(Limits limits) : limits_(limits) {}

  // false: it is one too many and to be cut at once.
  bool accepted(int fd, Time now);
  void spoke(int fd);
  void closed(int fd);

  // Those that are to be cut now, each told once. `received` tells the bytes that have come over a connection.
  std::vector<int> due(Time now, const std::function<std::uint64_t(int)>& received);
  [[nodiscard]] bool any_silent() const { return !silent_.empty(); }
  [[nodiscard]] std::size_t size() const { return open_.size(); }

 private:
  Limits limits_;
  std::unordered_set<int> open_;
  std::unordered_map<int, Time> silent_;  // since when
};

}  // namespace windlass::worker
