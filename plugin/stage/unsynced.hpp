// Folders that hold the name of a new folder which may not be on the disk yet. A transfer of durability `full` asks
// here, since the folders on its way may have been made a moment ago by another transfer. Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>

#include "plugin/stage/fs.hpp"

namespace windlass::stage {

class Unsynced {
 public:
  using Stamp = std::uint64_t;
  static constexpr std::size_t kFoldersMax = 65'536;  // with more, every folder counts as unsynced

  // Before a folder gets a name in it.
  void name_made_in(const FileKey& folder);
  // Of the newest name made in it and not synced; to be asked for before it is synced.
  [[nodiscard]] std::optional<Stamp> stamp(const FileKey& folder) const;
  // It was synced after its stamp was taken.
  void synced(const FileKey& folder, Stamp stamp);

 private:
  mutable std::mutex mutex_;
  Stamp last_ = 0;
  bool all_ = false;
  std::map<FileKey, Stamp> stamps_;
};

}  // namespace windlass::stage
