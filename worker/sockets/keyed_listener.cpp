#include "worker/sockets/keyed_listener.hpp"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <random>
#include <set>

#include "proto/keyed_hash.hpp"
#include "worker/base/log.hpp"
#include "worker/core/limits.hpp"
#include "worker/sockets/curve.hpp"
#include "worker/sockets/security_connections.hpp"

namespace windlass::worker {
namespace {

constexpr const char* kEvents = "inproc://events";
constexpr int kWanted = ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                        ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL;
constexpr std::chrono::milliseconds kLook{50};  // between two looks at those that have not spoken
constexpr std::size_t kPrefixBytes = 8;
constexpr std::size_t kHandedFew = 64;

// Who holds a key, as the daemon's table knows it.
std::optional<Standing> standing_of(const AllowedKey* key) {
  if (key == nullptr) return std::nullopt;
  switch (key->role) {
    case KeyRole::scheduler:
      return Standing::scheduler;
    case KeyRole::client:
      return Standing::client;
    case KeyRole::observer:
      return Standing::observer;
    case KeyRole::node:
      return Standing::node;
    case KeyRole::revoked:
      break;
  }
  return std::nullopt;
}

// The largest message that may come from there. An observer has questions alone, and a node nothing to say.
std::uint64_t message_bytes_max(Standing standing) {
  return standing == Standing::client || standing == Standing::scheduler ? kKeyedMessageMax : kKeyedBodyMax;
}

// The port that a socket of tcp is bound to; 0 where the descriptor is anything else.
in_port_t port_of(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return 0;
  if (address.ss_family == AF_INET) return ntohs(reinterpret_cast<sockaddr_in*>(&address)->sin_port);
  if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<sockaddr_in6*>(&address)->sin6_port);
  return 0;
}

std::uint64_t bytes_received(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return 0;
  return info.tcpi_bytes_received;
}

bool readable(const zmq::socket_t& socket) {
  return (socket.get(zmq::sockopt::events) & ZMQ_POLLIN) != 0;
}

std::string random_prefix() {
  std::random_device device;
  const std::uint32_t words[2] = {device(), device()};
  return {reinterpret_cast<const char*>(words), kPrefixBytes};
}

}  // namespace

struct KeyedListener::State {
  State(const OwnKey& own_key, const AllowedFile& allowed_keys, std::size_t connections_most, Refused told)
      : own(own_key), allowed(allowed_keys), connections_max(connections_most), refused(std::move(told)) {}

  const OwnKey& own;
  const AllowedFile& allowed;
  const std::size_t connections_max;
  const Refused refused;
  zmq::context_t context{1};
  zmq::socket_t zap{context, zmq::socket_type::rep};
  zmq::socket_t router{context, zmq::socket_type::router};
  zmq::socket_t monitor{context, zmq::socket_type::pair};
  Connections connections{{connections_max, kKeyedSilentMax, kGreetingBytesMax, kGreetingMax, kKeyedHeldMax}};
  // Begins every route of ours, and nobody can guess it, so that no local client can bear such a name.
  const std::string prefix = random_prefix();
  std::string address;
  in_port_t port = 0;
  proto::KeyedMap<std::string, Handed> handed;  // by the route within the socket; of whom much was sent to
  const Handed small;
  std::size_t handed_look = kHandedFew;  // when there are so many, those for whom nothing waits are forgotten
  std::set<int> expelled;                // those that are told so, until they are closed
  std::vector<int> to_cut;               // of those: at the next turn, so that the answer may leave
  Time look_due{};
  Time held_look_due{};
  LogLimit log;

  void bind(const std::string& listen);
  void refuse(const char* reason, const std::string& who, Time now);
  bool admit(const KeyBytes& key, Time now);
  void take_events(Time now);
  void cut_flooding(Time now);
  Sent send(const std::string& inner, const std::string& header, const Frames& frames);
  void cut(int fd) const;
  void expel(const std::string& route, const Frames& frames, int fd, const AllowedKey* key, Time now);
  [[nodiscard]] const AllowedKey* key_of(const std::string& route) const;
};

