#include "plugin/stage/tree_run.hpp"

#include <fcntl.h>

#include <cerrno>
#include <deque>

namespace windlass::stage {
namespace {

constexpr std::uint64_t kOwnSyncBytes = 4ULL << 20U;  // larger files are synced by themselves, not in a batch
// The files of a folder are opened ahead and the disk asked for them, so that it is never waited for file by file.
constexpr std::size_t kFilesAhead = 32;
constexpr std::uint64_t kBytesAhead = 4ULL << 20U;

Error plain_error(Code code, std::string message) {
  Error error;
  error.code = code;
  error.message = std::move(message);
  return error;
}

}  // namespace

bool has_work(const TreeRun& tree) {
  return tree.has_work();
}
void help_tree(TreeRun& tree, const Tools& tools) {
  tree.help(tools);
}

bool TreeRun::has_work() const {
  const std::lock_guard lock(mutex_);
  return !waiting_.empty();
}

void TreeRun::help(const Tools& tools) {
  work(tools, false);
}

TreeRun::FolderPtr TreeRun::take(std::unique_lock<std::mutex>& lock, bool to_the_end) {
  if (to_the_end) changed_.wait(lock, [&] { return !waiting_.empty() || finished_; });
  if (waiting_.empty()) return nullptr;
  FolderPtr folder = std::move(waiting_.back());
  waiting_.pop_back();
  return folder;
}

void TreeRun::work(const Tools& tools, bool to_the_end) {
  TreeBatch batch;
  for (;;) {
    FolderPtr folder;
    {
      std::unique_lock lock(mutex_);
      if (waiting_.empty() && !batch.empty()) {
        lock.unlock();
        flush(batch);
        lock.lock();
      }
      folder = take(lock, to_the_end);
    }
    if (folder == nullptr) return;
    begin_folder(tools, folder, batch);
    const bool leave = !to_the_end && helpers_.wanted();
    if (leave) flush(batch);
    ended(std::move(folder));
    if (leave) return;
  }
}

void TreeRun::begin_folder(const Tools& tools, const FolderPtr& folder, TreeBatch& batch) {
  if (running_.cancelled || replaced()) return;
  if (auto opened = open_folder(*folder); !opened) return note(folder->path, std::move(opened.error()));
  std::vector<Entry> entries;
  if (const int result = fs_.list(folder->from.get(), entries); result < 0)
    return note(folder->path, errno_error(-result, "list the folder", folder->path));
  take_entries(tools, folder, entries, batch);
}

Status TreeRun::open_folder(TreeFolder& folder) {
  if (folder.above == nullptr) return {};  // the top was opened before
  if (folder.depth > kTreeDepthMax)
    return fail(Code::invalid_argument, "the folder " + quoted(folder.path) + " lies more than " +
                                            std::to_string(kTreeDepthMax) + " levels deep; stage it by itself");
  const int from = fs_.open(folder.above->from.get(), folder.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, 0);
  if (from < 0) return fail_errno(-from, "open the folder", folder.path);
  folder.from = Fd(from);
  if (const int result = fs_.info(from, folder.info); result < 0) return fail_errno(-result, "look at", folder.path);
  Space space;
  if (folder.info.key.device != folder.above->info.key.device && fs_.space(from, space) == 0 && space.kernel_view)
    return fail(Code::invalid_argument,
                "the folder " + quoted(folder.path) + " is a file system of the kernel; leave it out");
  return enter_target(folder, folder.above->to.get());
}

// So that another transfer into a folder made here, which may end before this one, knows what it has to sync.
Status TreeRun::tell_name_made(const TreeFolder& folder, int above) {
  if (folder.above != nullptr) {
    shared_.roots.unsynced().name_made_in(folder.above->to_key);
    return {};
  }
  FileInfo info;
  if (const int result = fs_.info(above, info); result < 0)
    return fail_errno(-result, "look at the folder of", transfer_.target.given);
  shared_.roots.unsynced().name_made_in(info.key);
  return {};
}

Status TreeRun::enter_target(TreeFolder& folder, int above) {
  const std::string& path = folder.path.empty() ? transfer_.target.given : folder.path;
  if (auto told = tell_name_made(folder, above); !told) return told;
  const int made = fs_.make_folder(above, folder.name.c_str(), 0700);
  if (made < 0 && made != -EEXIST) return fail_errno(-made, "make the folder", path);
  folder.fresh = made == 0;
  const int to = fs_.open(above, folder.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, 0);
  if (to == -ENOTDIR || to == -ELOOP)
    return fail(Code::invalid_argument,
                quoted(path) + " is a folder in the source and none in the target; remove one of them");
  if (to < 0) return fail_errno(-to, "open the folder", path);
  folder.to = Fd(to);
  FileInfo info;
  if (const int result = fs_.info(to, info); result < 0) return fail_errno(-result, "look at the folder", path);
  folder.to_key = info.key;
  return {};
}

// What is beneath comes first, so that other threads find work.
void TreeRun::take_entries(const Tools& tools, const FolderPtr& folder, std::vector<Entry>& entries, TreeBatch& batch) {
  std::vector<std::string> files;
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.inode < b.inode; });
  for (Entry& entry : entries) {
    if (running_.cancelled || replaced()) return;
    if (entry.name.starts_with(kTemporaryPrefix)) continue;
    FileInfo info;
    if (!entry.type_known) {
      if (const int result = fs_.info(folder->from.get(), entry.name.c_str(), info); result < 0) {
        note(folder->path_of(entry.name), errno_error(-result, "look at", folder->path_of(entry.name)));
        continue;
      }
      entry.type = info.type;
    }
    switch (entry.type) {
      case FileType::folder:
        add_folder(folder, entry.name);
        break;
      case FileType::regular:
        files.push_back(std::move(entry.name));
        break;
      case FileType::link:
        take_link(folder, entry.name, batch);
        break;
      case FileType::special:
        note(folder->path_of(entry.name),
             plain_error(Code::invalid_argument, quoted(folder->path_of(entry.name)) +
                                                     " is a device, fifo or socket; leave it out of the tree"));
    }
  }
  take_files(tools, folder, files, batch);
}

