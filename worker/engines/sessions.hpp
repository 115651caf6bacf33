// The matching sessions of this daemon's clients: whose they are, and that the requests of one are done in turn, one
// at a time. A session ends with its client. No clock: the time is handed in. Control thread, but for what is said of
// MatchSession.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "plugin/include/windlass/windlass.h"
#include "proto/keyed_hash.hpp"
#include "worker/engines/engines.hpp"

namespace windlass::worker {

class MatchSession {
 public:
  MatchSession(windlass_session* handle, std::string route) : handle_(handle), route_(std::move(route)) {}

  // For the thread that has the session's task at hand.
  [[nodiscard]] windlass_session* handle() const { return handle_.get(); }
  // After each call; any thread.
  void note(std::uint64_t version) { version_ = version; }
  void note_offers(std::uint64_t offers) { offers_ = offers; }
  [[nodiscard]] std::uint64_t version() const { return version_; }
  [[nodiscard]] std::uint64_t offers() const { return offers_; }

  // Control thread.
  [[nodiscard]] const std::string& route() const { return route_; }
  std::deque<std::shared_ptr<MatchTask>> waiting;
  bool busy = false;  // a task of it is with the matchers

 private:
  struct Close {
    void operator()(windlass_session* session) const { windlass_session_close(session); }
  };
  std::unique_ptr<windlass_session, Close> handle_;
  std::string route_;
  std::atomic<std::uint64_t> version_{0};
  std::atomic<std::uint64_t> offers_{0};
};

class Sessions {
 public:
  // `seed` makes numbers that another run of the daemon does not answer to.
  explicit Sessions(std::string_view seed);

  // The answer to `open`.
  Answer open(const std::string& route, const proto::Match& options, const proto::RequestId& id, Time now);
  // Null where the client has no such session.
  [[nodiscard]] std::shared_ptr<MatchSession> find(const std::string& route, std::uint64_t number) const;
  void close(const std::string& route, std::uint64_t number);
  void end_of(const std::string& route);
  [[nodiscard]] std::size_t size() const { return sessions_.size(); }

  // Clients with sessions that are due a sign of life; `probed` tells how it went. True where the client is gone for
  // good, and its sessions with it.
  struct Probe {
    std::string route;
    proto::RequestId id;
  };
  [[nodiscard]] std::vector<Probe> due(Time now) const;
  bool probed(const std::string& route, bool reached, Time now);

 private:
  struct Client {
    std::vector<std::uint64_t> numbers;
    proto::RequestId id;  // of its last `open`
    Time probed{};
    std::optional<Time> gone_since;
  };

  proto::KeyedMap<std::uint64_t, std::shared_ptr<MatchSession>> sessions_;
  proto::KeyedMap<std::string, Client> clients_;
  std::uint64_t next_;
};

}  // namespace windlass::worker
