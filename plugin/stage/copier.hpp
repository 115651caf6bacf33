// Moves bytes of one file to another through a fixed set of buffers: reads run ahead, checksums are taken in order on
// the way, writes follow. One thread at a time.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>

#include "plugin/stage/checksum.hpp"
#include "plugin/stage/fs.hpp"
#include "plugin/stage/io_queue.hpp"

namespace windlass::stage {

// What paces a copy and is told of it.
class Pace {
 public:
  virtual ~Pace() = default;
  // Before bytes are read: waits for bandwidth. Fails with CANCELLED where the copy shall end.
  virtual Status admit(std::uint64_t bytes) = 0;
  // At most so much is asked for at once, and one read is begun at a time; 0: no limit.
  [[nodiscard]] virtual std::uint32_t bytes_at_once() const { return 0; }
  virtual void moved(std::uint64_t bytes) = 0;   // is in the target
  virtual void holding(std::int64_t bytes) = 0;  // change of the bytes held in buffers
  virtual void reached(std::uint64_t) {}         // all of the target before it is written; grows
  virtual void plain_instead() = 0;              // direct I/O was refused; the file goes through the page cache
  // Before what was told to come again is asked for again, the so-many-th time: waits a little. Fails like admit().
  virtual Status rest(int) { return {}; }
};

// Aligned memory, made once per I/O thread.
class Buffers {
 public:
  Buffers(unsigned count, std::uint32_t bytes);
  [[nodiscard]] unsigned count() const { return count_; }
  [[nodiscard]] std::uint32_t bytes() const { return bytes_; }
  [[nodiscard]] char* at(std::size_t i) const { return memory_.get() + i * bytes_; }
  [[nodiscard]] std::size_t whole() const { return std::size_t{count_} * bytes_; }

 private:
  struct Free {
    void operator()(char* memory) const { std::free(memory); }
  };
  unsigned count_;
  std::uint32_t bytes_;
  std::unique_ptr<char, Free> memory_;
};

struct CopyTask {
  int from = -1;
  int to = -1;              // -1: read alone, for a checksum
  std::uint64_t first = 0;  // in the source; the target begins at 0
  std::uint64_t length = 0;
  std::uint64_t begin = 0;   // of the target: what lies before it is there already
  bool direct_from = false;  // opened with O_DIRECT
  bool direct_to = false;    // likewise; its size is then a multiple of `alignment` until it is cut
  std::uint32_t alignment = 1;
  bool sparse = false;  // look for holes in the source and leave them out
  Hasher* hasher = nullptr;
  std::string_view from_path;
  std::string_view to_path;
};

// A copy whose source ended early answers FAILED_PRECONDITION: it changes.
Status copy_bytes(Fs& fs, IoQueue& io, const Buffers& buffers, const CopyTask& task, Pace& pace);

}  // namespace windlass::stage
