// Who published where, so that of two transfers to one target the later one stays. Thread-safe; no lock is held while a
// file is published.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "plugin/stage/fs.hpp"

namespace windlass::stage {

// Transfers are numbered in the order they were accepted.
using Sequence = std::uint64_t;

struct TargetKey {
  FileKey folder;
  std::string name;
  auto operator<=>(const TargetKey&) const = default;
};

class Targets {
 public:
  void accepted(Sequence transfer);
  void ended(Sequence transfer);

  // Whether a later transfer has published there.
  [[nodiscard]] bool replaced(const TargetKey& key, Sequence transfer) const;

  // Runs `publish() -> bool` with nobody else publishing there; false, and nothing run, where a later one has.
  template <class Publish>
  bool publish(const TargetKey& key, Sequence transfer, Publish&& publish) {
    if (!begin(key, transfer)) return false;
    const bool done = publish();
    end(key, transfer, done);
    return true;
  }

 private:
  struct Last {
    Sequence published = 0;
    bool busy = false;
    unsigned waiting = 0;
  };

  bool begin(const TargetKey& key, Sequence transfer);
  void end(const TargetKey& key, Sequence transfer, bool done);
  [[nodiscard]] bool needed(const Last& last) const;

  mutable std::mutex mutex_;
  std::condition_variable free_;
  std::map<TargetKey, Last> last_;
  std::set<Sequence> unfinished_;
};

}  // namespace windlass::stage
