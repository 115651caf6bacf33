// The staging engine: accepts calls, runs their transfers on I/O threads of its own, and tells how they ended.
// Thread-safe. Decisions are in schedule.hpp and targets.hpp; this file connects.
#pragma once

#include <list>
#include <map>
#include <thread>

#include "plugin/stage/call.hpp"
#include "plugin/stage/hangs.hpp"
#include "plugin/stage/mounts.hpp"
#include "plugin/stage/run.hpp"
#include "plugin/stage/schedule.hpp"
#include "plugin/stage/survey.hpp"
#include "plugin/stage/watch.hpp"

namespace windlass::stage {

enum class EngineWish : std::uint8_t { automatic, uring, threads };

inline constexpr unsigned kThreadsMax = 256;
inline constexpr unsigned kStandInsMax = 8;
inline constexpr std::uint32_t kRequestBytes = 1U << 20U;  // of one read or write
inline constexpr unsigned kRequestsPerThread = 4;          // in flight
inline constexpr std::uint64_t kBytesInFlightDefault = 64ULL << 20U;

struct Options {
  EngineWish engine = EngineWish::automatic;
  unsigned threads = 2;
  unsigned retries = 0;
  std::vector<std::string> roots;
  std::uint64_t bytes_in_flight_max = kBytesInFlightDefault;
  std::uint64_t bandwidth_max = 0;  // bytes/s of all transfers together; 0: no limit
  std::uint64_t bandwidth_max_input = 0;
  std::uint64_t bandwidth_max_result = 0;
  SpaceLimits space;
  double decompress_ratio_max = kDecompressRatioDefault;
  ScheduleLimits schedule;
  Symlinks symlinks = Symlinks::keep;
  bool confine = true;     // with roots: the threads that follow paths, to the roots, where the kernel can
  std::string owner;       // stands in the temporaries' names; empty: made from the state's path or the process
  std::string state_path;  // empty: no journal
  std::chrono::seconds resume_keep{24 * 60 * 60};
};

// How the byte budget is dealt out: each thread has its share for good, so none waits for another's. Where it is not
// very small there is a share more, so that one stand-in can be had.
struct BufferPlan {
  unsigned count = 0;
  std::uint32_t bytes = 0;
  [[nodiscard]] std::uint64_t whole() const { return std::uint64_t{count} * bytes; }
};
Result<BufferPlan> plan_buffers(std::uint64_t bytes_in_flight_max, unsigned threads);

struct Counters {
  std::uint64_t bytes_in_flight = 0;
  std::uint64_t queued = 0;
  std::uint64_t running = 0;
  std::uint64_t oldest_queued_ms = 0;
  std::uint64_t bytes_total = 0;
  std::uint64_t files_total = 0;
  std::uint64_t ended[4] = {0, 0, 0, 0};  // by State
  std::uint64_t fallbacks_ring = 0;
  std::uint64_t fallbacks_direct = 0;
  std::uint64_t fallbacks_buffers = 0;
  std::uint64_t fallbacks_confine = 0;
  std::uint64_t confined_threads = 0;
  std::uint64_t retries_total = 0;
  std::uint64_t resumed_bytes_total = 0;
  std::uint64_t state_set_aside_total = 0;
};

using MakeQueue = std::function<Result<std::unique_ptr<IoQueue>>()>;

class Stager final : private Helpers {
 public:
  // `fs` outlives the stager; `make_queue` is called on each I/O thread. Both are given by tests; the second form
  // chooses io_uring or threads by a probe.
  static Result<std::unique_ptr<Stager>> open(Options options, Fs& fs, std::string engine, MakeQueue make_queue);
  static Result<std::unique_ptr<Stager>> open(Options options);
  ~Stager() override;  // cancels and waits
  Stager(const Stager&) = delete;
  Stager& operator=(const Stager&) = delete;

  Result<std::shared_ptr<Call>> submit(Request request, const std::string& client, std::uint64_t tag);
  // false where it had ended before.
  bool cancel(const std::shared_ptr<Call>& call);

  [[nodiscard]] Symlinks default_symlinks() const { return options_.symlinks; }
  [[nodiscard]] const std::string& engine() const { return shared_.engine; }
  [[nodiscard]] Ends& ends() { return *ends_; }
  [[nodiscard]] Counters counters() const;

