// The pool that matches: `threads` threads, a bounded queue towards them that serves clients in turn, and an eventfd
// back. Small requests are run at once by the caller. Calls of the MatchEngine come from the control thread.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "worker/core/event.hpp"
#include "worker/core/fair_queue.hpp"
#include "worker/engines/engines.hpp"

namespace windlass::worker {

class Matchers final : public MatchEngine {
 public:
  explicit Matchers(std::size_t threads);
  ~Matchers() override;  // waits for what runs, drops what waits
  Matchers(const Matchers&) = delete;
  Matchers& operator=(const Matchers&) = delete;

  bool start(const std::shared_ptr<MatchTask>& task) override;
  bool withdraw(const std::shared_ptr<MatchTask>& task) override;
  std::vector<std::shared_ptr<MatchTask>> take_ended() override;
  [[nodiscard]] std::size_t queued() const override;
  [[nodiscard]] std::optional<Time> oldest() const override;

  // Readable when take_ended has something.
  [[nodiscard]] int fd() const { return event_.fd(); }

 private:
  void work();

  Event event_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  FairQueue<std::shared_ptr<MatchTask>> queue_;
  std::vector<std::shared_ptr<MatchTask>> ended_;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace windlass::worker
