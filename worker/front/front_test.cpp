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
