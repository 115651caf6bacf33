#include "worker/sockets/curve.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace windlass::worker {
namespace {

TEST(CurveTest, HalvesThatBelongTogetherAreKnown) {
  OwnKey own = fresh_key();
  EXPECT_TRUE(check_pair(own));
  own.key[0] ^= 1U;
  EXPECT_FALSE(check_pair(own));
}

TEST(CurveTest, TheSelfTestPassesWhereStrangersAreRefused) {
  const OwnKey own = fresh_key();
  const auto tested = test_refusal(own, [](const KeyBytes&) { return false; });
  EXPECT_TRUE(tested) << tested.error();
}

TEST(CurveTest, TheSelfTestFailsWhereAStrangerIsLetIn) {
  const OwnKey own = fresh_key();
  const auto tested = test_refusal(own, [](const KeyBytes&) { return true; });
  ASSERT_FALSE(tested);
  EXPECT_NE(tested.error().find("was let in"), std::string::npos) << tested.error();
}

TEST(CurveTest, WhyAHandshakeFailedIsTold) {
  const OwnKey own = fresh_key();
  zmq::context_t context{1};
  zmq::socket_t zap(context, zmq::socket_type::rep);
  zap.bind(kZapAddress);
  zmq::socket_t door(context, zmq::socket_type::router);
  set_curve_server(door, own);
  door.bind("tcp://127.0.0.1:*");
  zmq::socket_t dealer(context, zmq::socket_type::dealer);
  dealer.set(zmq::sockopt::linger, 0);
  set_curve_client(dealer, fresh_key(), own.key);
  LinkWatch watch(context, dealer);
  EXPECT_EQ(watch.fault(), "");
  dealer.connect(door.get(zmq::sockopt::last_endpoint));
  std::string fault;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (fault.empty() && std::chrono::steady_clock::now() < until) {
    answer_zap(zap, [](const KeyBytes&) { return false; });
    fault = watch.fault();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_NE(fault.find("refuses this key"), std::string::npos) << fault;
}

}  // namespace
}  // namespace windlass::worker
