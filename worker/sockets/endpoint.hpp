// The daemon's two sides: the front for local clients (ipc, and tcp where configured), and a ZeroMQ DEALER towards the
// bridge. Neither ever blocks. Control thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "worker/base/keys.hpp"
#include "worker/sockets/zmq_parts.hpp"

namespace windlass::worker {

class Endpoint {
 public:
  Endpoint();
  ~Endpoint();
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

  // In place of any dial before. A connection whose other end answers no ping for `silence_max` is given up. `keys`:
  // null where the connection is plain.
  tl::expected<void, std::string> dial(const std::string& address, const std::string& routing_id,
                                       std::chrono::milliseconds silence_max, const DialKeys* keys = nullptr);
  void hang_up();
  [[nodiscard]] bool dialled() const;
  // What became of the connection of the latest dial, one change at a time: it is there (true), or gone.
  std::optional<bool> link_change();
  // Of the bridge that was hung up on: why the last handshake with it failed, in words. "" where none did; told once.
  std::string handshake_fault();

  // Of clients that the last wait() told of.
  std::optional<Received> receive_local();
  // The routes of clients whose connections have ended; to be heeded before what receive_local() has just answered.
  std::vector<std::string> take_ended();
  std::optional<Received> receive_bridge();
  Sent send_local(const std::string& route, const std::string& header, const Frames& frames);
  Sent send_bridge(const std::string& header, const Frames& frames);
  // As Front has it.
  [[nodiscard]] bool has_room_local(const std::string& route, std::size_t bytes) const;
  void fit(std::size_t memory_bytes);
  // The client has said HELLO; one that does not is hung up on in time.
  void welcomed_local(const std::string& route);

  // Hears of each client that is refused: a short name of the reason, and a sentence.
  void on_refused(std::function<void(const char* reason, std::string_view why)> refused);
  [[nodiscard]] std::size_t connections() const;
  // So many of the connections that the limit of open files allows are another listener's.
  void leave_to_others(std::size_t connections);

  // Sends what waits. Then waits until a socket or one of `fds`, as a rule the same ones, is readable, or `timeout` is
  // over (never longer than a minute).
  struct Ready {
    bool local = false;
    bool bridge = false;
    bool link = false;
    std::vector<bool> fds;
  };
  Ready wait(const std::vector<int>& fds, std::chrono::milliseconds timeout);

  // Stops listening and hangs up; gives what was sent last 200 ms to leave. What goes to the bridge does so in the
  // background.
  void close();
  // Likewise, and waits until all has left, or its time is over. Nothing of this can be used after it.
  void end();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace windlass::worker