 private:
  struct Job {
    std::shared_ptr<Call> call;
    std::size_t index = 0;
    Sequence sequence = 0;
    std::optional<Clock::time_point> deadline;
    Devices devices;
  };
  // An I/O thread.
  struct Worker {
    Worker() = default;
    explicit Worker(Memory::Share memory) : memory_of_stand_in(std::move(memory)) {}
    [[nodiscard]] bool stands_in() const { return memory_of_stand_in.has_value(); }
    const std::optional<Memory::Share> memory_of_stand_in;
    Post post;
    std::thread thread;
    bool ended = false;
  };

  Stager(Options options, const BufferPlan& plan, Fs& fs, std::string engine, MakeQueue make_queue);
  void start();
  // stager_threads.cpp
  void work(Worker& me);
  bool wait_for_work(std::unique_lock<std::mutex>& lock, const Worker& me);  // false where the thread is to end
  [[nodiscard]] MayBegin may_begin(const Worker& me) const;
  void look_for_hangs();
  void join_ended(std::unique_lock<std::mutex>& lock);
  [[nodiscard]] bool may_have_one_more() const;
  [[nodiscard]] bool wants_stand_in(Clock::time_point now);
  std::unique_ptr<IoQueue> new_queue(const Buffers& buffers);
  void replace_lost(std::unique_ptr<IoQueue>& io, std::unique_ptr<Buffers>& buffers);
  void confine_here();
  Status grown(Sequence transfer, std::uint64_t bytes);
  Status open_journal();
  void sweep_dead();
  void keep_deadlines();
  void expire(std::unique_lock<std::mutex>& lock);
  void stand_in_where_threads_hang();
  void run(const Tools& tools, const Job& job);
  Outcome run_again(const Tools& tools, const Job& job, Outcome outcome);
  Ran run_once(const Tools& tools, const Job& job, bool may_wait);
  Devices devices_of(const Transfer& transfer);
  bool measure(Call& call, const std::function<bool()>& go_on);
  void begin_measuring(const std::shared_ptr<Call>& call);
  void measure_when_watched(const std::shared_ptr<Call>& call);
  std::uint64_t measured_bytes(const Request& request, std::vector<std::uint64_t>& each);
  // Without the lock.
  void finish(const Job& job, Outcome outcome);
  void finish_running(const Job& job, Outcome outcome);
  Job job_of(Sequence transfer) const;  // with the lock

  void offer(const std::shared_ptr<TreeRun>& tree) override;
  void more() override;
  void withdraw(const std::shared_ptr<TreeRun>& tree) override;
  [[nodiscard]] bool wanted() const override;
  std::shared_ptr<TreeRun> tree_with_work() const;  // with the lock

  const Options options_;
  const BufferPlan plan_;
  const std::uint64_t spare_bytes_;  // of the byte budget, beyond the threads' buffers: for stand-ins and for zstd
  Memory memory_;                    // likewise
  WatchedFs fs_;
  Mounts mounts_;
  MakeQueue make_queue_;
  Roots roots_;
  Targets targets_;
  FileBatch batch_;
  TemporaryNames names_;
  Meter meter_;
  std::unique_ptr<Journal> journal_;
  Shared shared_;  // constant once the threads run
  std::shared_ptr<Ends> ends_ = std::make_shared<Ends>();

  mutable std::mutex mutex_;
  std::condition_variable work_;       // for the I/O threads
  std::condition_variable deadlines_;  // for the keeper of deadlines
  bool stopping_ = false;
  Schedule schedule_;
  std::map<Sequence, Job> jobs_;  // accepted and not ended
  std::list<std::shared_ptr<TreeRun>> trees_;
  Sequence next_sequence_ = 1;
  std::uint64_t running_ = 0;
  std::atomic<std::uint64_t> confined_{0};  // threads
  Fd state_folder_;
  Counters totals_;
  Hangs hangs_;
  // Threads beyond those that were asked for, made while a disk that hangs keeps some of them.
  std::list<Worker> stand_ins_;
  unsigned idle_ = 0;  // of the threads that were asked for
  std::uint64_t steps_seen_ = 0;
  Clock::time_point stuck_since_ = Clock::now();
  std::list<Worker> workers_;
  std::thread keeper_;
  Survey survey_;  // the last, so that it ends first
};

}  // namespace windlass::stage
