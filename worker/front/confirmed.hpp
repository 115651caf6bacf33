// Whether a peer over tcp is there, by what the kernel knows of a connection over which something was sent: keepalive
// asks only where nothing is under way, and TCP_USER_TIMEOUT gives up who confirms each question but does not read.
// Never blocks. Any thread.
#pragma once

#include <chrono>
#include <cstdint>

namespace windlass::worker {

enum class Confirmed {
  all,     // the peer has everything
  some,    // the rest is under way, or waits for the peer to read
  nothing  // for kUnheardMax, though it was asked again and again: the peer is gone
};

struct TcpState {
  std::uint32_t unconfirmed = 0;  // segments that were sent, and bytes that were not yet
  std::uint32_t repeats = 0;      // of what was sent, since the peer was heard
  std::uint32_t probes = 0;       // likewise, where it has no room for more
  std::chrono::milliseconds unheard{0};
};

inline constexpr std::chrono::seconds kUnheardMax{12};
inline constexpr std::uint32_t kRepeatsMin = 3;  // as many in 2 s on a short way
inline constexpr std::uint32_t kProbesMin = 2;   // each after twice the time of the last, at most two minutes

[[nodiscard]] Confirmed judge(const TcpState& state);
// Of a socket that is none of tcp, and of one that is broken: all.
[[nodiscard]] Confirmed confirmed(int fd);

}  // namespace windlass::worker
