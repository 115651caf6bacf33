#include "worker/front/zmtp.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <vector>

#include "worker/front/incoming.hpp"

namespace windlass::worker::zmtp {
namespace {

using Kind = Token::Kind;
using std::string_literals::operator""s;

constexpr std::uint64_t kFrameMax = 1U << 20U;

// What a libzmq 4.3.4 DEALER (routing id "me") sent, byte for byte: greeting, READY, then the message ["ab", 300 x
// 'c'].
const std::string kGreeting = "\xff\0\0\0\0\0\0\0\1\x7f\3\1NULL"s + std::string(48, '\0');
const std::string kReady = "\4\x2b\5READY\x0bSocket-Type\0\0\0\6DEALER\x08Identity\0\0\0\2me"s;
const std::string kMessage = "\1\2ab\2\0\0\0\0\0\0\1\x2c"s + std::string(300, 'c');

// All events of a peer that sends `bytes`, read in pieces that end where `cut` says.
struct Heard {
  std::vector<std::string> events;  // "greeting", "ready:me", "message:ab|ccc", "ping:x", "fault:why"
  std::size_t held = 0;
};
template <class Cut>
Heard hear(const std::string& bytes, Cut cut) {
  Heard heard;
  Incoming incoming;
  std::vector<char> scratch(Incoming::kRestBytesMax + bytes.size());
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t size = std::min<std::size_t>(std::max<std::size_t>(1, cut(at)), bytes.size() - at);
    std::string_view unread;
    if (const auto room = incoming.room(); !room.empty()) {
      const std::size_t direct = std::min(room.size(), size);
      std::copy_n(bytes.data() + at, direct, room.data());
      incoming.filled(direct);
      at += direct;
    } else {
      const std::size_t had = incoming.give_rest(scratch.data());
      std::copy_n(bytes.data() + at, size, scratch.data() + had);
      unread = {scratch.data(), had + size};
      at += size;
    }
    for (;;) {
      const Incoming::Event event = incoming.take(unread);
      if (event.kind == Kind::more) break;
      std::string told;
      if (event.kind == Kind::greeting) told = "greeting";
      if (event.kind == Kind::ready) told = "ready:" + std::string(event.bytes);
      if (event.kind == Kind::ping) told = "ping:" + std::string(event.bytes);
      if (event.kind == Kind::fault) told = "fault:" + std::string(event.bytes);
      if (event.kind == Kind::frame) {
        told = "message:";
        for (const Frame& frame : event.frames) told += std::string(frame.view()) + "|";
      }
      heard.events.push_back(told);
      if (event.kind == Kind::fault) return heard;
    }
  }
  heard.held = incoming.held();
  return heard;
}
Heard hear(const std::string& bytes) {
  return hear(bytes, [&](std::size_t) { return bytes.size(); });
}
std::string fault_of(const std::string& bytes) {
  const Heard heard = hear(bytes);
  return heard.events.empty() ? "" : heard.events.back();
}

TEST(Zmtp, AHandshakeOfLibzmqAndAMessageAreReadHoweverTheyAreCut) {
  const std::string all = kGreeting + kReady + kMessage + kMessage;
  const std::vector<std::string> wanted{"greeting", "ready:me", "message:ab|" + std::string(300, 'c') + "|",
                                        "message:ab|" + std::string(300, 'c') + "|"};
  for (std::size_t size = 1; size <= all.size(); ++size) {
    const Heard heard = hear(all, [&](std::size_t) { return size; });
    EXPECT_EQ(heard.events, wanted) << "in pieces of " << size;
    EXPECT_EQ(heard.held, 0U);
  }
  for (std::size_t first = 1; first < all.size(); ++first) {
    EXPECT_EQ(hear(all, [&](std::size_t at) { return at == 0 ? first : all.size(); }).events, wanted) << first;
  }
}

TEST(Zmtp, WhatIsWrittenIsReadAgain) {
  const std::uint32_t seed = std::random_device{}();
  std::mt19937 chance(seed);
  for (int round = 0; round < 200; ++round) {
    std::string all = kGreeting + kReady;
    std::vector<std::string> wanted{"greeting", "ready:me"};
    for (int message = 0; message < 5; ++message) {
      std::string told = "message:";
      const std::size_t frames = 1 + chance() % 5;
      for (std::size_t i = 0; i < frames; ++i) {
        const std::size_t sizes[] = {0, 1, 255, 256, 5000, 16 * 1024, 16 * 1024 + 1, 70'000, 200'000};
        const std::string body(sizes[chance() % std::size(sizes)], static_cast<char>('a' + chance() % 26));
        put_head(all, body.size(), i + 1 < frames);
        all += body;
        told += body + "|";
      }
      wanted.push_back(told);
      if (chance() % 3 == 0) {
        all += "\4\x07\4PING\0\7"s;
        wanted.emplace_back("ping:");
      }
    }
    const Heard heard = hear(all, [&](std::size_t) { return 1 + chance() % 60'000; });
    ASSERT_EQ(heard.events, wanted) << "seed " << seed << " round " << round;
    ASSERT_EQ(heard.held, 0U);
  }
}

TEST(Zmtp, OursAreTheBytesOfTheSpecification) {
  EXPECT_EQ(greeting(), "\xff\0\0\0\0\0\0\0\1\x7f\3\1NULL"s + std::string(48, '\0'));
  EXPECT_EQ(ready(), "\4\x1c\5READY\x0bSocket-Type\0\0\0\6ROUTER"s);
  EXPECT_EQ(error("no"), "\4\x09\5ERROR\2no"s);
  EXPECT_EQ(pong("xyz"), "\4\x08\4PONGxyz"s);
  std::string heads;
  put_head(heads, 255, true);
  put_head(heads, 256, false);
  EXPECT_EQ(heads, "\1\xff\2\0\0\0\0\0\0\1\0"s);
}

TEST(Zmtp, PingsAreToldWithTheirContext) {
  EXPECT_EQ(hear(kGreeting + kReady + "\4\x0a\4PING\0\7xyz"s + "\1\1a\0\1b"s).events,
            (std::vector<std::string>{"greeting", "ready:me", "ping:xyz", "message:a|b|"}));
  EXPECT_EQ(fault_of(kGreeting + kReady + "\4\6\4PING\0"s), "fault:a PING has two bytes of time and at most 16 more");
  EXPECT_EQ(fault_of(kGreeting + kReady + "\4\x18\4PING\0\0"s + std::string(17, 'x')),
            "fault:a PING has two bytes of time and at most 16 more");
}

TEST(Zmtp, CommandsBetweenTheFramesOfAMessageDoNotDisturbIt) {
  EXPECT_EQ(hear(kGreeting + kReady + "\1\1a"s + "\4\7\4PING\0\7"s + "\4\5\4LATE"s + "\0\1b"s).events,
            (std::vector<std::string>{"greeting", "ready:me", "ping:", "message:a|b|"}));
}

TEST(Zmtp, GarbageIsToldFromItsFirstBytes) {
  EXPECT_EQ(fault_of("G"), "fault:the greeting is none of ZMTP 3");
  EXPECT_EQ(fault_of("\xff\0\0\0\0\0\0\0\1\x7e"s), "fault:the greeting is none of ZMTP 3");
  EXPECT_EQ(fault_of("\xff\0\0\0\0\0\0\0\1\x7f\1"s), "fault:the peer speaks an older ZMTP than 3");
  EXPECT_EQ(fault_of("\xff\0\0\0\0\0\0\0\1\x7f\3\1CURVE"s + std::string(47, '\0')),
            "fault:the peer wants another mechanism than NULL");
  EXPECT_EQ(fault_of(kGreeting + "\0\1a"s), "fault:a message before READY");
  EXPECT_EQ(fault_of(kGreeting + "\4\6\5HELLO"s), "fault:another command than READY after the greeting");
  EXPECT_EQ(fault_of(kGreeting + "\4\x09\5ERROR\2no"s), "fault:the peer refuses us");
  EXPECT_EQ(fault_of(kGreeting + "\4\0"s), "fault:a command ends within its name");
  EXPECT_EQ(fault_of(kGreeting + "\4\3\5RE"s), "fault:a command ends within its name");
  EXPECT_EQ(fault_of(kGreeting + "\4\x0a\5READY\x0bSoc"s), "fault:READY ends within a property");
  EXPECT_EQ(fault_of(kGreeting + "\4\x17\5READY\x0bSocket-Type\xff\xff\xff\xff\4"s),
            "fault:READY ends within a property");
}

TEST(Zmtp, OnlyDealersWithAProperRoutingIdAreTaken) {
  const auto ready_of = [](const std::string& type, const std::string& identity) {
    const auto property = [](const std::string& name, const std::string& value) {
      return static_cast<char>(name.size()) + name + "\0\0"s + static_cast<char>(value.size() >> 8U) +
             static_cast<char>(value.size()) + value;
    };
    const std::string body = "\5READY" + property("socket-type", type) + property("IDENTITY", identity);
    std::string size;
    for (int shift = 56; shift >= 0; shift -= 8) size.push_back(static_cast<char>(body.size() >> shift & 0xffU));
    return kGreeting + "\6" + size + body;
  };
  EXPECT_EQ(hear(ready_of("DEALER", "x")).events, (std::vector<std::string>{"greeting", "ready:x"}));
  EXPECT_EQ(hear(ready_of("DEALER", std::string(255, 'x'))).events.back(), "ready:" + std::string(255, 'x'));
  EXPECT_EQ(fault_of(ready_of("DEALER", std::string(256, 'x'))), "fault:the routing id is longer than 255 bytes");
  EXPECT_EQ(fault_of(ready_of("DEALER", "\0x"s)), "fault:the routing id begins with a zero, as ours do");
  for (const char* type : {"REQ", "ROUTER", "SUB", "PUSH", ""}) {
    EXPECT_EQ(fault_of(ready_of(type, "")), "fault:the peer's socket is no DEALER") << type;
  }
}

TEST(Zmtp, FramesThatNobodyMayAnnounceAreFaults) {
  const std::string open = kGreeting + kReady;
  EXPECT_EQ(fault_of(open + "\x08\1a"s), "fault:a frame with flags that ZMTP 3 does not know");
  EXPECT_EQ(fault_of(open + "\5\1a"s), "fault:a frame with flags that ZMTP 3 does not know");
  EXPECT_EQ(fault_of(open + "\2\0\0\0\0\x80\0\0\1"s), "fault:a frame of too many bytes");
  EXPECT_EQ(fault_of(open + "\2\xff\xff\xff\xff\xff\xff\xff\xff"s), "fault:a frame of too many bytes");
  EXPECT_EQ(fault_of(open + "\6\0\0\0\0\0\0\x10\1"s), "fault:a command of too many bytes");
}

TEST(Zmtp, WhatIsOnlyAnnouncedTakesNoMemory) {
  const Heard heard = hear(kGreeting + kReady + "\2\0\0\0\0\x7f\xff\xff\xff"s + std::string(100'000, 'x'));
  EXPECT_EQ(heard.events.size(), 2U);
  EXPECT_GE(heard.held, 100'000U);
  EXPECT_LT(heard.held, 300'000U);
}

TEST(Zmtp, AMessageOfTooManyFramesComesCutAndTheNextIsWhole) {
  std::string many;
  for (int i = 0; i < 5000; ++i) many += "\1\1a"s;
  many += "\0\1a"s + "\0\1b"s;
  for (const std::size_t piece : {std::size_t{100}, many.size()}) {
    const Heard heard = hear(kGreeting + kReady + many, [&](std::size_t) { return piece; });
    ASSERT_EQ(heard.events.size(), 4U);
    EXPECT_EQ(heard.events[2].size(), std::string("message:").size() + 2 * 1027);
    EXPECT_EQ(heard.events[3], "message:b|");
  }
}

TEST(Zmtp, RandomBytesEndInAFaultOrWaitForMore) {
  const std::uint32_t seed = std::random_device{}();
  std::mt19937 chance(seed);
  for (int round = 0; round < 3000; ++round) {
    std::string bytes = chance() % 4 == 0 ? "" : kGreeting + (chance() % 3 == 0 ? "" : kReady + kMessage);
    const std::size_t more = chance() % 200;
    for (std::size_t i = 0; i < more; ++i) bytes.push_back(static_cast<char>(chance()));
    if (!bytes.empty() && chance() % 2 == 0) bytes[chance() % bytes.size()] = static_cast<char>(chance());
    const Heard heard = hear(bytes, [&](std::size_t) { return 1 + chance() % 100; });
    ASSERT_LT(heard.held, 200'000U) << "seed " << seed << " round " << round;
  }
}

}  // namespace
}  // namespace windlass::worker::zmtp
