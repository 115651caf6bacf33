// Whole messages to and from ZeroMQ sockets, as frames. Neither call ever blocks. The thread of the socket.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <zmq.hpp>

#include "worker/core/answer.hpp"

namespace windlass::worker {

struct Received {
  std::string route;  // of the client; "" from the bridge
  Frames frames;
};

// What ZeroMQ knows of the connection that a message came over.
struct Origin {
  std::string user;  // as the authenticator called it
  int fd = -1;       // the connection's own; whoever uses it is to expect that it has been closed since
};

// The next message; nothing where there is none now. Parts beyond what the protocol allows are read and dropped, so
// that the next begins cleanly. `routed` where the socket is a ROUTER, which can tell the `origin` too.
std::optional<Received> receive_parts(zmq::socket_t& socket, bool routed, Origin* origin = nullptr);

// What a message takes on a connection with keys (CURVE, rfc.zeromq.org/spec/26): of each frame a command MESSAGE.
[[nodiscard]] std::uint64_t curve_bytes(const Frames& frames);

// Sends all parts or, by the first one's fate, none. `route` where the socket is a ROUTER.
Sent send_parts(zmq::socket_t& socket, const std::string* route, const std::string& header, const Frames& frames);

}  // namespace windlass::worker
