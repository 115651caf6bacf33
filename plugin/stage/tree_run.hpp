// The inside of tree.hpp. The owner's thread calls run(), others help(); what they share is behind one mutex, and each
// folder is in one thread's hands at a time.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <vector>

#include "plugin/stage/tree.hpp"
#include "plugin/stage/tree_batch.hpp"

namespace windlass::stage {

// Whether a link's text is absolute or leads out of the tree's top, from a folder so many levels beneath it.
bool link_leaves(std::string_view text, std::size_t depth);

// Name by name, as a walk through sorted folders comes by.
struct PathOrder {
  bool operator()(std::string_view a, std::string_view b) const {
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(),
                                        [](char x, char y) { return rank(x) < rank(y); });
  }
  static int rank(char c) { return c == '/' ? -1 : static_cast<unsigned char>(c); }
};

class TreeRun : public std::enable_shared_from_this<TreeRun> {
 public:
  TreeRun(const Shared& shared, const Running& running, Helpers& helpers);

  Outcome run(const Tools& tools);
  void help(const Tools& tools);
  [[nodiscard]] bool has_work() const;

 private:
  using FolderPtr = std::shared_ptr<TreeFolder>;

  // tree_prepare.cpp: before and after the work.
  Status prepare();
  Status refuse_wishes() const;
  Status open_target(const FileInfo& source);
  Status begin_atomic(bool exists);
  Result<bool> lies_within(int folder, const FileKey& top) const;
  // Of two trees to one target, one of which takes the place of the whole.
  Status come_before_whole(const Spot& spot);
  [[nodiscard]] bool replaced() const;
  bool claim();
  Status publish_whole();
  Status sync_end() const;
  Outcome outcome(Status status) const;

  // tree_run.cpp: the work.
  void work(const Tools& tools, bool to_the_end);
  FolderPtr take(std::unique_lock<std::mutex>& lock, bool to_the_end);
  void begin_folder(const Tools& tools, const FolderPtr& folder, TreeBatch& batch);
  Status open_folder(TreeFolder& folder);
  Status tell_name_made(const TreeFolder& folder, int above);
  Status enter_target(TreeFolder& folder, int above);
  void take_entries(const Tools& tools, const FolderPtr& folder, std::vector<Entry>& entries, TreeBatch& batch);
  void add_folder(const FolderPtr& above, const std::string& name);
  void take_files(const Tools& tools, const FolderPtr& folder, const std::vector<std::string>& names, TreeBatch& batch);
  Source open_ahead(const TreeFolder& folder, const std::string& name) const;
  Result<Written> copy_file(const Tools& tools, const FolderPtr& folder, const std::string& name, Source ahead,
                            bool sync);
  Result<Source> open_file(const TreeFolder& folder, const std::string& name) const;
  Status check_way(const TreeFolder& folder, const std::string& name, const FileKey& source) const;
  Result<Written> copy_link(const FolderPtr& folder, const std::string& name);
  void take_file(const Tools& tools, const FolderPtr& folder, const std::string& name, Source ahead, TreeBatch& batch);
  void take_link(const FolderPtr& folder, const std::string& name, TreeBatch& batch);
  void hand_on(Written written, TreeBatch& batch, bool synced);
  void flush(TreeBatch& batch);
  void publish(Written& written, int synced);
  void ended(FolderPtr folder);
  void set_mode_and_time(const TreeFolder& folder);
  void close_folder(TreeFolder& folder);
  void note(const std::string& path, Error error);
  void published(const Written& written);

  const Shared& shared_;
  Fs& fs_;
  const Running running_;
  const Transfer& transfer_;
  Helpers& helpers_;
  Spot spot_;  // of the top, where it did not exist or is published as a whole
  FolderPtr top_;
  TargetKey key_;                      // of the top: by its folder where that is merged into, else by its name
  std::optional<TargetKey> name_key_;  // by its name too, where it is merged into
  bool whole_ = false;                 // tree_atomic
  bool whole_published_ = false;
  std::optional<Temporary> temporary_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<FolderPtr> waiting_;  // the newest is taken first, so that few folders are open at once
  bool finished_ = false;           // the top is closed: nothing is left to do
  bool cancelled_ = false;
  bool cloned_ = false;
  bool began_ = false;
  std::multimap<std::string, Error, PathOrder> failures_;  // the first kFailuresTold
  std::uint64_t failure_count_ = 0;
  std::uint32_t rereads_ = 0;
  std::uint64_t files_ = 0;
  std::uint64_t bytes_ = 0;
  std::map<std::string, std::string> checksums_;
};

}  // namespace windlass::stage
