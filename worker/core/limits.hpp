// The daemon's own limits; those of the wire stand in proto/limits.hpp.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace windlass::worker {

inline constexpr std::size_t kPeersMax = 65'536;  // clients that have said HELLO
inline constexpr std::chrono::minutes kPeerIdleMax{
    10};                                       // without a word and without work: forgotten, may say HELLO again
inline constexpr std::size_t kAskersMax = 16;  // of one request
inline constexpr std::uint64_t kCreditRequests = 256;  // MATCH and SESSION under way of one client
inline constexpr std::uint64_t kCreditBytes = std::uint64_t{256} << 20U;
inline constexpr std::uint64_t kBridgeCreditRequests = 256;  // STAGE under way of a bridge, not accepted yet
inline constexpr std::uint64_t kBridgeCreditBytes = std::uint64_t{256} << 20U;
inline constexpr std::uint64_t kRetryAfterMs = 100;  // what a refusal for want of room says
inline constexpr std::size_t kMatchQueueMax = 1024;  // requests waiting for a matcher
inline constexpr std::size_t kMatchQueueBytesMax = std::size_t{1} << 30U;
inline constexpr std::size_t kSessionsMax = 1024;  // matching sessions kept
inline constexpr std::size_t kSessionsPerClientMax = 64;
inline constexpr std::size_t kSessionQueueMax = 256;  // requests of one session that wait for those before them
inline constexpr std::size_t kStagesMax = 10'000;     // STAGE requests that run at once
inline constexpr std::size_t kStagesOfClientsMax = 8'000;
inline constexpr std::size_t kStagesPerClientMax = 2'500;
inline constexpr std::size_t kAnswersMax = 10'000;  // kept for those who ask again
inline constexpr std::size_t kAnswersBytesMax = std::size_t{64} << 20U;
inline constexpr std::chrono::seconds kAnswerKeep{60};
inline constexpr std::size_t kEndBytesMax = std::size_t{4} << 20U;  // of one RESULT that outlives a restart
inline constexpr std::size_t kEndsFileBytesMax = std::size_t{16} << 20U;
inline constexpr std::size_t kTombstonesMax = 10'000;  // ids cancelled before their request came
inline constexpr std::size_t kTombstonesPerPeerMax = 1000;
inline constexpr std::size_t kGrantsHeldMax = 65'536;
inline constexpr std::size_t kGrantsHeldBytesMax = std::size_t{4} << 20U;  // as a report lists them
inline constexpr std::size_t kGrantsBuriedMax = 65'536;  // ids refused or released that are remembered
inline constexpr std::size_t kUnsentMax = 10'000;        // answers that wait for peers whose queues are full
inline constexpr std::size_t kUnsentBytesMax = std::size_t{256} << 20U;
inline constexpr std::size_t kUnsentPerPeerMax = 1000;
inline constexpr std::size_t kUnsentBytesPerPeerMax = std::size_t{64} << 20U;
inline constexpr std::size_t kUnsentSmallMax = 4096;               // bytes of one that is counted by number alone
inline constexpr std::chrono::minutes kUnsentKeep = kPeerIdleMax;  // a peer that went is told of at once
inline constexpr std::chrono::milliseconds kUnsentRetry{20};
inline constexpr int kSocketQueueMax = 1000;                            // messages per peer within ZeroMQ, each way
inline constexpr std::size_t kSocketBytesMax = std::size_t{16} << 20U;  // likewise, towards it; one message always may
inline constexpr int kMessagesPerTurn = 64;                // read from one socket before the others have their turn
inline constexpr std::chrono::milliseconds kTurnMax{5};    // and no longer than this
inline constexpr std::size_t kKeyedConnectionsMax = 8192;  // of the listener with keys
inline constexpr std::size_t kKeyedSilentMax = 512;        // of those, that have not said a whole message yet
inline constexpr int kKeyedBacklog = 128;
inline constexpr std::chrono::seconds kKeyListPeriod{1};    // between two looks at the list of keys
inline constexpr std::uint64_t kGreetingBytesMax = 65'536;  // from the first byte to the end of the HELLO
inline constexpr std::chrono::seconds kGreetingMax{10};
inline constexpr std::uint64_t kKeyedMessageMax =
    kMatchQueueBytesMax + (std::uint64_t{32} << 20U);  // of one message, encrypted; one that is larger is never served
inline constexpr std::uint64_t kKeyedBodyMax = (std::uint64_t{16} << 20U) + 65'536;  // likewise of who sends no columns
inline constexpr std::uint64_t kKeyedHeldMax = std::uint64_t{4} << 30U;  // of messages that have not come whole, of all
inline constexpr std::uint64_t kPingBytesPerSecond = 64;                 // of a connection, that are no message's
inline constexpr std::chrono::milliseconds kHeldLook{250};
inline constexpr std::chrono::milliseconds kProgressPeriod{100};
inline constexpr std::size_t kProgressPerPeriod = 1000;   // STAGE requests told of; the others in the next
inline constexpr std::chrono::seconds kProgressProbe{5};  // said again though nothing changed: finds out who is gone
inline constexpr std::chrono::seconds kClientGone{30};    // then its transfers are cancelled
inline constexpr std::chrono::seconds kDrainRead{2};      // after SIGTERM: for what keeps coming though nothing runs
inline constexpr std::chrono::seconds kDrainPark{6};      // after SIGTERM: what still runs is parked
inline constexpr std::chrono::seconds kDrainMax{8};       // then the process ends all the same
inline constexpr std::chrono::seconds kCloseMax{1};       // for threads and files to be closed after that

inline constexpr int kKeptPieceMax = 4 << 20;  // bytes of one piece of memory that is kept once freed
inline constexpr int kKeptFreeMax = 16 << 20;  // free bytes that one arena keeps

// A MATCH within these is answered by the control thread itself: a hop to another thread would cost more.
inline constexpr std::size_t kInlineBytesMax = 16 * 1024;
inline constexpr std::size_t kInlinePairsMax = 4096;  // tasks x offers

static_assert(kCreditRequests <= kMatchQueueMax && kCreditBytes <= kMatchQueueBytesMax, "one client's fit the queue");
static_assert(kCreditRequests <= kSessionQueueMax, "who keeps to its credits fills no session's queue");
static_assert(kBridgeCreditRequests * 2 <= kSocketQueueMax, "a bridge's bulk leaves room for its control");
static_assert(kCreditRequests < kUnsentPerPeerMax, "who keeps to its credits loses no answer for want of room");
static_assert(kUnsentPerPeerMax < kUnsentMax && kUnsentBytesPerPeerMax < kUnsentBytesMax, "one peer does not take all");
static_assert(kStagesPerClientMax < kStagesOfClientsMax && kStagesOfClientsMax < kStagesMax, "the bridge finds room");
static_assert(kTombstonesPerPeerMax < kTombstonesMax, "one peer does not take all");
static_assert(kDrainRead < kDrainPark && kDrainPark < kDrainMax);
static_assert(kDrainMax + kCloseMax < std::chrono::seconds{10}, "SIGTERM ends within 10 s");
static_assert(kProgressProbe < kClientGone);
static_assert(kStagesMax / kProgressPerPeriod * kProgressPeriod <= kProgressProbe, "all are told of within a probe");

}  // namespace windlass::worker
