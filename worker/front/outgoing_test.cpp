#include "worker/front/outgoing.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <random>

#include "worker/front/descriptor.hpp"
#include "worker/front/zmtp.hpp"

namespace windlass::worker {
namespace {

struct Pair {
  Pair() {
    int fds[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0) {
      ours = Descriptor(fds[0]);
      theirs = Descriptor(fds[1]);
    }
  }
  std::string read(std::size_t most) const {
    std::string bytes(most, '\0');
    const ssize_t got = ::recv(theirs.get(), bytes.data(), most, 0);
    bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return bytes;
  }
  Descriptor ours;
  Descriptor theirs;
};

void write_plainly(std::string& out, std::string_view bytes, bool more) {
  zmtp::put_head(out, bytes.size(), more);
  out += bytes;
}

TEST(Outgoing, EverythingLeavesOnceAndInOrderThroughAPeerThatReadsSlowly) {
  const std::uint32_t seed = std::random_device{}();
  std::mt19937 chance(seed);
  const Pair pair;
  Outgoing outgoing;
  std::string wanted;
  std::string got;
  for (int round = 0; round < 600; ++round) {
    const std::string header(chance() % 300, 'h');
    Frames frames;
    for (std::size_t left = chance() % 4; left > 0; --left) {
      const std::size_t sizes[] = {0, 10, 4096, 4097, 100'000};
      frames.emplace_back(std::string(sizes[chance() % std::size(sizes)], static_cast<char>('a' + chance() % 26)));
    }
    outgoing.add(header, frames);
    write_plainly(wanted, header, !frames.empty());
    for (std::size_t i = 0; i < frames.size(); ++i) write_plainly(wanted, frames[i].view(), i + 1 < frames.size());
    if (chance() % 5 == 0) {
      outgoing.add_bytes("\4\5\4PONG");
      wanted += "\4\5\4PONG";
    }
    (void)outgoing.flush(pair.ours.get());
    got += pair.read(chance() % 150'000);
  }
  for (bool moved = true; moved;) {
    const Outgoing::Left left = outgoing.flush(pair.ours.get());
    ASSERT_NE(left, Outgoing::Left::broken);
    const std::string more = pair.read(1 << 20);
    got += more;
    moved = left == Outgoing::Left::some || !more.empty();
  }
  EXPECT_TRUE(outgoing.empty());
  EXPECT_TRUE(got == wanted) << "seed " << seed;
}

TEST(Outgoing, APeerThatHasGoneIsTold) {
  Pair pair;
  Outgoing outgoing;
  outgoing.add("header", {Frame(std::string("body"))});
  pair.theirs.reset();
  EXPECT_EQ(outgoing.flush(pair.ours.get()), Outgoing::Left::broken);
}

TEST(Outgoing, AFrameThatLeavesWithoutACopyIsKeptAliveUntilThen) {
  const Pair pair;
  Outgoing outgoing;
  std::weak_ptr<const void> kept;
  {
    const Frame frame(std::string(1 << 22, 'x'));
    kept = frame.owner();
    outgoing.add("h", {frame});
  }
  EXPECT_EQ(outgoing.flush(pair.ours.get()), Outgoing::Left::some);
  EXPECT_FALSE(kept.expired());
  while (outgoing.flush(pair.ours.get()) == Outgoing::Left::some) (void)pair.read(1 << 20);
  EXPECT_TRUE(kept.expired());
}

}  // namespace
}  // namespace windlass::worker
