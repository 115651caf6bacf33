// Samples the machine's load on a thread of its own, so that a file system that hangs delays no beat. latest() may be
// asked by any thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <tl/expected.hpp>
#include <vector>

#include "proto/messages.hpp"
#include "worker/core/answer.hpp"

struct windlass_load_sampler;

namespace windlass::worker {

struct Sample {
  proto::LoadReport report;  // what the machine says; the daemon's own fields are left empty
  Time at;
  std::uint64_t number = 0;  // from 1
  double seconds = 0;        // that taking it took
};

class Sampler {
 public:
  // Takes the first sample at once.
  static tl::expected<std::unique_ptr<Sampler>, std::string> start(std::vector<std::string> roots,
                                                                   std::chrono::milliseconds period);
  ~Sampler();
  Sampler(const Sampler&) = delete;
  Sampler& operator=(const Sampler&) = delete;

  [[nodiscard]] std::shared_ptr<const Sample> latest() const;

 private:
  Sampler(windlass_load_sampler* engine, std::chrono::milliseconds period);
  void take();
  void work();

  windlass_load_sampler* engine_;
  std::chrono::milliseconds period_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::shared_ptr<const Sample> latest_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace windlass::worker
