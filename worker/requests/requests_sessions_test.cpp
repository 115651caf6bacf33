// Matching sessions as a client sees them: whose they are, their order, and when they end. Real engine, run at once.
#include <gtest/gtest.h>

#include "worker/core/limits.hpp"
#include "worker/engines/match_run.hpp"
#include "worker/requests/requests.hpp"
#include "worker/testing.hpp"

namespace windlass::worker {
namespace {

using namespace std::chrono_literals;
using namespace testing;
using proto::Code;
using proto::SessionOp;
using proto::Type;

class RequestsSessionsTest : public ::testing::Test {
 protected:
  void say(const Peer& peer, Type type, const std::string& body, Frames columns = {}) {
    proto::Header header;
    header.t = static_cast<std::uint32_t>(type);
    header.id = id_of(next_id++);
    Frames frames{Frame(proto::encode(header)), Frame(body)};
    frames.insert(frames.end(), columns.begin(), columns.end());
    requests.message(peer, std::move(frames), now);
  }
  SentMessage last() {
    auto sent = outbox.take();
    EXPECT_FALSE(sent.empty());
    return sent.empty() ? SentMessage{} : sent.back();
  }
  template <class Body>
  Body answer() {
    const SentMessage sent = last();
    EXPECT_EQ(sent.type(), Type::result);
    const auto body = proto::decode<Body>(sent.frames.at(0).view());
    EXPECT_TRUE(body);
    return body ? *body : Body{};
  }
  Code error() {
    const SentMessage sent = last();
    EXPECT_EQ(sent.type(), Type::error);
    const auto body = proto::decode<proto::Error>(sent.frames.at(0).view());
    return body ? body->code : Code::ok;
  }
  std::uint64_t open(const Peer& peer) {
    say(peer, Type::hello, proto::encode(proto::Hello{}));
    say(peer, Type::session, proto::encode(proto::Session{}));
    return *answer<proto::SessionAnswer>().session;
  }
  static Frame column(std::vector<std::int64_t> values) {
    return Frame(std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(std::int64_t)));
  }
  // Adds one offer of each amount, numbered from 0.
  void add(const Peer& peer, std::uint64_t session, std::vector<std::int64_t> amounts, std::int64_t expect = -1) {
    proto::Session change;
    change.op = SessionOp::change;
    change.session = session;
    change.expect = expect;
    change.adds = amounts.size();
    change.rows.dimensions = 1;
    change.rows.columns = {{proto::ColumnType::i8, amounts.size()}, {proto::ColumnType::i8, amounts.size()}};
    change.rows.offer_amounts = {0};
    change.offer_numbers = 1;
    std::vector<std::int64_t> numbers;
    for (std::size_t i = 0; i < amounts.size(); ++i) numbers.push_back(static_cast<std::int64_t>(i));
    say(peer, Type::session, proto::encode(change), {column(amounts), column(numbers)});
  }
  void place(const Peer& peer, std::uint64_t session, std::int64_t number, std::int64_t amount) {
    proto::Session match;
    match.op = SessionOp::match;
    match.session = session;
    match.rows.tasks = 1;
    match.rows.dimensions = 1;
    match.rows.columns = {{proto::ColumnType::i8, 1}, {proto::ColumnType::i8, 1}};
    match.rows.task_amounts = {0};
    match.task_numbers = 1;
    say(peer, Type::session, proto::encode(match), {column({amount}), column({number})});
  }
  void ask(const Peer& peer, SessionOp op, std::uint64_t session) {
    proto::Session body;
    body.op = op;
    body.session = session;
    say(peer, Type::session, proto::encode(body));
  }

  // Runs what is started at once, unless told to hold it.
  class Engine final : public MatchEngine {
   public:
    bool start(const std::shared_ptr<MatchTask>& task) override {
      if (full) return false;
      if (hold) return held.push_back(task), true;
      run_match(*task);
      task->ended = true;
      return true;
    }
    bool withdraw(const std::shared_ptr<MatchTask>& task) override { return std::erase(held, task) > 0; }
    std::vector<std::shared_ptr<MatchTask>> take_ended() override {
      for (const auto& task : held) run_match(*task);
      return std::exchange(held, {});
    }
    [[nodiscard]] std::size_t queued() const override { return held.size(); }
    [[nodiscard]] std::optional<Time> oldest() const override { return std::nullopt; }
    bool hold = false;
    bool full = false;
    std::vector<std::shared_ptr<MatchTask>> held;
  };

