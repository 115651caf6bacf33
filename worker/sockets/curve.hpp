// Sockets that speak CURVE, and who may shake hands: the options of both sides, and the authenticator of ZeroMQ (ZAP)
// as decisions. The thread of the socket.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>
#include <zmq.hpp>

#include "worker/base/keys.hpp"

namespace windlass::worker {

inline constexpr const char* kZapDomain = "windlass";
inline constexpr const char* kZapAddress = "inproc://zeromq.zap.01";

// One event of a socket's monitor; nothing where none waits.
struct SocketEvent {
  std::uint16_t number = 0;  // ZMQ_EVENT_...
  std::int32_t value = 0;
};
std::optional<SocketEvent> next_event(zmq::socket_t& monitor);

// A pair of halves that nobody knows.
OwnKey fresh_key();

// Whether the halves of a key belong together; the error names the key, never the secret.
tl::expected<void, std::string> check_pair(const OwnKey& own);

// Whoever connects has to hold a key that the authenticator of the socket's context lets in. To be called before bind.
void set_curve_server(zmq::socket_t& socket, const OwnKey& own);
// Only whoever holds the secret half of `server` can answer. To be called before connect.
void set_curve_client(zmq::socket_t& socket, const OwnKey& own, const KeyBytes& server);

// What becomes of the connection of one socket that dials. ZeroMQ lets each socket have one such watch.
class LinkWatch {
 public:
  // Before connect. `context` is the socket's.
  LinkWatch(zmq::context_t& context, zmq::socket_t& socket);
  ~LinkWatch();  // before the socket's
  LinkWatch(const LinkWatch&) = delete;
  LinkWatch& operator=(const LinkWatch&) = delete;
  // One change at a time: the connection is there (true), or gone.
  std::optional<bool> change();
  // Why the latest handshake that failed did, in words; "" where none did since the last call. Changes are passed over.
  std::string fault();
  // Whether there is a connection, as far as changes were taken.
  [[nodiscard]] bool up() const { return up_; }
  // Readable when there may be something to take; then readable() is to be asked until it says no.
  [[nodiscard]] int fd() const { return events_.get(zmq::sockopt::fd); }
  [[nodiscard]] bool readable() const { return (events_.get(zmq::sockopt::events) & ZMQ_POLLIN) != 0; }

 private:
  void* watched_;
  zmq::socket_t events_;
  std::string fault_;
  bool up_ = false;
};

using Admit = std::function<bool(const KeyBytes&)>;

// Answers the requests that wait at a REP socket bound to kZapAddress, those of another domain or mechanism with a
// refusal. `admit` is told the key; the user that comes with each message is then its 64 hex digits.
void answer_zap(zmq::socket_t& zap, const Admit& admit);

// Knocks on loopback where `own` listens and `admit` decides, with a made-up key and with none, and fails where either
// is let in, or is not refused within some seconds.
tl::expected<void, std::string> test_refusal(const OwnKey& own, const Admit& admit);

}  // namespace windlass::worker
