// Before a tree's work and after it: what is refused, where it goes, and the one step of a tree published as a whole.
#include <fcntl.h>
#include <linux/fs.h>

#include <cerrno>

#include "plugin/stage/tree_run.hpp"

namespace windlass::stage {

// Read by name alone: what the names in the text lead to is not looked at.
bool link_leaves(std::string_view text, std::size_t depth) {
  if (text.starts_with('/')) return true;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('/', at), text.size());
    const std::string_view part = text.substr(at, end - at);
    at = end + 1;
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      ++depth;
    } else if (depth-- == 0) {
      return true;
    }
  }
  return false;
}

TreeRun::TreeRun(const Shared& shared, const Running& running, Helpers& helpers)
    : shared_(shared), fs_(shared.fs), running_(running), transfer_(running.transfer), helpers_(helpers) {}

Outcome run_tree(const Tools& tools, const Shared& shared, const Running& running, Helpers& helpers) {
  return std::make_shared<TreeRun>(shared, running, helpers)->run(tools);
}

Outcome TreeRun::run(const Tools& tools) {
  if (auto prepared = prepare(); !prepared) return outcome(fail(prepared.error()));
  began_ = true;
  std::optional<JournalId> record;
  if (shared_.journal)
    record = shared_.journal->begin(
        {transfer_.target.given, whole_ ? temporary_->name() : shared_.names.prefix(), {}, {}, {}, 0, 0});
  const auto self = shared_from_this();
  waiting_.push_back(top_);
  helpers_.offer(self);
  work(tools, true);
  {
    const std::lock_guard lock(mutex_);
    cancelled_ = cancelled_ || running_.cancelled;
  }
  helpers_.withdraw(self);
  Status status;
  if (cancelled_) {
    status = cancelled_error();
  } else if (!whole_ && replaced()) {
    failures_.clear();  // of a folder that is no more
    failure_count_ = 0;
    status = fail(replaced_error(transfer_));
  } else if (!failures_.empty()) {
    const Error& first = failures_.begin()->second;
    status = fail(first);
    status.error().message = std::to_string(failure_count_) + " of the tree " + quoted(transfer_.source.given) +
                             " could not be staged; the first: " + first.message;
  } else {
    status = whole_ ? publish_whole() : sync_end();
  }
  temporary_.reset();  // where the whole was not published
  if (status && !whole_ && !claim()) status = fail(replaced_error(transfer_));
  if (record) shared_.journal->end(*record);
  return outcome(std::move(status));
}

Status TreeRun::refuse_wishes() const {
  const char* wish = transfer_.range                                               ? "range"
                     : transfer_.size                                              ? "size"
                     : transfer_.decompress                                        ? "decompress"
                     : transfer_.checksum && !transfer_.checksum->expected.empty() ? "checksum"
                                                                                   : nullptr;
  if (wish == nullptr) return {};
  return fail(Code::invalid_argument, "the source " + quoted(transfer_.source.given) + " is a folder, and a " + wish +
                                          " is of one file; leave it out");
}

// Whether the folder is `top` or lies anywhere beneath it.
Result<bool> TreeRun::lies_within(int folder, const FileKey& top) const {
  FileInfo info;
  FileKey below{};
  Fd at;
  for (const char* step = ".";; step = "..") {
    const int fd = fs_.open(at ? at.get() : folder, step, O_PATH | O_DIRECTORY, 0, 0);
    if (fd < 0) return fail_errno(-fd, "look above", transfer_.target.given);
    at = Fd(fd);
    if (const int result = fs_.info(fd, info); result < 0)
      return fail_errno(-result, "look above", transfer_.target.given);
    if (info.key == top) return true;
    if (info.key == below) return false;  // the root's parent is itself
    below = info.key;
  }
}

Status TreeRun::prepare() {
  if (auto fine = refuse_wishes(); !fine) return fine;
  auto from = shared_.roots.open_place(transfer_.source, O_RDONLY | O_DIRECTORY);
  if (!from) return fail(from.error());
  top_ = std::make_shared<TreeFolder>();
  top_->from = std::move(*from);
  if (const int result = fs_.info(top_->from.get(), top_->info); result < 0)
    return fail_errno(-result, "look at", transfer_.source.given);
  auto nearest = shared_.roots.open_nearest(transfer_.target);
  if (!nearest) return fail(nearest.error());
  auto within = lies_within(nearest->get(), top_->info.key);
  if (!within) return fail(within.error());
  if (*within)
    return fail(Code::invalid_argument, "the target " + quoted(transfer_.target.given) + " lies inside the source " +
                                            quoted(transfer_.source.given) + "; choose one outside of it");
  return open_target(top_->info);
}

namespace {

// No name holds a slash, so this stands for what is merged into the folder of that name.
TargetKey merges_key(const TargetKey& name) {
  return {name.folder, name.name + "/"};
}

}  // namespace

// A merge says so before it opens the folder: an earlier tree that would take the folder's place comes too late then,
// as it would take away what this one has published.
Status TreeRun::come_before_whole(const Spot& spot) {
  auto key = target_key(fs_, spot.folder.get(), spot.name, transfer_.target.given);
  if (!key) return fail(key.error());
  name_key_ = std::move(*key);
  shared_.targets.publish(merges_key(*name_key_), running_.sequence, [] { return true; });
  return {};
}

bool TreeRun::replaced() const {
  const Sequence mine = running_.sequence;
  return shared_.targets.replaced(key_, mine) || (name_key_ && shared_.targets.replaced(*name_key_, mine));
}

