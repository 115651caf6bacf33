// The contents of one file: read from a source that is watched for changes, written to a file that has no name of its
// own yet, verified, given mode and time, synced. One thread at a time.
#pragma once

#include <functional>
#include <optional>

#include "plugin/stage/fd.hpp"
#include "plugin/stage/pace.hpp"
#include "plugin/stage/transfer.hpp"
#include "plugin/stage/unpack.hpp"

namespace windlass::stage {

// What an I/O thread works with.
struct Tools {
  Fs& fs;
  IoQueue& io;
  const Buffers& buffers;
};

struct FileWish {
  std::optional<Range> range;
  std::optional<std::uint64_t> size;
  std::optional<ChecksumWish> checksum;
  std::optional<std::uint32_t> mode;
  bool sync = true;
  bool flush = false;          // where it is not synced
  std::string_view from_path;  // for messages
  std::string_view to_path;
  bool clone = true;  // try to share the blocks
  std::optional<Decompress> decompress = {};
  const UnpackLimits* limits = nullptr;            // where it is decompressed
  std::function<Status(std::uint64_t)> room = {};  // likewise, before so many bytes more are written
};

struct Source {
  Fd file;
  FileInfo info;
};

struct Filled {
  std::uint64_t bytes = 0;
  std::string checksum;  // "name:hex", or empty
  bool cloned = false;
  bool clone_refused = false;  // these two file systems never share
  std::uint64_t resumed = 0;
  std::uint32_t rereads = 0;  // how often it was begun anew, because the source changed
};

inline constexpr int kReadsOfChangingSource = 4;  // the first, and three more
// From so many bytes on a file is read and written past the page cache. Below, what was read ahead comes sooner.
inline constexpr std::uint64_t kDirectBytesMin = 1U << 20U;
inline constexpr std::uint64_t kDirectWriteMin = 64U << 10U;  // likewise written

// What the wish takes of a source of that size; INVALID_ARGUMENT, and DATA_LOSS where it cannot give what is told.
Result<Range> range_of(const FileWish& wish, std::uint64_t source_bytes);

// How much of the source is in `to` already, from an earlier life. `file` can be read and written.
struct Kept {
  Fd file;
  FileInfo source;  // its identity then
  std::uint64_t bytes = 0;
};

// Opens the source anew for each read, up to kReadsOfChangingSource times while it changes. `to` is open for reading
// and writing, empty, and its contents are of no meaning after a failure.
Result<Filled> fill_file(const Tools& tools, const std::function<Result<Source>()>& open_source, int to,
                         const FileWish& wish, FilePace& pace, const Kept* kept = nullptr);

}  // namespace windlass::stage
