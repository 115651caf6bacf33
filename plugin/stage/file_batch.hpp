// Files of calls with many of them, written and waiting for their names: one sync of the file system serves them all.
// They are flushed device by device, so that nobody's name waits for another's disk.
// FileBatch is thread-safe; a WrittenFile is in one thread's hands at a time.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "plugin/stage/schedule.hpp"
#include "plugin/stage/transfer.hpp"

namespace windlass::stage {

struct Tools;

class WrittenFile {
 public:
  virtual ~WrittenFile() = default;  // what has no name by then is removed
  [[nodiscard]] virtual std::uint64_t device() const = 0;
  [[nodiscard]] virtual std::uint64_t bytes() const = 0;
  [[nodiscard]] virtual bool wants_folders_synced() const = 0;  // durability `full`
  // In this order, once each. `synced`: 0, or the -errno of the sync before it.
  virtual int sync() = 0;      // the file alone
  virtual int sync_all() = 0;  // all of its file system; also after publish()
  virtual void publish(int synced) = 0;
  virtual Outcome end(int folders_synced) = 0;
};

class FileBatch {
 public:
  static constexpr std::size_t kFilesMax = 256;  // each holds a descriptor
  static constexpr std::uint64_t kBytesMax = 64ULL << 20U;
  static constexpr std::uint64_t kFileBytesMax = 4ULL << 20U;  // larger ones are synced by themselves
  static constexpr std::chrono::milliseconds kAgeMax{200};

  struct Item {
    Devices devices;
    std::unique_ptr<WrittenFile> file;
    std::function<void(const Tools&, Outcome)> ended;  // called once, on the thread that flushes
  };
  using Time = std::chrono::steady_clock::time_point;

  void add(Item item, Time now);
  [[nodiscard]] bool empty() const;
  [[nodiscard]] bool has(const MayBegin& may) const;
  // Those of devices that may be touched and where they are many, large or have waited for long; else none.
  std::vector<Item> take_due(Time now, const MayBegin& may);
  // Those of the first devices that may be touched.
  std::vector<Item> take(const MayBegin& may);

  // Syncs, publishes and ends them.
  static void flush(const Tools& tools, std::vector<Item> items);

 private:
  struct Waiting {
    std::vector<Item> items;
    std::uint64_t bytes = 0;
    Time oldest{};
  };
  mutable std::mutex mutex_;
  std::map<Devices, Waiting> waiting_;
};

}  // namespace windlass::stage
