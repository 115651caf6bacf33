#include "worker/sockets/endpoint.hpp"

#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>
#include <zmq.hpp>

#include "worker/core/limits.hpp"
#include "worker/front/front.hpp"
#include "worker/sockets/curve.hpp"
#include "worker/sockets/zmq_parts.hpp"

namespace windlass::worker {
namespace {

constexpr std::uint64_t kBridgeTag = Front::kFirstTag - 1;
constexpr std::uint64_t kLinkTag = Front::kFirstTag - 2;
constexpr std::chrono::milliseconds kFarewell{200};  // for what was sent last

void set_common(zmq::socket_t& socket) {
  socket.set(zmq::sockopt::linger, 0);
  socket.set(zmq::sockopt::sndhwm, kSocketQueueMax);
  socket.set(zmq::sockopt::rcvhwm, kSocketQueueMax);
  socket.set(zmq::sockopt::maxmsgsize, static_cast<std::int64_t>(proto::kColumnBytesMax));
  socket.set(zmq::sockopt::heartbeat_ivl, 5000);
  socket.set(zmq::sockopt::heartbeat_timeout, 15000);
}

}  // namespace

struct Endpoint::State {
  bool bridge_readable();
  void watch(const std::vector<int>& fds);
  void look_at(const std::vector<int>& fds, Ready& ready);
  void told(const epoll_event& event, Time now, Ready& ready);