  Time now = Time{} + 1h;
  char next_id = 'A';
  Peer client{false, "one"};
  Peer other{false, "two"};
  FakeOutbox outbox;
  Engine matchers;
  FakeStager stager;
  Watcher watcher;
  Requests requests{{"n", "0123456789abcdef", "windlassd", 1000, 3000, 10000},
                    {matchers, stager, outbox, watcher, [](Time) { return proto::LoadReport{}; }}};
};

TEST_F(RequestsSessionsTest, WhatAFullQueueRefusedMayComeAgainUnderItsId) {
  const std::uint64_t session = open(client);
  matchers.full = true;
  const char id = next_id;
  add(client, session, {5});
  EXPECT_EQ(error(), Code::resource_exhausted);
  matchers.full = false;
  next_id = id;
  add(client, session, {5});
  EXPECT_EQ(answer<proto::SessionAnswer>().version, 1U);
}

TEST_F(RequestsSessionsTest, OffersStayBetweenCalls) {
  const std::uint64_t session = open(client);
  add(client, session, {40'000, 20'000});
  EXPECT_EQ(answer<proto::SessionAnswer>().version, 1U);
  place(client, session, 7, 15'000);
  const auto placed = answer<proto::MatchResult>();
  EXPECT_EQ(placed.placed, 1U);
  EXPECT_EQ(placed.version, 2U);
  place(client, session, 8, 15'000);
  EXPECT_EQ(answer<proto::MatchResult>().placed, 1U);
  place(client, session, 9, 15'000);
  EXPECT_EQ(answer<proto::MatchResult>().placed, 0U);
  ask(client, SessionOp::offers, session);
  const auto offers = answer<proto::SessionOffers>();
  EXPECT_EQ(offers.offers, 2U);
  EXPECT_EQ(offers.placed, 2U);
  EXPECT_EQ(offers.version, 3U);
}

TEST_F(RequestsSessionsTest, AnotherVersionIsAborted) {
  const std::uint64_t session = open(client);
  add(client, session, {1}, 0);
  EXPECT_EQ(answer<proto::SessionAnswer>().version, 1U);
  add(client, session, {1}, 0);
  EXPECT_EQ(error(), Code::aborted);
}

TEST_F(RequestsSessionsTest, NobodyElseHasIt) {
  const std::uint64_t session = open(client);
  open(other);
  ask(other, SessionOp::offers, session);
  EXPECT_EQ(error(), Code::failed_precondition);
}

TEST_F(RequestsSessionsTest, ItEndsWithCloseAndWithBye) {
  const std::uint64_t first = open(client);
  ask(client, SessionOp::close, first);
  EXPECT_EQ(answer<proto::SessionAnswer>().version, 0U);
  ask(client, SessionOp::offers, first);
  EXPECT_EQ(error(), Code::failed_precondition);
  open(client);
  EXPECT_EQ(requests.sessions(), 1U);
  say(client, Type::bye, proto::encode(proto::Empty{}));
  EXPECT_EQ(requests.sessions(), 0U);
}

TEST_F(RequestsSessionsTest, ASilentClientKeepsItAndOneThatIsGoneDoesNot) {
  open(client);
  for (int i = 0; i < 1300; ++i) requests.turn(now += 1s);
  EXPECT_EQ(requests.sessions(), 1U);
  outbox.take();
  add(client, 0, {1});
  EXPECT_EQ(error(), Code::failed_precondition);
  outbox.gone.insert(client.route);
  for (int i = 0; i < 60; ++i) requests.turn(now += 1s);
  EXPECT_EQ(requests.sessions(), 0U);
}

TEST_F(RequestsSessionsTest, RequestsAreDoneInTurn) {
  const std::uint64_t session = open(client);
  matchers.hold = true;
  add(client, session, {20'000});
  place(client, session, 1, 15'000);
  ask(client, SessionOp::offers, session);
  EXPECT_EQ(matchers.held.size(), 1U);
  for (int i = 0; i < 3; ++i) requests.turn(now);
  const auto sent = outbox.take();
  ASSERT_EQ(sent.size(), 3U);
  EXPECT_EQ(proto::decode<proto::MatchResult>(sent[1].frames.at(0).view())->placed, 1U);
  EXPECT_EQ(proto::decode<proto::SessionOffers>(sent[2].frames.at(0).view())->placed, 1U);
}

TEST_F(RequestsSessionsTest, WhatIsCancelledWhileItWaitsIsNotDone) {
  const std::uint64_t session = open(client);
  matchers.hold = true;
  add(client, session, {20'000});
  const char waiting = next_id;
  place(client, session, 1, 15'000);
  say(client, Type::cancel, proto::encode(proto::Cancel{id_of(waiting)}));
  EXPECT_TRUE(answer<proto::CancelResult>().cancelled);
  for (int i = 0; i < 2; ++i) requests.turn(now);
  matchers.hold = false;
  ask(client, SessionOp::offers, session);
  EXPECT_EQ(answer<proto::SessionOffers>().placed, 0U);
}

TEST_F(RequestsSessionsTest, WhatIsWrongIsToldAndChangesNothing) {
  const std::uint64_t session = open(client);
  proto::Session change;
  change.op = SessionOp::change;
  change.session = session;
  change.adds = 1;
  say(client, Type::session, proto::encode(change));
  EXPECT_EQ(error(), Code::invalid_argument);
  add(client, session, {-5});
  EXPECT_EQ(error(), Code::invalid_argument);
  ask(client, SessionOp::offers, session);
  EXPECT_EQ(answer<proto::SessionOffers>().version, 0U);
}

}  // namespace
}  // namespace windlass::worker
