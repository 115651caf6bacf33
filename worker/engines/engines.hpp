// The seam between the daemon's control thread and the engines. Real ones: matchers.hpp, staging.hpp; the tests have
// fakes. All calls come from the control thread and none of them blocks.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "worker/core/payload.hpp"

namespace windlass::worker {

class MatchSession;

// One MATCH on its way, or a request of a matching session. The control thread fills it, one matcher works on it, and
// the control thread takes it back.
struct MatchTask {
  proto::RequestId id;
  std::string client;                 // whose turn it takes; the routing id
  Frames frames;                      // body and columns
  std::optional<proto::Match> match;  // the body of a MATCH, where it was read already
  std::optional<Time> deadline;
  std::shared_ptr<MatchSession> session;  // null: a MATCH
  Answer answer;                          // once ended
  std::optional<Payload> payload;         // of the frames, where a matcher has summed them up
  bool ended = false;      // before start() returned; no matcher's to set, which may be faster than who looks here
  bool displaced = false;  // made room for another's and was not begun
  Time received{};
  double seconds = 0;  // of the engine alone
  std::uint64_t tasks = 0;
  std::uint64_t placed = 0;
};

[[nodiscard]] inline Payload payload_of(const MatchTask& task) {
  return payload_of(task.session ? proto::Type::session : proto::Type::match, task.frames);
}

class MatchEngine {
 public:
  virtual ~MatchEngine() = default;
  // Takes the task, and has ended it on return where it was small; false where the queue is full. Clients are served in
  // turn, and a task that waits may have to make room for another client's: it ends RESOURCE_EXHAUSTED.
  virtual bool start(const std::shared_ptr<MatchTask>& task) = 0;
  // Takes a task back that waits; false where it was begun.
  virtual bool withdraw(const std::shared_ptr<MatchTask>& task) = 0;
  // The tasks that ended since the last call.
  virtual std::vector<std::shared_ptr<MatchTask>> take_ended() = 0;
  [[nodiscard]] virtual std::size_t queued() const = 0;
  // When the one that waits longest was received.
  [[nodiscard]] virtual std::optional<Time> oldest() const = 0;
};

struct StageCounters {
  std::uint64_t bytes_in_flight = 0, queued = 0, running = 0, oldest_queued_ms = 0;
  std::uint64_t bytes_total = 0, files_total = 0;
  std::uint64_t done = 0, failed = 0, cancelled = 0, expired = 0;
  std::uint64_t fallbacks_ring = 0, fallbacks_direct = 0, fallbacks_buffers = 0, fallbacks_confine = 0;
  std::uint64_t confined_threads = 0, retries = 0, resumed_bytes = 0, set_aside = 0;
};

class StageEngine {
 public:
  virtual ~StageEngine() = default;
  // `body` is that of a STAGE; `tag` names the call from now on. Accepted whole or refused.
  virtual tl::expected<void, proto::Error> submit(std::uint64_t tag, std::string_view body,
                                                  const std::string& client) = 0;
  // The tag of a call that has ended, once each.
  virtual std::optional<std::uint64_t> next_ended() = 0;
  virtual proto::Progress progress(std::uint64_t tag) = 0;
  virtual bool cancel(std::uint64_t tag) = 0;  // false: it had ended
  // After its end: the body of the RESULT. The tag is free then.
  virtual std::string take_report(std::uint64_t tag) = 0;
  virtual StageCounters counters() = 0;
  virtual std::string engine() = 0;  // uring, threads
};

}  // namespace windlass::worker
