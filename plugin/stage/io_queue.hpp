// The one seam to reads and writes of file contents: operations are pushed, completions are waited for.
//
// Belongs to one thread. Memory of an operation must stay until its completion was taken. At most kIoInFlightMax are
// pushed and not yet taken. Results are bytes, or -errno; they may be short, and -EINTR, -EAGAIN and -ECANCELED say
// that nothing was done and it is worth while to ask again.
#pragma once

#include <cstdint>
#include <memory>

#include "plugin/stage/result.hpp"

namespace windlass::stage {

inline constexpr unsigned kIoInFlightMax = 32;

struct IoOp {
  enum class Kind : std::uint8_t { read, write };
  Kind kind = Kind::read;
  int fd = -1;
  char* data = nullptr;
  std::uint32_t bytes = 0;
  std::uint64_t offset = 0;
  std::uint32_t tag = 0;
  bool direct = false;  // past the page cache: it takes its time, so it is worth while to let others run meanwhile
};

struct IoDone {
  std::uint32_t tag = 0;
  std::int64_t result = 0;
};

class IoQueue {
 public:
  virtual ~IoQueue() = default;
  virtual void push(const IoOp& op) = 0;
  // The next completion; blocks. Only where something is in flight.
  virtual IoDone wait() = 0;
  // Several operations run at once, so direct I/O is worth while.
  [[nodiscard]] virtual bool overlaps() const = 0;
  // Serves by plain calls from now on; a new queue should be made.
  [[nodiscard]] virtual bool broken() const { return false; }
  // The kernel may write to memory of operations that were answered, at any time to come: it must never be used again.
  [[nodiscard]] virtual bool holds_memory() const { return false; }
  // Before the first push: pages that operations will use, which the kernel may pin once and not for each. Answers how
  // many of the bytes, from the begin, it took; all of them serve all the same. The memory outlives the queue.
  virtual std::size_t pin(char* data, std::size_t bytes) {
    static_cast<void>(data);
    return bytes;
  }
};

// pread or pwrite, on the calling thread.
std::int64_t do_plain(const IoOp& op);

// All by do_plain().
std::unique_ptr<IoQueue> make_plain_queue();

}  // namespace windlass::stage
