// The clients that have said HELLO, and when each was last heard. A client that stays silent for kPeerIdleMax is
// forgotten: should it speak again it is told to say HELLO first, and does. No clock; control thread.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "worker/answer.hpp"

namespace windlass::worker {

class Peers {
 public:
  // false where there are too many.
  bool welcome(const std::string& route, Time now);
  // Notes that the peer lives; false where it has not said HELLO.
  bool heard(const std::string& route, Time now);
  void forget(const std::string& route) { heard_.erase(route); }
  void sweep(Time now);
  [[nodiscard]] std::size_t size() const { return heard_.size(); }
  [[nodiscard]] std::vector<std::string> routes() const;

 private:
  std::unordered_map<std::string, Time> heard_;
};

}  // namespace windlass::worker
