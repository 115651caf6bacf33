// One read or write of a buffer, carried to its end: what came short goes on, what may pass is asked for again, and
// where direct I/O is refused the file goes through the page cache. One thread at a time.
#pragma once

#include <cstdint>
#include <string_view>

#include "plugin/stage/copier.hpp"
#include "plugin/stage/fs.hpp"
#include "plugin/stage/io_queue.hpp"

namespace windlass::stage {

// A file, and how it is read or written.
struct Side {
  IoOp::Kind kind = IoOp::Kind::read;
  int fd = -1;
  std::uint64_t first = 0;      // where its bytes begin
  bool direct = false;          // is opened with O_DIRECT; what is written then has a multiple of `alignment`
  std::uint32_t alignment = 1;  // of places, lengths and memory where it is direct
  std::string_view path;
};

struct Chunk {
  std::uint64_t at = 0;  // from the side's first byte on
  char* data = nullptr;  // with room up to the next multiple of the side's alignment
  std::uint32_t want = 0;
  std::uint32_t tag = 0;
  std::uint32_t have = 0;  // bytes of `want` that are behind it
  int idle = 0;            // completions without progress
  std::int64_t told = 0;   // by the last of these: 0, or an -errno that may pass
  bool direct = false;     // what is in flight was begun as direct I/O
};

class Carrier {
 public:
  Carrier(Fs& fs, IoQueue& io, Pace& pace) : fs_(fs), io_(io), pace_(pace) {}

  // Goes on with the chunk; it stays where it is until take() has had its completion.
  void push(const Side& side, Chunk& chunk);
  // true: all of it is done. false: it was pushed again. FAILED_PRECONDITION where a source ended early.
  Result<bool> take(Side& side, Chunk& chunk, const IoDone& done);
  // A completion of which nothing more shall come.
  void drop() { --in_flight_; }
  [[nodiscard]] unsigned in_flight() const { return in_flight_; }

 private:
  Status passes(Side& side, Chunk& chunk, std::int64_t result);
  static void advance(const Side& side, Chunk& chunk, std::uint64_t bytes);

  Fs& fs_;
  IoQueue& io_;
  Pace& pace_;
  unsigned in_flight_ = 0;
};

constexpr std::uint64_t aligned_up(std::uint64_t value, std::uint32_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

}  // namespace windlass::stage
