// What is under way, kept in a file, so that after a crash leftovers are found and large files go on where they were.
//
// Stagers that share a folder each have a log of their own there; whoever opens one takes over those of the dead.
// A log of records, each with its length and checksum: a transfer begins (its target, its temporary, its source's
// identity), how far it is written, that it ended. It is not synced: after SIGKILL all of it is there, and after a
// reboot or a new mount, which their ids tell, nothing that was only written is trusted. What cannot be read is set
// aside and counted. Thread-safe; the lock is held across one small write into the page cache.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "plugin/stage/fd.hpp"
#include "plugin/stage/fs.hpp"
#include "plugin/stage/transfer.hpp"

namespace windlass::stage {

// Less than this is not worth resuming: so much may be read again anyway.
inline constexpr std::uint64_t kMarkBytes = 64ULL << 20U;
inline constexpr std::uint64_t kMarkShare = 50;  // 2 %
// Between two marks of a file; with what is in flight less than may be read again.
constexpr std::uint64_t mark_distance(std::uint64_t bytes) {
  return (bytes / kMarkShare > kMarkBytes ? bytes / kMarkShare : kMarkBytes) / 4 * 3;
}

struct JournalEntry {
  std::string target;         // as given in the request
  std::string temporary;      // its name; for a tree, where there are many, what they begin with, which ends in '.'
  std::string wish;           // what must be equal for a resume: source, range, decompress
  FileInfo source;            // identity
  std::string life;           // of the file system: what was written and not synced may be lost after another one
  std::int64_t begun_s = 0;   // wall clock
  std::uint64_t written = 0;  // bytes from the temporary's begin that are in it
};

using JournalId = std::uint64_t;

class Journal {
 public:
  using Wall = std::chrono::seconds;  // since 1970

  // Reads what the folder holds from earlier lives; it is made where it is missing. FAILED_PRECONDITION where
  // kLogsMax others have it open.
  static constexpr int kLogsMax = 64;
  static Result<std::unique_ptr<Journal>> open(const std::string& folder, Wall now, Wall resume_keep);

  JournalId begin(JournalEntry entry);
  void mark(JournalId id, std::uint64_t written);
  void end(JournalId id);

  // Of the earlier life, taken once each; whoever takes one ends it when its temporary is gone.
  struct Left {
    JournalId id;
    JournalEntry entry;
  };
  // All that no resume can use: small, older than resume_keep by now, of another boot, or trees.
  std::vector<Left> take_dead(Wall now);
  // When the next of those kept for a resume grows too old.
  [[nodiscard]] std::optional<Wall> next_dead();
  // The one to the target, where there is one.
  std::optional<Left> take(const std::string& target);

  [[nodiscard]] std::uint64_t set_aside() const { return set_aside_; }
  // Of a file system that is mounted so (Fs::mount).
  [[nodiscard]] std::string life(std::uint64_t mount) const { return boot_ + " " + std::to_string(mount); }
  static std::string wish_of(const Transfer& transfer);

 private:
  using Entries = std::map<JournalId, JournalEntry>;

  Journal(std::string folder, Wall resume_keep);
  [[nodiscard]] std::string log_path(int number) const;
  [[nodiscard]] Fd lock(int number, std::chrono::milliseconds wait) const;
  void adopt(const std::string& path);
  void read(const std::string& path, Entries& entries);
  void sort_left(Wall now);
  [[nodiscard]] bool too_old(const JournalEntry& entry, Wall now) const;
  void put_aside(const std::string& path);
  void append(const std::string& payload);
  void rewrite();

  const std::string folder_;
  std::string path_;  // of this one's log
  const Wall resume_keep_;
  std::string boot_;
  Fd lock_;
  Fd log_;
  std::uint64_t set_aside_ = 0;

  std::mutex mutex_;
  std::uint64_t bytes_ = 0;  // of the log
  JournalId next_ = 1;
  Entries live_;
  std::map<std::string, JournalId> left_;  // of the earlier life, by target
  std::vector<JournalId> dead_;
};

}  // namespace windlass::stage
