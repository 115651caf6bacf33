#include "plugin/stage/copier.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>
#include <optional>

#include "plugin/stage/carrier.hpp"

namespace windlass::stage {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kHugePage = 2U << 20U;
struct Slot {
  enum class Phase : std::uint8_t { free, reading, read, writing };
  Phase phase = Phase::free;
  std::uint64_t zeros_before = 0;  // hole between the chunk before and this one
  Chunk chunk;
};

class Copy {
 public:
  Copy(Fs& fs, IoQueue& io, const Buffers& buffers, const CopyTask& task, Pace& pace)
      : fs_(fs),
        io_(io),
        buffers_(buffers),
        task_(task),
        pace_(pace),
        carrier_(fs, io, pace),
        from_{IoOp::Kind::read, task.from, task.first, task.direct_from, task.alignment, task.from_path},
        to_{IoOp::Kind::write, task.to, 0, task.direct_to, task.alignment, task.to_path},
        position_(task.begin),
        data_end_(task.begin),
        planned_to_(task.begin),
        hashed_to_(task.begin) {
    assert(buffers.count() <= kIoInFlightMax);
    assert(!task.direct_from || task.first % task.alignment == 0);
  }

  Status run() {
    for (;;) {
      begin_reads();
      if (carrier_.in_flight() == 0) break;
      take(io_.wait());
    }
    for (Slot& slot : slots_)
      if (slot.phase != Slot::Phase::free) release(slot);
    if (error_) return fail(std::move(*error_));
    const std::uint64_t zeros = task_.length - hashed_to_;
    if (task_.hasher != nullptr) task_.hasher->add_zeros(zeros);
    pace_.moved(zeros);
    return {};
  }

 private:
  void stop(Error error) {
    if (!error_) error_ = std::move(error);
  }

  // Slots are used in a circle, so chunk n lies in slot n % count and order is kept by counting.
  Slot& slot_of(std::uint64_t chunk) { return slots_[chunk % buffers_.count()]; }

  void begin_reads() {
    const std::uint32_t limit = pace_.bytes_at_once();
    const std::uint32_t bytes_max = limit == 0 ? buffers_.bytes() : std::min(limit, buffers_.bytes());
    while (!error_ && slot_of(next_read_).phase == Slot::Phase::free && find_data()) {
      Slot& slot = slot_of(next_read_);
      const auto want = static_cast<std::uint32_t>(std::min<std::uint64_t>(bytes_max, data_end_ - position_));
      if (auto admitted = pace_.admit(want); !admitted) return stop(std::move(admitted.error()));
      slot = {Slot::Phase::reading, position_ - planned_to_, {}};
      slot.chunk.at = position_;
      slot.chunk.data = buffers_.at(tag_of(next_read_));
      slot.chunk.want = want;
      slot.chunk.tag = tag_of(next_read_++);
      position_ += want;
      planned_to_ = position_;
      pace_.holding(buffers_.bytes());
      carrier_.push(from_, slot.chunk);
      if (limit != 0) return;  // waiting for bandwidth, what is done could not be told
    }
  }

  // Moves position_ to where bytes are; false at the end.
  bool find_data() {
    if (position_ < data_end_) return true;
    if (position_ >= task_.length) return false;
    data_end_ = task_.length;
    if (!task_.sparse) return true;
    const std::int64_t data = fs_.seek(task_.from, task_.first + position_, SEEK_DATA);
    if (data == -ENXIO) {
      position_ = data_end_ = task_.length;
      return false;
    }
    if (data < 0) return true;  // no holes are told here: all is data
    const std::int64_t hole = fs_.seek(task_.from, static_cast<std::uint64_t>(data), SEEK_HOLE);
    const auto begin = static_cast<std::uint64_t>(data) - task_.first;
    position_ = std::max(position_, begin / task_.alignment * task_.alignment);
    if (position_ >= task_.length) {
      position_ = task_.length;
      return false;
    }
    if (hole > data)
      data_end_ = std::min(task_.length, aligned_up(static_cast<std::uint64_t>(hole) - task_.first, task_.alignment));
    return true;
  }

  [[nodiscard]] std::uint32_t tag_of(std::uint64_t chunk) const {
    return static_cast<std::uint32_t>(chunk % buffers_.count());
  }