void TreeRun::take_files(const Tools& tools, const FolderPtr& folder, const std::vector<std::string>& names,
                         TreeBatch& batch) {
  std::deque<Source> ahead;
  std::uint64_t bytes = 0;
  std::size_t opened = 0;
  for (const std::string& name : names) {
    if (running_.cancelled || replaced()) return;
    while (opened < names.size() && (ahead.empty() || (ahead.size() < kFilesAhead && bytes < kBytesAhead))) {
      ahead.push_back(open_ahead(*folder, names[opened++]));
      bytes += ahead.back().info.size;
    }
    Source next = std::move(ahead.front());
    ahead.pop_front();
    bytes -= next.info.size;
    take_file(tools, folder, name, std::move(next), batch);
  }
}

// Without a file where that fails: it is opened again when its turn comes, and then its fault is told.
Source TreeRun::open_ahead(const TreeFolder& folder, const std::string& name) const {
  auto source = open_file(folder, name);
  if (!source) return {};
  if (source->info.size > 0 && source->info.size < kDirectBytesMin)
    fs_.read_ahead(source->file.get(), source->info.size);  // a hint: whether it was heard shows in time alone
  return std::move(*source);
}

void TreeRun::add_folder(const FolderPtr& above, const std::string& name) {
  auto folder = std::make_shared<TreeFolder>();
  folder->above = above;
  folder->name = name;
  folder->path = above->path_of(name);
  folder->depth = above->depth + 1;
  ++above->pending;
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(folder));
  }
  changed_.notify_all();
  helpers_.more();
}

Result<Source> TreeRun::open_file(const TreeFolder& folder, const std::string& name) const {
  const int fd = fs_.open(folder.from.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0, 0);
  if (fd < 0) return fail_errno(-fd, "open", folder.path_of(name));
  Source source{Fd(fd), {}};
  if (const int result = fs_.info(fd, source.info); result < 0)
    return fail_errno(-result, "look at", folder.path_of(name));
  if (source.info.type != FileType::regular)
    return fail(Code::invalid_argument,
                quoted(folder.path_of(name)) + " is no regular file any more; stage the tree again");
  return source;
}

