// `local.listen` where there are keys: a ROUTER that speaks CURVE and lets in the keys of the list alone. It stands
// apart from the other sockets, with a ZeroMQ context and so an I/O thread and an authenticator of its own: a flood of
// handshakes holds up no local client. Nothing here blocks. Control thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "worker/base/keys.hpp"
#include "worker/sockets/zmq_parts.hpp"

namespace windlass::worker {

class KeyedListener {
 public:
  struct Message {
    Peer peer;  // its standing and the name of its key in it
    Frames frames;
  };

  // Told of each that is turned away, with a metric's label for why. What is to be logged is logged here.
  using Refused = std::function<void(const char* reason)>;

  // Binds "host:port", port 0 for any, after a test that a stranger is refused. `own` and `allowed` outlive it. Of
  // connections beyond the most each is cut as soon as it is heard of: were no descriptor left, ZeroMQ would spin. The
  // error is a whole sentence.
  static tl::expected<std::unique_ptr<KeyedListener>, std::string> open(const std::string& listen, const OwnKey& own,
                                                                        const AllowedFile& allowed,
                                                                        std::size_t connections_max, Refused refused);
  ~KeyedListener();  // gives what was sent last 200 ms to leave

  [[nodiscard]] const std::string& address() const;  // "tcp://host:port"

  // Readable when there may be something to do; looked at through ready() only, as these tell changes, not states.
  [[nodiscard]] std::vector<int> fds() const;
  [[nodiscard]] bool ready() const;
  // When turn() is to be called though nothing is readable.
  [[nodiscard]] Time next_due(Time now) const;
  // Answers who knocks, cuts whom it is time to cut.
  void turn(Time now);
  // Takes one message that waits and tells of it, if its key is on the list now; else its sender is told so, once, and
  // cut. False where none waits. To be called in each turn, since it tells of connections that have ended, too.
  struct Hearer {
    std::function<void(Message)> message;
    std::function<void(const std::string& route)> ended;  // before any message of the next one under that route
  };
  bool take(Time now, const Hearer& hearer);

  [[nodiscard]] bool owns(const std::string& route) const;
  // To a peer of this listener; gone where its key is off the list by now.
  Sent send(const std::string& route, const std::string& header, const Frames& frames);

  // Stops listening.
  void close();

 private:
  struct State;
  explicit KeyedListener(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace windlass::worker
