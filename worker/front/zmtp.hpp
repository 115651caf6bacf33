// The server's half of ZMTP 3.0 and 3.1 with the NULL mechanism, for a ROUTER (rfc.zeromq.org/spec/23 and 37): what
// bytes mean, and how ours are written. No I/O, no clock, nothing kept but how far the peer has come; nothing is
// allocated for what is only announced.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace windlass::worker::zmtp {

inline constexpr std::size_t kGreetingBytes = 64;
inline constexpr std::size_t kHeadBytesMax = 9;
inline constexpr std::size_t kCommandBytesMax = 4096;  // READY with its properties is the largest
inline constexpr std::size_t kIdentityBytesMax = 255;
inline constexpr std::size_t kGatheredBytesMax = 16 * 1024;  // a frame up to this comes whole, a larger one in pieces

// What is written.
[[nodiscard]] std::string greeting();
[[nodiscard]] std::string ready();                         // a whole command
[[nodiscard]] std::string error(std::string_view reason);  // likewise; at most 255 bytes of the reason
[[nodiscard]] std::string pong(std::string_view context);
// Appends the head of a frame of a message.
void put_head(std::string& out, std::size_t size, bool more);

struct Token {
  enum class Kind : std::uint8_t {
    more,      // not enough bytes to tell; none is used
    greeting,  // the peer's is read
    ready,     // the peer is a DEALER; `bytes` is the routing id that it wishes, empty: none
    frame,     // `bytes` is the payload
    large,     // the head of a frame of `size` bytes, all of which come after what was used
    ping,      // to be answered by pong(bytes)
    ignored,   // a command that means nothing to us
    fault      // `bytes` says what is wrong, a fixed text; the peer is to be hung up on
  };
  Kind kind = Kind::more;
  bool more = false;          // of frame, large: another frame of the message follows
  std::size_t used = 0;       // bytes
  std::string_view bytes{};   // within what was given
  std::uint64_t size = 0;     // of large
  bool refused_type = false;  // of fault: the peer is of another kind than DEALER, and may be told so
};

class Decoder {
 public:
  // What stands at the beginning of `bytes`, of which no more than `used` are done with. A frame above `frame_max` is a
  // fault. After a fault there is no going on.
  Token next(std::string_view bytes, std::uint64_t frame_max);
  // The greeting and READY of the peer are read.
  [[nodiscard]] bool open() const { return stage_ == Stage::traffic; }

 private:
  enum class Stage : std::uint8_t { greeting, ready, traffic };
  Stage stage_ = Stage::greeting;
};

}  // namespace windlass::worker::zmtp
