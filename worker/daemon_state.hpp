// The state of the daemon, known to daemon.cpp and daemon_session.cpp alone.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "worker/base/http.hpp"
#include "worker/base/log.hpp"
#include "worker/base/notify.hpp"
#include "worker/bridge/grants.hpp"
#include "worker/bridge/session.hpp"
#include "worker/core/event.hpp"
#include "worker/daemon.hpp"
#include "worker/daemon_watch.hpp"
#include "worker/engines/matchers.hpp"
#include "worker/engines/sampler.hpp"
#include "worker/engines/staging.hpp"
#include "worker/lock_file.hpp"
#include "worker/requests/requests.hpp"
#include "worker/sockets/endpoint.hpp"
#include "worker/sockets/keyed_listener.hpp"
#include "worker/sockets/security.hpp"

namespace windlass::worker {

// Parts in the order in which they are built; each may use those above it.
struct Daemon::State final : Outbox {
  explicit State(DaemonOptions given);

  tl::expected<void, std::string> open();
  tl::expected<void, std::string> open_local();
  tl::expected<void, std::string> open_tcp();
  void build_requests();

  // The loop.
  int run();
  std::chrono::milliseconds until_next(Time now) const;
  void turn(Time now, const Endpoint::Ready& ready);
  void take_local(Time now);
  void forget_ended();
  void take_keyed(Time now);
  void take_bridge(Time now);
  void mind_link(Time now);
  void mind_grants(Time now);
  void take_signals(Time now);
  void publish(Time now);
  bool drained(Time now, bool more_to_read);

  // The session's wishes.
  void apply(const Actions& actions, Time now);
  void apply_one(const Dial& dial, Time now);
  void apply_one(const HangUp& hang_up, Time now);
  void apply_one(const SendHello& hello, Time now);
  void apply_one(const SendLoad& load, Time now);
  void apply_one(const SendDrain& drain, Time now);
  void apply_one(const SendBye& bye, Time now);
  void apply_one(const Registered& registered, Time now);
  void apply_one(const Silent& silent, Time now);
  void apply_one(const Lost& lost, Time now);
  void dial_with_key(const std::string& routing_id, Time now);
  bool believes_bridge(Time now);  // else hangs up
  bool send_to_bridge(proto::Type type, const proto::RequestId& id, std::string body);

  Sent send(const Peer& peer, const proto::Header& header, const Frames& frames) override;
  bool has_room(const Peer& peer, std::size_t bytes) const override;
  void welcomed(const Peer& peer) override;
  [[nodiscard]] bool is_local(const Peer& peer) const;  // else the bridge, or a client with a key
  proto::LoadReport report(Time now) const;
  tl::expected<void, std::string> read_offers();
  void reload();
  void client_refused(const char* reason, std::string_view why);
  void begin_drain(Time now);
  void finish(Time now);

  DaemonOptions options;
  Config config;
  Metrics metrics;
  Health health;
  Notify notify;
  LogLimit losses;
  LogLimit refusals;
  std::optional<LockFile> lock;
  Event stop;
  Session session;
  const std::string process_incarnation;
  MetricsWatcher watcher;
  std::unique_ptr<Sampler> sampler;
  std::unique_ptr<Matchers> matchers;
  std::unique_ptr<Staging> stager;
  Endpoint endpoint;
  Grants grants;
  std::uint64_t grants_told = 0;         // the version that the bridge was told last
  std::uint64_t grants_refused = 0;      // so many when a report was last hurried
  std::unique_ptr<Security> security;    // null: tcp is plain
  std::unique_ptr<KeyedListener> keyed;  // null: off, or plain and the endpoint's
  std::optional<Requests> requests;
  std::unique_ptr<HttpServer> http;
  std::string tcp_address;
  std::vector<std::string> offers;
  std::uint64_t offers_version = 0;
  std::string offers_fault;  // why those of offers.file are not what holds; empty: they are
  std::shared_ptr<const Sample> published;
  Time publish_due{};
  std::uint64_t ends_set_aside = 0;
  std::optional<Time> draining_since;
  bool ended_all = false;
};

}  // namespace windlass::worker