  void take(const IoDone& done) {
    Slot& slot = slots_[done.tag];
    const bool reading = slot.phase == Slot::Phase::reading;
    assert(reading || slot.phase == Slot::Phase::writing);
    if (error_) {  // what is in flight is let end, and no more is begun
      carrier_.drop();
      return release(slot);
    }
    auto whole = carrier_.take(reading ? from_ : to_, slot.chunk, done);
    if (!whole) {
      stop(std::move(whole.error()));
      return release(slot);
    }
    if (!*whole) return;
    if (reading) {
      slot.phase = Slot::Phase::read;
    } else {
      --writing_;
      pace_.moved(slot.chunk.want + slot.zeros_before);
      release(slot);
      tell_reached(done.tag);
    }
    pass_on();
  }

  // A slot is not used again before its chunk was written, so what is done in a row is all before its end.
  void tell_reached(std::uint32_t written) {
    done_[written] = true;
    const std::uint64_t before = next_done_;
    std::uint64_t end = 0;
    while (next_done_ < next_write_ && done_[tag_of(next_done_)]) {
      const Slot& slot = slot_of(next_done_);
      done_[tag_of(next_done_++)] = false;
      end = slot.chunk.at + slot.chunk.want;
    }
    if (next_done_ > before) pace_.reached(end);
  }

  // Takes chunks that were read, in order: checksum, then write. Into the page cache one write at a time.
  void pass_on() {
    while (next_write_ < next_read_ && slot_of(next_write_).phase == Slot::Phase::read &&
           (to_.direct || writing_ == 0)) {
      Slot& slot = slot_of(next_write_++);
      Chunk& chunk = slot.chunk;
      if (task_.hasher != nullptr) {
        task_.hasher->add_zeros(slot.zeros_before);
        task_.hasher->add(chunk.data, chunk.want);
      }
      hashed_to_ = chunk.at + chunk.want;
      if (task_.to < 0) {
        pace_.moved(chunk.want + slot.zeros_before);
        release(slot);
        continue;
      }
      if (to_.direct) std::memset(chunk.data + chunk.want, 0, aligned_up(chunk.want, to_.alignment) - chunk.want);
      chunk.have = 0;
      slot.phase = Slot::Phase::writing;
      ++writing_;
      carrier_.push(to_, chunk);
    }
  }

  void release(Slot& slot) {
    slot.phase = Slot::Phase::free;
    pace_.holding(-static_cast<std::int64_t>(buffers_.bytes()));
  }

  Fs& fs_;
  IoQueue& io_;
  const Buffers& buffers_;
  const CopyTask& task_;
  Pace& pace_;
  Carrier carrier_;
  Side from_;
  Side to_;
  std::array<Slot, kIoInFlightMax> slots_{};
  std::uint64_t next_read_ = 0;  // chunk numbers
  std::uint64_t next_write_ = 0;
  std::uint64_t next_done_ = 0;
  std::array<bool, kIoInFlightMax> done_{};  // by slot: written, and one before it not
  std::uint64_t position_;                   // of the target: where the next read begins
  std::uint64_t data_end_;                   // bytes up to here are data
  std::uint64_t planned_to_;                 // end of the chunk before
  std::uint64_t hashed_to_;
  unsigned writing_ = 0;
  std::optional<Error> error_;
};

}  // namespace

// In huge pages where the kernel has them: direct I/O then pins one page and not hundreds for a request.
Buffers::Buffers(unsigned count, std::uint32_t bytes) : count_(count), bytes_(bytes) {
  assert(bytes % kPage == 0);
  const std::size_t whole = std::size_t{count} * bytes;
  const std::size_t align = whole >= kHugePage ? kHugePage : kPage;
  const std::size_t room = (whole + align - 1) / align * align;
  memory_.reset(static_cast<char*>(std::aligned_alloc(align, room)));
  if (memory_ == nullptr) throw std::bad_alloc();
  if (align == kHugePage) ::madvise(memory_.get(), room, MADV_HUGEPAGE);
}

Status copy_bytes(Fs& fs, IoQueue& io, const Buffers& buffers, const CopyTask& task, Pace& pace) {
  if (io.holds_memory()) return fail_errno(ENOTRECOVERABLE, "read", task.from_path);
  return Copy(fs, io, buffers, task, pace).run();
}

}  // namespace windlass::stage
