// Who may say what to windlassd: one table. No socket, no clock; what a peer is was found out where it came in (the
// kernel's word on a local one, its key on tcp).
#pragma once

#include <cstdint>
#include <string_view>

#include "proto/messages.hpp"

namespace windlass::worker {

// What a peer is to us. The lower five are roles of keys; `local` came over the local socket or plain tcp, where
// whoever is let in may do all that a client may.
enum class Standing : std::uint8_t { local, bridge, client, scheduler, observer, node };
inline constexpr std::size_t kStandings = 6;

// "unserved": no peer of this kind is served such a message, whatever its key; "denied": others are, this one is not.
enum class Verdict : std::uint8_t { allowed, denied, unserved };

[[nodiscard]] Verdict may_say(Standing standing, proto::Type type);
// A HELLO names the part its sender means to play; `client` may be played by an observer's key no more than by a
// node's.
[[nodiscard]] Verdict may_greet_as(Standing standing, proto::Role role);

[[nodiscard]] std::string_view name_of(Standing standing);

}  // namespace windlass::worker
