#include "plugin/stage/unpack.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <string>

namespace windlass::stage {
namespace {

constexpr unsigned kReadsAhead = 2;
constexpr std::uint64_t kSourceLeast =
    4096;  // a block of a disk: little that holds a page of the same words is no bomb
constexpr std::size_t kPieceBytes = 64U << 10U;  // that the decoder is given at a time: so near is a fault told

// How the buffers are dealt out. A single one is cut in two.
struct Deal {
  explicit Deal(const Buffers& buffers)
      : memory(buffers.at(0)),
        bytes(buffers.count() > 1 ? buffers.bytes() : buffers.bytes() / 2),
        reads(buffers.count() > kReadsAhead + 1 ? kReadsAhead : 1),
        writes(std::max(buffers.count(), 2U) - reads) {}
  [[nodiscard]] char* at(unsigned slice) const { return memory + std::size_t{slice} * bytes; }
  char* memory;
  std::uint32_t bytes;
  unsigned reads;
  unsigned writes;
};

struct Slice {
  enum class Phase : std::uint8_t { free, reading, read, filling, full, writing };
  Phase phase = Phase::free;
  std::uint32_t taken = 0;  // of what was read
  Chunk chunk;
};

std::uint64_t bytes_max_of(const UnpackLimits& limits, std::uint64_t source_bytes) {
  constexpr double kMost = 9e18;
  const auto counted = static_cast<double>(std::max(source_bytes, kSourceLeast));
  return static_cast<std::uint64_t>(std::min(kMost, std::floor(limits.ratio_max * counted)));
}

class Unpack {
 public:
  Unpack(Fs& fs, IoQueue& io, const Buffers& buffers, const UnpackLimits& limits, const UnpackTask& task, Pace& pace,
         std::unique_ptr<Decoder> decoder)
      : io_(io),
        deal_(buffers),
        limits_(limits),
        task_(task),
        pace_(pace),
        decoder_(std::move(decoder)),
        carrier_(fs, io, pace),
        from_(task.from),
        to_(task.to),
        ratio_bytes_(bytes_max_of(limits, task.source_bytes)),
        bytes_max_(std::min(ratio_bytes_, task.size.value_or(UINT64_MAX))) {
    for (unsigned i = 0; i < deal_.reads + deal_.writes; ++i) {
      slices_[i].chunk.data = deal_.at(i);
      slices_[i].chunk.tag = i;
    }
  }

  Result<std::uint64_t> run() {
    for (;;) {
      begin_reads();
      decode();
      begin_writes();
      if (carrier_.in_flight() == 0) {
        if (error_ || ended_) break;
        continue;
      }
      take(io_.wait());
    }
    if (error_) return fail(std::move(*error_));
    if (task_.size && *task_.size != given_) return fail(wrong_size("gives " + std::to_string(given_)));
    return given_;
  }

 private:
  using Phase = Slice::Phase;

  void stop(Error error) {
    if (!error_) error_ = std::move(error);
  }

  // Reads lie in the first slices, writes in the others; each kind is used in a circle.
  Slice& read_slice(std::uint64_t number) { return slices_[number % deal_.reads]; }
  Slice& write_slice(std::uint64_t number) { return slices_[deal_.reads + number % deal_.writes]; }

  void begin_reads() {
    while (!error_ && asked_ < task_.source_bytes && read_slice(next_read_).phase == Phase::free) {
      if (auto admitted = pace_.admit(0); !admitted) return stop(std::move(admitted.error()));
      Slice& slice = read_slice(next_read_++);
      begin(slice, Phase::reading, asked_);
      slice.chunk.want = static_cast<std::uint32_t>(std::min<std::uint64_t>(deal_.bytes, task_.source_bytes - asked_));
      asked_ += slice.chunk.want;
      carrier_.push(from_, slice.chunk);
    }
  }

  static void begin(Slice& slice, Phase phase, std::uint64_t at) {
    const Chunk fresh{.at = at, .data = slice.chunk.data, .tag = slice.chunk.tag};
    slice = {phase, 0, fresh};
  }