void KeyedListener::State::bind(const std::string& listen) {
  zap.set(zmq::sockopt::linger, 0);
  zap.bind(kZapAddress);
  router.set(zmq::sockopt::linger, 0);
  router.set(zmq::sockopt::router_mandatory, true);
  router.set(zmq::sockopt::sndhwm, kSocketQueueMax);
  router.set(zmq::sockopt::rcvhwm, kSocketQueueMax);
  router.set(zmq::sockopt::maxmsgsize, static_cast<std::int64_t>(proto::kColumnBytesMax));
  router.set(zmq::sockopt::heartbeat_ivl, 5000);
  router.set(zmq::sockopt::heartbeat_timeout, 15000);
  router.set(zmq::sockopt::handshake_ivl, static_cast<int>(std::chrono::milliseconds(kGreetingMax).count()));
  router.set(zmq::sockopt::backlog, kKeyedBacklog);
  router.set(zmq::sockopt::ipv6, listen.find('[') != std::string::npos);
  set_curve_server(router, own);
  if (zmq_socket_monitor(router.handle(), kEvents, kWanted) != 0) throw zmq::error_t();
  monitor.connect(kEvents);
  const std::size_t colon = listen.rfind(':');
  router.bind("tcp://" + (listen.substr(colon + 1) == "0" ? listen.substr(0, colon + 1) + "*" : listen));
  address = router.get(zmq::sockopt::last_endpoint);
  port = static_cast<in_port_t>(std::stoi(address.substr(address.rfind(':') + 1)));
}

void KeyedListener::State::refuse(const char* reason, const std::string& who, Time now) {
  refused(reason);
  if (const auto unsaid = log.pass(reason, now))
    log_warn("peer is turned away", {{"why", reason}, {"key", who}, {"unsaid", *unsaid}});
}

bool KeyedListener::State::admit(const KeyBytes& key, Time now) {
  const AllowedKey* known = allowed.find(key);
  if (standing_of(known)) return true;
  refuse(known == nullptr ? "unknown_key" : "revoked_key", known == nullptr ? hex_of(key) : known->name, now);
  return false;
}

void KeyedListener::State::cut(int fd) const {
  // The number may be another's by now; none of ours but a connection of this listener is ever touched.
  if (port_of(fd) == port) ::shutdown(fd, SHUT_RDWR);
}

void KeyedListener::State::take_events(Time now) {
  while (const auto event = next_event(monitor)) {
    const int fd = event->value;
    expelled.erase(fd);
    switch (event->number) {
      case ZMQ_EVENT_ACCEPTED:
        if (connections.accepted(fd, now)) break;
        refuse("flood", "", now);
        cut(fd);
        break;
      case ZMQ_EVENT_DISCONNECTED:
        connections.closed(fd);
        break;
      default:
        refuse("handshake", "", now);
    }
  }
}

Sent KeyedListener::State::send(const std::string& inner, const std::string& header, const Frames& frames) {
  if (bytes_of(frames) <= kCopyMax) return send_parts(router, &inner, header, frames, small);
  if (handed.size() >= handed_look) {
    std::erase_if(handed, [](const auto& each) { return each.second.bytes() == 0; });
    handed_look = std::max(2 * handed.size(), kHandedFew);
  }
  return send_parts(router, &inner, header, frames, handed[inner]);
}

const AllowedKey* KeyedListener::State::key_of(const std::string& route) const {
  KeyBytes key{};
  if (route.size() < prefix.size() + key.size()) return nullptr;
  std::memcpy(key.data(), route.data() + prefix.size(), key.size());
  return allowed.find(key);
}

// The key was good when they shook hands, and is not any more.
void KeyedListener::State::expel(const std::string& route, const Frames& frames, int fd, const AllowedKey* key,
                                 Time now) {
  refuse(key == nullptr ? "unknown_key" : "revoked_key", key == nullptr ? "" : key->name, now);
  if (!expelled.insert(fd).second) return;
  to_cut.push_back(fd);
  const auto id = frames.empty() ? std::nullopt : proto::id_of(frames[0].view());
  if (!id) return;
  proto::Header header;
  header.t = static_cast<std::uint32_t>(proto::Type::error);
  header.id = *id;
  const Answer answer = error_answer(proto::Code::unauthenticated, "this key was revoked here");
  send(route, proto::encode(header), answer.frames);
}

KeyedListener::KeyedListener(std::unique_ptr<State> state) : state_(std::move(state)) {}

KeyedListener::~KeyedListener() {
  close();
}

