// Payloads, deadlines, credits, and fairness among peers.
#include <cstring>

#include "worker/requests/requests_testing.hpp"

namespace windlass::worker {
namespace {

using namespace testing;

TEST_F(RequestsTest, TheSameIdWithAnotherPayloadIsRefused) {
  hello(client);
  hello(other);
  proto::Match two;
  two.tasks = 2;
  two.offers = 1;
  const auto is_refused = [&] {
    say(Type::match, 'm', proto::encode(two));
    EXPECT_EQ(only_error(), Code::invalid_argument);
    say(Type::stage, 'm', stage_body(), other);
    EXPECT_EQ(only_error(), Code::invalid_argument);
  };
  say(Type::match, 'm', match_body());
  is_refused();
  EXPECT_EQ(matchers.started, 1);
  matchers.end_all();
  later(0ms);
  EXPECT_EQ(only().type(), Type::result) << "what was asked first ends as ever, for who asked it";
  is_refused();
  say(Type::match, 'm', match_body());
  EXPECT_EQ(only().type(), Type::result);
}

TEST_F(RequestsTest, TheColumnsAreOfThePayloadToo) {
  hello(client);
  proto::Header header;
  header.t = static_cast<std::uint32_t>(Type::match);
  header.id = id_of('m');
  const auto ask = [&](const std::string& first, const std::string& second) {
    requests.message(client, {Frame(proto::encode(header)), Frame(match_body()), Frame(first), Frame(second)}, now);
  };
  ask("12345678", "abcdefgh");
  matchers.end_all();
  later(0ms);
  EXPECT_EQ(only().type(), Type::result);
  for (const auto& [first, second] : {std::pair{"12345678", "abcdefgX"}, {"12345678a", "bcdefgh"}, {"abcdefgh", ""}}) {
    ask(first, second);
    EXPECT_EQ(only_error(), Code::invalid_argument) << first << " " << second;
  }
  header.dl = 77;
  ask("12345678", "abcdefgh");
  EXPECT_EQ(only().type(), Type::result) << "the deadline is none of the payload";
}

TEST_F(RequestsTest, AStageMayComeAgainWithLessTimeLeft) {
  hello(client);
  proto::Stage stage;
  stage.transfers.resize(2);
  stage.transfers[0].source = stage.transfers[1].source = "/a";
  stage.transfers[0].target = "/b";
  stage.transfers[1].target = "/c";
  stage.transfers[1].deadline_ms = 900;
  const auto again = [&](std::optional<std::int64_t> deadline, std::string_view target = "/c") {
    stage.transfers[1].deadline_ms = deadline;
    stage.transfers[1].target = target;
    say(Type::stage, 's', proto::encode(stage));
  };
  again(900);
  EXPECT_EQ(only().type(), Type::progress);
  again(-20);
  EXPECT_TRUE(outbox.take().empty()) << "it attaches to the one that runs";
  again(900, "/d");
  EXPECT_EQ(only_error(), Code::invalid_argument);
  again({});
  EXPECT_EQ(only_error(), Code::invalid_argument) << "without any deadline it is another request";
  stager.ended.push_back(stager.calls.begin()->first);
  later(0ms);
  outbox.take();
  again(-5000);
  EXPECT_EQ(only().type(), Type::result);
  again(-5000, "/d");
  EXPECT_EQ(only_error(), Code::invalid_argument);
  EXPECT_EQ(stager.bodies.size(), 1U);
}

TEST_F(RequestsTest, MoreAskersThanMayBeAreTold) {
  hello(client);
  say(Type::stage, 's', stage_body());
  outbox.take();
  for (std::size_t i = 1; i <= kAskersMax; ++i) {
    const Peer peer{false, "asker " + std::to_string(i)};
    hello(peer);
    say(Type::stage, 's', stage_body(), peer);
  }
  EXPECT_EQ(only_error(), Code::resource_exhausted) << "one of them";
  stager.ended.push_back(stager.calls.begin()->first);
  later(0ms);
  EXPECT_EQ(outbox.take().size(), kAskersMax);
}

TEST_F(RequestsTest, ExpiredWorkNeverBegins) {
  hello(client);
  for (const auto type : {Type::match, Type::stage, Type::session}) {
    say(type, 'm', type == Type::match ? match_body() : stage_body(), 0);
    EXPECT_EQ(only_error(), Code::deadline_exceeded);
  }
  EXPECT_EQ(matchers.started, 0);
  EXPECT_TRUE(stager.bodies.empty());
}

TEST_F(RequestsTest, WhatWaitsBeyondItsDeadlineIsAnsweredThenAndNeverBegins) {
  hello(client);
  say(Type::match, 'm', match_body(), 200);
  say(Type::match, 'n', match_body(), 5000);
  later(0ms);
  EXPECT_EQ(requests.next_due(), now + 200ms);
  later(199ms);
  EXPECT_TRUE(outbox.take().empty());
  later(1ms);
  EXPECT_EQ(only_error(), Code::deadline_exceeded);
  ASSERT_EQ(matchers.waiting.size(), 1U) << "its place is free";
  EXPECT_EQ(matchers.waiting[0]->id, id_of('n'));
  matchers.begun = true;
  later(10s);
  EXPECT_TRUE(outbox.take().empty()) << "what has begun ends when it ends";
  matchers.end_all();
  later(0ms);
  EXPECT_EQ(only().type(), Type::result);
  say(Type::match, 'm', match_body(), 200);
  EXPECT_EQ(only_error(), Code::deadline_exceeded) << "same id, same answer";
}

TEST_F(RequestsTest, ACancelMayOvertakeItsRequest) {
  hello(client);
  EXPECT_TRUE(cancelled('s'));
  outbox.take();
  say(Type::stage, 's', stage_body());
  EXPECT_EQ(only_error(), Code::cancelled);
  say(Type::stage, 's', stage_body());
  EXPECT_EQ(only_error(), Code::cancelled) << "however often it comes";
  say(Type::stage, 's', stage_body(true));
  EXPECT_EQ(only_error(), Code::invalid_argument);
  EXPECT_TRUE(stager.bodies.empty());
  EXPECT_FALSE(cancelled('s')) << "it has ended";
}

TEST_F(RequestsTest, ACancelThatIsNotRememberedIsRefused) {
  hello(client);
  hello(other);
  const auto cancel = [&](std::size_t number, const Peer& peer) {
    proto::Cancel body;
    std::memcpy(body.request.bytes.data(), &number, sizeof number);
    say(Type::cancel, 'c', proto::encode(body), peer);
    return only().type();
  };
  for (std::size_t i = 1; i <= kTombstonesPerPeerMax; ++i) ASSERT_EQ(cancel(i, client), Type::result);
  EXPECT_EQ(cancel(1, client), Type::result) << "that one is remembered";
  EXPECT_EQ(cancel(kTombstonesPerPeerMax + 1, client), Type::error);
  EXPECT_EQ(cancel(kTombstonesPerPeerMax + 1, other), Type::result) << "whoever cancels much takes nobody's place";
  later(61s);
  EXPECT_EQ(cancel(kTombstonesPerPeerMax + 2, client), Type::result);
}

TEST_F(RequestsTest, AClientHasSoManyRequestsUnderWayAndNoMore) {
  hello(client);
  hello(other);
  const auto ask = [&](std::uint64_t number, const Peer& peer, std::size_t column_bytes = 8) {
    proto::Header header;
    header.t = static_cast<std::uint32_t>(Type::match);
    std::memcpy(header.id.bytes.data(), &number, sizeof number);
    requests.message(peer, {Frame(proto::encode(header)), Frame(match_body()), Frame(std::string(column_bytes, 'x'))},
                     now);
  };
  for (std::uint64_t i = 0; i < kCreditRequests; ++i) ask(i, client);
  EXPECT_TRUE(outbox.take().empty());
  ask(kCreditRequests, client);
  const SentMessage refusal = only();
  const auto error = proto::decode<proto::Error>(refusal.frames.at(0).view());
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, Code::resource_exhausted);
  EXPECT_TRUE(error->retryable && error->retry_after_ms > 0);
  ask(1000, other);
  EXPECT_TRUE(outbox.take().empty()) << "another's credits are its own";
  say(Type::load, 'l', proto::encode(proto::Empty{}));
  EXPECT_EQ(only().type(), Type::result) << "control needs none";
  say(Type::stage, 's', stage_body());
  EXPECT_EQ(only().type(), Type::progress);
  matchers.end_all();
  later(0ms);
  outbox.take();
  for (std::uint64_t i = 0; i < kCreditRequests; ++i) ask(2000 + i, client);
  EXPECT_TRUE(outbox.take().empty()) << "all of it came back";
}

TEST_F(RequestsTest, CreditsAreOfBytesTooButOneRequestAlwaysMay) {
  hello(client);
  const Frame large(std::make_shared<int>(0), std::string_view("x", 1));
  const std::string_view no_memory_behind_it(large.view().data(), kCreditBytes + 1);
  const auto ask = [&](char id, Frame column) {
    proto::Header header;
    header.t = static_cast<std::uint32_t>(Type::match);
    header.id = id_of(id);
    requests.message(client, {Frame(proto::encode(header)), Frame(match_body()), std::move(column)}, now);
  };
  ask('a', Frame(large.owner(), no_memory_behind_it));
  EXPECT_TRUE(outbox.take().empty());
  ask('b', Frame("x"));
  EXPECT_EQ(only_error(), Code::resource_exhausted);
  matchers.waiting[0]->payload = Payload{};
  matchers.end_all();
  later(0ms);
  EXPECT_EQ(only().type(), Type::result);
  ask('b', Frame("x"));
  EXPECT_TRUE(outbox.take().empty());
}

TEST_F(RequestsTest, AMatchWhoseAnswerFindsNoRoomIsRefusedAndMayComeAgain) {
  hello(client);
  hello(other);
  say(Type::match, 'm', match_body());
  say(Type::match, 'n', match_body(), other);
  outbox.room[client.route] = 1;
  matchers.end_all();
  later(0ms);
  const auto sent = outbox.take();
  ASSERT_EQ(sent.size(), 2U);
  for (const SentMessage& message : sent) {
    EXPECT_EQ(message.type(), message.peer == client ? Type::error : Type::result);
  }
  const auto error = proto::decode<proto::Error>(sent[sent[0].peer == client ? 0 : 1].frames.at(0).view());
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, Code::resource_exhausted);
  EXPECT_TRUE(error->retryable && error->retry_after_ms > 0);
  outbox.room.clear();
  say(Type::match, 'm', match_body());
  EXPECT_EQ(matchers.started, 3);
  matchers.end_all();
  later(0ms);
  EXPECT_EQ(only().type(), Type::result);
}

