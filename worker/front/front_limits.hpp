// The limits of the front.
#pragma once

#include <chrono>
#include <cstddef>

#include "worker/front/incoming.hpp"

namespace windlass::worker {

inline constexpr std::size_t kDescriptorsKept = 98;  // of the limit, for all else that the daemon opens
inline constexpr std::size_t kHandshakesMax =
    4096;  // clients that connected and have not greeted; more: the oldest goes
inline constexpr std::chrono::seconds kHandshakeMax{10};
inline constexpr std::chrono::seconds kHelloMax{60};  // from coming until the HELLO; a program may connect and think
inline constexpr std::size_t kAcceptsPerTurn = 64;
inline constexpr std::chrono::milliseconds kAcceptRest{100};         // where the system cannot give a socket
inline constexpr std::size_t kReadBytesMax = 64 * 1024;              // of one client, before the next has its turn
inline constexpr std::size_t kHeldBytesMax = std::size_t{4} << 30U;  // of messages that have not come whole
inline constexpr std::size_t kHeldShare = 4;                         // of the memory that there is, where it is less,
inline constexpr std::size_t kHeldBytesLeast = std::size_t{64} << 20U;  // but so much always
inline constexpr std::size_t kMuteBytesMax = 64 * 1024;                 // likewise, of who has not said HELLO
inline constexpr std::chrono::seconds kHalfMax{60};                     // without a byte, in the middle of a message
inline constexpr std::chrono::seconds kHalfLook{5};
inline constexpr std::size_t kPauseBytes = std::size_t{1}
                                           << 20U;  // towards one client; not read from until there are less
inline constexpr std::size_t kQueueBytesMax = std::size_t{4} << 20U;     // towards one client; one message always fits
inline constexpr std::size_t kQueuesBytesMax = std::size_t{256} << 20U;  // towards all; in little memory less
inline constexpr std::size_t kQueuesShare = 16;                          // of the memory that there is
inline constexpr std::size_t kRoomFactor = 2;         // so many times that of all: large answers may be refused
inline constexpr std::chrono::seconds kStallMax{10};  // who takes less meanwhile may be hung up on, where all have too
inline constexpr std::size_t kTakenMin = std::size_t{1} << 20U;  // much waiting
inline constexpr std::chrono::seconds kConfirmLook{3};           // at peers over tcp that have not confirmed all
inline constexpr std::size_t kSpareQueues = 64;
inline constexpr std::size_t kFlushAfter = 16;  // clients with answers, while others have more to read

static_assert(kHandshakeMax < kHelloMax);
static_assert(Incoming::kRestBytesMax < kReadBytesMax);
static_assert(kPauseBytes < kQueueBytesMax, "what was read before finds room for its answers");
static_assert(2 * kQueueBytesMax < kQueuesBytesMax);
static_assert(kTakenMin < kQueueBytesMax);

}  // namespace windlass::worker
