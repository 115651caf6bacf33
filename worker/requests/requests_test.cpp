#include <cstring>

#include "worker/requests/requests_testing.hpp"

namespace windlass::worker {
namespace {

using namespace testing;

TEST_F(RequestsTest, AsksForAHelloFirst) {
  say(Type::match, 'm', match_body());
  EXPECT_EQ(only_error(), Code::failed_precondition);
  hello(client);
  say(Type::match, 'm', match_body());
  EXPECT_EQ(matchers.started, 1);
}

TEST_F(RequestsTest, RefusesVersionsThatDoNotMeet) {
  proto::Hello later_only;
  later_only.version_lowest = 5;
  later_only.version_highest = 6;
  say(Type::hello, 'h', proto::encode(later_only));
  EXPECT_EQ(only_error(), Code::failed_precondition);
}

TEST_F(RequestsTest, AnswersUnknownTypesUnimplemented) {
  hello(client);
  for (const auto type : {Type::grant, Type::release, Type::nodes, static_cast<Type>(999)}) {
    say(type, 'x', proto::encode(proto::Empty{}));
    EXPECT_EQ(only_error(), Code::unimplemented);
  }
}

TEST_F(RequestsTest, AnswersMalformedMessagesWhereTheIdCanBeRead) {
  hello(client);
  requests.message(client, {Frame("\xdd\xff\xff\xff\xff")}, now);
  requests.message(client, {}, now);
  EXPECT_TRUE(outbox.take().empty());
  proto::Header header;
  header.t = static_cast<std::uint32_t>(Type::match);
  requests.message(client, {Frame(proto::encode(header))}, now);
  EXPECT_EQ(only_error(), Code::invalid_argument) << "no body";
  say(Type::stage, 's', "\xdd\xff\xff\xff\xff");
  EXPECT_EQ(only_error(), Code::invalid_argument);
  say(Type::cancel, 'c', "");
  EXPECT_EQ(only_error(), Code::invalid_argument);
}

TEST_F(RequestsTest, NeverAnswersAnswers) {
  hello(client);
  for (const auto type : {Type::result, Type::error, Type::welcome}) say(type, 'x', proto::encode(proto::Empty{}));
  EXPECT_TRUE(outbox.take().empty());
}

TEST_F(RequestsTest, SameIdSameAnswer) {
  hello(client);
  hello(other);
  say(Type::match, 'm', match_body());
  say(Type::match, 'm', match_body());
  say(Type::match, 'm', match_body(), other);
  EXPECT_EQ(matchers.started, 1);
  matchers.end_all();
  later(0ms);
  EXPECT_EQ(outbox.take().size(), 2U) << "one answer for each asker";
  say(Type::match, 'm', match_body());
  EXPECT_EQ(only().type(), Type::result);
  EXPECT_EQ(matchers.started, 1);
  later(61s);
  say(Type::match, 'm', match_body());
  EXPECT_EQ(matchers.started, 2) << "forgotten after a minute";
}

TEST_F(RequestsTest, KeepsTenThousandAnswersAtMost) {
  hello(client);
  proto::Header header;
  header.t = static_cast<std::uint32_t>(Type::match);
  for (std::uint32_t i = 0; i < kAnswersMax + 500; ++i) {
    std::memcpy(header.id.bytes.data(), &i, sizeof i);
    requests.message(client, {Frame(proto::encode(header)), Frame(match_body())}, now);
    matchers.end_all();
    requests.turn(now);
  }
  EXPECT_EQ(requests.answers_kept(), kAnswersMax);
}

TEST_F(RequestsTest, TheDeadlineOfAStageHoldsForItsTransfers) {
  hello(client);
  say(Type::stage, 's', stage_body(), 1500);
  ASSERT_EQ(stager.bodies.size(), 1U);
  EXPECT_EQ(proto::decode<proto::Stage>(stager.bodies[0])->transfers[0].deadline_ms, 1500);
}

TEST_F(RequestsTest, AFullQueueIsRefusedAndTellsWhenToComeAgain) {
  hello(client);
  matchers.refuse = true;
  say(Type::match, 'm', match_body());
  const SentMessage sent = only();
  const auto error = proto::decode<proto::Error>(sent.frames.at(0).view());
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, Code::resource_exhausted);
  EXPECT_TRUE(error->retryable);
  EXPECT_GT(error->retry_after_ms, 0U);
}

TEST_F(RequestsTest, CancelsAMatchThatWaits) {
  hello(client);
  say(Type::match, 'm', match_body());
  EXPECT_TRUE(cancelled('m'));
  const auto sent = outbox.take();
  ASSERT_EQ(sent.size(), 2U);
  EXPECT_EQ(sent[0].type(), Type::error) << "the request ends as ever";
  matchers.end_all();
  later(0ms);
  EXPECT_TRUE(outbox.take().empty()) << "and only once";
}

TEST_F(RequestsTest, DoesNotCancelAMatchThatRuns) {
  hello(client);
  say(Type::match, 'm', match_body());
  matchers.begun = true;
  EXPECT_FALSE(cancelled('m'));
  outbox.take();
  matchers.end_all();
  later(0ms);
  EXPECT_EQ(only().type(), Type::result);
  EXPECT_FALSE(cancelled('m')) << "it has ended";
}

TEST_F(RequestsTest, StageIsAcceptedToldOfAndEnded) {
  hello(client);
  say(Type::stage, 's', stage_body());
  EXPECT_EQ(only().type(), Type::progress);
  const std::uint64_t tag = stager.calls.begin()->first;
  for (int i = 0; i < 100; ++i) {
    stager.calls[tag].bytes += 10;
    later(10ms);
  }
  const std::size_t told = outbox.take().size();
  EXPECT_GE(told, 9U);
  EXPECT_LE(told, 11U) << "ten a second at most";
  stager.ended.push_back(tag);
  later(0ms);
  const auto sent = outbox.take();
  ASSERT_FALSE(sent.empty());
  EXPECT_EQ(sent.back().type(), Type::result);
  EXPECT_TRUE(requests.idle());
}

TEST_F(RequestsTest, ARefusedStageIsTheEnginesError) {
  hello(client);
  stager.refusal = proto::Error{Code::permission_denied, "outside", false, 0, proto::Side::none, -1, ""};
  say(Type::stage, 's', stage_body());
  EXPECT_EQ(only_error(), Code::permission_denied);
  EXPECT_TRUE(requests.idle());
}

TEST_F(RequestsTest, ProgressOfAnUnknownIdIsNotFound) {
  hello(client);
  say(Type::progress, 's', proto::encode(proto::Empty{}));
  EXPECT_EQ(only_error(), Code::not_found);
}

TEST_F(RequestsTest, AskingForProgressAttachesToTheRequest) {
  hello(client);
  hello(other);
  say(Type::stage, 's', stage_body());
  outbox.take();
  say(Type::progress, 's', proto::encode(proto::Empty{}), other);
  EXPECT_EQ(only().type(), Type::progress);
  stager.ended.push_back(stager.calls.begin()->first);
  later(0ms);
  EXPECT_EQ(outbox.take().size(), 2U);
}

TEST_F(RequestsTest, AClientGoneForHalfAMinuteHasItsTransfersCancelled) {
  hello(client);
  say(Type::stage, 's', stage_body());
  outbox.gone.insert(client.route);
  for (int second = 0; second < 29; ++second) later(1s);
  EXPECT_TRUE(stager.cancelled.empty());
  for (int second = 0; second < 10; ++second) later(1s);
  EXPECT_EQ(stager.cancelled.size(), 1U);
}

TEST_F(RequestsTest, AClientWhoseQueueIsFullIsNotGone) {
  hello(client);
  say(Type::stage, 's', stage_body());
  outbox.full = {client.route};
  for (int second = 0; second < 100; ++second) later(1s);
  EXPECT_TRUE(stager.cancelled.empty());
  outbox.full.clear();
  outbox.gone = {client.route};
  for (int second = 0; second < 29; ++second) later(1s);
  outbox.full = std::exchange(outbox.gone, {});
  later(6s);
  outbox.gone = std::exchange(outbox.full, {});
  for (int second = 0; second < 29; ++second) later(1s);
  EXPECT_TRUE(stager.cancelled.empty()) << "it was there meanwhile";
  for (int second = 0; second < 10; ++second) later(1s);
  EXPECT_EQ(stager.cancelled.size(), 1U);
}

TEST_F(RequestsTest, DetachedTransfersAndTheBridgesGoOn) {
  hello(client);
  say(Type::stage, 's', stage_body(true));
  say(Type::stage, 't', stage_body(), bridge);
  outbox.gone = {client.route, bridge.route};
  for (int second = 0; second < 100; ++second) later(1s);
  say(Type::bye, 'b', proto::encode(proto::Empty{}));
  EXPECT_TRUE(stager.cancelled.empty());
  EXPECT_EQ(stager.clients.back(), "bridge");
}

TEST_F(RequestsTest, ByeCancelsWhatTheClientHadRunning) {
  hello(client);
  say(Type::stage, 's', stage_body());
  say(Type::bye, 'b', proto::encode(proto::Empty{}));
  EXPECT_EQ(stager.cancelled.size(), 1U);
  outbox.take();
  say(Type::match, 'm', match_body());
  EXPECT_EQ(only_error(), Code::failed_precondition) << "it is to say HELLO again";
}

TEST_F(RequestsTest, OverANewConnectionHelloIsToBeSaidAndWhatRunsGoesOn) {
  hello(client);
  say(Type::stage, 's', stage_body());
  say(Type::match, 'm', match_body());
  outbox.take();
  requests.gone(client.route);
  EXPECT_EQ(requests.clients(), 0U);
  say(Type::load, 'l', proto::encode(proto::Empty{}));
  EXPECT_EQ(only_error(), Code::failed_precondition);
  matchers.end_all();
  later(0ms);
  EXPECT_EQ(only().type(), Type::result) << "the answer goes to who bears the route now";
  hello(client);
  say(Type::progress, 's', proto::encode(proto::Empty{}));
  EXPECT_EQ(only().type(), Type::progress);
  EXPECT_TRUE(stager.cancelled.empty());
  requests.gone("of nobody");
}

TEST_F(RequestsTest, ClientsThatCameAndWentTakeNobodysPlace) {
  for (std::size_t i = 0; i < kPeersMax + 10; ++i) {
    const Peer brief{false, "brief " + std::to_string(i)};
    hello(brief);
    requests.gone(brief.route);
  }
  hello(client);
  EXPECT_EQ(requests.clients(), 1U);
}

TEST_F(RequestsTest, WhereThereAreTooManyClientsANewOneIsRefusedUntilOneIsSilentForLong) {
  for (std::size_t i = 0; i < kPeersMax; ++i) hello({false, "silent " + std::to_string(i)});
  now += kPeerIdleMax + 1s;
  say(Type::hello, 'h', proto::encode(proto::Hello{}));
  EXPECT_EQ(only_error(), Code::resource_exhausted) << "nobody is looked for on the spot";
  later(0ms);
  hello(client);
}

TEST_F(RequestsTest, TheBridgeMayStageButNotMatch) {
  say(Type::match, 'm', match_body(), bridge);
  EXPECT_EQ(only_error(), Code::unimplemented);
  say(Type::stage, 's', stage_body(), bridge);
  EXPECT_EQ(only().type(), Type::progress);
}

TEST_F(RequestsTest, DrainingRefusesNewWorkAndEndsTheOld) {
  hello(client);
  say(Type::stage, 's', stage_body());
  outbox.take();
  requests.drain();
  say(Type::match, 'm', match_body());
  EXPECT_EQ(only_error(), Code::unavailable);
  EXPECT_FALSE(requests.idle());
  requests.park_all(now);
  EXPECT_EQ(only_error(), Code::unavailable);
  EXPECT_TRUE(requests.idle() && requests.parked());
}

TEST_F(RequestsTest, AnAnswerWaitsForAPeerWhoseQueueIsFull) {
  hello(client);
  say(Type::match, 'm', match_body());
  outbox.full.insert(client.route);
  matchers.end_all();
  later(0ms);
  EXPECT_TRUE(outbox.take().empty());
  EXPECT_FALSE(requests.idle());
  outbox.full.clear();
  EXPECT_LE(requests.next_due(), now + kUnsentRetry);
  now = requests.next_due();
  later(0ms);
  EXPECT_EQ(only().type(), Type::result);
  EXPECT_TRUE(requests.idle());
}

TEST_F(RequestsTest, LoadAnswersAQuestion) {
  hello(client);
  say(Type::load, 'l', proto::encode(proto::Empty{}));
  EXPECT_TRUE(proto::decode<proto::LoadAnswer>(only().frames.at(0).view()));
}

}  // namespace
}  // namespace windlass::worker
