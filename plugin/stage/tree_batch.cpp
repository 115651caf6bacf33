#include "plugin/stage/tree_batch.hpp"

namespace windlass::stage {

int TreeBatch::sync_one(Fs& fs, const Written& file) {
  if (file.is_link) return 0;  // a link has no data; its folder's sync keeps it
  return sync_named(fs, file.folder->to.get(), file.temporary);
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
