#include "plugin/stage/file_mover.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <numeric>

namespace windlass::stage {
namespace {

constexpr std::uint64_t kAllocateBytesMin = 128 * 1024;
constexpr std::uint64_t kServerBytes = 64U << 20U;  // of one request, between which it may be cancelled

Status check_size(const FileWish& wish, std::uint64_t bytes) {
  if (!wish.size || *wish.size == bytes) return {};
  return fail(Code::data_loss, quoted(wish.from_path) + " gives " + std::to_string(bytes) + " bytes and not " +
                                   std::to_string(*wish.size) + " as told; check the source, or the size");
}

class Filler {
 public:
  Filler(const Tools& tools, const Source& source, int to, const FileWish& wish, FilePace& pace, const Kept* kept)
      : tools_(tools), source_(source), to_(to), wish_(wish), pace_(pace), kept_(kept) {}

  Result<Filled> run() {
    auto range = range_of(wish_, source_.info.size);
    if (!range) return fail(range.error());
    range_ = *range;
    filled_.bytes = range_.length;
    if (wish_.checksum) hasher_ = make_hasher(wish_.checksum->kind);
    auto packing = look_for_packing();
    if (!packing) return fail(packing.error());
    if (auto moved = *packing ? unpack(**packing) : move(); !moved) return fail(moved.error());
    if (auto same = unchanged(); !same) return fail(same.error());
    if (auto verified = verify(); !verified) return fail(verified.error());
    if (auto finished = finish(); !finished) return fail(finished.error());
    return std::move(filled_);
  }

 private:
  Result<std::optional<Packing>> look_for_packing() {
    if (!wish_.decompress) return std::nullopt;
    auto packing =
        packing_in(tools_.fs, tools_.io, tools_.buffers, side_from(), source_.info.size, *wish_.decompress, pace_);
    if (packing && !*packing)
      if (auto fits = check_size(wish_, range_.length); !fits) return fail(fits.error());
    if (packing) return packing;
    return fail(unless_changed(std::move(packing.error())));
  }

  Side side_from() const { return {.kind = IoOp::Kind::read, .fd = source_.file.get(), .path = wish_.from_path}; }

  // Bytes that were exchanged meanwhile may look damaged.
  Error unless_changed(Error error) {
    if (error.code == Code::cancelled) return error;
    auto same = unchanged();
    return same || same.error().code != Code::failed_precondition ? error : std::move(same.error());
  }

  // Always from the begin: what the decoder held when it was interrupted is not kept.
  Status unpack(Packing packing) {
    if (auto emptied = kept_ != nullptr ? empty() : Status{}; !emptied) return emptied;
    CopyTask ways;
    if (tools_.buffers.count() > 1) choose_direct(ways, wish_.size.value_or(range_.length));
    if (auto made = wish_.size ? make_room(*wish_.size) : Status{}; !made) return made;
    UnpackTask task{.packing = packing,
                    .from = side_from(),
                    .to = {.kind = IoOp::Kind::write, .fd = to_, .path = wish_.to_path},
                    .source_bytes = source_.info.size,
                    .size = wish_.size,
                    .hasher = hasher_.get(),
                    .room = wish_.room};
    task.from.direct = ways.direct_from;
    task.to.direct = ways.direct_to;
    task.from.alignment = task.to.alignment = ways.alignment;
    auto bytes = unpack_bytes(tools_.fs, tools_.io, tools_.buffers, *wish_.limits, task, pace_);
    if (!bytes) return fail(unless_changed(std::move(bytes.error())));
    filled_.bytes = *bytes;
    return ways.direct_to ? cut(*bytes) : Status{};
  }

  Status move() {
    if (auto resumed = resume(); !resumed) return resumed;
    auto moved = filled_.resumed > 0 ? Result<bool>(false) : clone();
    if (moved && !*moved && filled_.resumed == 0) moved = copy_on_server();
    if (moved && !*moved) moved = copy();
    return moved ? Status{} : Status(fail(std::move(moved.error())));
  }

  Status empty() {
    const int result = tools_.fs.truncate(to_, 0);
    return result < 0 ? Status(fail_errno(-result, "empty", wish_.to_path)) : Status{};
  }

  Status cut(std::uint64_t bytes) {
    const int result = tools_.fs.truncate(to_, bytes);
    return result < 0 ? Status(fail_errno(-result, "set the size of", wish_.to_path)) : Status{};
  }