TEST_F(RequestsTest, AMatchBehindAnswersThatAreNotTakenIsRefusedRatherThanLost) {
  hello(client);
  outbox.full = {client.route};
  const auto ask = [&](char id, std::size_t bytes) {
    say(Type::match, id, match_body());
    const auto task = matchers.waiting.at(0);
    matchers.end_all();
    task->answer.frames.emplace_back(std::string(bytes, 'x'));
    later(0ms);
  };
  ask('a', kUnsentBytesPerPeerMax);  // one always waits
  ask('b', kUnsentSmallMax);
  ask('c', 2 * kUnsentSmallMax);
  EXPECT_EQ(requests.answers_dropped(), 0U);
  outbox.full.clear();
  later(kUnsentRetry);
  std::vector<Type> types;
  for (const SentMessage& sent : outbox.take()) types.push_back(sent.type());
  EXPECT_EQ(types, (std::vector{Type::result, Type::error, Type::error})) << "with its body, b's is no small one";
}

TEST_F(RequestsTest, WhoDoesNotTakeItsAnswersMayAskForNothingMore) {
  hello(client);
  outbox.room[client.route] = 0;
  for (const auto type : {Type::match, Type::stage}) {
    say(type, 'm', type == Type::match ? match_body() : stage_body());
    EXPECT_EQ(only_error(), Code::resource_exhausted);
  }
  outbox.room.clear();
  say(Type::match, 'm', match_body());
  EXPECT_EQ(matchers.started, 1);
}

