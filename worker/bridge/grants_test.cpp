#include "worker/bridge/grants.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "proto/writer.hpp"
#include "worker/testing.hpp"

namespace windlass::worker {
namespace {

using namespace std::chrono_literals;
using proto::Code;
using testing::id_of;

std::string record_of(const std::string& name, double cpu, const std::vector<double>& gpus = {}) {
  proto::Writer writer;
  writer.map(3).str("name").str(name).str("resources").map(1).str("cpu").number(cpu);
  writer.str("devices").map(1).str("gpu").array(gpus.size());
  for (const double share : gpus) writer.number(share);
  return writer.take();
}

proto::GrantEntry entry_of(char letter, std::int64_t cpu, const std::string& offer = "n") {
  proto::GrantEntry entry;
  entry.id = id_of(letter);
  entry.offer = offer;
  entry.epoch = 1;
  if (cpu > 0) entry.amounts = {{"cpu", cpu * 10'000}};
  return entry;
}

class GrantsTest : public ::testing::Test {
 protected:
  GrantsTest() { grants.offers_are({record_of("n", 4, {1, 0.5}), record_of("n/1", 8)}, 1); }

  // "" where granted, else the words of the refusal.
  std::string ask(const proto::GrantEntry& entry, std::chrono::milliseconds lease = 10s) {
    const auto answer = grants.grant({static_cast<std::uint64_t>(lease.count()), {entry}, {}}, now);
    last = answer.refused.empty() ? Code::ok : answer.refused[0].code;
    return answer.refused.empty() ? "" : answer.refused[0].message;
  }
  std::uint64_t release(char letter) { return grants.release({{id_of(letter)}}, now).released; }

  Grants grants;
  Time now = Time{} + 1h;
  Code last = Code::ok;
};

TEST_F(GrantsTest, TakesWhatIsThereAndNoMore) {
  EXPECT_EQ(ask(entry_of('a', 3)), "");
  EXPECT_EQ(ask(entry_of('b', 2)), "the offer n has 1 cpu free of 4, less than the 2 asked for");
  EXPECT_EQ(last, Code::failed_precondition);
  EXPECT_EQ(ask(entry_of('c', 1)), "");
  EXPECT_EQ(release('a'), 1U);
  EXPECT_EQ(ask(entry_of('d', 3)), "");
  EXPECT_EQ(grants.size(), 2U);
}

TEST_F(GrantsTest, AnUnknownOfferAndAnUnknownDimensionAreRefused) {
  EXPECT_NE(ask(entry_of('a', 1, "m")).find("no offer m"), std::string::npos);
  proto::GrantEntry odd = entry_of('b', 0);
  odd.amounts = {{"memory", 1}};
  EXPECT_EQ(ask(odd), "the offer n has 0 memory free of 0, less than the 0.0001 asked for");
}

TEST_F(GrantsTest, AStaleEpochIsRefusedAndOneOfAnotherOfferThatChangedIsNot) {
  grants.offers_are({record_of("n", 5), record_of("n/1", 8)}, 2);
  EXPECT_NE(ask(entry_of('a', 1)).find("has changed since"), std::string::npos);
  EXPECT_EQ(last, Code::failed_precondition);
  EXPECT_EQ(ask(entry_of('b', 1, "n/1")), "");
  proto::GrantEntry ahead = entry_of('c', 1);
  ahead.epoch = 3;
  EXPECT_NE(ask(ahead), "") << "an epoch of another life of this node";
  ahead = entry_of('d', 1);
  ahead.epoch = 2;
  EXPECT_EQ(ask(ahead), "");
}

TEST_F(GrantsTest, TheSameIdIsTheSameGrantAndForSomethingElseRefused) {
  EXPECT_EQ(ask(entry_of('a', 3)), "");
  const auto version = grants.version();
  EXPECT_EQ(ask(entry_of('a', 3)), "");
  EXPECT_EQ(grants.version(), version);
  EXPECT_EQ(grants.size(), 1U);
  EXPECT_NE(ask(entry_of('a', 1)), "");
  EXPECT_EQ(last, Code::already_exists);
  EXPECT_EQ(ask(entry_of('b', 1)), "") << "what was refused changed nothing";
}

TEST_F(GrantsTest, WhatWasReleasedOrRefusedStaysSo) {
  EXPECT_EQ(release('a'), 0U);
  EXPECT_NE(ask(entry_of('a', 1)), "") << "its RELEASE overtook it";
  EXPECT_NE(ask(entry_of('b', 5)), "");
  grants.offers_are({record_of("n", 9)}, 1);
  EXPECT_NE(ask(entry_of('b', 5)), "") << "who asked was told no";
  EXPECT_EQ(grants.size(), 0U);
}

TEST_F(GrantsTest, ALeaseEndsUnlessRenewed) {
  EXPECT_EQ(ask(entry_of('a', 2), 10s), "");
  EXPECT_EQ(ask(entry_of('b', 2), 10s), "");
  EXPECT_EQ(grants.next_due(), now + 10s);
  now += 6s;
  const auto renewed = grants.grant({10'000, {}, {id_of('a'), id_of('x')}}, now);
  ASSERT_EQ(renewed.unknown.size(), 1U);
  EXPECT_EQ(renewed.unknown[0], id_of('x'));
  now += 4s;
  grants.expire(now);
  EXPECT_EQ(grants.size(), 1U) << "b is over";
  EXPECT_EQ(grants.next_due(), now + 6s);
  EXPECT_EQ(grants.held(now).at(0).lease_ms, 6000U);
  EXPECT_EQ(ask(entry_of('b', 2)), "") << "and may be asked for again";
  now += 6s;
  EXPECT_EQ(ask(entry_of('c', 2)), "") << "a is over the moment somebody asks";
  EXPECT_EQ(grants.counts().expired, 2U);
}

TEST_F(GrantsTest, AnExclusiveGrantIsAlone) {
  proto::GrantEntry whole = entry_of('a', 1);
  whole.exclusive = true;
  EXPECT_EQ(ask(whole), "");
  EXPECT_EQ(ask(entry_of('b', 1)), "the offer n is held by another");
  EXPECT_EQ(release('a'), 1U);
  EXPECT_EQ(ask(entry_of('c', 1)), "");
  EXPECT_EQ(ask(entry_of('d', 1)), "");
  whole.id = id_of('e');
  EXPECT_EQ(ask(whole), "the offer n is held by another");
  release('c');
  whole.id = id_of('f');
  EXPECT_NE(ask(whole), "") << "d is still there";
  EXPECT_EQ(ask(entry_of('g', 1)), "") << "and shared it stays";
}

TEST_F(GrantsTest, DevicesAreTakenOneByOne) {
  proto::GrantEntry half = entry_of('a', 0);
  half.devices = {{"gpu", {{1, 5'000}}}};
  EXPECT_EQ(ask(half), "");
  half.id = id_of('b');
  EXPECT_EQ(ask(half), "the offer n has 0 free of gpu 1, less than the 0.5 asked for");
  half.devices = {{"gpu", {{0, 10'000}}}};
  half.id = id_of('c');
  EXPECT_EQ(ask(half), "");
  half.devices = {{"gpu", {{2, 1}}}};
  half.id = id_of('d');
  EXPECT_NE(ask(half), "");
}

TEST_F(GrantsTest, WhatIsHeldOutlivesItsOffer) {
  EXPECT_EQ(ask(entry_of('a', 3)), "");
  grants.offers_are({}, 2);
  EXPECT_EQ(grants.held(now).size(), 1U);
  grants.offers_are({record_of("n", 4)}, 3);
  proto::GrantEntry more = entry_of('b', 2);
  more.epoch = 3;
  EXPECT_NE(ask(more), "");
  more = entry_of('c', 1);
  more.epoch = 3;
  EXPECT_EQ(ask(more), "");
  grants.offers_are({record_of("n", 1)}, 4);
  more = entry_of('d', 1);
  more.epoch = 4;
  EXPECT_EQ(ask(more), "the offer n has 0 cpu free of 1, less than the 1 asked for");
}

TEST_F(GrantsTest, ADrainingNodeRenewsAndGrantsNothingNew) {
  EXPECT_EQ(ask(entry_of('a', 1)), "");
  grants.drain();
  EXPECT_NE(ask(entry_of('b', 1)), "");
  EXPECT_EQ(last, Code::unavailable);
  EXPECT_TRUE(grants.grant({10'000, {}, {id_of('a')}}, now).unknown.empty());
}

TEST_F(GrantsTest, KeepsNoMoreThanItCanList) {
  grants.offers_are({record_of("n", 1e6)}, 1);
  proto::GrantEntry entry = entry_of('a', 1);
  entry.about = std::string(proto::kGrantAboutBytesMax, ' ');
  std::string said;
  std::uint32_t count = 0;
  for (; said.empty() && count < 100'000; ++count) {
    std::memcpy(entry.id.bytes.data(), &count, sizeof count);
    said = ask(entry);
  }
  EXPECT_NE(said.find("all it keeps"), std::string::npos);
  EXPECT_EQ(last, Code::resource_exhausted);
  EXPECT_GT(count, 1000U);
}

TEST_F(GrantsTest, ServesMessagesAndRefusesMalformedOnes) {
  const Answer answer =
      grants.serve(proto::Type::grant, proto::encode(proto::Grant{1000, {entry_of('a', 9)}, {}}), now);
  const auto told = proto::decode<proto::GrantAnswer>(answer.frames[0].view());
  ASSERT_TRUE(told);
  EXPECT_EQ(told->refused.at(0).grant, 0U);
  EXPECT_EQ(grants.serve(proto::Type::grant, "\x80", now).code, Code::invalid_argument);
  EXPECT_EQ(grants.serve(proto::Type::release, "x", now).code, Code::invalid_argument);
  EXPECT_EQ(grants.serve(proto::Type::release, proto::encode(proto::Release{}), now).code, Code::ok);
}

TEST(OfferAmounts, FieldsWithoutResourcesAreDimensions) {
  proto::Writer writer;
  writer.map(4).str("name").str("a").str("cpu").number(0.29).str("price").number(3).str("mem").integer(7);
  const OfferAmounts offer = amounts_of_offer(writer.take());
  EXPECT_EQ(offer.name, "a");
  EXPECT_EQ(offer.amounts, (std::map<std::string, std::int64_t>{{"cpu", 2900}, {"mem", 70'000}}));
}

// Grants, releases and time at random, beside a list that is added up anew each time.
TEST(GrantsModel, NeverHoldsMoreThanThereIs) {
  const char* given = std::getenv("WINDLASS_SEED");
  const auto seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  SCOPED_TRACE("WINDLASS_SEED=" + std::to_string(seed) + " worker_test --gtest_filter=GrantsModel.* runs it again");
  std::mt19937_64 random(seed);
  struct Known {
    std::int64_t cpu;
    bool exclusive;
    Time until;
  };
  Grants grants;
  grants.offers_are({record_of("n", 10)}, 1);
  std::map<char, Known> model;
  std::set<char> dead;
  Time now = Time{} + 1h;
  for (int step = 0; step < 20'000; ++step) {
    now += std::chrono::milliseconds(random() % 300);
    std::erase_if(model, [&](const auto& each) { return each.second.until <= now; });
    const char letter = static_cast<char>(random() % 200);
    if (random() % 3 == 0) {
      EXPECT_EQ(grants.release({{id_of(letter)}}, now).released, model.erase(letter));
      dead.insert(letter);
    } else {
      proto::GrantEntry entry = entry_of(letter, static_cast<std::int64_t>(random() % 6));
      entry.exclusive = random() % 8 == 0;
      const std::int64_t asked = entry.amounts.empty() ? 0 : entry.amounts["cpu"];
      std::int64_t held = 0;
      bool closed = entry.exclusive && !model.empty();
      for (const auto& [unused, known] : model) {
        held += known.cpu;
        closed |= known.exclusive;
      }
      const auto found = model.find(letter);
      const bool same =
          found != model.end() && found->second.cpu == asked && found->second.exclusive == entry.exclusive;
      const bool fits = found == model.end() && !dead.contains(letter) && !closed && held + asked <= 100'000;
      const auto answer = grants.grant({5000, {entry}, {}}, now);
      ASSERT_EQ(answer.refused.empty(), same || fits) << step;
      if (same || fits) {
        model[letter] = {asked, entry.exclusive, now + 5s};
      } else if (found == model.end()) {
        dead.insert(letter);
      }
    }
    ASSERT_EQ(grants.size(), model.size()) << step;
    if (dead.size() > 150) {  // a new life of the node
      grants = Grants{};
      grants.offers_are({record_of("n", 10)}, 1);
      model.clear();
      dead.clear();
    }
  }
}

}  // namespace
}  // namespace windlass::worker
