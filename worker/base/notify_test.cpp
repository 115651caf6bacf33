#include "worker/base/notify.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

namespace windlass::worker {
namespace {

using Environment = std::map<std::string, std::string>;

// What systemd would hear, on a socket of the abstract namespace.
class Listener {
 public:
  explicit Listener(const std::string& name) : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    std::memcpy(at.sun_path + 1, name.data(), name.size());
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&at), length), 0);
  }
  ~Listener() { ::close(fd_); }
  std::string next() const {
    char text[512];
    const ssize_t got = ::recv(fd_, text, sizeof text, 0);
    return got < 0 ? "" : std::string(text, static_cast<std::size_t>(got));
  }

 private:
  int fd_;
};

std::string unique_name() {
  return "windlass-notify-test-" + std::to_string(::getpid());
}

TEST(Notify, TellsEachStateOnce) {
  const Listener listener(unique_name());
  Notify notify(Environment{{"NOTIFY_SOCKET", "@" + unique_name()}});
  notify.ready("serves\nREADY=0");
  EXPECT_EQ(listener.next(), "READY=1\nSTATUS=serves READY=0");
  notify.reloading();
  EXPECT_TRUE(listener.next().starts_with("RELOADING=1\nMONOTONIC_USEC="));
  notify.status("x");
  EXPECT_EQ(listener.next(), "STATUS=x");
  notify.stopping("bye");
  EXPECT_EQ(listener.next(), "STOPPING=1\nSTATUS=bye");
  EXPECT_EQ(listener.next(), "");
}

TEST(Notify, FeedsTheWatchdogTwiceAPeriod) {
  const Listener listener(unique_name());
  Notify notify(Environment{{"NOTIFY_SOCKET", "@" + unique_name()},
                            {"WATCHDOG_USEC", "4000000"},
                            {"WATCHDOG_PID", std::to_string(::getpid())}});
  EXPECT_EQ(notify.watchdog_period(), std::chrono::seconds{2});
  const Notify::Clock::time_point start{std::chrono::hours{1}};
  notify.feed_watchdog(start);
  EXPECT_EQ(listener.next(), "WATCHDOG=1");
  notify.feed_watchdog(start + std::chrono::milliseconds{1999});
  EXPECT_EQ(listener.next(), "");
  notify.feed_watchdog(start + std::chrono::seconds{2});
  EXPECT_EQ(listener.next(), "WATCHDOG=1");
}

TEST(Notify, WithoutASocketOrForAnotherProcessDoesNothing) {
  Notify none(Environment{{"WATCHDOG_USEC", "1000"}});
  EXPECT_EQ(none.watchdog_period().count(), 0);
  none.ready("x");
  Notify other(Environment{{"NOTIFY_SOCKET", "@x"}, {"WATCHDOG_USEC", "1000"}, {"WATCHDOG_PID", "1"}});
  EXPECT_EQ(other.watchdog_period().count(), 0);
  for (const std::string& odd : {std::string("relative"), std::string("@"), "/" + std::string(200, 'x')}) {
    Notify notify(Environment{{"NOTIFY_SOCKET", odd}, {"WATCHDOG_USEC", "rubbish"}});
    notify.ready("x");
    EXPECT_EQ(notify.watchdog_period().count(), 0);
  }
  Notify gone(Environment{{"NOTIFY_SOCKET", "/no/such/socket"}});
  gone.stopping("nobody hears");
}

}  // namespace
}  // namespace windlass::worker
