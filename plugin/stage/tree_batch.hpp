// Files of a tree that are written and wait for their names: one sync of the file system serves them all.
// One thread at a time.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "plugin/stage/fd.hpp"
#include "plugin/stage/publish.hpp"

namespace windlass::stage {

// A folder of the tree, from when it is found until all beneath it has ended.
struct TreeFolder {
  std::shared_ptr<TreeFolder> above;  // null for the top
  std::string name;
  std::string path;  // beneath the top; empty for the top
  std::size_t depth = 0;
  Fd from, to;    // open from its turn on
  FileInfo info;  // of the source
  FileKey to_key;
  bool fresh = false;                   // made by this transfer: nothing is in its way there
  bool clones = true;                   // sharing of blocks was not refused here
  bool kept = false;                    // the top where it was there before: its mode and time are its owner's
  std::atomic<std::size_t> pending{1};  // its own turn, the folders and the unpublished files in it

  [[nodiscard]] std::string path_of(const std::string& entry) const {
    return path.empty() ? entry : path + "/" + entry;
  }
};

struct Written {
  std::shared_ptr<TreeFolder> folder;
  std::string temporary;
  std::string name;
  std::uint64_t bytes = 0;
  std::string checksum;
  bool is_link = false;
};

class TreeBatch {
 public:
  static constexpr std::size_t kFilesMax = 4096;
  static constexpr std::size_t kFoldersMax = 100;  // their descriptors stay open
  static constexpr std::uint64_t kBytesMax = 256ULL << 20U;
  static constexpr std::size_t kFilesForOneSync = 4;  // fewer are synced one by one

  // Whether it must be flushed before it takes a file of that folder.
  [[nodiscard]] bool full(const TreeFolder& next) const {
    return files_.size() >= kFilesMax || bytes_ >= kBytesMax || folders_ >= kFoldersMax ||
           (!files_.empty() && files_.front().folder->to_key.device != next.to_key.device);
  }
  void add(Written file) {
    if (files_.empty() || files_.back().folder != file.folder) ++folders_;
    bytes_ += file.bytes;
    files_.push_back(std::move(file));
  }
  [[nodiscard]] bool empty() const { return files_.empty(); }

  // Syncs all, then hands each to `publish` with how that went, and is empty.
  void flush(Fs& fs, const std::function<void(Written&, int result)>& publish);

 private:
  static int sync_one(Fs& fs, const Written& file);

  std::vector<Written> files_;
  std::size_t folders_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace windlass::stage
