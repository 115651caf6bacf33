// windlassd: builds all parts and connects them, and turns the loop of the control thread, which owns every socket and
// all state. Threads besides it: matchers, the stager's, the sampler's, HTTP's and ZeroMQ's.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "worker/base/config.hpp"

namespace windlass::worker {

struct DaemonOptions {
  Config config;
  // Reads the configuration again, for SIGHUP; each error is a whole sentence.
  std::function<tl::expected<Config, std::vector<std::string>>()> reload;
  // A signalfd of SIGTERM, SIGINT (both drain) and SIGHUP (reload); -1: none.
  int signal_fd = -1;
  std::map<std::string, std::string> environment;
};

// The process ends with `code` after `time`, whatever its threads wait for: a disk or a mount that hangs may keep one
// for ever.
void exit_in(std::chrono::milliseconds time, int code = 0);

class Daemon {
 public:
  // Takes the lock, opens engines and sockets. Serves from the first turn of run(). The error is a whole sentence.
  static tl::expected<std::unique_ptr<Daemon>, std::string> start(DaemonOptions options);
  ~Daemon();

  // Where it serves, as one line of JSON: ready, pid, socket, tcp, http (null where off), name, incarnation.
  [[nodiscard]] std::string ready_line() const;
  // Until it has drained; answers what the process exits with. In the thread that called start().
  int run();
  // As SIGTERM; any thread.
  void stop();

 private:
  struct State;
  explicit Daemon(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace windlass::worker
