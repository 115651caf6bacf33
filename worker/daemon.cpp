#include "worker/daemon.hpp"

#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <optional>
#include <random>
#include <thread>

#include "worker/base/json.hpp"
#include "worker/core/limits.hpp"
#include "worker/daemon_state.hpp"
#include "worker/front/open_files.hpp"
#include "worker/sockets/curve.hpp"

namespace windlass::worker {
namespace {

const std::string kSoftware = "windlassd " WINDLASS_VERSION;
constexpr std::chrono::seconds kPublishPeriod{1};

std::uint64_t fresh_seed() {
  std::random_device device;
  return std::uint64_t{device()} << 32U | device();
}

SessionOptions session_options(const Config& config) {
  SessionOptions options;
  options.name = config.node.name;
  options.labels = config.node.labels;
  options.software = kSoftware;
  options.pid = static_cast<std::uint64_t>(::getpid());
  options.beat = config.bridge.beat;
  options.suspect_after = config.bridge.suspect_after;
  options.dead_after = config.bridge.dead_after;
  options.seed = fresh_seed();
  return options;
}

Identity identity_of(const Config& config, const std::string& incarnation) {
  const auto ms = [](std::chrono::milliseconds time) { return static_cast<std::uint64_t>(time.count()); };
  return {config.node.name,
          incarnation,
          kSoftware,
          ms(config.bridge.beat),
          ms(config.bridge.suspect_after),
          ms(config.bridge.dead_after)};
}

// "host" of "host:port".
std::string http_host(const std::string& listen) {
  return listen.substr(0, listen.rfind(':'));
}

}  // namespace

void exit_in(std::chrono::milliseconds time, int code) {
  std::thread([=] {
    std::this_thread::sleep_for(time);
    ::_exit(code);
  }).detach();
}

Daemon::State::State(DaemonOptions given)
    : options(std::move(given)),
      config(options.config),
      notify(options.environment),
      session(session_options(config), Clock::now()),
      process_incarnation(session.incarnation()),
      watcher(metrics) {
  endpoint.on_refused([this](const char* reason, std::string_view why) { client_refused(reason, why); });
}

void Daemon::State::client_refused(const char* reason, std::string_view why) {
  metrics.add(Metric::peers_refused, {reason});
  if (const auto unsaid = refusals.pass(reason)) {
    log_warn("client is refused", {{"reason", reason}, {"why", why}, {"unsaid", *unsaid}});
  }
}

tl::expected<void, std::string> Daemon::State::open() {
  if (auto opened = open_local(); !opened) return opened;
  std::vector<std::string> roots = config.stage.roots;
  if (!config.state.path.empty()) {
    std::error_code fault;
    std::filesystem::create_directories(config.state.path, fault);
    if (fault) return tl::unexpected("state.path " + config.state.path + " cannot be made: " + fault.message());
  }
  auto staging = Staging::open(config, config.node.name + "-" + process_incarnation);
  if (!staging) return tl::unexpected("staging cannot begin: " + staging.error());
  stager = std::move(*staging);
  auto sampling = Sampler::start(std::move(roots), config.bridge.beat);
  if (!sampling) return tl::unexpected("the load cannot be sampled: " + sampling.error());
  sampler = std::move(*sampling);
  endpoint.fit(sampler->latest()->report.memory_total_bytes);
  matchers = std::make_unique<Matchers>(config.match.threads);
  if (auto read = read_offers(); !read) return read;
  build_requests();
  if (!config.state.path.empty()) {
    // Named after the socket, which one living daemon has.
    char name[32];
    std::snprintf(name, sizeof name, "/ends-%016zx", std::hash<std::string>{}(config.local.socket));
    auto ends = EndsFile::open(config.state.path + name);
    if (!ends) return tl::unexpected("state.path: " + ends.error());
    ends_set_aside = ends->set_aside();
    requests->remember(std::move(*ends), Clock::now());
  }
  health.bridge_configured = !config.bridge.address.empty();
  metrics.set(Metric::build, {WINDLASS_VERSION}, 1);
  metrics.set(Metric::start_time,
              std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count());
  if (!config.http.listen.empty()) {
    auto server = HttpServer::start(config.http.listen, health, [this] { return metrics.text(); });
    if (!server) return tl::unexpected(server.error());
    http = std::move(*server);
  }
  health.serving = true;  // what comes before the loop's first turn waits in the sockets
  return {};
}

// The lock comes first: the socket of a living daemon is left alone.
tl::expected<void, std::string> Daemon::State::open_local() {
  const std::string& socket = config.local.socket;
  if (auto made = Endpoint::make_folder_of(socket, config.security.local_uids); !made) return made;
  auto taken = LockFile::take(socket + ".lock");
  if (!taken) return tl::unexpected(taken.error());
  lock.emplace(std::move(*taken));
  if (auto bound = endpoint.bind_local(socket, config.security.local_uids); !bound) return bound;
  return open_tcp();
}

tl::expected<void, std::string> Daemon::State::open_tcp() {
  auto secured = Security::open(config.security);
  if (!secured) return tl::unexpected(secured.error());
  security = std::move(*secured);
  if (security) {
    if (auto checked = check_pair(security->own()); !checked) return checked;
  }
  if (config.local.listen.empty()) return {};
  if (security) {
    const std::size_t connections_max = share_open_files(open_files_limit(), true).keyed;
    endpoint.leave_to_others(connections_max);
    auto opened = KeyedListener::open(config.local.listen, security->own(), security->allowed(), connections_max,
                                      [this](const char* reason) { metrics.add(Metric::peers_refused, {reason}); });
    if (!opened) return tl::unexpected(opened.error());
    keyed = std::move(*opened);
    tcp_address = keyed->address();
    return {};
  }
  auto bound = endpoint.bind_tcp(config.local.listen);
  if (!bound) return tl::unexpected(bound.error());
  tcp_address = std::move(*bound);
  return {};
}

bool Daemon::State::is_local(const Peer& peer) const {
  return !peer.bridge && !(keyed && keyed->owns(peer.route));
}

void Daemon::State::welcomed(const Peer& peer) {
  if (is_local(peer)) endpoint.welcomed_local(peer.route);
}

bool Daemon::State::has_room(const Peer& peer, std::size_t bytes) const {
  return !is_local(peer) || endpoint.has_room_local(peer.route, bytes);
}

void Daemon::State::build_requests() {
  requests.emplace(identity_of(config, process_incarnation),
                   Requests::Parts{*matchers, *stager, *this, watcher,
                                   [this](Time now) {
                                     proto::LoadReport answer = report(now);
                                     const auto sample = sampler->latest();
                                     answer.sequence = sample->number;
                                     answer.age_seconds = std::chrono::duration<double>(now - sample->at).count();
                                     return answer;
                                   },
                                   &grants});
}

void Daemon::State::forget_ended() {
  for (const std::string& route : endpoint.take_ended()) requests->gone(route);
}

void Daemon::State::take_local(Time now) {
  for (int i = 0; i < kMessagesPerTurn && Clock::now() - now < kTurnMax; ++i) {
    auto received = endpoint.receive_local();
    forget_ended();
    if (!received) return;
    requests->message({false, std::move(received->route)}, std::move(received->frames), now);
  }
}

void Daemon::State::take_keyed(Time now) {
  keyed->turn(now);
  const KeyedListener::Hearer hearer{
      [&](KeyedListener::Message message) { requests->message(message.peer, std::move(message.frames), now); },
      [&](const std::string& route) { requests->gone(route); }};
  const Time began = Clock::now();  // local clients may have had the whole turn
  int left = kMessagesPerTurn;
  while (keyed->take(now, hearer) && --left > 0 && Clock::now() - began < kTurnMax) {
  }
}

void Daemon::State::take_bridge(Time now) {
  if (security && endpoint.dialled() && !believes_bridge(now)) return;
  for (int i = 0; i < kMessagesPerTurn; ++i) {
    auto received = endpoint.receive_bridge();
    if (!received) return;
    const auto header = proto::decode_header(received->frames[0].view());
    const bool whole = header && received->frames.size() >= 2;
    if (!whole) {
      watcher.dropped("malformed");
      continue;
    }
    const auto type = static_cast<proto::Type>(header->t);
    const bool answer = type == proto::Type::result || type == proto::Type::error || type == proto::Type::welcome;
    const std::string body(answer ? received->frames[1].view() : std::string_view{});
    apply(session.heard(*header, body, now), now);
    if (!answer && session.is_registered()) requests->message({true, ""}, std::move(received->frames), now);
  }
}

void Daemon::State::mind_link(Time now) {
  while (const auto up = endpoint.link_change()) {
    // ZeroMQ tries again, but always with the same key.
    const bool next = !*up && security && security->has_other_bridge_key();
    apply(next ? session.turned_away(now) : session.link(*up, now), now);
  }
}

// A bridge that was refused goes by what is no longer so: it is told at once what is.
void Daemon::State::mind_grants(Time now) {
  grants.expire(now);
  if (std::exchange(grants_refused, grants.counts().refused) != grants.counts().refused) session.hurry(now);
}

void Daemon::State::begin_drain(Time now) {
  if (draining_since) {
    // Asked twice: whoever asks does not want to wait.
    if (!std::exchange(ended_all, true)) requests->park_all(now);
    return;
  }
  log_info("draining", {{"running", static_cast<std::uint64_t>(requests->running())}});
  draining_since = now;
  health.draining = true;
  metrics.set(Metric::draining, 1);
  notify.stopping("draining");
  requests->drain();
  grants.drain();
  apply(session.drain(now), now);
}

void Daemon::State::take_signals(Time now) {
  signalfd_siginfo signal{};
  while (::read(options.signal_fd, &signal, sizeof signal) == static_cast<ssize_t>(sizeof signal)) {
    if (signal.ssi_signo == SIGHUP) {
      reload();
    } else {
      begin_drain(now);
    }
  }
}

void Daemon::State::publish(Time now) {
  if (now < publish_due) return;
  publish_due = now + kPublishPeriod;
  publish_requests(metrics, *requests, *matchers);
  metrics.set(Metric::connections, static_cast<double>(endpoint.connections()));
  StageCounters counters = stager->counters();
  counters.set_aside += ends_set_aside;
  publish_stage(metrics, counters, stager->engine());
  publish_grants(metrics, grants);
  const auto sample = sampler->latest();
  if (sample != published) publish_load(metrics, *sample);
  metrics.set(Metric::load_degraded, static_cast<double>(report(now).degraded.size()));
  published = sample;
}

std::chrono::milliseconds Daemon::State::until_next(Time now) const {
  Time next = std::min({requests->next_due(), publish_due, grants.next_due()});
  if (!config.bridge.address.empty()) next = std::min(next, session.due());
  if (notify.watchdog_period().count() > 0) next = std::min(next, now + notify.watchdog_period() / 2);
  if (draining_since) next = std::min(next, now + std::chrono::milliseconds(50));
  if (keyed) {
    if (keyed->ready()) return std::chrono::milliseconds(0);
    next = std::min(next, keyed->next_due(now));
  }
  if (next <= now) return std::chrono::milliseconds(0);
  return std::chrono::ceil<std::chrono::milliseconds>(next - now);
}

void Daemon::State::turn(Time now, const Endpoint::Ready& ready) {
  health.turn(now);
  notify.feed_watchdog(now);
  forget_ended();
  // Control traffic first, so that a flood of clients delays no beat.
  if (ready.bridge) take_bridge(now);
  mind_grants(now);
  if (ready.link) mind_link(now);
  if (!config.bridge.address.empty() && now >= session.due()) apply(session.tick(now), now);
  if (ready.local) take_local(now);
  if (security) security->turn(now);
  if (keyed) take_keyed(now);
  if (ready.fds[0] || ready.fds[1] || now >= requests->next_due()) requests->turn(now);
  if (ready.fds[2]) {
    stop.clear();
    begin_drain(now);
  }
  if (options.signal_fd >= 0 && ready.fds[3]) take_signals(now);
  publish(now);
}

// What clients sent before they heard of the end is read and answered, for a while.
bool Daemon::State::drained(Time now, bool more_to_read) {
  if (!draining_since) return false;
  const Time::duration since = now - *draining_since;
  if (since > kDrainMax || (requests->idle() && (!more_to_read || since > kDrainRead))) return true;
  if (now - *draining_since > kDrainPark && !std::exchange(ended_all, true)) requests->park_all(now);
  return false;
}

void Daemon::State::finish(Time now) {
  requests->say_bye(now);
  apply(session.bye(now), now);
  health.serving = false;
  endpoint.close();
  if (keyed) keyed->close();
  const bool idle = requests->idle();
  log_info("over", {{"idle", idle}});
  // A disk that hangs would keep the stager's threads, and with them this process, for ever; and closing the stager
  // would cancel what was parked. So only the sockets are closed, which takes as long as the last words do.
  if (idle && !requests->parked()) return;
  exit_in(kCloseMax);
  keyed.reset();
  endpoint.end();
  ::_exit(0);
}

int Daemon::State::run() {
  std::vector<int> fds{matchers->fd(), stager->fd(), stop.fd()};
  if (options.signal_fd >= 0) fds.push_back(options.signal_fd);
  if (keyed) {
    for (const int fd : keyed->fds()) fds.push_back(fd);
  }
  health.turn(Clock::now());
  notify.ready("serving");
  log_info("serving", {{"socket", config.local.socket}, {"node", config.node.name}, {"engine", stager->engine()}});
  for (;;) {
    const Endpoint::Ready ready = endpoint.wait(fds, until_next(Clock::now()));
    const Time now = Clock::now();
    turn(now, ready);
    if (drained(now, ready.local)) break;
  }
  finish(Clock::now());
  return 0;
}

Daemon::Daemon(std::unique_ptr<State> state) : state_(std::move(state)) {}
Daemon::~Daemon() = default;
std::string Daemon::ready_line() const {
  const auto address = [](const std::string& text) { return text.empty() ? "null" : json_string(text); };
  const std::string http =
      state_->http ? "http://" + http_host(state_->config.http.listen) + ":" + std::to_string(state_->http->port())
                   : "";
  return "{\"ready\": true, \"pid\": " + std::to_string(::getpid()) +
         ", \"socket\": " + json_string(state_->config.local.socket) + ", \"tcp\": " + address(state_->tcp_address) +
         ", \"http\": " + address(http) + ", \"name\": " + json_string(state_->config.node.name) +
         ", \"incarnation\": " + json_string(state_->process_incarnation) + "}";
}

int Daemon::run() {
  return state_->run();
}
void Daemon::stop() {
  state_->stop.ring();
}

tl::expected<std::unique_ptr<Daemon>, std::string> Daemon::start(DaemonOptions options) {
  auto state = std::make_unique<State>(std::move(options));
  if (auto opened = state->open(); !opened) return tl::unexpected(opened.error());
  return std::unique_ptr<Daemon>(new Daemon(std::move(state)));
}

}  // namespace windlass::worker
