#include "worker/sockets/zmq_parts.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "worker/core/limits.hpp"
#include "worker/sockets/curve.hpp"

namespace windlass::worker {
namespace {

// Whether ZeroMQ gives a route properties depends on whether it was asked for events before it read the message.
class OriginTest : public testing::TestWithParam<bool> {};

TEST_P(OriginTest, IsToldOfEachMessageWhateverWasAskedBefore) {
  const OwnKey server = fresh_key();
  const OwnKey client = fresh_key();
  zmq::context_t context{1};
  zmq::socket_t zap(context, zmq::socket_type::rep);
  zap.bind(kZapAddress);
  zmq::socket_t router(context, zmq::socket_type::router);
  router.set(zmq::sockopt::linger, 0);
  set_curve_server(router, server);
  router.bind("tcp://127.0.0.1:*");
  zmq::socket_t dealer(context, zmq::socket_type::dealer);
  dealer.set(zmq::sockopt::linger, 0);
  set_curve_client(dealer, client, server.key);
  dealer.connect(router.get(zmq::sockopt::last_endpoint));
  constexpr int kMessages = 20;
  for (int i = 0; i < kMessages; ++i) send_parts(dealer, nullptr, "header", {Frame(std::string("body"))}, {});
  int heard = 0;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (heard < kMessages && std::chrono::steady_clock::now() < until) {
    answer_zap(zap, [](const KeyBytes&) { return true; });
    if (GetParam()) (void)router.get(zmq::sockopt::events);
    Origin origin;
    const auto received = receive_parts(router, true, &origin);
    if (!received) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      continue;
    }
    ++heard;
    EXPECT_EQ(received->frames.size(), 2U);
    EXPECT_EQ(origin.user, hex_of(client.key)) << "message " << heard;
    EXPECT_GE(origin.fd, 0) << "message " << heard;
  }
  EXPECT_EQ(heard, kMessages);
}

TEST(Parts, WhatZeroMqHoldsForAPeerIsBoundedInBytes) {
  zmq::context_t context{1};
  zmq::socket_t dealer(context, zmq::socket_type::dealer);
  zmq::socket_t router(context, zmq::socket_type::router);
  for (zmq::socket_t* socket : {&dealer, &router}) socket->set(zmq::sockopt::linger, 0);
  router.set(zmq::sockopt::rcvhwm, 1);
  router.bind("tcp://127.0.0.1:*");
  dealer.connect(router.get(zmq::sockopt::last_endpoint));
  const Handed handed;
  const Frames huge{Frame(std::string(2 * kSocketBytesMax, 'h'))};
  const Frames many(1000, Frame(std::string(1000, 'm')));
  ASSERT_EQ(send_parts(dealer, nullptr, "header", huge, handed), Sent::yes) << "one always may";
  EXPECT_EQ(send_parts(dealer, nullptr, "header", many, handed), Sent::full);
  int sent = 1;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  const auto late = [&] { return std::chrono::steady_clock::now() > until; };
  int received = 0;
  for (; received < 100 && !late();) {
    if (sent < 100 && send_parts(dealer, nullptr, "header", many, handed) == Sent::yes) ++sent;
    EXPECT_LE(handed.bytes(), std::max(bytes_of(huge), kSocketBytesMax));
    if (const auto message = receive_parts(router, true)) {
      ++received;
      EXPECT_EQ(message->frames.size(), received == 1 ? 2U : 1001U);
    }
  }
  EXPECT_EQ(received, 100);
  while (handed.bytes() > 0 && !late()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(handed.bytes(), 0U);
  EXPECT_EQ(send_parts(dealer, nullptr, "header", {Frame(std::string(kCopyMax, 's'))}, handed), Sent::yes);
  EXPECT_EQ(handed.bytes(), 0U) << "small ones are not counted";
}

INSTANTIATE_TEST_SUITE_P(AskedOrNot, OriginTest, testing::Bool());

}  // namespace
}  // namespace windlass::worker
