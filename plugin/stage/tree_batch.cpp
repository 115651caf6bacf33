#include "plugin/stage/tree_batch.hpp"

#include <fcntl.h>

namespace windlass::stage {

int TreeBatch::sync_one(Fs& fs, const Written& file) {
  if (file.is_link) return 0;  // a link has no data; its folder's sync keeps it
  const Fd fd(fs.open(file.folder->to.get(), file.temporary.c_str(), O_WRONLY | O_NOFOLLOW | O_NONBLOCK, 0, 0));
  // its mode may forbid even us to open it; then all is synced
  return fd ? fs.sync(fd.get()) : fs.sync_all(file.folder->to.get());
}

void TreeBatch::flush(Fs& fs, const std::function<void(Written&, int result)>& publish) {
  std::vector<Written> files;
  files.swap(files_);
  folders_ = 0;
  bytes_ = 0;
  const bool together = files.size() >= kFilesForOneSync;
  const int all = together ? fs.sync_all(files.front().folder->to.get()) : 0;
  for (Written& file : files) publish(file, together ? all : sync_one(fs, file));
}

}  // namespace windlass::stage
