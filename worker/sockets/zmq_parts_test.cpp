#include "worker/sockets/zmq_parts.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

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
  for (int i = 0; i < kMessages; ++i) send_parts(dealer, nullptr, "header", {Frame(std::string("body"))});
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

INSTANTIATE_TEST_SUITE_P(AskedOrNot, OriginTest, testing::Bool());

}  // namespace
}  // namespace windlass::worker
