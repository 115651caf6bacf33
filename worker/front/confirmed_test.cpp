#include "worker/front/confirmed.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <string>

#include "worker/front/descriptor.hpp"

namespace windlass::worker {
namespace {

using std::chrono::milliseconds;

TEST(Confirmed, WhoWasAskedAgainAndAgainAndIsNotHeardIsGone) {
  EXPECT_EQ(judge({0, 9, 9, kUnheardMax}), Confirmed::all) << "of nothing";
  EXPECT_EQ(judge({1, kRepeatsMin, 0, kUnheardMax}), Confirmed::nothing);
  EXPECT_EQ(judge({1, 0, kProbesMin, kUnheardMax}), Confirmed::nothing);
  EXPECT_EQ(judge({1, kRepeatsMin, kProbesMin, kUnheardMax - milliseconds(1)}), Confirmed::some);
  EXPECT_EQ(judge({1, kRepeatsMin - 1, 0, 10 * kUnheardMax}), Confirmed::some) << "it was silent, and not asked";
  EXPECT_EQ(judge({1, 0, kProbesMin - 1, 10 * kUnheardMax}), Confirmed::some) << "the answer may be under way";
}

TEST(Confirmed, AConnectionTellsWhatThePeerHasTaken) {
  const Descriptor listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  const Descriptor reader(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(reader.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  const Descriptor writer(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  EXPECT_EQ(confirmed(writer.get()), Confirmed::all);
  const std::string some(1 << 16, 'x');
  std::size_t sent = 0;
  for (ssize_t now = 0; now >= 0; sent += static_cast<std::size_t>(std::max<ssize_t>(now, 0))) {
    now = ::send(writer.get(), some.data(), some.size(), MSG_NOSIGNAL);
  }
  EXPECT_EQ(confirmed(writer.get()), Confirmed::some);
  std::string read(some.size(), '\0');
  while (sent > 0)
    sent -= static_cast<std::size_t>(std::max<ssize_t>(::recv(reader.get(), read.data(), read.size(), 0), 0));
  while (confirmed(writer.get()) != Confirmed::all) ::recv(reader.get(), read.data(), 1, MSG_DONTWAIT);
  const Descriptor none(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(confirmed(none.get()), Confirmed::all);
}

}  // namespace
}  // namespace windlass::worker
