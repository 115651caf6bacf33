#include "worker/endpoint.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <zmq.hpp>

#include "worker/curve.hpp"
#include "worker/limits.hpp"
#include "worker/zmq_parts.hpp"

namespace windlass::worker {
namespace {

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
  zmq::context_t context{1};
  zmq::socket_t local{context, zmq::socket_type::router};
  std::optional<zmq::socket_t> bridge;
  std::string path;
  std::vector<zmq::pollitem_t> items;
};

Endpoint::Endpoint() : state_(std::make_unique<State>()) {
  state_->context.set(zmq::ctxopt::max_sockets, 64);
  set_common(state_->local);
  state_->local.set(zmq::sockopt::router_mandatory, true);
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
  struct stat found {};
  if (::lstat(socket.c_str(), &found) == 0) {
    if (!S_ISSOCK(found.st_mode))
      return tl::unexpected("local.socket " + socket + " exists and is no socket: move it away");
    ::unlink(socket.c_str());
  }
  const mode_t old = ::umask(uids.empty() ? 0177 : 0111);
  try {
    // Who may connect is decided by the kernel's word on the peer, besides the rights of the file.
    std::vector<uid_t> allowed(uids.begin(), uids.end());
    allowed.push_back(::geteuid());
    for (const uid_t uid : allowed) {
      if (zmq_setsockopt(state_->local.handle(), ZMQ_IPC_FILTER_UID, &uid, sizeof uid) != 0) throw zmq::error_t();
    }
    state_->local.bind("ipc://" + socket);
    ::umask(old);
  } catch (const zmq::error_t& error) {
    ::umask(old);
    return tl::unexpected("local.socket " + socket + " cannot be bound: " + error.what());
  }
  ::chmod(socket.c_str(), uids.empty() ? 0600 : 0666);
  state_->path = socket;
  return {};
}

tl::expected<std::string, std::string> Endpoint::bind_tcp(const std::string& listen) {
  try {
    const std::size_t colon = listen.rfind(':');
    const std::string port = listen.substr(colon + 1);
    state_->local.bind("tcp://" + (port == "0" ? listen.substr(0, colon + 1) + "*" : listen));
    return state_->local.get(zmq::sockopt::last_endpoint);
  } catch (const zmq::error_t& error) {
    return tl::unexpected("local.listen " + listen + " cannot be bound: " + error.what());
  }
}

tl::expected<void, std::string> Endpoint::dial(const std::string& address, const std::string& routing_id,
                                               const DialKeys* keys) {
  hang_up();
  try {
    zmq::socket_t socket(state_->context, zmq::socket_type::dealer);
    set_common(socket);
    socket.set(zmq::sockopt::routing_id, routing_id);
    socket.set(zmq::sockopt::reconnect_ivl, 100);
    socket.set(zmq::sockopt::reconnect_ivl_max, 1000);
    if (keys != nullptr) set_curve_client(socket, keys->own, keys->server);
    socket.connect(address);
    state_->bridge.emplace(std::move(socket));
    return {};
  } catch (const zmq::error_t& error) {
    return tl::unexpected("bridge.address " + address + " cannot be dialled: " + error.what());
  }
}

void Endpoint::hang_up() {
  if (!state_->bridge) return;
  // What was said last (BYE) is given a moment; ZeroMQ closes in the background.
  state_->bridge->set(zmq::sockopt::linger, 200);
  state_->bridge.reset();
}

bool Endpoint::dialled() const {
  return state_->bridge.has_value();
}

std::optional<Received> Endpoint::receive_local() {
  return receive_parts(state_->local, true);
}

std::optional<Received> Endpoint::receive_bridge() {
  if (!state_->bridge) return std::nullopt;
  return receive_parts(*state_->bridge, false);
}

Sent Endpoint::send_local(const std::string& route, const std::string& header, const Frames& frames) {
  return send_parts(state_->local, &route, header, frames);
}

Sent Endpoint::send_bridge(const std::string& header, const Frames& frames) {
  return state_->bridge ? send_parts(*state_->bridge, nullptr, header, frames) : Sent::gone;
}

Endpoint::Ready Endpoint::wait(const std::vector<int>& fds, std::chrono::milliseconds timeout) {
  auto& items = state_->items;
  items.clear();
  items.push_back({state_->local.handle(), 0, ZMQ_POLLIN, 0});
  for (const int fd : fds) items.push_back({nullptr, fd, ZMQ_POLLIN, 0});
  if (state_->bridge) items.push_back({state_->bridge->handle(), 0, ZMQ_POLLIN, 0});
  timeout = std::clamp(timeout, std::chrono::milliseconds(0), std::chrono::milliseconds(60'000));
  Ready ready;
  ready.fds.resize(fds.size());
  try {
    zmq::poll(items, timeout);
  } catch (const zmq::error_t&) {
    return ready;  // a signal; whoever asked turns once more
  }
  const auto readable = [&](std::size_t i) { return (items[i].revents & (ZMQ_POLLIN | ZMQ_POLLERR)) != 0; };
  ready.local = readable(0);
  for (std::size_t i = 0; i < fds.size(); ++i) ready.fds[i] = readable(1 + i);
  ready.bridge = state_->bridge && readable(1 + fds.size());
  return ready;
}

void Endpoint::close() {
  hang_up();
  if (!state_->local) return;
  state_->local.set(zmq::sockopt::linger, 200);
  state_->local.close();
  if (!state_->path.empty()) ::unlink(state_->path.c_str());
}

}  // namespace windlass::worker