  Poll poll;
  Front front{poll};
  zmq::context_t context{1};
  std::optional<zmq::socket_t> bridge;
  std::optional<LinkWatch> link;  // of the bridge's socket
  Handed handed;                  // to it
  bool keyed = false;             // it has a key
  std::string fault;              // of the one before
  int bridge_fd = -1;
  // ZeroMQ tells of a change only once, and not of one that a call on the socket came upon: after each it is asked.
  bool bridge_touched = false;
  std::vector<int> watched;  // by tag
};

Endpoint::Endpoint() : state_(std::make_unique<State>()) {
  state_->context.set(zmq::ctxopt::max_sockets, 64);
}

Endpoint::~Endpoint() {
  close();
}

tl::expected<void, std::string> Endpoint::make_folder_of(const std::string& socket,
                                                         const std::vector<std::uint32_t>& uids) {
  const std::filesystem::path folder = std::filesystem::path(socket).parent_path();
  const mode_t mode = uids.empty() ? 0700 : 0711;
  if (::mkdir(folder.c_str(), mode) == 0) {
    ::chmod(folder.c_str(), mode);
    return {};
  }
  if (errno == EEXIST) return {};
  return tl::unexpected("the folder " + folder.string() + " of local.socket cannot be made: " + std::strerror(errno));
}

tl::expected<void, std::string> Endpoint::bind_local(const std::string& socket,
                                                     const std::vector<std::uint32_t>& uids) {
  auto listener = Listener::local(socket, {uids.begin(), uids.end()});
  if (!listener) return tl::unexpected(listener.error());
  state_->front.listen(std::move(*listener));
  return {};
}

tl::expected<std::string, std::string> Endpoint::bind_tcp(const std::string& listen) {
  auto listener = Listener::tcp(listen);
  if (!listener) return tl::unexpected(listener.error());
  std::string address = listener->address();
  state_->front.listen(std::move(*listener));
  return address;
}

void Endpoint::on_refused(std::function<void(const char* reason, std::string_view why)> refused) {
  state_->front.on_refused(std::move(refused));
}

std::size_t Endpoint::connections() const {
  return state_->front.connections();
}

void Endpoint::leave_to_others(std::size_t connections) {
  state_->front.leave_to_others(connections);
}

tl::expected<void, std::string> Endpoint::dial(const std::string& address, const std::string& routing_id,
                                               std::chrono::milliseconds silence_max, const DialKeys* keys) {
  hang_up();
  try {
    zmq::socket_t socket(state_->context, zmq::socket_type::dealer);
    set_common(socket);
    socket.set(zmq::sockopt::routing_id, routing_id);
    socket.set(zmq::sockopt::reconnect_ivl, 100);
    socket.set(zmq::sockopt::reconnect_ivl_max, 1000);
    // A ping each quarter; the answer to the last one before the time is over may still come.
    socket.set(zmq::sockopt::heartbeat_ivl, std::max(static_cast<int>(silence_max.count() / 4), 10));
    socket.set(zmq::sockopt::heartbeat_timeout, std::max(static_cast<int>(silence_max.count() * 3 / 4), 30));
    state_->keyed = keys != nullptr;
    if (keys != nullptr) set_curve_client(socket, keys->own, keys->server);
    state_->bridge_fd = socket.get(zmq::sockopt::fd);
    state_->bridge.emplace(std::move(socket));
    state_->handed = {};
    state_->bridge_touched = true;
    state_->poll.add(state_->bridge_fd, kBridgeTag);
    state_->link.emplace(state_->context, *state_->bridge);
    state_->poll.add(state_->link->fd(), kLinkTag);
    state_->bridge->connect(address);
    return {};
  } catch (const zmq::error_t& error) {
    hang_up();
    return tl::unexpected("bridge.address " + address + " cannot be dialled: " + error.what());
  }
}

void Endpoint::hang_up() {
  if (!state_->bridge) return;
  state_->poll.remove(state_->bridge_fd);
  bool up = false;
  if (state_->link) {
    state_->poll.remove(state_->link->fd());
    std::string fault = state_->link->fault();
    if (state_->keyed) state_->fault = std::move(fault);
    up = state_->link->up();
  }
  // What was said last (BYE) is given a moment; ZeroMQ closes in the background. Without a connection it would dial
  // again meanwhile, with a key that was refused.
  state_->bridge->set(zmq::sockopt::linger, up ? 200 : 0);
  state_->link.reset();
  state_->bridge.reset();
}

std::optional<bool> Endpoint::link_change() {
  return state_->link ? state_->link->change() : std::nullopt;
}

std::string Endpoint::handshake_fault() {
  return std::exchange(state_->fault, {});
}

bool Endpoint::dialled() const {
  return state_->bridge.has_value();
}

std::optional<Received> Endpoint::receive_local() {
  auto message = state_->front.receive();
  if (!message) return std::nullopt;
  return Received{std::move(message->route), std::move(message->frames)};
}

std::vector<std::string> Endpoint::take_ended() {
  return state_->front.take_ended();
}

std::optional<Received> Endpoint::receive_bridge() {
  if (!state_->bridge) return std::nullopt;
  state_->bridge_touched = true;
  return receive_parts(*state_->bridge, false);
}

Sent Endpoint::send_local(const std::string& route, const std::string& header, const Frames& frames) {
  return state_->front.send(route, header, frames);
}

bool Endpoint::has_room_local(const std::string& route, std::size_t bytes) const {
  return state_->front.has_room(route, bytes);
}

void Endpoint::fit(std::size_t memory_bytes) {
  state_->front.fit(memory_bytes);
}

void Endpoint::welcomed_local(const std::string& route) {
  state_->front.welcomed(route);
}

Sent Endpoint::send_bridge(const std::string& header, const Frames& frames) {
  if (!state_->bridge) return Sent::gone;
  state_->bridge_touched = true;
  return send_parts(*state_->bridge, nullptr, header, frames, state_->handed);
}

bool Endpoint::State::bridge_readable() {
  bridge_touched = false;
  try {
    return bridge && (bridge->get(zmq::sockopt::events) & ZMQ_POLLIN) != 0;
  } catch (const zmq::error_t&) {
    return false;
  }
}

void Endpoint::State::watch(const std::vector<int>& fds) {
  if (fds == watched) return;
  for (const int fd : watched) poll.remove(fd);
  watched = fds;
  for (std::size_t i = 0; i < fds.size(); ++i) poll.add(fds[i], i);
}

// Asks those that are not clients alone, however many clients are ready.
void Endpoint::State::look_at(const std::vector<int>& fds, Ready& ready) {
  std::vector<pollfd> polled;
  for (const int fd : fds) polled.push_back({fd, POLLIN, 0});
  if (::poll(polled.data(), polled.size(), 0) > 0) {
    for (std::size_t i = 0; i < fds.size(); ++i) ready.fds[i] = polled[i].revents != 0;
  }
  ready.bridge = bridge_readable();
  ready.link = link && link->readable();
}

void Endpoint::State::told(const epoll_event& event, Time now, Ready& ready) {
  const std::uint64_t tag = event.data.u64;
  if (tag >= Front::kFirstTag) {
    front.ready(event, now);
  } else if (tag == kBridgeTag) {
    ready.bridge = bridge_readable();
  } else if (tag == kLinkTag) {
    ready.link = link && link->readable();
  } else if (tag < ready.fds.size()) {
    ready.fds[tag] = true;
  }
}

Endpoint::Ready Endpoint::wait(const std::vector<int>& fds, std::chrono::milliseconds timeout) {
  State& state = *state_;
  state.watch(fds);
  state.front.flush();
  Ready ready;
  ready.fds.resize(fds.size());
  if (state.front.pending()) {
    ready.local = true;
    state.look_at(fds, ready);
    return ready;
  }
  if (state.bridge_touched && state.bridge_readable()) ready.bridge = true;
  if (state.link && state.link->readable()) ready.link = true;
  const Time before = Clock::now();
  timeout = std::clamp(timeout, std::chrono::milliseconds(0), std::chrono::milliseconds(60'000));
  if (const Time due = state.front.next_due(); due - before < timeout) {
    timeout = std::max(std::chrono::milliseconds(0), std::chrono::ceil<std::chrono::milliseconds>(due - before));
  }
  if (ready.bridge || ready.link) timeout = std::chrono::milliseconds(0);
  const auto events = state.poll.wait(timeout);
  const Time now = Clock::now();
  for (const epoll_event& event : events) state.told(event, now, ready);
  state.front.turn(now);
  if (events.size() == state.poll.told_max()) state.look_at(fds, ready);
  ready.local = state.front.pending();
  return ready;
}

void Endpoint::end() {
  close();
  state_->context.close();
}

void Endpoint::close() {
  hang_up();
  state_->front.close(kFarewell);
}

}  // namespace windlass::worker
