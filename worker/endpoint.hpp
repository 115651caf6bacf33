// The daemon's two sockets: one ROUTER for local clients (ipc, and tcp where configured), one DEALER towards the
// bridge. Neither ever blocks. Control thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "worker/base/keys.hpp"
#include "worker/zmq_parts.hpp"

namespace windlass::worker {

class Endpoint {
 public:
  Endpoint();
  ~Endpoint();  // gives what was sent last 200 ms to leave
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  // Makes the folder of `socket` where there is none: 0700, or 0711 where other users may connect.
  static tl::expected<void, std::string> make_folder_of(const std::string& socket,
                                                        const std::vector<std::uint32_t>& uids);
  // Binds `socket` (a path, 0600) for processes of this user, and of `uids`, upon which its rights are 0666. A socket
  // that a dead process left is removed: the caller holds the lock. The error is a whole sentence.
  tl::expected<void, std::string> bind_local(const std::string& socket, const std::vector<std::uint32_t>& uids);
  // "host:port", port 0 for any; answers the real address, "tcp://host:port".
  tl::expected<std::string, std::string> bind_tcp(const std::string& listen);

  // In place of any dial before. `keys`: null where the connection is plain.
  tl::expected<void, std::string> dial(const std::string& address, const std::string& routing_id,
                                       const DialKeys* keys = nullptr);
  void hang_up();
  [[nodiscard]] bool dialled() const;

  std::optional<Received> receive_local();
  std::optional<Received> receive_bridge();
  Sent send_local(const std::string& route, const std::string& header, const Frames& frames);
  Sent send_bridge(const std::string& header, const Frames& frames);

  // Waits until a socket or one of `fds` is readable, or `timeout` is over (never longer than a minute).
  struct Ready {
    bool local = false;
    bool bridge = false;
    std::vector<bool> fds;
  };
  Ready wait(const std::vector<int>& fds, std::chrono::milliseconds timeout);

  // Stops listening and hangs up.
  void close();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace windlass::worker
