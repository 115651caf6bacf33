// The daemon towards the bridge: what its session wishes, and what a report tells.
#include <algorithm>
#include <utility>

#include "proto/codec.hpp"
#include "worker/base/config_load.hpp"
#include "worker/bridge/offers.hpp"
#include "worker/daemon_state.hpp"

namespace windlass::worker {
namespace {

constexpr std::chrono::seconds kSampleStale{5};

}  // namespace

tl::expected<void, std::string> Daemon::State::read_offers() {
  const auto sample = sampler->latest();
  auto read = load_offers(config, sample->report.cores, sample->report.memory_total_bytes);
  offers_fault = read ? "" : read.error();
  if (!read) return tl::unexpected(read.error());
  if (*read == offers) return {};
  offers = std::move(*read);
  ++offers_version;
  grants.offers_are(offers, offers_version);
  session.offers_changed();
  return {};
}

proto::LoadReport Daemon::State::report(Time now) const {
  const auto sample = sampler->latest();
  proto::LoadReport load = sample->report;
  load.incarnation = config.bridge.address.empty() ? process_incarnation : session.incarnation();
  const StageCounters counters = stager->counters();
  load.queue_match = matchers->queued();
  load.queue_stage = counters.queued;
  load.queue_oldest_seconds = static_cast<double>(counters.oldest_queued_ms) / 1000;
  if (const auto oldest = matchers->oldest()) {
    load.queue_oldest_seconds =
        std::max(load.queue_oldest_seconds, std::chrono::duration<double>(now - *oldest).count());
  }
  load.bytes_in_flight = counters.bytes_in_flight;
  load.engine = stager->engine();
  load.draining = draining_since.has_value();
  if (now - sample->at > kSampleStale + config.bridge.beat)
    load.degraded.emplace_back("load: the latest sample is old");
  if (!offers_fault.empty()) load.degraded.push_back("offers: those of before hold: " + offers_fault);
  load.labels = config.node.labels;
  return load;
}

Sent Daemon::State::send(const Peer& peer, const proto::Header& header, const Frames& frames) {
  const std::string head = proto::encode(header);
  if (keyed && keyed->owns(peer.route)) return keyed->send(peer.route, head, frames);
  if (!peer.bridge) return endpoint.send_local(peer.route, head, frames);
  // How far a transfer is may be left out while the bridge reads nothing; its queue is kept for what may not.
  if (header.t == static_cast<std::uint32_t>(proto::Type::progress) && session.is_silent()) return Sent::full;
  return session.is_registered() ? endpoint.send_bridge(head, frames) : Sent::gone;
}

bool Daemon::State::send_to_bridge(proto::Type type, const proto::RequestId& id, std::string body) {
  proto::Header header;
  header.t = static_cast<std::uint32_t>(type);
  header.id = id;
  return endpoint.send_bridge(proto::encode(header), {Frame(std::move(body))}) == Sent::yes;
}

void Daemon::State::apply(const Actions& actions, Time now) {
  for (const Action& action : actions) {
    std::visit([&](const auto& wish) { apply_one(wish, now); }, action);
  }
}

void Daemon::State::apply_one(const Dial& dial, Time) {
  health.bridge_connected = false;
  metrics.set(Metric::bridge_connected, 0);
  const std::string routing_id = config.node.name + "/" + dial.incarnation;
  if (security) return dial_with_key(routing_id, Clock::now());
  const auto dialled = endpoint.dial(config.bridge.address, routing_id, config.bridge.dead_after);
  if (!dialled) log_error("bridge cannot be dialled", {{"why", dialled.error()}});
}

void Daemon::State::dial_with_key(const std::string& routing_id, Time now) {
  const auto server = security->next_bridge_key();
  if (!server) {
    endpoint.hang_up();
    if (const auto unsaid = losses.pass("no key", now))
      log_error("bridge cannot be dialled", {{"why", "no key of role scheduler is allowed"}, {"unsaid", *unsaid}});
    return;
  }
  const DialKeys keys{security->own(), *server};
  const auto dialled = endpoint.dial(config.bridge.address, routing_id, config.bridge.dead_after, &keys);
  if (!dialled) log_error("bridge cannot be dialled", {{"why", dialled.error()}});
}

bool Daemon::State::believes_bridge(Time now) {
  if (security->believes_bridge()) return true;
  endpoint.hang_up();
  metrics.add(Metric::peers_refused, {"bridge_key"});
  if (const auto unsaid = losses.pass("revoked", now))
    log_warn("bridge is not believed any more", {{"why", "its key was revoked here"}, {"unsaid", *unsaid}});
  apply(session.link(false, now), now);
  return false;
}

void Daemon::State::apply_one(const HangUp&, Time) {
  endpoint.hang_up();
  health.bridge_connected = false;
  metrics.set(Metric::bridge_connected, 0);
}

void Daemon::State::apply_one(const SendHello& hello, Time) {
  send_to_bridge(proto::Type::hello, hello.id, proto::encode(hello.hello));
}

void Daemon::State::apply_one(const SendLoad& load, Time now) {
  proto::Load body;
  body.load = report(now);
  body.load.sequence = load.sequence;
  body.offers_version = offers_version;
  if (load.with_offers) body.offers = offers;
  body.grants_version = grants.version();
  if (load.with_offers || grants_told != grants.version()) body.grants = grants.held(now);
  grants_told = grants.version();
  const bool tells_more = body.offers || body.grants;
  // What a full queue took nothing of is told by the next report.
  if (!send_to_bridge(proto::Type::load, load.id, proto::encode(body)) && tells_more) session.offers_changed();
}

void Daemon::State::apply_one(const SendDrain& drain, Time) {
  send_to_bridge(proto::Type::drain, drain.id, proto::encode(proto::Empty{}));
}

void Daemon::State::apply_one(const SendBye& bye, Time) {
  send_to_bridge(proto::Type::bye, bye.id, proto::encode(proto::Empty{}));
}

void Daemon::State::apply_one(const Registered&, Time) {
  health.bridge_connected = true;
  metrics.set(Metric::bridge_connected, 1);
  metrics.add(Metric::bridge_registrations);
  if (security) security->bridge_answered();
  log_info("registered with the bridge", {{"bridge", config.bridge.address}, {"incarnation", session.incarnation()}});
}

void Daemon::State::apply_one(const Silent& silent, Time) {
  log_warn(silent.silent ? "bridge is silent" : "bridge speaks again", {{"bridge", config.bridge.address}});
}

void Daemon::State::apply_one(const Lost& lost, Time now) {
  if (lost.by_silence) metrics.add(Metric::bridge_silences);
  const std::string fault = endpoint.handshake_fault();
  const std::string why = fault.empty() ? lost.why : lost.why + "; " + fault;
  if (const auto unsaid = losses.pass(why, now)) {
    log_warn("bridge is lost", {{"bridge", config.bridge.address}, {"why", why}, {"unsaid", *unsaid}});
  }
}

void Daemon::State::reload() {
  notify.reloading();
  auto fresh = options.reload ? options.reload() : tl::expected<Config, std::vector<std::string>>(config);
  bool done = fresh.has_value();
  if (!done) {
    for (const std::string& error : fresh.error()) log_error("configuration is not taken", {{"why", error}});
  } else {
    const LiveChange change = apply_live(config, *fresh);
    log_configure(config.log);  // first: what changed is said as it is now to be said
    for (const std::string& key : change.applied) log_info("setting changed", {{"key", key}});
    for (const std::string& key : change.needs_restart) log_warn("setting needs a restart", {{"key", key}});
    session.labels_changed(config.node.labels);
    if (auto read = read_offers(); !read) {
      log_error("offers are not taken, those of before hold", {{"why", read.error()}});
      done = false;
    }
  }
  metrics.add(Metric::config_reloads, {done ? "ok" : "failed"});
  notify.ready("serving");
}

}  // namespace windlass::worker