tl::expected<std::unique_ptr<KeyedListener>, std::string> KeyedListener::open(const std::string& listen,
                                                                              const OwnKey& own,
                                                                              const AllowedFile& allowed,
                                                                              std::size_t connections_max,
                                                                              Refused refused) {
  const auto admit = [&allowed](const KeyBytes& key) { return standing_of(allowed.find(key)).has_value(); };
  if (auto tested = test_refusal(own, admit); !tested) return tl::unexpected(tested.error());
  auto state = std::make_unique<State>(own, allowed, connections_max, std::move(refused));
  try {
    state->bind(listen);
  } catch (const zmq::error_t& error) {
    return tl::unexpected("local.listen " + listen + " cannot be bound: " + error.what());
  }
  return std::unique_ptr<KeyedListener>(new KeyedListener(std::move(state)));
}

const std::string& KeyedListener::address() const {
  return state_->address;
}

std::vector<int> KeyedListener::fds() const {
  return {static_cast<int>(state_->router.get(zmq::sockopt::fd)), static_cast<int>(state_->zap.get(zmq::sockopt::fd)),
          static_cast<int>(state_->monitor.get(zmq::sockopt::fd))};
}

bool KeyedListener::ready() const {
  return readable(state_->router) || readable(state_->zap) || readable(state_->monitor);
}

Time KeyedListener::next_due(Time now) const {
  Time due = state_->to_cut.empty() ? Time::max() : now + kLook;
  if (state_->connections.any_silent()) due = std::min(due, state_->look_due);
  if (state_->connections.any_spoken()) due = std::min(due, state_->held_look_due);
  return due;
}

void KeyedListener::turn(Time now) {
  State& state = *state_;
  for (const int fd : std::exchange(state.to_cut, {})) state.cut(fd);
  answer_zap(state.zap, [&](const KeyBytes& key) { return state.admit(key, now); });
  state.take_events(now);
  state.cut_flooding(now);
}

void KeyedListener::State::cut_flooding(Time now) {
  std::vector<int> flooding;
  if (now >= look_due) {
    look_due = now + kLook;
    flooding = connections.due(now, bytes_received);
  }
  if (now >= held_look_due) {
    held_look_due = now + kHeldLook;
    std::ranges::copy(connections.holding(now, bytes_received), std::back_inserter(flooding));
  }
  for (const int fd : flooding) {
    refuse("flood", "", now);
    cut(fd);
  }
}

bool KeyedListener::take(Time now, const Hearer& hearer) {
  State& state = *state_;
  Origin origin;
  auto received = receive_parts(state.router, true, &origin);
  if (received) state.take_events(now);  // its having been accepted comes first
  for (const std::string& route : state.connections.take_ended()) hearer.ended(route);
  if (!received) return false;
  const auto key = key_of_hex(origin.user);
  if (!key) return true;  // cannot be: nobody shakes hands without one
  const AllowedKey* known = state.allowed.find(*key);
  const auto standing = standing_of(known);
  std::string route = state.prefix;
  route.append(reinterpret_cast<const char*>(key->data()), key->size());
  route += received->route;
  const std::uint64_t bytes_max = standing ? message_bytes_max(*standing) : 0;
  const bool stays =
      origin.fd < 0 || state.connections.spoke(origin.fd, route, curve_bytes(received->frames), bytes_max);
  if (standing) {
    hearer.message({{false, route, *standing, known->name}, std::move(received->frames)});
  } else {
    state.expel(received->route, received->frames, origin.fd, known, now);
  }
  if (!stays) hearer.ended(route);  // what it said last came after its connection's end was told
  return true;
}

bool KeyedListener::owns(const std::string& route) const {
  return route.starts_with(state_->prefix);
}

Sent KeyedListener::send(const std::string& route, const std::string& header, const Frames& frames) {
  if (!standing_of(state_->key_of(route))) return Sent::gone;
  const std::string inner = route.substr(state_->prefix.size() + sizeof(KeyBytes));
  return state_->send(inner, header, frames);
}

void KeyedListener::close() {
  if (!state_->router) return;
  zmq_socket_monitor(state_->router.handle(), nullptr, 0);
  state_->router.set(zmq::sockopt::linger, 200);
  state_->router.close();
}

}  // namespace windlass::worker
