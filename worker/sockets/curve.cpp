#include "worker/sockets/curve.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

namespace windlass::worker {
namespace {

constexpr std::chrono::seconds kTestMax{5};

void set_key(zmq::socket_t& socket, int option, const KeyBytes& key) {
  if (zmq_setsockopt(socket.handle(), option, key.data(), key.size()) != 0) throw zmq::error_t();
}

std::string hear(zmq::socket_t& socket, bool& more) {
  zmq::message_t part;
  if (!socket.recv(part, zmq::recv_flags::dontwait)) {
    more = false;
    return {};
  }
  more = part.more();
  return part.to_string();
}

void answer(zmq::socket_t& zap, const std::string& request, bool yes, const std::string& user) {
  const std::string parts[] = {"1.0", request, yes ? "200" : "400", yes ? "OK" : "this key is not allowed here", user};
  for (const std::string& part : parts) zap.send(zmq::buffer(part), zmq::send_flags::sndmore);
  zap.send(zmq::message_t(), zmq::send_flags::none);
}

std::vector<std::string> hear_all(zmq::socket_t& zap) {
  std::vector<std::string> parts;
  bool more = true;
  while (more) {
    std::string part = hear(zap, more);
    if (!part.empty() || more || !parts.empty()) parts.push_back(std::move(part));
  }
  return parts;
}

// What the monitor of a socket that knocks has seen: 1 let in, -1 refused, 0 neither yet.
int verdict(zmq::socket_t& monitor) {
  const auto event = next_event(monitor);
  if (!event) return 0;
  return event->number == ZMQ_EVENT_HANDSHAKE_SUCCEEDED ? 1 : -1;
}

// Connects to `endpoint`, with a key of nobody's or with none, and tells what becomes of it.
std::string knock(zmq::context_t& context, zmq::socket_t& zap, const std::string& endpoint, const KeyBytes* server,
                  const Admit& admit) {
  zmq::socket_t socket(context, zmq::socket_type::dealer);
  socket.set(zmq::sockopt::linger, 0);
  socket.set(zmq::sockopt::reconnect_ivl, -1);
  if (server != nullptr) set_curve_client(socket, fresh_key(), *server);
  const std::string events = server != nullptr ? "inproc://with-key" : "inproc://without-key";
  const int wanted = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                     ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                     ZMQ_EVENT_DISCONNECTED;
  if (zmq_socket_monitor(socket.handle(), events.c_str(), wanted) != 0) throw zmq::error_t();
  zmq::socket_t monitor(context, zmq::socket_type::pair);
  monitor.connect(events);
  socket.connect(endpoint);
  const auto until = std::chrono::steady_clock::now() + kTestMax;
  int seen = 0;
  while (seen == 0 && std::chrono::steady_clock::now() < until) {
    zmq::pollitem_t items[] = {{zap.handle(), 0, ZMQ_POLLIN, 0}, {monitor.handle(), 0, ZMQ_POLLIN, 0}};
    zmq::poll(items, 2, std::chrono::milliseconds(100));
    answer_zap(zap, admit);
    seen = verdict(monitor);
  }
  zmq_socket_monitor(socket.handle(), nullptr, 0);
  if (seen == -1) return {};
  return std::string(seen == 1 ? "was let in" : "was not refused in time") +
         (server != nullptr ? ", though its key was made up" : ", though it had no key");
}

}  // namespace

std::optional<SocketEvent> next_event(zmq::socket_t& monitor) {
  zmq::message_t part;
  if (!monitor.recv(part, zmq::recv_flags::dontwait)) return std::nullopt;
  SocketEvent event;
  std::memcpy(&event.number, part.data(), sizeof event.number);
  std::memcpy(&event.value, static_cast<const char*>(part.data()) + sizeof event.number, sizeof event.value);
  zmq::message_t endpoint;
  (void)monitor.recv(endpoint, zmq::recv_flags::none);
  return event;
}

tl::expected<void, std::string> check_pair(const OwnKey& own) {
  char secret[41];
  char derived[41];
  KeyBytes key{};
  zmq_z85_encode(secret, own.secret.bytes().data(), own.secret.bytes().size());
  const bool made = zmq_curve_public(derived, secret) == 0;
  ::explicit_bzero(secret, sizeof secret);
  if (made) zmq_z85_decode(key.data(), derived);
  if (made && key == own.key) return {};
  return tl::unexpected("the public and the secret half of the key " + own.name +
                        " do not belong together: make a new one with `windlass keys new --replace`");
}

OwnKey fresh_key() {
  char text[41];
  char secret[41];
  if (zmq_curve_keypair(text, secret) != 0) throw zmq::error_t();
  OwnKey own;
  zmq_z85_decode(own.key.data(), text);
  KeyBytes half{};
  zmq_z85_decode(half.data(), secret);
  own.secret = SecretKey(half);
  ::explicit_bzero(half.data(), half.size());
  ::explicit_bzero(secret, sizeof secret);
  return own;
}

void set_curve_server(zmq::socket_t& socket, const OwnKey& own) {
  socket.set(zmq::sockopt::curve_server, true);
  set_key(socket, ZMQ_CURVE_SECRETKEY, own.secret.bytes());
  socket.set(zmq::sockopt::zap_domain, kZapDomain);
#ifdef ZMQ_ZAP_ENFORCE_DOMAIN
  socket.set(zmq::sockopt::zap_enforce_domain, true);
#endif
}

void set_curve_client(zmq::socket_t& socket, const OwnKey& own, const KeyBytes& server) {
  set_key(socket, ZMQ_CURVE_SERVERKEY, server);
  set_key(socket, ZMQ_CURVE_PUBLICKEY, own.key);
  set_key(socket, ZMQ_CURVE_SECRETKEY, own.secret.bytes());
}

LinkWatch::LinkWatch(zmq::context_t& context, zmq::socket_t& socket)
    : watched_(socket.handle()), events_(context, zmq::socket_type::pair) {
  static std::atomic<std::uint64_t> number{0};  // names within a context are to differ
  const std::string name = "inproc://link-" + std::to_string(++number);
  const int wanted = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                     ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL;
  if (zmq_socket_monitor(socket.handle(), name.c_str(), wanted) != 0) throw zmq::error_t();
  events_.connect(name);
}

LinkWatch::~LinkWatch() {
  // First, or ZeroMQ's I/O thread would wait for ever for somebody to take its events.
  zmq_socket_monitor(watched_, nullptr, 0);
}

std::optional<bool> LinkWatch::change() {
  while (const auto event = next_event(events_)) {
    switch (event->number) {
      case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
      case ZMQ_EVENT_DISCONNECTED:
        up_ = event->number == ZMQ_EVENT_HANDSHAKE_SUCCEEDED;
        return up_;
      case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        fault_ = "it refuses this key: is it on the list there, and was it revoked?";
        break;
      case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
        fault_ = "it has another key than we were told, or only one side has keys";
        break;
      default:
        fault_ = "it broke the handshake off: has it another key, or does only one side have keys?";
    }
  }
  return std::nullopt;
}

std::string LinkWatch::fault() {
  while (change()) {
  }
  return std::exchange(fault_, {});
}

void answer_zap(zmq::socket_t& zap, const Admit& admit) {
  while (true) {
    const std::vector<std::string> parts = hear_all(zap);
    if (parts.empty()) return;
    // version, request, domain, address, routing id, mechanism, key
    KeyBytes key{};
    bool yes = parts.size() == 7 && parts[0] == "1.0" && parts[2] == kZapDomain && parts[5] == "CURVE" &&
               parts[6].size() == key.size();
    if (yes) {
      std::ranges::copy(parts[6], key.begin());
      yes = admit(key);
    }
    answer(zap, parts.size() > 1 ? parts[1] : std::string{}, yes, yes ? hex_of(key) : std::string{});
  }
}

tl::expected<void, std::string> test_refusal(const OwnKey& own, const Admit& admit) {
  try {
    zmq::context_t context{1};
    zmq::socket_t zap(context, zmq::socket_type::rep);
    zap.set(zmq::sockopt::linger, 0);
    zap.bind(kZapAddress);
    zmq::socket_t door(context, zmq::socket_type::router);
    door.set(zmq::sockopt::linger, 0);
    set_curve_server(door, own);
    door.bind("tcp://127.0.0.1:*");
    const std::string endpoint = door.get(zmq::sockopt::last_endpoint);
    for (const KeyBytes* server : {&own.key, static_cast<const KeyBytes*>(nullptr)}) {
      const std::string fault = knock(context, zap, endpoint, server, admit);
      if (!fault.empty()) return tl::unexpected("the self-test of security.keys failed: a stranger " + fault);
    }
    return {};
  } catch (const zmq::error_t& error) {
    return tl::unexpected(std::string("the self-test of security.keys failed: ") + error.what());
  }
}

}  // namespace windlass::worker