  // Until bytes of one kind or the other have to be waited for.
  void decode() {
    while (!error_ && !ended_) {
      Slice& out = write_slice(next_fill_);
      if (out.phase == Phase::free) begin(out, Phase::filling, given_);
      if (out.phase != Phase::filling) return;
      Slice& in = read_slice(next_decode_);
      const bool all_taken = taken_ == task_.source_bytes;
      if (in.phase != Phase::read && !all_taken) return;
      const std::string_view bytes =
          all_taken ? std::string_view{}
                    : std::string_view(in.chunk.data + in.taken,
                                       std::min<std::size_t>(kPieceBytes, in.chunk.want - in.taken));
      const std::uint64_t room = std::min<std::uint64_t>(slice_bytes() - out.chunk.want, bytes_max_ + 1 - given_);
      auto step = decoder_->step(bytes, out.chunk.data + out.chunk.want, static_cast<std::size_t>(room));
      if (!step) return stop(placed(std::move(step.error())));
      if (!all_taken) pass(in, step->taken);
      if (step->given > 0) fill(out, step->given);
      if (all_taken && step->given == 0) end(out);
    }
  }

  // So few that a limited transfer moves several times a second.
  [[nodiscard]] std::uint32_t slice_bytes() const {
    const std::uint32_t limit = pace_.bytes_at_once();
    return limit == 0 ? deal_.bytes : std::min(limit, deal_.bytes);
  }

  void pass(Slice& in, std::size_t bytes) {
    in.taken += static_cast<std::uint32_t>(bytes);
    taken_ += bytes;
    if (in.taken < in.chunk.want) return;
    in.phase = Phase::free;
    ++next_decode_;
  }

  void fill(Slice& out, std::size_t bytes) {
    out.chunk.want += static_cast<std::uint32_t>(bytes);
    given_ += bytes;
    if (given_ > bytes_max_) return stop(too_much());
    if (out.chunk.want >= slice_bytes()) finish(out);
  }

  void finish(Slice& out) {
    if (task_.hasher != nullptr) task_.hasher->add(out.chunk.data, out.chunk.want);
    out.phase = Phase::full;
    ++next_fill_;
  }

  void end(Slice& out) {
    if (!decoder_->complete()) {
      Error error;
      error.code = Code::data_loss;
      error.message = "the " + std::string(name_of(task_.packing)) +
                      " data ends in the middle; nothing was published: bring the whole file there and stage it again";
      return stop(placed(std::move(error)));
    }
    ended_ = true;
    if (out.chunk.want > 0)
      finish(out);
    else
      out.phase = Phase::free;
  }

  // Into the page cache one write at a time; likewise where bandwidth is waited for, as meanwhile nothing is told.
  void begin_writes() {
    while (!error_ && write_slice(next_write_).phase == Phase::full &&
           (writing_ == 0 || (to_.direct && pace_.bytes_at_once() == 0))) {
      Chunk& chunk = write_slice(next_write_).chunk;
      if (auto admitted = pace_.admit(chunk.want); !admitted) return stop(std::move(admitted.error()));
      if (task_.room)
        if (auto room = task_.room(chunk.want); !room) return stop(std::move(room.error()));
      if (to_.direct) std::memset(chunk.data + chunk.want, 0, aligned_up(chunk.want, to_.alignment) - chunk.want);
      write_slice(next_write_++).phase = Phase::writing;
      ++writing_;
      carrier_.push(to_, chunk);
    }
  }

  void take(const IoDone& done) {
    if (error_) return carrier_.drop();  // what is in flight is let end, and no more is begun
    Slice& slice = slices_[done.tag];
    const bool reading = slice.phase == Phase::reading;
    auto whole = carrier_.take(reading ? from_ : to_, slice.chunk, done);
    if (!whole) return stop(std::move(whole.error()));
    if (!*whole) return;
    slice.phase = reading ? Phase::read : Phase::free;
    pace_.moved(reading ? 0 : slice.chunk.want);
    if (!reading) --writing_;
  }

  Error placed(Error error) const {
    error.message =
        "cannot decompress " + quoted(from_.path) + " near byte " + std::to_string(taken_) + ": " + error.message;
    return error;
  }

  Error wrong_size(const std::string& what) const {
    Error error;
    error.code = Code::data_loss;
    error.message = quoted(from_.path) + ", decompressed, " + what + " bytes and not " + std::to_string(*task_.size) +
                    " as told; nothing was published: check the source, or the size";
    return error;
  }

  Error too_much() const {
    if (task_.size && *task_.size <= ratio_bytes_) return wrong_size("gives more");
    Error error;
    error.code = Code::resource_exhausted;
    error.message = quoted(from_.path) + " has " + std::to_string(task_.source_bytes) + " bytes and gives more than " +
                    std::to_string(ratio_bytes_) + ", decompressed, which is more than " +
                    std::to_string(static_cast<std::uint64_t>(limits_.ratio_max)) +
                    " to one (stage.decompress_ratio_max); nothing was published: raise that if the source is trusted";
    return error;
  }