// What lies under the name in the target already must be something that a file may replace.
Status TreeRun::check_way(const TreeFolder& folder, const std::string& name, const FileKey& source) const {
  if (folder.fresh) return {};
  FileInfo target;
  const int result = fs_.info(folder.to.get(), name.c_str(), target);
  if (result == -ENOENT) return {};
  const std::string path = quoted(folder.path_of(name));
  if (result < 0) return fail_errno(-result, "look at", folder.path_of(name));
  if (target.type == FileType::folder)
    return fail(Code::invalid_argument,
                path + " is a file in the source and a folder in the target; remove one of them");
  if (target.type == FileType::special)
    return fail(Code::invalid_argument, path + " is a device, fifo or socket in the target; remove it");
  if (target.key == source)
    return fail(Code::invalid_argument, path + " is the same file in source and target; choose another target");
  return {};
}

Result<Written> TreeRun::copy_file(const Tools& tools, const FolderPtr& folder, const std::string& name, Source ahead,
                                   bool sync) {
  const std::string path = folder->path_of(name);
  auto source = ahead.file ? Result<Source>(std::move(ahead)) : open_file(*folder, name);
  if (!source) return fail(source.error());
  if (auto free = check_way(*folder, name, source->info.key); !free) return fail(free.error());
  if (auto room = check_space(fs_, folder->to.get(), shared_.space, source->info.size, path); !room)
    return fail(room.error());
  const bool own_sync = sync && source->info.size >= kOwnSyncBytes;
  Written written{folder, whole_ ? name : shared_.names.next(), name, 0, {}, false};
  auto file = make_temporary(fs_, folder->to.get(), written.temporary, path);
  if (!file) return fail(file.error());
  Temporary temporary(fs_, folder->to.get(), written.temporary, false);
  const FileWish wish{std::nullopt,   std::nullopt, transfer_.checksum,
                      transfer_.mode, own_sync,     transfer_.durability == Durability::none,
                      path,           path,         folder->clones};
  FilePace pace(shared_.meter, transfer_.kind, running_.cancelled, running_.bytes_done);
  const auto reopen = [&]() -> Result<Source> { return source->file ? std::move(*source) : open_file(*folder, name); };
  auto filled = fill_file(tools, reopen, file->get(), wish, pace);
  if (!filled) return fail(filled.error());
  if (filled->clone_refused) folder->clones = false;
  temporary.keep();
  written.bytes = filled->bytes;
  written.checksum = std::move(filled->checksum);
  if (filled->cloned || filled->rereads > 0) {
    const std::lock_guard lock(mutex_);
    cloned_ = cloned_ || filled->cloned;
    rereads_ += filled->rereads;
  }
  return written;
}

void TreeRun::take_file(const Tools& tools, const FolderPtr& folder, const std::string& name, Source ahead,
                        TreeBatch& batch) {
  const bool sync = transfer_.durability != Durability::none && !whole_;
  auto written = copy_file(tools, folder, name, std::move(ahead), sync);
  if (!written) return note(folder->path_of(name), std::move(written.error()));
  const bool done = !sync || written->bytes >= kOwnSyncBytes;
  hand_on(std::move(*written), batch, done);
}

Result<Written> TreeRun::copy_link(const FolderPtr& folder, const std::string& name) {
  const std::string path = folder->path_of(name);
  FileInfo info;
  std::string text;
  int result = fs_.info(folder->from.get(), name.c_str(), info);
  if (result == 0) result = fs_.read_link(folder->from.get(), name.c_str(), text);
  if (result < 0) return fail_errno(-result, "read the link", path);
  if (transfer_.symlinks == Symlinks::refuse && link_leaves(text, folder->depth))
    return fail(Code::invalid_argument,
                "the link " + quoted(path) + " leads to " + quoted(text) +
                    ", which is absolute or lies outside the tree; remove it, or keep or skip links");
  if (auto free = check_way(*folder, name, info.key); !free) return fail(free.error());
  Written written{folder, whole_ ? name : shared_.names.next(), name, 0, {}, true};
  result = fs_.make_link(text.c_str(), folder->to.get(), written.temporary.c_str());
  if (result < 0) return fail_errno(-result, "make the link", path);
  Temporary temporary(fs_, folder->to.get(), written.temporary, false);
  result = fs_.set_link_modified(folder->to.get(), written.temporary.c_str(), info.modified);
  if (result < 0) return fail_errno(-result, "set the time of the link", path);
  temporary.keep();
  return written;
}