  // Goes on behind what is kept, where the source is still the same; its checksum is taken from what is kept.
  Status resume() {
    if (kept_ == nullptr) return {};
    if (!kept_->source.same_content(source_.info) || kept_->bytes > range_.length) return empty();
    filled_.resumed = kept_->bytes;
    if (hasher_ == nullptr) {
      pace_.moved(kept_->bytes);
      return {};
    }
    return hash(kept_->file.get(), kept_->bytes, wish_.to_path);
  }

  Status hash(int file, std::uint64_t bytes, std::string_view path) {
    CopyTask task;
    task.from = file;
    task.length = bytes;
    task.hasher = hasher_.get();
    task.from_path = path;
    return copy_bytes(tools_.fs, tools_.io, tools_.buffers, task, pace_);
  }

  // true where the whole file could be cloned; then it is read once more only for a checksum.
  Result<bool> clone() {
    if (wish_.range || range_.length == 0 || !wish_.clone) return false;
    const int result = tools_.fs.clone(to_, source_.file.get());
    filled_.clone_refused = result == -EOPNOTSUPP || result == -EXDEV || result == -ENOTTY;
    if (result != 0) return false;
    if (auto admitted = pace_.admit(range_.length); !admitted) return fail(admitted.error());
    filled_.cloned = true;
    if (hasher_ == nullptr) {
      pace_.moved(range_.length);
      return true;
    }
    if (auto read = hash(source_.file.get(), range_.length, wish_.from_path); !read) return fail(read.error());
    return true;
  }

  // Where both lie on file systems whose server may do it; what came of it is read back for a checksum. false where it
  // refuses, at whichever point: then nothing is in the target.
  Result<bool> copy_on_server() {
    if (range_.length == 0 || source_.info.allocated < source_.info.size) return false;  // servers may fill holes
    if (!server_copies(source_.file.get()) || !server_copies(to_)) return false;
    const std::uint64_t limit = pace_.bytes_at_once();
    for (std::uint64_t done = 0; done < range_.length;) {
      const std::uint64_t want = std::min(limit == 0 ? kServerBytes : limit, range_.length - done);
      if (auto admitted = pace_.admit(want); !admitted) return fail(admitted.error());
      const std::int64_t moved = tools_.fs.copy_range(source_.file.get(), range_.first + done, to_, done, want);
      if (moved == 0 || refuses(moved)) return begin_anew(done);
      if (moved < 0) return fail_errno(static_cast<int>(-moved), "have the server copy", wish_.from_path);
      done += static_cast<std::uint64_t>(moved);
      pace_.moved(static_cast<std::uint64_t>(moved));
    }
    if (hasher_ == nullptr) return true;
    pace_.restart();
    if (auto read = hash(to_, range_.length, wish_.to_path); !read) return fail(read.error());
    return true;
  }

  static bool refuses(std::int64_t result) {
    return result == -EOPNOTSUPP || result == -EXDEV || result == -EINVAL || result == -ENOSYS || result == -EPERM;
  }

  bool server_copies(int fd) {
    Space space;
    return tools_.fs.space(fd, space) == 0 && space.server_copies;
  }

  Result<bool> begin_anew(std::uint64_t done) {
    pace_.restart();
    if (auto emptied = done == 0 ? Status{} : empty(); !emptied) return fail(emptied.error());
    return false;
  }

  Result<bool> copy() {
    CopyTask task;
    task.from = source_.file.get();
    task.to = to_;
    task.first = range_.first;
    task.length = range_.length;
    task.begin = filled_.resumed;
    task.sparse = source_.info.allocated < source_.info.size;
    task.hasher = hasher_.get();
    task.from_path = wish_.from_path;
    task.to_path = wish_.to_path;
    choose_direct(task, range_.length);
    if (!task.sparse)
      if (auto made = make_room(range_.length); !made) return fail(made.error());
    if (auto copied = copy_bytes(tools_.fs, tools_.io, tools_.buffers, task, pace_); !copied)
      return fail(copied.error());
    if (!task.sparse && !task.direct_to) return true;
    if (auto fits = cut(range_.length); !fits) return fail(fits.error());
    return true;
  }

  Status make_room(std::uint64_t bytes) {
    if (bytes < kAllocateBytesMin) return {};
    const int result = tools_.fs.allocate(to_, bytes);
    if (result < 0 && result != -EOPNOTSUPP && result != -EINVAL && result != -ENOSYS)
      return fail_errno(-result, "make room for", wish_.to_path);
    return {};
  }

