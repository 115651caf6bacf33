// Sockets that speak CURVE, and who may shake hands: the options of both sides, and the authenticator of ZeroMQ (ZAP)
// as decisions. The thread of the socket.
#pragma once

#include <functional>
#include <string>
#include <tl/expected.hpp>
#include <zmq.hpp>

#include "worker/base/keys.hpp"

namespace windlass::worker {

inline constexpr const char* kZapDomain = "windlass";
inline constexpr const char* kZapAddress = "inproc://zeromq.zap.01";

// Whether the halves of a key belong together; the error names the key, never the secret.
tl::expected<void, std::string> check_pair(const OwnKey& own);

// Whoever connects has to hold a key that the authenticator of the socket's context lets in. To be called before bind.
void set_curve_server(zmq::socket_t& socket, const OwnKey& own);
// Only whoever holds the secret half of `server` can answer. To be called before connect.
void set_curve_client(zmq::socket_t& socket, const OwnKey& own, const KeyBytes& server);

using Admit = std::function<bool(const KeyBytes&)>;

// Answers the requests that wait at a REP socket bound to kZapAddress, those of another domain or mechanism with a
// refusal. `admit` is told the key; the user that comes with each message is then its 64 hex digits.
void answer_zap(zmq::socket_t& zap, const Admit& admit);

// Knocks on loopback where `own` listens and `admit` decides, with a made-up key and with none, and fails where either
// is let in, or is not refused within some seconds.
tl::expected<void, std::string> test_refusal(const OwnKey& own, const Admit& admit);

}  // namespace windlass::worker