TEST_F(RequestsTest, WhoeverEndsHisRequestsHasHisCreditsBack) {
  hello(client);
  for (int round = 0; round < 3; ++round) {
    for (std::uint64_t i = 0; i < kCreditRequests; ++i) {
      proto::Header header;
      header.t = static_cast<std::uint32_t>(Type::match);
      header.dl = 50;
      const std::uint64_t number = static_cast<std::uint64_t>(round) * 1000 + i;
      std::memcpy(header.id.bytes.data(), &number, sizeof number);
      requests.message(client, {Frame(proto::encode(header)), Frame(match_body())}, now);
      ASSERT_TRUE(outbox.take().empty());
      if (round == 0) {
        say(Type::cancel, 'c', proto::encode(proto::Cancel{header.id}));
        EXPECT_EQ(outbox.take().size(), 2U);
      }
    }
    if (round == 0) continue;
    later(50ms);
    EXPECT_EQ(outbox.take().size(), kCreditRequests) << "each DEADLINE_EXCEEDED";
  }
}

TEST_F(RequestsTest, OverANewConnectionNothingIsHeldAndWhatEndsOfTheOldOneGivesNothingBack) {
  hello(client);
  const auto ask = [&](std::uint64_t number) {
    proto::Header header;
    header.t = static_cast<std::uint32_t>(Type::match);
    std::memcpy(header.id.bytes.data(), &number, sizeof number);
    requests.message(client, {Frame(proto::encode(header)), Frame(match_body())}, now);
  };
  std::uint64_t number = 0;
  for (int connection = 0; connection < 3; ++connection) {
    for (std::uint64_t i = 0; i < kCreditRequests; ++i) ask(++number);
    EXPECT_TRUE(outbox.take().empty());
    if (connection == 2) break;
    if (connection == 0) requests.gone(client.route);
    if (connection == 1) say(Type::bye, 'b', proto::encode(proto::Empty{}));
    const auto old = std::exchange(matchers.waiting, {});
    outbox.take();
    hello(client);
    for (std::uint64_t i = 0; i < kCreditRequests; ++i) ask(++number);
    EXPECT_TRUE(outbox.take().empty());
    const auto fresh = std::exchange(matchers.waiting, old);
    matchers.end_all();
    later(0ms);
    outbox.take();
    ask(++number);
    EXPECT_EQ(only_error(), Code::resource_exhausted) << "what ended was none of this connection's";
    matchers.waiting = fresh;
    matchers.end_all();
    later(0ms);
    outbox.take();
  }
}

