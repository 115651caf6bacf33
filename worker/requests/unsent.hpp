// Answers on their way out. One that finds its peer's queue full waits here and is tried again; one whose peer is gone
// is dropped, since the journal keeps it for who asks again. Bounded in number, bytes and time, of each peer and in
// all: a peer that does not read loses its own answers, not those of others. Control thread.
#pragma once

#include <deque>
#include <string>

#include "proto/keyed_hash.hpp"
#include "worker/core/answer.hpp"

namespace windlass::worker {

class Unsent {
 public:
  explicit Unsent(Outbox& outbox) : outbox_(outbox) {}

  // Sends now or keeps it for later; answers what became of it at once.
  Sent send(const Peer& peer, const proto::Header& header, const Frames& frames, Time now);
  // Tries again what waits.
  void retry(Time now);
  [[nodiscard]] bool empty() const { return lanes_.empty(); }
  // How many wait for this peer.
  [[nodiscard]] std::size_t waiting(const Peer& peer) const;
  // Whether one more of so many bytes would not be dropped, should the peer not take it at once.
  [[nodiscard]] bool has_room(const Peer& peer, std::size_t bytes) const;
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

 private:
  struct Entry {
    proto::Header header;
    Frames frames;
    Time since;
  };
  struct Lane {  // never empty between two calls
    Peer peer;
    std::deque<Entry> entries;
    std::size_t bytes = 0;
  };
  using Lanes = proto::KeyedMap<std::string, Lane>;  // by route; the bridge's is ""

  void keep(const Peer& peer, const proto::Header& header, const Frames& frames, Time now);
  [[nodiscard]] static bool may_keep(const Lane& lane, std::size_t bytes);
  void make_room();
  Entry take(Lane& lane, std::deque<Entry>::iterator which);

  Outbox& outbox_;
  Lanes lanes_;
  std::size_t size_ = 0;
  std::size_t bytes_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace windlass::worker
