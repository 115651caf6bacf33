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

namespace windlass::stage {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kHugePage = 2U << 20U;
constexpr int kTriesWithoutProgress = 100;

struct Slot {
  enum class Phase : std::uint8_t { free, reading, read, writing };
  Phase phase = Phase::free;
  std::uint64_t at = 0;            // of the target
  std::uint64_t zeros_before = 0;  // hole between the chunk before and this one
  std::uint32_t want = 0;
  std::uint32_t have = 0;  // bytes of `want` that the phase has behind it
  int idle = 0;            // completions without progress
  std::int64_t told = 0;   // by the last of these: 0, or an -errno that may pass
  bool direct = false;     // what is in flight was begun as direct I/O
};

class Copy {
 public:
  Copy(Fs& fs, IoQueue& io, const Buffers& buffers, const CopyTask& task, Pace& pace)
      : fs_(fs),
        io_(io),
        buffers_(buffers),
        task_(task),
        pace_(pace),
        direct_from_(task.direct_from),
        direct_to_(task.direct_to),
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
      if (in_flight_ == 0) break;
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
  [[nodiscard]] std::uint64_t aligned_up(std::uint64_t value) const {
    return (value + task_.alignment - 1) / task_.alignment * task_.alignment;
  }

  void stop(Error error) {
    if (!error_) error_ = std::move(error);
  }
  void stop_errno(std::int64_t result, std::string_view what, std::string_view path) {
    stop(errno_error(static_cast<int>(-result), what, path));
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
      slot = {Slot::Phase::reading, position_, position_ - planned_to_, want, 0, 0, 0, false};
      position_ += want;
      planned_to_ = position_;
      pace_.holding(buffers_.bytes());
      push_read(next_read_++);
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
    if (hole > data) data_end_ = std::min(task_.length, aligned_up(static_cast<std::uint64_t>(hole) - task_.first));
    return true;
  }

  void push_read(std::uint64_t chunk) {
    Slot& slot = slot_of(chunk);
    slot.direct = direct_from_;
    const std::uint64_t end = direct_from_ ? aligned_up(slot.want) : slot.want;
    push({IoOp::Kind::read, task_.from, buffers_.at(chunk % buffers_.count()) + slot.have,
          static_cast<std::uint32_t>(end - slot.have), task_.first + slot.at + slot.have, tag_of(chunk), direct_from_});
  }

  void push_write(std::uint64_t chunk) {
    Slot& slot = slot_of(chunk);
    slot.direct = direct_to_;
    const std::uint64_t end = direct_to_ ? aligned_up(slot.want) : slot.want;
    push({IoOp::Kind::write, task_.to, buffers_.at(chunk % buffers_.count()) + slot.have,
          static_cast<std::uint32_t>(end - slot.have), slot.at + slot.have, tag_of(chunk), direct_to_});
  }

  [[nodiscard]] std::uint32_t tag_of(std::uint64_t chunk) const {
    return static_cast<std::uint32_t>(chunk % buffers_.count());
  }
  void push(const IoOp& op) {
    ++in_flight_;
    io_.push(op);
  }

  void take(const IoDone& done) {
    --in_flight_;
    Slot& slot = slots_[done.tag];
    const bool reading = slot.phase == Slot::Phase::reading;
    assert(reading || slot.phase == Slot::Phase::writing);
    if (error_) return release(slot);  // what is in flight is let end, and no more is begun
    if (done.result < 0 && !passes(slot, done.result, reading)) return;
    if (done.result > 0) advance(slot, static_cast<std::uint64_t>(done.result), reading);
    if (reading && done.result == 0) {
      Error error;
      error.code = Code::failed_precondition;
      error.message = quoted(task_.from_path) + " ended early: it changes while it is read; stage it when it is still";
      stop(std::move(error));
      return release(slot);
    }
    if (slot.have < slot.want) return again(slot, done.tag, reading);
    if (reading) {
      slot.phase = Slot::Phase::read;
    } else {
      --writing_;
      pace_.moved(slot.want + slot.zeros_before);
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
      end = slot.at + slot.want;
    }
    if (next_done_ > before) pace_.reached(end);
  }

  // An error completion: true where the operation shall simply be done again.
  bool passes(Slot& slot, std::int64_t result, bool reading) {
    if (result == -EINTR || result == -EAGAIN || result == -ECANCELED) {
      slot.told = result == -ECANCELED ? -EAGAIN : result;  // nobody here takes operations back
      return true;
    }
    if (slot.direct && (result == -EINVAL || result == -EOPNOTSUPP)) {
      (reading ? direct_from_ : direct_to_) = false;
      pace_.plain_instead();
      const int flags = reading ? O_RDONLY : O_WRONLY;
      if (fs_.set_flags(reading ? task_.from : task_.to, flags) == 0) return true;
    }
    stop_errno(result, reading ? "read" : "write", reading ? task_.from_path : task_.to_path);
    release(slot);
    return false;
  }

  void advance(Slot& slot, std::uint64_t bytes, bool reading) const {
    const std::uint32_t before = slot.have;
    slot.have = static_cast<std::uint32_t>(std::min<std::uint64_t>(slot.want, slot.have + bytes));
    // direct I/O goes on from a boundary only
    if (slot.have < slot.want && (reading ? direct_from_ : direct_to_)) slot.have -= slot.have % task_.alignment;
    if (slot.have == before) return;
    slot.idle = 0;
    slot.told = 0;
  }

  void again(Slot& slot, std::uint32_t tag, bool reading) {
    if (++slot.idle > kTriesWithoutProgress) {
      stop_errno(slot.told != 0 ? slot.told : -EIO, reading ? "read" : "write",
                 reading ? task_.from_path : task_.to_path);
      return release(slot);
    }
    if (slot.told != 0)
      if (auto rested = pace_.rest(slot.idle); !rested) {
        stop(std::move(rested.error()));
        return release(slot);
      }
    if (reading)
      push_read(tag);
    else
      push_write(tag);
  }

  // Takes chunks that were read, in order: checksum, then write. Into the page cache one write at a time.
  void pass_on() {
    while (next_write_ < next_read_ && slot_of(next_write_).phase == Slot::Phase::read &&
           (direct_to_ || writing_ == 0)) {
      const std::uint64_t chunk = next_write_++;
      Slot& slot = slot_of(chunk);
      char* data = buffers_.at(chunk % buffers_.count());
      if (task_.hasher != nullptr) {
        task_.hasher->add_zeros(slot.zeros_before);
        task_.hasher->add(data, slot.want);
      }
      hashed_to_ = slot.at + slot.want;
      if (task_.to < 0) {
        pace_.moved(slot.want + slot.zeros_before);
        release(slot);
        continue;
      }
      if (direct_to_) std::memset(data + slot.want, 0, aligned_up(slot.want) - slot.want);
      slot.have = 0;
      slot.phase = Slot::Phase::writing;
      ++writing_;
      push_write(chunk);
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
  bool direct_from_;
  bool direct_to_;
  std::array<Slot, kIoInFlightMax> slots_{};
  std::uint64_t next_read_ = 0;  // chunk numbers
  std::uint64_t next_write_ = 0;
  std::uint64_t next_done_ = 0;
  std::array<bool, kIoInFlightMax> done_{};  // by slot: written, and one before it not
  std::uint64_t position_;                   // of the target: where the next read begins
  std::uint64_t data_end_;                   // bytes up to here are data
  std::uint64_t planned_to_;                 // end of the chunk before
  std::uint64_t hashed_to_;
  unsigned in_flight_ = 0;
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
