#include "worker/bridge/session.hpp"

#include <gtest/gtest.h>

#include "proto/codec.hpp"

namespace windlass::worker {
namespace {

using namespace std::chrono_literals;
using proto::Type;

SessionOptions some_options() {
  SessionOptions options;
  options.name = "n";
  options.seed = 7;
  return options;
}

template <class Wish>
const Wish* find(const Actions& actions) {
  for (const Action& action : actions) {
    if (const auto* wish = std::get_if<Wish>(&action)) return wish;
  }
  return nullptr;
}

// A session and a bridge made of calls.
class SessionTest : public ::testing::Test {
 protected:
  Actions say(Type type, const proto::RequestId& id, const std::string& body) {
    proto::Header header;
    header.t = static_cast<std::uint32_t>(type);
    header.id = id;
    return session.heard(header, body, now);
  }
  Actions at(std::chrono::milliseconds later) {
    now = start + later;
    return session.tick(now);
  }
  Actions welcome(const Actions& dialled) {
    return say(Type::welcome, find<SendHello>(dialled)->id, proto::encode(proto::Welcome{}));
  }
  void register_now() { ASSERT_TRUE(find<Registered>(welcome(session.tick(now)))); }

  Time start = Time{} + 1h;
  Time now = start;
  Session session{some_options(), start};
};

TEST_F(SessionTest, DialsAtOnceWithAHelloThatNamesIt) {
  EXPECT_EQ(session.due(), start);
  const std::string told = session.incarnation();
  const Actions actions = session.tick(now);
  ASSERT_TRUE(find<Dial>(actions) && find<SendHello>(actions));
  EXPECT_EQ(find<Dial>(actions)->incarnation, session.incarnation());
  EXPECT_EQ(find<SendHello>(actions)->hello.incarnation, session.incarnation());
  EXPECT_EQ(session.incarnation(), told) << "what the process said of itself at its start";
  EXPECT_EQ(session.incarnation().size(), 16U);
  EXPECT_FALSE(session.is_registered());
}

TEST_F(SessionTest, ReportsAtOnceAndThenEachBeatWithOffersOnce) {
  const Actions registered = welcome(session.tick(now));
  ASSERT_TRUE(find<SendLoad>(registered));
  EXPECT_TRUE(find<SendLoad>(registered)->with_offers);
  EXPECT_EQ(find<SendLoad>(registered)->sequence, 1U);
  for (int beat = 1; beat <= 50; ++beat) {
    now = session.due();
    const Actions actions = session.tick(now);
    ASSERT_TRUE(find<SendLoad>(actions)) << beat;
    EXPECT_FALSE(find<SendLoad>(actions)->with_offers);
    EXPECT_NEAR(std::chrono::duration<double>(now - start).count(), beat, 0.001);
    say(Type::result, find<SendLoad>(actions)->id, proto::encode(proto::LoadSeen{1}));
  }
  session.offers_changed();
  now = session.due();
  EXPECT_TRUE(find<SendLoad>(session.tick(now))->with_offers);
}

TEST_F(SessionTest, DialsAgainWithANewIncarnationAndGrowingPauses) {
  std::vector<std::chrono::milliseconds> pauses;
  std::string before;
  for (int dial = 0; dial < 8; ++dial) {
    now = session.due();
    ASSERT_TRUE(find<Dial>(session.tick(now)));
    EXPECT_NE(session.incarnation(), before);
    before = session.incarnation();
    now = session.due();
    const Actions actions = session.tick(now);
    ASSERT_TRUE(find<HangUp>(actions) && find<Lost>(actions)) << "no WELCOME came";
    pauses.push_back(std::chrono::duration_cast<std::chrono::milliseconds>(session.due() - now));
  }
  EXPECT_GE(pauses.front(), 50ms);
  EXPECT_LE(pauses.front(), 100ms);
  EXPECT_GE(pauses.back(), 500ms);
  EXPECT_LE(pauses.back(), 1000ms);
}

TEST_F(SessionTest, SuspectsAndThenGivesUpASilentBridge) {
  register_now();
  bool suspected = false;
  while (now < start + 9'900ms) {
    now += 100ms;
    const Actions actions = session.tick(now);
    ASSERT_FALSE(find<Lost>(actions));
    if (find<Silent>(actions)) {
      suspected = true;
      EXPECT_EQ(now - start, 3s);
    }
  }
  EXPECT_TRUE(suspected && session.is_silent());
  const Actions actions = at(10s);
  ASSERT_TRUE(find<Lost>(actions) && find<HangUp>(actions));
  EXPECT_TRUE(find<Lost>(actions)->by_silence);
  EXPECT_FALSE(session.is_registered());
}

TEST_F(SessionTest, ABusyBridgeBehindALivingConnectionIsWaitedFor) {
  const Actions dialled = session.tick(now);
  session.link(true, now);
  EXPECT_FALSE(find<Lost>(at(30s))) << "HELLO, too, waits for it";
  welcome(dialled);
  const std::string incarnation = session.incarnation();
  int silences = 0;
  for (int second = 31; second <= 300; ++second) {
    const Actions actions = at(std::chrono::seconds(second));
    ASSERT_FALSE(find<Lost>(actions)) << second;
    silences += find<Silent>(actions) != nullptr ? 1 : 0;
    EXPECT_TRUE(find<SendLoad>(actions));
  }
  EXPECT_EQ(silences, 1);
  EXPECT_TRUE(find<Silent>(say(Type::result, {}, proto::encode(proto::LoadSeen{1}))));
  EXPECT_EQ(session.incarnation(), incarnation);
  EXPECT_FALSE(find<Lost>(at(599s)));
  EXPECT_TRUE(find<Lost>(at(600s))) << "five minutes are enough";
}

TEST_F(SessionTest, ALostConnectionIsDialledAnewAtOnce) {
  register_now();
  session.link(true, now);
  const Actions actions = session.link(false, now);
  ASSERT_TRUE(find<HangUp>(actions) && find<Lost>(actions));
  EXPECT_LE(session.due() - now, 100ms);
  now = session.due();
  const Actions again = session.tick(now);
  ASSERT_TRUE(find<SendHello>(again));
  EXPECT_FALSE(find<Lost>(session.link(false, now))) << "ZeroMQ is still trying";
}

TEST_F(SessionTest, WhoIsTurnedAwayDialsAnewSoonAndSlowerEachTime) {
  std::chrono::milliseconds last{0};
  for (int turn = 0; turn < 10; ++turn) {
    ASSERT_TRUE(find<SendHello>(session.tick(now)));
    const Actions actions = session.turned_away(now);
    ASSERT_TRUE(find<HangUp>(actions) && find<Lost>(actions));
    EXPECT_FALSE(find<Lost>(session.turned_away(now))) << "there is no connection any more";
    last = std::chrono::duration_cast<std::chrono::milliseconds>(session.due() - now);
    EXPECT_LE(last, turn == 0 ? 100ms : 1000ms);
    now = session.due();
  }
  EXPECT_GE(last, 500ms);
  register_now();
  session.link(true, now);
  EXPECT_TRUE(find<Lost>(session.turned_away(now))) << "a connection that was there is lost";
}

TEST_F(SessionTest, TellsWhichRegistrationsAreOfOneProcess) {
  const Actions first = session.tick(now);
  session.link(true, now);
  session.link(false, now);
  now = session.due();
  const Actions second = session.tick(now);
  EXPECT_EQ(find<SendHello>(first)->hello.process, find<SendHello>(second)->hello.process);
  EXPECT_NE(find<SendHello>(first)->hello.incarnation, find<SendHello>(second)->hello.incarnation);
}

TEST_F(SessionTest, AJumpOfTheClockCostsNoMoreThanARegistration) {
  register_now();
  EXPECT_TRUE(find<Lost>(at(24h)));
  now = session.due();
  EXPECT_LE(now - start, 24h + 1s);
  EXPECT_TRUE(find<Registered>(welcome(session.tick(now))));
}

TEST_F(SessionTest, AHurriedReportComesNowAndTheNextABeatLater) {
  register_now();
  now += 200ms;
  session.hurry(now);
  EXPECT_EQ(session.due(), now);
  EXPECT_TRUE(find<SendLoad>(session.tick(now)));
  EXPECT_GE(session.due() - now, 500ms);
}

TEST_F(SessionTest, AnyWordOfTheBridgeIsASignOfLife) {
  register_now();
  for (int second = 1; second < 30; ++second) {
    EXPECT_FALSE(find<Silent>(at(std::chrono::seconds(second))));
    say(Type::stage, {}, "");
  }
  at(35s);
  EXPECT_TRUE(session.is_silent());
  EXPECT_TRUE(find<Silent>(say(Type::stage, {}, "")));
  EXPECT_FALSE(session.is_silent());
}

TEST_F(SessionTest, RegistersAnewWithABridgeThatDoesNotKnowIt) {
  register_now();
  const std::string before = session.incarnation();
  proto::Error error;
  error.code = proto::Code::failed_precondition;
  error.message = "say HELLO first";
  const Actions actions = say(Type::error, {}, proto::encode(error));
  ASSERT_TRUE(find<Dial>(actions) && find<SendHello>(actions)) << "at once";
  EXPECT_NE(session.incarnation(), before);
  const Actions registered = welcome(actions);
  ASSERT_TRUE(find<SendLoad>(registered));
  EXPECT_TRUE(find<SendLoad>(registered)->with_offers);
  EXPECT_EQ(find<SendLoad>(registered)->sequence, 1U);
}

TEST_F(SessionTest, OtherErrorsChangeNothing) {
  register_now();
  proto::Error error;
  error.code = proto::Code::invalid_argument;
  EXPECT_TRUE(say(Type::error, {}, proto::encode(error)).empty());
  EXPECT_TRUE(say(Type::error, {}, "no msgpack").empty());
  EXPECT_TRUE(session.is_registered());
}

TEST_F(SessionTest, ARefusedHelloIsTriedAgainLater) {
  const Actions dialled = session.tick(now);
  proto::Error error;
  error.code = proto::Code::failed_precondition;
  error.message = "versions 2 to 3";
  const Actions actions = say(Type::error, find<SendHello>(dialled)->id, proto::encode(error));
  ASSERT_TRUE(find<Lost>(actions));
  EXPECT_NE(find<Lost>(actions)->why.find("versions 2 to 3"), std::string::npos);
  EXPECT_GT(session.due(), now);
}

TEST_F(SessionTest, AWelcomeThatItDidNotAskForIsNone) {
  session.tick(now);
  say(Type::welcome, {}, proto::encode(proto::Welcome{}));
  EXPECT_FALSE(session.is_registered());
}

TEST_F(SessionTest, AWelcomeInAVersionItDoesNotSpeakIsALoss) {
  const Actions dialled = session.tick(now);
  proto::Welcome odd;
  odd.version = 9;
  EXPECT_TRUE(find<Lost>(say(Type::welcome, find<SendHello>(dialled)->id, proto::encode(odd))));
}

TEST_F(SessionTest, FollowsTheBridgesShorterBeat) {
  const Actions dialled = session.tick(now);
  proto::Welcome brisk;
  brisk.beat_ms = 50;
  say(Type::welcome, find<SendHello>(dialled)->id, proto::encode(brisk));
  EXPECT_EQ(session.due() - now, 50ms);
}

TEST_F(SessionTest, ByeOfTheBridgeMeansDialAgain) {
  register_now();
  EXPECT_TRUE(find<HangUp>(say(Type::bye, {}, "")));
  EXPECT_LE(session.due() - now, 100ms);
}

TEST_F(SessionTest, DrainsAndSaysBye) {
  register_now();
  const Actions draining = session.drain(now);
  EXPECT_TRUE(find<SendDrain>(draining) && find<SendLoad>(draining));
  const Actions over = session.bye(now);
  EXPECT_TRUE(find<SendBye>(over) && find<HangUp>(over));
  EXPECT_EQ(session.due(), Time::max());
  EXPECT_TRUE(session.tick(now + 1h).empty());
}

TEST_F(SessionTest, ABridgeMetWhileDrainingIsToldSo) {
  session.tick(now);
  session.drain(now);
  now = session.due();
  session.tick(now);
  now = session.due();
  EXPECT_TRUE(find<SendDrain>(welcome(session.tick(now))));
}

}  // namespace
}  // namespace windlass::worker
