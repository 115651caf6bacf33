#include "plugin/stage/targets.hpp"

namespace windlass::stage {

void Targets::accepted(Sequence transfer) {
  const std::lock_guard lock(mutex_);
  unfinished_.insert(transfer);
}

void Targets::ended(Sequence transfer) {
  const std::lock_guard lock(mutex_);
  const bool was_oldest = !unfinished_.empty() && *unfinished_.begin() == transfer;
  unfinished_.erase(transfer);
  if (was_oldest) std::erase_if(last_, [&](const auto& entry) { return !needed(entry.second); });
}

bool Targets::replaced(const TargetKey& key, Sequence transfer) const {
  const std::lock_guard lock(mutex_);
  const auto at = last_.find(key);
  return at != last_.end() && at->second.published > transfer;
}

// An entry matters as long as an older transfer may still come to it.
bool Targets::needed(const Last& last) const {
  return last.busy || last.waiting > 0 || (!unfinished_.empty() && *unfinished_.begin() < last.published);
}

bool Targets::begin(const TargetKey& key, Sequence transfer) {
  std::unique_lock lock(mutex_);
  Last& last = last_[key];
  ++last.waiting;
  free_.wait(lock, [&] { return !last.busy; });
  --last.waiting;
  if (last.published > transfer) return false;
  last.busy = true;
  return true;
}

void Targets::end(const TargetKey& key, Sequence transfer, bool done) {
  const std::lock_guard lock(mutex_);
  const auto at = last_.find(key);
  at->second.busy = false;
  if (done) at->second.published = transfer;
  if (at->second.waiting > 0)
    free_.notify_all();
  else if (!needed(at->second))
    last_.erase(at);
}

}  // namespace windlass::stage
