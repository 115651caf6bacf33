// Temporaries, and the step that gives a finished one its name. One thread at a time, unless said otherwise.
#pragma once

#include <atomic>
#include <optional>
#include <string>

#include "plugin/stage/fd.hpp"
#include "plugin/stage/fs.hpp"
#include "plugin/stage/roots.hpp"
#include "plugin/stage/targets.hpp"

namespace windlass::stage {

// Names of temporaries: `.windlass-OWNER-STARTnumber`, never twice. Thread-safe.
class TemporaryNames {
 public:
  // `owner` may be any text; what does not suit a name is escaped.
  explicit TemporaryNames(std::string_view owner);
  std::string next();
  // What all of them begin with; ends in '.'.
  [[nodiscard]] const std::string& prefix() const { return prefix_; }

 private:
  const std::string prefix_;  // with the owner, and a number of this life
  std::atomic<std::uint64_t> number_{0};
};

// A name in a folder that goes with this object unless it was kept.
class Temporary {
 public:
  Temporary(Fs& fs, int folder, std::string name, bool is_folder)
      : fs_(&fs), folder_(folder), name_(std::move(name)), is_folder_(is_folder) {}
  Temporary(Temporary&& other) noexcept;
  Temporary& operator=(Temporary&&) = delete;
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  ~Temporary();
  [[nodiscard]] const std::string& name() const { return name_; }
  void keep() { fs_ = nullptr; }

 private:
  Fs* fs_;
  int folder_;
  std::string name_;
  bool is_folder_;
};

// A new file of mode 0600, open for writing, and for reading what was written.
Result<Fd> make_temporary(Fs& fs, int folder, const std::string& name, std::string_view target_path);

// Removes a folder and all beneath it, following no link. Goes on after a fault and answers the first.
int remove_tree(Fs& fs, int folder, const std::string& name);

struct SpaceLimits {
  std::uint64_t free_min = 0;
  std::uint64_t inodes_min = 0;
};
// Whether so many more bytes, and one inode, may be used there. RESOURCE_EXHAUSTED.
Status check_space(Fs& fs, int folder, const SpaceLimits& limits, std::uint64_t bytes, std::string_view target_path);

// `folder` may be opened with O_PATH.
Status sync_folder(Fs& fs, int folder, std::string_view path);
// The folder, those made on the way to it, their first old ancestor, and what others made further up and have not
// synced. What lies on the device `synced_whole` was synced a moment ago, as a whole.
Status sync_way(Fs& fs, Unsynced& unsynced, const Spot& spot, std::string_view path,
                std::optional<std::uint64_t> synced_whole = std::nullopt);
// A file that was closed again. Where its mode forbids even us to open it, all of its file system.
int sync_named(Fs& fs, int folder, const std::string& name);
// All of the file system that holds the file. `folder` may be opened with O_PATH.
int sync_all_of(Fs& fs, int folder, const std::string& name);

Result<TargetKey> target_key(Fs& fs, int folder, const std::string& name, std::string_view path);

}  // namespace windlass::stage
