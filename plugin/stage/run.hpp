// One transfer from its begin to its end, on the I/O threads.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "plugin/stage/file_batch.hpp"
#include "plugin/stage/file_mover.hpp"
#include "plugin/stage/journal.hpp"
#include "plugin/stage/publish.hpp"

namespace windlass::stage {

class TreeRun;

// What all transfers of a stager share. Thread-safe.
struct Shared {
  Fs& fs;
  Roots& roots;
  Targets& targets;
  TemporaryNames& names;
  Meter& meter;
  SpaceLimits space;
  UnpackLimits unpack;
  // A transfer writes so many bytes in all, more than was known when it was accepted. RESOURCE_EXHAUSTED beyond a
  // quota.
  std::function<Status(Sequence, std::uint64_t)> grown;
  std::string engine;          // "uring" or "threads"
  Journal* journal = nullptr;  // where no state is kept
};

// Removes what an earlier life left for a transfer: one temporary, or all of that life's beneath a tree.
void sweep(const Shared& shared, const JournalEntry& entry);

// One accepted transfer while it runs. `bytes_done` and `files_done` only grow.
struct Running {
  const Transfer& transfer;
  Sequence sequence;
  const std::atomic<bool>& cancelled;
  std::atomic<std::uint64_t>& bytes_done;
  std::atomic<std::uint64_t>& files_done;
};

// Other I/O threads, which join in where they have nothing else to do: they call help_tree() (tree.hpp).
class Helpers {
 public:
  virtual ~Helpers() = default;
  virtual void offer(const std::shared_ptr<TreeRun>& tree) = 0;
  virtual void more() = 0;  // an offered tree has work to give
  virtual void withdraw(const std::shared_ptr<TreeRun>& tree) = 0;
  // Whether a transfer waits for an I/O thread, which comes before helping.
  [[nodiscard]] virtual bool wanted() const = 0;
};

// How a transfer ended, or, where it may wait for others, a small file that is written and not synced.
struct Ran {
  Outcome outcome;
  std::unique_ptr<WrittenFile> written;  // else null
};

// The state is `done`, `failed` or `cancelled`; seconds and retries are left to the caller.
Ran run_transfer(const Tools& tools, const Shared& shared, const Running& running, Helpers& helpers, bool may_wait);

// How much the source holds, without reading it. For totals and quotas.
struct SourceSize {
  bool is_folder = false;
  bool complete = true;  // else it is at least so much
  bool guessed = false;  // bytes: what comes out of a compressed source is not known
  std::uint64_t bytes = 0;
  std::uint64_t files = 0;
};
// A tree is walked as long as `go_on` answers true; it is asked now and then.
Result<SourceSize> measure_source(const Shared& shared, const Transfer& transfer, const std::function<bool()>& go_on);

// Parts of run_transfer.
Outcome failed_outcome(Error error);
Result<FileInfo> look_at_source(const Shared& shared, const Transfer& transfer);
Ran run_file(const Tools& tools, const Shared& shared, const Running& running, bool may_wait);
Outcome run_tree(const Tools& tools, const Shared& shared, const Running& running, Helpers& helpers);
Error replaced_error(const Transfer& transfer);

}  // namespace windlass::stage
