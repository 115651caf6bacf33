#include "plugin/stage/file_batch.hpp"

#include <algorithm>
#include <cerrno>
#include <map>
#include <new>
#include <utility>

#include "plugin/stage/run.hpp"

namespace windlass::stage {
namespace {

// One sync for each file system that `wanted` files lie on; its result by device.
template <class Wanted>
std::map<std::uint64_t, int> sync_devices(const std::vector<FileBatch::Item>& items, Wanted wanted) {
  std::map<std::uint64_t, int> results;
  for (const FileBatch::Item& item : items) {
    if (!wanted(*item.file) || results.count(item.file->device()) != 0) continue;
    results[item.file->device()] = item.file->sync_all();
  }
  return results;
}

Outcome end_of(WrittenFile& file, int folders_synced) {
  try {
    return file.end(folders_synced);
  } catch (const std::bad_alloc&) {
    return failed_outcome(errno_error(ENOMEM, "end", "a transfer"));
  }
}

}  // namespace

void FileBatch::add(Item item, Time now) {
  const std::lock_guard lock(mutex_);
  Waiting& waiting = waiting_[item.devices];
  if (waiting.items.empty()) waiting.oldest = now;
  waiting.bytes += item.file->bytes();
  waiting.items.push_back(std::move(item));
}

bool FileBatch::empty() const {
  const std::lock_guard lock(mutex_);
  return waiting_.empty();
}

bool FileBatch::has(const MayBegin& may) const {
  const std::lock_guard lock(mutex_);
  return std::any_of(waiting_.begin(), waiting_.end(), [&](const auto& one) { return may(one.first); });
}

std::vector<FileBatch::Item> FileBatch::take_due(Time now, const MayBegin& may) {
  const std::lock_guard lock(mutex_);
  for (auto& [devices, waiting] : waiting_) {
    const bool due = waiting.items.size() >= kFilesMax || waiting.bytes >= kBytesMax || now - waiting.oldest >= kAgeMax;
    if (due && may(devices)) return std::move(waiting_.extract(devices).mapped().items);
  }
  return {};
}

std::vector<FileBatch::Item> FileBatch::take(const MayBegin& may) {
  const std::lock_guard lock(mutex_);
  for (auto& [devices, waiting] : waiting_)
    if (may(devices)) return std::move(waiting_.extract(devices).mapped().items);
  return {};
}

void FileBatch::flush(const Tools& tools, std::vector<Item> items) {
  std::map<std::uint64_t, std::size_t> count;
  for (const Item& item : items) ++count[item.file->device()];
  const auto together = sync_devices(items, [&](const WrittenFile& file) { return count[file.device()] > 1; });
  for (Item& item : items) {
    const auto synced = together.find(item.file->device());
    item.file->publish(synced != together.end() ? synced->second : item.file->sync());
  }
  const auto folders = sync_devices(items, [](const WrittenFile& file) { return file.wants_folders_synced(); });
  for (Item& item : items) {
    const auto synced = folders.find(item.file->device());
    Outcome outcome = end_of(*item.file, synced != folders.end() ? synced->second : 0);
    item.file.reset();
    item.ended(tools, std::move(outcome));
  }
}

}  // namespace windlass::stage
