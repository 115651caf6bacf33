// The pages for machines: /metrics, /livez, /readyz. A server with threads of its own; the handlers read an atomic
// snapshot and never wait for the control thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <tl/expected.hpp>

namespace windlass::worker {

// Written by the control thread, read by the HTTP threads. Live from its making on, before the first turn too.
struct Health {
  std::atomic<bool> serving{false};  // the local sockets serve and the state is read
  std::atomic<bool> draining{false};
  std::atomic<bool> bridge_configured{false};
  std::atomic<bool> bridge_connected{false};
  std::atomic<std::int64_t> turned_ms{0};  // steady clock, of the control thread's last turn; see turn()

  Health() { turn(std::chrono::steady_clock::now()); }

  void turn(std::chrono::steady_clock::time_point now) {
    turned_ms.store(std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count(),
                    std::memory_order_relaxed);
  }
};

// /livez answers 503 once the control thread has not turned for this long.
inline constexpr std::chrono::seconds kTurnSilenceMax{10};

// Connections that may say or read nothing at the same time, and for how long, until others wait for one of them.
inline constexpr int kHttpThreads = 16;
inline constexpr int kHttpQueue = 4;  // accepted beyond those: few, since each takes a descriptor that staging may need
inline constexpr std::chrono::milliseconds kHttpSilenceMax{1000};

class HttpServer {
 public:
  // `listen` is "host:port", port 0 for any. `health` must outlive the server; `metrics` makes the text of /metrics and
  // is called by any HTTP thread. The error is a whole sentence.
  static tl::expected<std::unique_ptr<HttpServer>, std::string> start(const std::string& listen, const Health& health,
                                                                      std::function<std::string()> metrics);
  virtual ~HttpServer() = default;
  virtual int port() const = 0;  // the real one
};

}  // namespace windlass::worker
