#include "plugin/stage/unsynced.hpp"

namespace windlass::stage {

void Unsynced::name_made_in(const FileKey& folder) {
  const std::lock_guard lock(mutex_);
  if (all_) return;
  stamps_[folder] = ++last_;
  if (stamps_.size() <= kFoldersMax) return;
  all_ = true;
  stamps_.clear();
}

std::optional<Unsynced::Stamp> Unsynced::stamp(const FileKey& folder) const {
  const std::lock_guard lock(mutex_);
  if (all_) return last_;
  const auto at = stamps_.find(folder);
  return at == stamps_.end() ? std::nullopt : std::optional(at->second);
}

void Unsynced::synced(const FileKey& folder, Stamp stamp) {
  const std::lock_guard lock(mutex_);
  const auto at = stamps_.find(folder);
  if (at != stamps_.end() && at->second == stamp) stamps_.erase(at);
}

}  // namespace windlass::stage
