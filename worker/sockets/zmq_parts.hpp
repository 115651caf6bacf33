// Whole messages to and from ZeroMQ sockets, as frames. Neither call ever blocks. The thread of the socket.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
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

// How many bytes ZeroMQ holds for one peer, of messages that are not small: its own limits count messages alone. Lives
// on with what it counts; ZeroMQ's thread takes away from it what has left.
class Handed {
 public:
  [[nodiscard]] std::size_t bytes() const { return bytes_->load(std::memory_order_relaxed); }
  void add(std::size_t bytes) const { bytes_->fetch_add(bytes, std::memory_order_relaxed); }
  void take(std::size_t bytes) const { bytes_->fetch_sub(bytes, std::memory_order_relaxed); }

 private:
  std::shared_ptr<std::atomic<std::size_t>> bytes_ = std::make_shared<std::atomic<std::size_t>>(0);
};

inline constexpr std::size_t kCopyMax = 4096;  // larger messages leave without a copy, and are counted

// Sends all parts or, by the first one's fate, none. `route` where the socket is a ROUTER. Full, too, where more than
// kSocketBytesMax would be `handed`; one message always may.
Sent send_parts(zmq::socket_t& socket, const std::string* route, const std::string& header, const Frames& frames,
                const Handed& handed);

}  // namespace windlass::worker
