// Answers on their way out. One that finds its peer's queue full waits here and is tried again; one whose peer is gone
// is dropped, since the journal keeps it for who asks again. Bounded in number, bytes and time. Control thread.
#pragma once

#include <deque>

#include "worker/answer.hpp"

namespace windlass::worker {

class Unsent {
 public:
  explicit Unsent(Outbox& outbox) : outbox_(outbox) {}

  // Sends now or keeps it for later; answers what became of it at once.
  Sent send(const Peer& peer, const proto::Header& header, const Frames& frames, Time now);
  // Tries again what waits.
  void retry(Time now);
  [[nodiscard]] bool empty() const { return waiting_.empty(); }
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

 private:
  struct Entry {
    Peer peer;
    proto::Header header;
    Frames frames;
    Time since;
  };
  [[nodiscard]] bool waits(const Peer& peer) const;
  void keep(const Peer& peer, const proto::Header& header, const Frames& frames, Time now);

  Outbox& outbox_;
  std::deque<Entry> waiting_;
  std::size_t bytes_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace windlass::worker