TEST_F(RequestsTest, WhatADrainDoesNotComeToIsAnsweredUnavailable) {
  hello(client);
  say(Type::match, 'm', match_body());
  requests.drain();
  EXPECT_FALSE(requests.idle());
  requests.park_all(now);
  EXPECT_EQ(only_error(), Code::unavailable);
  EXPECT_TRUE(requests.idle() && !requests.parked());
}

TEST_F(RequestsTest, WhatMadeRoomForAnotherMayComeAgainUnderItsId) {
  hello(client);
  for (int round = 0; round < 2; ++round) {
    say(Type::match, 'm', match_body(), 5000);
    ASSERT_EQ(matchers.waiting.size(), 1U);
    matchers.waiting[0]->displaced = true;
    matchers.end_all();
    later(0ms);
    EXPECT_EQ(outbox.take().size(), 1U);
  }
  say(Type::match, 'm', match_body());
  EXPECT_EQ(matchers.started, 3) << "the refusal was not kept";
}

TEST_F(RequestsTest, OneClientTakesNotAllStages) {
  hello(client);
  hello(other);
  const auto ask = [&](std::uint64_t number, const Peer& peer) {
    proto::Header header;
    header.t = static_cast<std::uint32_t>(Type::stage);
    std::memcpy(header.id.bytes.data(), &number, sizeof number);
    requests.message(peer, {Frame(proto::encode(header)), Frame(stage_body())}, now);
    return only().type();
  };
  for (std::uint64_t i = 0; i < kStagesPerClientMax; ++i) ASSERT_EQ(ask(i, client), Type::progress);
  EXPECT_EQ(ask(kStagesMax, client), Type::error);
  EXPECT_EQ(ask(kStagesMax + 1, other), Type::progress);
  EXPECT_EQ(ask(kStagesMax + 2, bridge), Type::progress);
  stager.ended.push_back(stager.calls.begin()->first);
  later(0ms);
  outbox.take();
  EXPECT_EQ(ask(kStagesMax + 3, client), Type::progress);
}

TEST_F(RequestsTest, ManyStagesAreToldOfInTurn) {
  hello(client);
  for (std::size_t i = 0; i < kProgressPerPeriod + 500; ++i) {
    proto::Header header;
    header.t = static_cast<std::uint32_t>(Type::stage);
    std::memcpy(header.id.bytes.data(), &i, sizeof i);
    requests.message(client, {Frame(proto::encode(header)), Frame(stage_body())}, now);
  }
  outbox.take();
  later(0ms);
  for (auto& [tag, progress] : stager.calls) progress.bytes = 1;
  std::set<std::string> told;
  for (int period = 0; period < 2; ++period) {
    later(kProgressPeriod);
    const auto sent = outbox.take();
    EXPECT_LE(sent.size(), kProgressPerPeriod);
    for (const SentMessage& message : sent) told.emplace(message.header.id.bytes.data(), proto::kIdBytes);
  }
  EXPECT_EQ(told.size(), kProgressPerPeriod + 500);
}

TEST_F(RequestsTest, WhoDoesNotReadLosesItsOwnAnswersAlone) {
  hello(client);
  hello(other);
  outbox.full = {client.route, other.route};
  say(Type::load, 'l', proto::encode(proto::Empty{}), other);
  for (std::size_t i = 0; i < kUnsentPerPeerMax + 10; ++i) say(Type::load, 'l', proto::encode(proto::Empty{}));
  EXPECT_EQ(requests.answers_dropped(), 10U);
  say(Type::match, 'm', match_body());
  EXPECT_EQ(matchers.started, 0) << "answers that it does not take stand for work under way";
  outbox.full = {client.route};
  later(kUnsentRetry);
  EXPECT_EQ(only().peer, other);
}

}  // namespace
}  // namespace windlass::worker
