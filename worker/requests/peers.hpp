// The clients that have said HELLO: when each was last heard, and what it has under way. Both are of one stay: from a
// HELLO to the end of the connection, or BYE. A client that stays silent for kPeerIdleMax is forgotten, too: should it
// speak again it is told to say HELLO first, and does. No clock; control thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "proto/keyed_hash.hpp"
#include "worker/core/answer.hpp"

namespace windlass::worker {

class Peers {
 public:
  // false where there are too many.
  bool welcome(const std::string& route, Time now);
  // Notes that the peer lives; false where it has not said HELLO.
  bool heard(const std::string& route, Time now);
  // Its stay has ended, and holds nothing any more.
  void forget(const std::string& route) { peers_.erase(route); }
  // Forgets who is silent. Looks at all of them, so it is for now and then.
  void sweep(Time now);
  [[nodiscard]] std::size_t size() const { return peers_.size(); }
  [[nodiscard]] std::vector<std::string> routes() const;

  // Whether a request of so many bytes is within the peer's credits, `unsent` answers to it being on their way still:
  // one request always is, however large. A stranger has none.
  [[nodiscard]] bool has_credit(const std::string& route, std::size_t bytes, std::size_t unsent) const;
  // A request is under way, in the stay that is answered; and has ended, with the same stay and bytes, be its peer
  // there still or not.
  std::uint64_t take(const std::string& route, std::size_t bytes);
  void give_back(const std::string& route, std::uint64_t stay, std::size_t bytes);

 private:
  struct Peer {
    std::uint64_t stay = 0;
    Time heard{};
    std::size_t requests = 0;
    std::size_t bytes = 0;
  };
  proto::KeyedMap<std::string, Peer> peers_;
  std::uint64_t stays_ = 0;
};

}  // namespace windlass::worker