  IoQueue& io_;
  const Deal deal_;
  const UnpackLimits& limits_;
  const UnpackTask& task_;
  Pace& pace_;
  std::unique_ptr<Decoder> decoder_;
  Carrier carrier_;
  Side from_;
  Side to_;
  const std::uint64_t ratio_bytes_;
  const std::uint64_t bytes_max_;
  std::array<Slice, kIoInFlightMax> slices_{};
  std::uint64_t next_read_ = 0;  // numbers of reads, and of writes below
  std::uint64_t next_decode_ = 0;
  std::uint64_t next_fill_ = 0;
  std::uint64_t next_write_ = 0;
  std::uint64_t asked_ = 0;  // bytes of the source
  std::uint64_t taken_ = 0;  // likewise, by the decoder
  std::uint64_t given_ = 0;  // by the decoder
  unsigned writing_ = 0;
  bool ended_ = false;
  std::optional<Error> error_;
};

class Counted {
 public:
  explicit Counted(std::atomic<unsigned>& count) : count_(count) { ++count_; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --count_; }

 private:
  std::atomic<unsigned>& count_;
};

// The bytes that a transfer holds are told as long as this lives.
class Holding {
 public:
  Holding(Pace& pace, std::uint64_t bytes) : pace_(pace), bytes_(static_cast<std::int64_t>(bytes)) {
    pace_.holding(bytes_);
  }
  Holding(const Holding&) = delete;
  Holding& operator=(const Holding&) = delete;
  ~Holding() { pace_.holding(-bytes_); }

 private:
  Pace& pace_;
  std::int64_t bytes_;
};

// Waits for what others hold and give back.
Result<Memory::Share> take_window(const UnpackLimits& limits, std::uint64_t bytes, Pace& pace) {
  constexpr int kPause = 50;  // some milliseconds
  if (bytes > limits.window_bytes)
    return fail(Code::resource_exhausted,
                "its window takes " + std::to_string(bytes) + " bytes, " + std::to_string(bytes - limits.window_bytes) +
                    " more than there are for it; raise stage.bytes_in_flight_max by so many, or compress it with a "
                    "smaller window (zstd without --long and --ultra)");
  if (auto share = limits.memory.take(bytes)) return std::move(*share);
  const Counted waiting(limits.memory.waiting);
  for (;;) {
    if (auto share = limits.memory.take(bytes)) return std::move(*share);
    if (auto rested = pace.rest(kPause); !rested) return fail(std::move(rested.error()));
  }
}

}  // namespace

Result<std::uint64_t> unpack_bytes(Fs& fs, IoQueue& io, const Buffers& buffers, const UnpackLimits& limits,
                                   const UnpackTask& task, Pace& pace) {
  if (io.holds_memory()) return fail_errno(ENOTRECOVERABLE, "read", task.from.path);
  const Holding holding(pace, buffers.whole());
  std::optional<Holding> window;  // outlives the decoder
  auto decoder = make_decoder(task.packing, [&](std::uint64_t bytes) -> Result<Memory::Share> {
    window.reset();
    auto share = take_window(limits, bytes, pace);
    if (share) window.emplace(pace, bytes);
    return share;
  });
  return Unpack(fs, io, buffers, limits, task, pace, std::move(decoder)).run();
}

Result<std::optional<Packing>> packing_in(Fs& fs, IoQueue& io, const Buffers& buffers, Side from,
                                          std::uint64_t source_bytes, Decompress wish, Pace& pace) {
  if (io.holds_memory()) return fail_errno(ENOTRECOVERABLE, "read", from.path);
  Chunk begin{.data = buffers.at(0),
              .want = static_cast<std::uint32_t>(std::min<std::uint64_t>(kMagicBytes, source_bytes))};
  Carrier carrier(fs, io, pace);
  if (begin.want > 0) carrier.push(from, begin);
  while (carrier.in_flight() > 0)
    if (auto whole = carrier.take(from, begin, io.wait()); !whole) return fail(std::move(whole.error()));
  const auto found = packing_of({begin.data, begin.want});
  if (wish == Decompress::automatic) return found;
  const Packing told = wish == Decompress::gzip ? Packing::gzip : Packing::zstd;
  if (found == told) return found;
  return fail(Code::data_loss, quoted(from.path) + " does not begin as " + std::string(name_of(told)) + " does, " +
                                   (source_bytes == 0 ? "it is empty"
                                    : found           ? "but as " + std::string(name_of(*found)) + " does"
                                                      : "nor as anything else that is decompressed here") +
                                   "; nothing was published: check the source, or decompress");
}

}  // namespace windlass::stage
