#include "worker/front/front.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <filesystem>
#include <optional>

#include "worker/front/front_limits.hpp"

namespace windlass::worker {
namespace {

using std::chrono::seconds;

// What a DEALER says first, and then an empty message of one frame.
std::string hello_of_zmtp(const std::string& name = "") {
  const auto size = static_cast<char>(name.size());
  const std::string ready = std::string("\x05READY\x0bSocket-Type", 18) + std::string("\0\0\0\x06", 4) + "DEALER" +
                            std::string("\x08Identity\0\0\0", 12) + size + name;
  return zmtp::greeting() + '\x04' + static_cast<char>(ready.size()) + ready;
}
const std::string kMessage("\0\x01x", 3);

// So many open files are allowed while it lives.
class FewFiles {
 public:
  explicit FewFiles(rlim_t files) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit few{files, before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &few);
  }
  ~FewFiles() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

// A front at a socket of the file system, whose time the test tells.
class FrontTest : public testing::Test {
 protected:
  FrontTest() {
    std::string name = testing::TempDir() + "front-XXXXXX";
    folder_ = ::mkdtemp(name.data());
    auto listener = Listener::local(folder_ / "s", {});
    EXPECT_TRUE(listener);
    front.listen(std::move(*listener));
    front.on_refused([this](const char* reason, std::string_view why) {
      refusals.push_back(std::string(reason) + ": " + std::string(why));
    });
  }
  ~FrontTest() override { std::filesystem::remove_all(folder_); }

