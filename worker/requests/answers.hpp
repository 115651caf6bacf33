// The latest answers, by the ids of their requests. They stand in a ring in the order of their coming, and beside it a
// table of places in it that is small enough for the processor's cache: that an id is new is known without a look at
// memory. Small answers are packed, one piece of memory each, which the ring uses again. Open addressing, the gap that
// a removal leaves is closed (Knuth, The Art of Computer Programming 3, 6.4, algorithm R); the hash is keyed
// (keyed_hash.hpp), since ids are drawn by peers. Control thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "worker/core/answer.hpp"
#include "worker/core/payload.hpp"

namespace windlass::worker {

class Answers {
 public:
  struct Kept {
    Answer answer;
    std::optional<Payload> payload;  // of the request; none: not known
  };
  // False where the id has an answer already, which stays.
  bool put(const proto::RequestId& id, const Kept& kept, Time now);
  [[nodiscard]] std::optional<Kept> find(const proto::RequestId& id) const;

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }  // of all frames
  // Of the oldest; there is one.
  [[nodiscard]] Time oldest() const { return ring_[first_].at; }
  void forget_oldest();

 private:
  struct Record {
    proto::RequestId id;
    std::uint32_t hash = 0;
    proto::Code code = proto::Code::ok;
    proto::Type type = proto::Type::result;
    Time at{};
    std::size_t bytes = 0;
    std::optional<Payload> payload;
    std::string packed;              // the size of each frame as std::uint32_t, then the frames
    std::uint32_t packed_count = 0;  // of frames
    Frames frames;                   // those of a large answer
  };
  struct Place {
    std::uint32_t hash = 0;
    std::uint32_t at = kNone;  // in the ring
  };
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  // Where the id stands in the table, or would.
  [[nodiscard]] std::size_t place_of(const proto::RequestId& id, std::uint32_t hash) const;
  void close_gap(std::size_t gap);
  void grow();
  static void pack(const Frames& frames, Record& record);
  [[nodiscard]] static Frames unpacked(const Record& record);

  std::vector<Record> ring_;  // its size is a power of two, or none
  std::vector<Place> table_;  // likewise: twice as many
  std::size_t first_ = 0;     // of the ring: the oldest
  std::size_t size_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace windlass::worker