void TreeRun::take_link(const FolderPtr& folder, const std::string& name, TreeBatch& batch) {
  if (transfer_.symlinks == Symlinks::skip) return;
  auto written = copy_link(folder, name);
  if (!written) return note(folder->path_of(name), std::move(written.error()));
  hand_on(std::move(*written), batch, transfer_.durability == Durability::none || whole_);
}

// Published now where it is synced, with its batch where not.
void TreeRun::hand_on(Written written, TreeBatch& batch, bool synced) {
  ++written.folder->pending;
  if (synced) return publish(written, 0);
  if (batch.full(*written.folder)) flush(batch);
  batch.add(std::move(written));
}

void TreeRun::flush(TreeBatch& batch) {
  if (batch.empty()) return;
  batch.flush(fs_, [this](Written& written, int synced) { publish(written, synced); });
}

void TreeRun::publish(Written& written, int synced) {
  const TreeFolder& folder = *written.folder;
  const std::string path = folder.path_of(written.name);
  int result = synced;
  bool first = true;
  if (result == 0 && !whole_)
    first = !replaced() && shared_.targets.publish({folder.to_key, written.name}, running_.sequence, [&] {
      result = running_.cancelled ? -ECANCELED
                                  : fs_.rename(folder.to.get(), written.temporary.c_str(), written.name.c_str(), 0);
      return result == 0;
    });
  if (!first || result < 0) fs_.remove(folder.to.get(), written.temporary.c_str(), false);
  if (result < 0)
    note(path, errno_error(-result, synced < 0 ? "sync" : "publish", path));
  else if (first)  // else a later transfer has brought this one file: the tree goes on
    published(written);
  ended(std::move(written.folder));
}

void TreeRun::published(const Written& written) {
  if (written.is_link) return;
  ++running_.files_done;
  const std::lock_guard lock(mutex_);
  ++files_;
  bytes_ += written.bytes;
  if (!written.checksum.empty()) checksums_.emplace(written.folder->path_of(written.name), written.checksum);
}

// Counts down, and closes each folder in which nothing is left to do, upwards.
void TreeRun::ended(FolderPtr folder) {
  while (folder != nullptr && folder->pending.fetch_sub(1) == 1) {
    close_folder(*folder);
    FolderPtr above = folder->above;
    folder = std::move(above);
  }
}

// Mode and time come last: a folder may forbid to write to it, and each file in it changes its time.
void TreeRun::set_mode_and_time(const TreeFolder& folder) {
  if (folder.kept) return;
  int result = fs_.set_mode(folder.to.get(), folder.info.mode);
  if (result == 0) result = fs_.set_modified(folder.to.get(), folder.info.modified);
  const bool of_another = result == -EPERM && !folder.fresh;  // it was there before, and stays as its owner has it
  if (result < 0 && !of_another)
    note(folder.path, errno_error(-result, "set mode and time of the folder", folder.path));
}

void TreeRun::close_folder(TreeFolder& folder) {
  if (!folder.to) return;  // it never began
  set_mode_and_time(folder);
  const bool apart = folder.above != nullptr && top_->to_key.device != folder.to_key.device;
  if (apart && transfer_.durability == Durability::full)
    if (const int synced = fs_.sync_all(folder.to.get()); synced < 0)
      note(folder.path, errno_error(-synced, "sync the folder", folder.path));
  if (folder.above == nullptr) {  // the top's descriptors are needed to the end
    const std::lock_guard lock(mutex_);
    finished_ = true;
    changed_.notify_all();
    return;
  }
  folder.from.reset();
  folder.to.reset();
}

void TreeRun::note(const std::string& path, Error error) {
  const std::lock_guard lock(mutex_);
  if (error.code == Code::cancelled && running_.cancelled) {
    cancelled_ = true;
    return;
  }
  ++failure_count_;
  failures_.emplace(path, std::move(error));  // sorted, so that which is the first does not depend on threads
  if (failures_.size() > kFailuresTold) failures_.erase(std::prev(failures_.end()));
}

}  // namespace windlass::stage