  Descriptor client(const std::string& says, const char* where = "s") const {
    Descriptor made(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, (folder_ / where).c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(made.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    say(made, says);
    return made;
  }
  static void say(const Descriptor& client, const std::string& says) {
    EXPECT_EQ(::send(client.get(), says.data(), says.size(), MSG_NOSIGNAL), static_cast<ssize_t>(says.size()));
  }

  // Until nothing is left to be read; answers the routes of those whose messages came.
  std::vector<std::string> serve() { return serve(front); }
  std::vector<std::string> serve(Front& served) {
    std::vector<std::string> routes;
    for (;;) {
      const auto events = poll.wait(std::chrono::milliseconds(0));
      if (events.empty() && !served.pending()) return routes;
      for (const auto& event : events) served.ready(event, now);
      while (auto message = served.receive()) routes.push_back(message->route);
      served.flush();
    }
  }
  void at(seconds since) {
    now = began + since;
    front.turn(now);
  }

  // `count` clients for whom so many bytes wait, none of which they take.
  struct Hogs {
    std::vector<Descriptor> clients;
    std::vector<std::string> routes;
  };
  Hogs hogs(std::size_t count, std::size_t bytes) {
    Hogs made;
    const std::string answer(bytes, 'a');
    for (std::size_t i = 0; i < count; ++i) {
      made.clients.push_back(client(hello_of_zmtp() + kMessage));
      made.routes.push_back(serve().at(0));
      front.welcomed(made.routes.back());
      EXPECT_EQ(front.send(made.routes.back(), answer, {}), Sent::yes);
    }
    front.flush();
    return made;
  }
  static std::size_t read(const Descriptor& client, std::size_t most) {
    std::vector<char> room(most);
    const ssize_t got = ::recv(client.get(), room.data(), room.size(), MSG_DONTWAIT);
    return got > 0 ? static_cast<std::size_t>(got) : 0;
  }

  Poll poll;
  Front front{poll};
  const Time began = Clock::now();
  Time now = began;
  std::vector<std::string> refusals;
  std::filesystem::path folder_;
};

TEST_F(FrontTest, WhoShakesHandsAndNeverSaysHelloIsHungUpOn) {
  const Descriptor mute = client(hello_of_zmtp());
  const Descriptor chatty = client(hello_of_zmtp() + kMessage);
  const Descriptor welcome = client(hello_of_zmtp() + kMessage);
  const auto routes = serve();
  ASSERT_EQ(routes.size(), 2U);
  front.welcomed(routes[1]);
  front.welcomed("of nobody");
  at(kHandshakeMax);
  EXPECT_EQ(front.connections(), 3U);
  EXPECT_LE(front.next_due(), began + kHelloMax);
  at(kHelloMax - seconds(1));
  EXPECT_EQ(front.connections(), 3U);
  EXPECT_TRUE(refusals.empty());
  at(kHelloMax);
  EXPECT_EQ(front.connections(), 1U);
  EXPECT_EQ(refusals, std::vector<std::string>(2, "greeting: it did not say HELLO within 60 s"));
  EXPECT_EQ(front.send(routes[1], "h", {}), Sent::yes);
  EXPECT_EQ(front.send(routes[0], "h", {}), Sent::gone);
  EXPECT_EQ(front.next_due(), Time::max());
}

TEST_F(FrontTest, WhoDoesNotGreetIsHungUpOnMuchSooner) {
  const Descriptor silent = client("");
  const Descriptor half = client(zmtp::greeting());
  EXPECT_TRUE(serve().empty());
  at(kHandshakeMax);
  EXPECT_EQ(front.connections(), 0U);
  EXPECT_EQ(refusals, std::vector<std::string>(2, "greeting: it did not greet within 10 s"));
}

TEST_F(FrontTest, WhoTakesThePlaceOfAnotherHasTheWholeTimeForItsHello) {
  {
    const Descriptor first = client(hello_of_zmtp());
    serve();
  }
  serve();
  EXPECT_EQ(front.connections(), 0U);
  at(kHelloMax - seconds(1));
  const Descriptor second = client(hello_of_zmtp());  // in the slot of the first
  serve();
  at(kHelloMax);
  EXPECT_EQ(front.connections(), 1U);
  at(2 * kHelloMax);
  EXPECT_EQ(front.connections(), 0U);
  EXPECT_EQ(refusals.size(), 1U);
}

// Each has greeted when it comes, though nobody has read it yet.
TEST_F(FrontTest, ManyWhoComeAtOnceAreNotTakenForThoseWhoDoNotGreet) {
  const std::size_t count = 150;
  auto few = std::make_optional<FewFiles>(2 * kDescriptorsKept + 60);
  Front small(poll);
  few.reset();
  auto listener = Listener::local(folder_ / "small", {});
  ASSERT_TRUE(listener);
  small.listen(std::move(*listener));
  small.on_refused([this](const char* reason, std::string_view) { refusals.emplace_back(reason); });
  std::vector<Descriptor> clients;
  while (clients.size() < count) clients.push_back(client(hello_of_zmtp() + kMessage, "small"));
  EXPECT_EQ(serve(small).size(), count);
  EXPECT_EQ(small.connections(), count);
  EXPECT_TRUE(refusals.empty());
}

TEST_F(FrontTest, WhoDoesNotTakeItsAnswersIsNotReadFromUntilItDoes) {
  const Descriptor slow = client(hello_of_zmtp() + kMessage);
  const auto routes = serve();
  ASSERT_EQ(routes.size(), 1U);
  const std::string answer(64 * 1024, 'a');
  std::size_t answers = 0;
  for (; answers < 2 * kPauseBytes / answer.size(); ++answers) EXPECT_EQ(front.send(routes[0], answer, {}), Sent::yes);
  front.flush();
  say(slow, kMessage);
  const Descriptor other = client(hello_of_zmtp() + kMessage);
  EXPECT_EQ(serve().size(), 1U) << "another is read from";
  EXPECT_TRUE(poll.wait(std::chrono::milliseconds(0)).empty()) << "and nothing spins";

  std::size_t came = 0;
  std::vector<std::string> read;
  std::vector<char> room(answer.size());
  while (came < answers * answer.size() || read.empty()) {
    const ssize_t got = ::recv(slow.get(), room.data(), room.size(), MSG_DONTWAIT);
    ASSERT_NE(got, 0);
    if (got > 0) came += static_cast<std::size_t>(got);
    for (const auto& route : serve()) read.push_back(route);
  }
  EXPECT_EQ(read, routes);
}

TEST_F(FrontTest, WhoseConnectionEndsIsToldOfBeforeTheNextOfThatNameIsHeard) {
  EXPECT_TRUE(front.take_ended().empty());
  Descriptor first = client(hello_of_zmtp("worker-7") + kMessage);
  const auto routes = serve();
  ASSERT_EQ(routes.size(), 1U);
  EXPECT_TRUE(front.take_ended().empty());
  first.reset();
  const Descriptor second = client(hello_of_zmtp("worker-7") + kMessage);
  std::vector<std::string> heard;
  while (heard.empty()) {
    for (const auto& event : poll.wait(std::chrono::milliseconds(0))) front.ready(event, now);
    while (auto message = front.receive()) {
      EXPECT_EQ(front.take_ended(), routes);
      heard.push_back(message->route);
    }
  }
  EXPECT_EQ(heard, routes) << "the same name is the same route";
  const Descriptor third = client(hello_of_zmtp("worker-7") + kMessage);
  EXPECT_EQ(serve(), routes);
  EXPECT_EQ(front.take_ended(), routes) << "of the one whose place was taken";
  Descriptor mute = client("");
  serve();
  mute.reset();
  serve();
  EXPECT_TRUE(front.take_ended().empty()) << "who never had a route has none to be told of";
}

// The head of a frame of so many bytes, and those that come of it at once.
std::string part_of_message(std::uint64_t size, std::size_t comes) {
  std::string said;
  zmtp::put_head(said, size, false);
  return said + std::string(comes, 'x');
}

TEST_F(FrontTest, WhoHasNotSaidHelloMaySendLittleAtOnce) {
  const Descriptor greets = client(hello_of_zmtp() + part_of_message(kMuteBytesMax, kMuteBytesMax - 1));
  EXPECT_TRUE(serve().empty());
  EXPECT_EQ(front.connections(), 1U);
  say(greets, "x");
  EXPECT_EQ(serve().size(), 1U);
  const Descriptor greedy = client(hello_of_zmtp() + part_of_message(2 * kMuteBytesMax, kMuteBytesMax + 1));
  EXPECT_TRUE(serve().empty());
  EXPECT_EQ(refusals, std::vector<std::string>{"memory: it sends more than 64 KiB at once and has not said HELLO"});
  EXPECT_EQ(front.connections(), 1U);
  const Descriptor welcome = client(hello_of_zmtp() + kMessage);
  front.welcomed(serve().at(0));
  say(welcome, part_of_message(2 * kMuteBytesMax, kMuteBytesMax + 1));
  EXPECT_TRUE(serve().empty());
  EXPECT_EQ(front.connections(), 2U);
}

TEST_F(FrontTest, WhereTooMuchHasNotComeWholeWhoHoldsMostIsHungUpOn) {
  front.fit(1);
  std::vector<Descriptor> holders;
  for (int i = 0; i < 2; ++i) {
    holders.push_back(client(hello_of_zmtp() + kMessage));
    front.welcomed(serve().at(0));
    say(holders.back(), part_of_message(2 * kHeldBytesLeast, 0));
  }
  const std::string some(kReadBytesMax, 'x');
  const auto send = [&](const Descriptor& holder, std::size_t bytes) {
    for (std::size_t sent = 0; sent < bytes; sent += some.size()) {
      if (::send(holder.get(), some.data(), some.size(), MSG_NOSIGNAL) < 0) return;
      EXPECT_TRUE(serve().empty());
    }
  };
  send(holders[0], kHeldBytesLeast / 2);
  send(holders[1], kHeldBytesLeast / 4);
  EXPECT_TRUE(refusals.empty());
  send(holders[0], kHeldBytesLeast / 8);  // its room grows by twofold
  EXPECT_EQ(refusals.size(), 1U);
  send(holders[1], kHeldBytesLeast / 2);
  EXPECT_EQ(front.connections(), 1U) << "there is room again";
  const Descriptor other = client(hello_of_zmtp() + kMessage);
  EXPECT_EQ(serve().size(), 1U);
}

TEST_F(FrontTest, WhoStopsInTheMiddleOfAMessageIsHungUpOn) {
  const Descriptor slow = client(hello_of_zmtp() + kMessage);
  front.welcomed(serve().at(0));
  const Descriptor quiet = client(hello_of_zmtp() + kMessage);
  front.welcomed(serve().at(0));
  const std::string whole = part_of_message(300, 300);
  say(slow, whole.substr(0, 100));
  serve();
  EXPECT_LE(front.next_due(), now + kHalfLook);
  for (int minutes = 1; minutes < 3; ++minutes) {
    at(minutes * (kHalfMax - seconds(2)));
    say(slow, whole.substr(static_cast<std::size_t>(minutes) * 100, 50));
    serve();
  }
  EXPECT_EQ(front.connections(), 2U) << "a byte now and then is enough";
  at(3 * kHalfMax);
  EXPECT_EQ(front.connections(), 1U);
  EXPECT_EQ(refusals, std::vector<std::string>{"slow: it stopped in the middle of a message for 60 s"});
  EXPECT_EQ(front.next_due(), Time::max()) << "who has said all that it began may be silent";
}

TEST_F(FrontTest, WhoIsNotReadFromMayNotBeBlamedForTheMiddleOfAMessage) {
  const Descriptor one = client(hello_of_zmtp() + kMessage);
  const auto routes = serve();
  front.welcomed(routes.at(0));
  const std::string whole = part_of_message(300, 300);
  say(one, whole.substr(0, 100));
  serve();
  EXPECT_EQ(front.send(routes[0], std::string(2 * kPauseBytes, 'a'), {}), Sent::yes);
  front.flush();
  say(one, whole.substr(100));
  at(2 * kHalfMax);
  EXPECT_EQ(front.connections(), 1U);
  std::vector<std::string> came;
  for (std::size_t taken = 0; taken < 2 * kPauseBytes || came.empty();) {
    taken += read(one, kPauseBytes);
    for (const std::string& route : serve()) came.push_back(route);
  }
  EXPECT_EQ(came, routes);
}

TEST_F(FrontTest, WhoReadsIsServedWhereOthersHaveFilledWhatMayWait) {
  front.fit(1);  // as little as ever: two full queues
  const Hogs others = hogs(3, kQueueBytesMax);
  const Descriptor reader = client(hello_of_zmtp() + kMessage);
  const std::string route = serve().at(0);
  for (int i = 0; i < 100; ++i) ASSERT_EQ(front.send(route, std::string(1000, 'r'), {}), Sent::yes) << i;
  const std::string share(2 * kQueueBytesMax / 4 + kPauseBytes, 's');
  EXPECT_EQ(front.send(route, share, {}), Sent::yes);
  EXPECT_EQ(front.send(route, share, {}), Sent::full) << "beyond its share it waits like any other";
  for (const std::string& other : others.routes) EXPECT_EQ(front.send(other, "h", {}), Sent::full);
}

TEST_F(FrontTest, WhoHasTakenWhatWaitedIsNotFull) {
  const Hogs one = hogs(1, kQueueBytesMax + kPauseBytes);
  std::size_t taken = 0;
  Sent sent = Sent::full;
  for (; sent != Sent::yes && taken < kQueueBytesMax; taken += read(one.clients[0], kReadBytesMax)) {
    sent = front.send(one.routes[0], "h", {});
  }
  EXPECT_EQ(sent, Sent::yes) << "though the Poll was not asked in between";
}

TEST_F(FrontTest, WhereTooMuchWaitsWhoHasMostAndTakesNoneIsHungUpOn) {
  front.fit(1);
  const Hogs others = hogs(1, 2 * kQueueBytesMax);
  const Hogs more = hogs(2, 2 * kQueueBytesMax - kPauseBytes);
  const Hogs small = hogs(1, kPauseBytes);
  at(seconds(0));
  EXPECT_EQ(front.next_due(), now + kStallMax);
  at(kStallMax - seconds(1));
  for (std::size_t taken = 0; taken < 2 * kTakenMin; serve()) taken += read(others.clients[0], kTakenMin);
  EXPECT_TRUE(refusals.empty());
  at(kStallMax);
  EXPECT_EQ(refusals.size(), 2U);
  for (const std::string& said : refusals) {
    EXPECT_EQ(said, "slow: it does not take its answers, and too much waits for all clients together");
  }
  for (const std::string& route : more.routes) EXPECT_EQ(front.send(route, "h", {}), Sent::gone);
  EXPECT_EQ(front.connections(), 2U) << "who takes some of it may stay, and so may who has little";
  EXPECT_EQ(front.next_due(), Time::max());
  at(10 * kStallMax);
  EXPECT_EQ(front.connections(), 2U) << "while there is room nobody has to hurry";
  EXPECT_NE(front.send(small.routes[0], "h", {}), Sent::gone);
}

TEST_F(FrontTest, ALargeAnswerHasRoomUnlessItsClientHasMoreThanItsShare) {
  front.fit(1);
  const std::size_t large = 100 * kQueueBytesMax;
  EXPECT_TRUE(front.has_room("of nobody", large));
  const Hogs others = hogs(2, 2 * kQueueBytesMax + kPauseBytes);
  const Descriptor reader = client(hello_of_zmtp() + kMessage);
  const std::string route = serve().at(0);
  EXPECT_TRUE(front.has_room(route, kReadBytesMax));
  EXPECT_FALSE(front.has_room(route, large));
  EXPECT_FALSE(front.has_room(others.routes[0], 0)) << "as much waits for it as may for all";
  for (std::size_t taken = 0; taken < 2 * kQueueBytesMax; serve()) taken += read(others.clients[0], kTakenMin);
  EXPECT_TRUE(front.has_room(route, large)) << "one message always has, where the others leave any";
}

TEST_F(FrontTest, WhoGoesWithAnswersWaitingIsHungUpOn) {
  Descriptor gone = client(hello_of_zmtp() + kMessage);
  const auto routes = serve();
  ASSERT_EQ(routes.size(), 1U);
  EXPECT_EQ(front.send(routes[0], std::string(2 * kPauseBytes, 'a'), {}), Sent::yes);
  front.flush();
  EXPECT_EQ(front.connections(), 1U);
  gone.reset();
  serve();
  EXPECT_EQ(front.connections(), 0U);
  EXPECT_TRUE(refusals.empty());
}

}  // namespace
}  // namespace windlass::worker