bool TreeRun::claim() {
  const auto as_it_is = [] { return true; };
  const bool by_name = !name_key_ || shared_.targets.publish(*name_key_, running_.sequence, as_it_is);
  return shared_.targets.publish(key_, running_.sequence, as_it_is) && by_name;
}

Status TreeRun::open_target(const FileInfo& source) {
  whole_ = transfer_.tree_atomic;
  if (!whole_)
    if (const auto above = shared_.roots.open_parent(transfer_.target, false); above)
      if (auto told = come_before_whole(*above); !told) return told;
  auto there = shared_.roots.open_place(transfer_.target, O_RDONLY | O_DIRECTORY);
  const bool exists = there.has_value();
  if (!exists && there.error().code != Code::not_found) return fail(there.error());
  if (exists) {
    FileInfo info;
    if (const int result = fs_.info(there->get(), info); result < 0)
      return fail_errno(-result, "look at", transfer_.target.given);
    if (info.key == source.key)
      return fail(Code::invalid_argument,
                  quoted(transfer_.target.given) + " is source and target; choose another target");
    top_->to = std::move(*there);
    top_->to_key = info.key;
    top_->kept = true;
    Space space;
    if (fs_.space(top_->to.get(), space) == 0 && space.kernel_view)
      return fail(Code::invalid_argument,
                  quoted(transfer_.target.given) + " is a file system of the kernel; choose a folder on a disk");
  }
  if (exists && !whole_) {
    key_ = {top_->to_key, {}};
    return replaced() ? Status(fail(replaced_error(transfer_))) : Status{};
  }
  auto spot = shared_.roots.open_parent(transfer_.target, true);
  if (!spot) return fail(spot.error());
  spot_ = std::move(*spot);
  auto key = target_key(fs_, spot_.folder.get(), spot_.name, transfer_.target.given);
  if (!key) return fail(key.error());
  key_ = std::move(*key);
  if (!whole_)
    if (auto told = come_before_whole(spot_); !told) return told;
  if (replaced()) return fail(replaced_error(transfer_));
  std::string name = spot_.name;
  if (whole_) {
    if (auto begun = begin_atomic(exists); !begun) return begun;
    name = temporary_->name();
  }
  top_->name = name;
  top_->kept = false;
  auto entered = enter_target(*top_, spot_.folder.get());
  if (entered && !whole_) key_ = {top_->to_key, {}};
  return entered;
}

Status TreeRun::begin_atomic(bool exists) {
  if (exists) {
    auto within = lies_within(top_->from.get(), top_->to_key);
    if (!within) return fail(within.error());
    if (*within)
      return fail(Code::invalid_argument, "the source " + quoted(transfer_.source.given) + " lies inside the target " +
                                              quoted(transfer_.target.given) +
                                              ", which would be removed; leave out tree_atomic");
  }
  FileInfo info;
  const int result = fs_.info(spot_.folder.get(), spot_.name.c_str(), info);
  if (result == 0 && info.type != FileType::folder)
    return fail(Code::invalid_argument, "the target " + quoted(transfer_.target.given) +
                                            " is there and is no folder; remove it, or choose another");
  temporary_.emplace(fs_, spot_.folder.get(), shared_.names.next(), true);
  return {};
}

Status TreeRun::publish_whole() {
  if (transfer_.durability != Durability::none)
    if (const int result = fs_.sync_all(top_->to.get()); result < 0)
      return fail_errno(-result, "sync", transfer_.target.given);
  int result = 0;
  bool exchanged = false;
  const auto rename = [&] {
    if (running_.cancelled) {
      result = -ECANCELED;
      return false;
    }
    const char* name = temporary_->name().c_str();
    result = fs_.rename(spot_.folder.get(), name, spot_.name.c_str(), RENAME_NOREPLACE);
    exchanged = result == -EEXIST;
    if (exchanged) result = fs_.rename(spot_.folder.get(), name, spot_.name.c_str(), RENAME_EXCHANGE);
    return result == 0;
  };
  bool first = true;
  const bool none_later = shared_.targets.publish(key_, running_.sequence, [&] {
    first = shared_.targets.publish(merges_key(key_), running_.sequence, rename);
    return first && result == 0;
  });
  first = first && none_later;
  if (!first) return fail(replaced_error(transfer_));
  if (result == -ECANCELED) return cancelled_error();
  if (result < 0) return fail_errno(-result, "publish the folder", transfer_.target.given);
  if (!exchanged) temporary_->keep();
  temporary_.reset();  // where it was exchanged this removes what was there before
  whole_published_ = true;
  return transfer_.durability == Durability::full
             ? sync_way(fs_, shared_.roots.unsynced(), spot_, transfer_.target.given)
             : Status{};
}

Status TreeRun::sync_end() const {
  if (transfer_.durability != Durability::full) return {};
  if (const int result = fs_.sync_all(top_->to.get()); result < 0)
    return fail_errno(-result, "sync", transfer_.target.given);
  return spot_.folder ? sync_way(fs_, shared_.roots.unsynced(), spot_, transfer_.target.given) : Status{};
}

Outcome TreeRun::outcome(Status status) const {
  Outcome outcome = status ? Outcome{} : failed_outcome(std::move(status.error()));
  if (status) outcome.state = State::done;
  if (!whole_ || whole_published_) {
    outcome.bytes = bytes_;
    outcome.files = files_;
  }
  outcome.engine = cloned_ ? "reflink" : shared_.engine;
  outcome.retries = rereads_;
  for (const auto& [path, error] : failures_) outcome.failures.push_back({path, error.code, error.message});
  outcome.failure_count = failure_count_;
  if (transfer_.checksum && began_ && (!whole_ || whole_published_)) outcome.file_checksums = checksums_;
  return outcome;
}

}  // namespace windlass::stage