  void choose_direct(CopyTask& task, std::uint64_t written) {
    if (!tools_.io.overlaps() || written < kDirectWriteMin) return;
    const bool reads = range_.length >= kDirectBytesMin;
    const std::uint32_t from = reads ? alignment(source_.file.get()) : 0;
    const std::uint32_t to = alignment(to_);
    if (reads && (from == 0 || to == 0)) pace_.plain_instead();
    task.alignment = std::lcm(std::max(from, 1U), std::max(to, 1U));
    if (task.alignment > tools_.buffers.bytes() || tools_.buffers.bytes() % task.alignment != 0) {
      task.alignment = 1;
      return;
    }
    task.direct_from = from != 0 && range_.first % task.alignment == 0 &&
                       tools_.fs.set_flags(source_.file.get(), O_RDONLY | O_DIRECT) == 0;
    task.direct_to = to != 0 && tools_.fs.set_flags(to_, O_WRONLY | O_DIRECT) == 0;
  }

  // 0 where direct I/O is not to be used.
  std::uint32_t alignment(int fd) {
    Space space;
    if (tools_.fs.space(fd, space) != 0 || !space.local_disk) return 0;
    return tools_.fs.direct_alignment(fd);
  }

  Status unchanged() {
    FileInfo now;
    if (const int result = tools_.fs.info(source_.file.get(), now); result < 0)
      return fail_errno(-result, "look at", wish_.from_path);
    if (now.same_content(source_.info)) return {};
    return fail(Code::failed_precondition,
                quoted(wish_.from_path) + " changes while it is read; stage it when it is still");
  }

  Status verify() {
    if (hasher_ == nullptr) return {};
    const std::string hex = hasher_->hex();
    const std::string name(name_of(wish_.checksum->kind));
    filled_.checksum = name + ":" + hex;
    if (wish_.checksum->expected.empty() || wish_.checksum->expected == hex) return {};
    return fail(Code::data_loss, "the bytes of " + quoted(wish_.from_path) + " have the checksum " + filled_.checksum +
                                     " and not " + wish_.checksum->expected +
                                     " as told; nothing was published: check the source, or the checksum");
  }

  Status finish() {
    Fs& fs = tools_.fs;
    if (const int result = fs.set_mode(to_, wish_.mode.value_or(source_.info.mode)); result < 0)
      return fail_errno(-result, "set the mode of", wish_.to_path);
    if (const int result = fs.set_modified(to_, source_.info.modified); result < 0)
      return fail_errno(-result, "set the time of", wish_.to_path);
    if (wish_.flush)
      if (const int result = fs.flush(to_); result < 0) return fail_errno(-result, "finish writing", wish_.to_path);
    if (!wish_.sync) return {};
    if (const int result = fs.sync(to_); result < 0) return fail_errno(-result, "sync", wish_.to_path);
    return {};
  }

  const Tools& tools_;
  const Source& source_;
  int to_;
  const FileWish& wish_;
  FilePace& pace_;
  const Kept* kept_;
  Range range_;
  Filled filled_;
  std::unique_ptr<Hasher> hasher_;
};

}  // namespace

Result<Range> range_of(const FileWish& wish, std::uint64_t source_bytes) {
  const Range range = wish.range.value_or(Range{0, source_bytes});
  if (range.first > source_bytes || range.length > source_bytes - range.first)
    return fail(Code::invalid_argument, "the range [" + std::to_string(range.first) + ", " +
                                            std::to_string(range.length) + "] ends past the end of " +
                                            quoted(wish.from_path) + ", which has " + std::to_string(source_bytes) +
                                            " bytes; ask for less");
  if (!wish.decompress)
    if (auto fits = check_size(wish, range.length); !fits) return fail(fits.error());
  return range;
}

Result<Filled> fill_file(const Tools& tools, const std::function<Result<Source>()>& open_source, int to,
                         const FileWish& wish, FilePace& pace, const Kept* kept) {
  for (int read = 1;; ++read) {
    auto source = open_source();
    if (!source) return fail(source.error());
    auto filled = Filler(tools, *source, to, wish, pace, read == 1 ? kept : nullptr).run();
    if (filled) filled->rereads = static_cast<std::uint32_t>(read - 1);
    if (filled || filled.error().code != Code::failed_precondition || read == kReadsOfChangingSource) return filled;
    pace.restart();
    int result = tools.fs.truncate(to, 0);
    if (result == 0) result = tools.fs.set_flags(to, O_WRONLY);  // what it is now may not suit direct I/O
    if (result < 0) return fail_errno(-result, "empty", wish.to_path);
  }
}

}  // namespace windlass::stage
