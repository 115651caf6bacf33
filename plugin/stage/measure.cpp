// What a source is and how much there is of it, without reading it.
#include <fcntl.h>

#include "plugin/stage/run.hpp"
#include "plugin/stage/tree.hpp"

namespace windlass::stage {
namespace {

constexpr unsigned kEntriesBetweenAsking = 256;

class TreeMeasure {
 public:
  TreeMeasure(const Shared& shared, const std::function<bool()>& go_on) : shared_(shared), go_on_(go_on) {}

  // What cannot be looked at counts nothing: it will fail by name when it is staged.
  SourceSize run(Fd top) {
    size_.is_folder = true;
    enter(std::move(top));
    while (!stack_.empty()) {
      Level& level = stack_.back();
      if (level.entries.empty()) {
        stack_.pop_back();
        continue;
      }
      const Entry entry = std::move(level.entries.back());
      level.entries.pop_back();
      if (++seen_ % kEntriesBetweenAsking == 0 && !go_on_()) {
        size_.complete = false;
        break;
      }
      take(level.folder.get(), entry);
    }
    return size_;
  }

 private:
  struct Level {
    Fd folder;
    std::vector<Entry> entries;
  };

  void enter(Fd folder) {
    Level level{std::move(folder), {}};
    if (shared_.fs.list(level.folder.get(), level.entries) == 0) stack_.push_back(std::move(level));
  }

  void take(int folder, const Entry& entry) {
    if (entry.name.starts_with(kTemporaryPrefix)) return;
    FileInfo info;
    info.type = entry.type;
    if (!entry.type_known || entry.type == FileType::regular)
      if (shared_.fs.info(folder, entry.name.c_str(), info) != 0) return;
    if (info.type == FileType::regular) {
      ++size_.files;
      size_.bytes += info.size;
    }
    if (info.type != FileType::folder || stack_.size() > kTreeDepthMax) return;
    const int fd = shared_.fs.open(folder, entry.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, 0);
    if (fd >= 0) enter(Fd(fd));
  }

  const Shared& shared_;
  const std::function<bool()>& go_on_;
  std::vector<Level> stack_;
  std::uint64_t seen_ = 0;
  SourceSize size_;
};

Error invalid(std::string message) {
  Error error;
  error.code = Code::invalid_argument;
  error.message = std::move(message);
  return error;
}

}  // namespace

// Opened with O_PATH first: opening a device or a fifo may do something, looking at it does not.
Result<FileInfo> look_at_source(const Shared& shared, const Transfer& transfer) {
  auto seen = shared.roots.open_place(transfer.source, O_PATH);
  if (!seen) return fail(seen.error());
  FileInfo info;
  if (const int result = shared.fs.info(seen->get(), info); result < 0)
    return fail_errno(-result, "look at", transfer.source.given);
  Space space;
  if (const int result = shared.fs.space(seen->get(), space); result < 0)
    return fail_errno(-result, "look at", transfer.source.given);
  if (info.type == FileType::special || info.type == FileType::link || space.kernel_view)
    return fail(invalid(quoted(transfer.source.given) +
                        " is a device, fifo, socket or a file of the kernel; name a regular file or a folder"));
  return info;
}

Result<SourceSize> measure_source(const Shared& shared, const Transfer& transfer, const std::function<bool()>& go_on) {
  auto info = look_at_source(shared, transfer);
  if (!info) return fail(info.error());
  if (info->type != FileType::folder)
    return SourceSize{.guessed = transfer.decompress && !transfer.size,
                      .bytes = transfer.range                         ? transfer.range->length
                               : transfer.decompress && transfer.size ? *transfer.size
                                                                      : info->size,
                      .files = 1};
  auto top = shared.roots.open_place(transfer.source, O_RDONLY | O_DIRECTORY);
  if (!top) return fail(top.error());
  return TreeMeasure(shared, go_on).run(std::move(*top));
}

}  // namespace windlass::stage
