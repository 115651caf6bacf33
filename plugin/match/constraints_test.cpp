#include "plugin/match/constraints.hpp"

#include <gtest/gtest.h>

#include "plugin/match/matcher.hpp"
#include "plugin/match/testing.hpp"

namespace windlass::match {
namespace {

using Indices = std::vector<int32_t>;

Placement run(TestProblem& made, const Constraints& given) {
  made.problem.constraints = &given;
  Placement placement;
  const Check fault = match(made.view(), EngineChoice::automatic, placement);
  EXPECT_FALSE(fault) << fault->field << ": " << fault->message;
  return placement;
}

TestProblem equal(size_t tasks, size_t offers) {
  TestProblem made;
  made.tasks = {std::vector<int64_t>(tasks, 1)};
  made.offers = {std::vector<int64_t>(offers, 100)};
  return made;
}

void expect_fault(TestProblem& made, const Constraints& given, Side side, int64_t row, const std::string& field) {
  made.problem.constraints = &given;
  Placement placement;
  const Check fault = match(made.view(), EngineChoice::automatic, placement);
  ASSERT_TRUE(fault) << field;
  EXPECT_EQ(fault->side, side);
  EXPECT_EQ(fault->row, row);
  EXPECT_EQ(fault->field, field);
}

TEST(Integers, AreReadAsAsciiInt64) {
  EXPECT_EQ(read_integer("+7"), 7);
  EXPECT_EQ(read_integer("-007"), -7);
  EXPECT_EQ(read_integer("-9223372036854775808"), INT64_MIN);
  for (const char* text : {"", "+", "-", "+-1", "++1", "1.0", " 1", "1 ", "9223372036854775808", "0x1", "\xD9\xA1"}) {
    EXPECT_FALSE(read_integer(text)) << text;
  }
}

TEST(Conditions, EachKindHoldsAsThePageSays) {
  Texts texts;
  const int32_t a = texts.number_of("a"), b = texts.number_of("b"), seven = texts.number_of("+7");
  const Labels labels = {{0, a}, {2, seven}};
  const auto check = [&](int32_t key, Condition condition) {
    return holds(Conditions{{key, std::move(condition)}}, labels, texts);
  };
  EXPECT_TRUE(check(0, {.in = Indices{a, b}}));
  EXPECT_FALSE(check(0, {.in = Indices{b}}));
  EXPECT_FALSE(check(0, {.in = Indices{}}));
  EXPECT_FALSE(check(0, {.not_in = {a}}));
  EXPECT_TRUE(check(0, {.exists = true}));
  EXPECT_FALSE(check(0, {.exists = false}));
  EXPECT_FALSE(check(0, {.min = 0}));  // "a" is no integer
  EXPECT_TRUE(check(2, {.min = 7, .max = 7}));
  EXPECT_FALSE(check(2, {.min = 8}));
  EXPECT_FALSE(check(2, {.max = 6}));
  EXPECT_TRUE(check(1, {.not_in = {a}}));  // the key is missing
  EXPECT_TRUE(check(1, {.exists = false}));
  EXPECT_FALSE(check(1, {.exists = true}));
  EXPECT_FALSE(check(1, {.in = Indices{a}}));
  EXPECT_FALSE(check(1, {.max = 5}));
  EXPECT_FALSE(check(1, {.not_in = {b}, .min = 5}));
}

TEST(Rules, LabelsAndTagsAdmit) {
  TestProblem made = equal(3, 3);
  Constraints given;
  const int32_t ssd = given.texts.number_of("ssd");
  const Indices offers = {-1, 0, -1}, tasks = {0, -1, -1}, only = {0, -1, -1}, tags = {-1, -1, 0};
  given.keys = 2;
  given.offer_labels = {{Labels{{0, ssd}}}, offers};
  given.task_labels = {{Conditions{{0, Condition{.in = Indices{ssd}}}}}, tasks};
  given.offer_only = {{Conditions{{1, Condition{.in = Indices{ssd}}}}}, only};
  given.task_tags = {{Labels{{1, ssd}}}, tags};
  EXPECT_EQ(run(made, given).offer_index, (Indices{1, 2, 0}));
}

TEST(Rules, APreferenceThatDoesNotHoldCosts) {
  TestProblem made = equal(1, 2);
  made.offers[0] = {64, 128};
  Constraints given;
  given.keys = 1;
  const int32_t ssd = given.texts.number_of("ssd");
  const Indices offers = {-1, 0}, tasks = {0};
  given.offer_labels = {{Labels{{0, ssd}}}, offers};
  given.prefer = {{std::vector<Preference>{{Conditions{{0, Condition{.in = Indices{ssd}}}}, 32768}}}, tasks};
  EXPECT_EQ(run(made, given).offer_index, (Indices{0}));  // 0.5 + 0.5 is not above 1.0, and it comes first
  given.prefer.sets[0][0].weight = 32769;
  EXPECT_EQ(run(made, given).offer_index, (Indices{1}));
}

TEST(Rules, MaxPerLimitsADomainAndCountsOthersOfTheGroup) {
  TestProblem made = equal(4, 4);
  Constraints given;
  const Indices node = {0, 0, 1, 1}, group = {0, 0, 0, 0}, limits = {-1, 0, 0, 0};
  given.node = node;
  given.group = group;
  given.max_per = {{{{kNodeKey, 1}}}, limits};
  EXPECT_EQ(run(made, given).offer_index, (Indices{0, 2, -1, -1}));
}

TEST(Rules, AnOfferWithoutTheLabelOfADomainDoesNotQualify) {
  TestProblem made = equal(3, 3);
  Constraints given;
  given.keys = 1;
  const int32_t a = given.texts.number_of("a");
  const Indices offers = {-1, 0, 0}, group = {0, 0, 0}, limits = {0, 0, 0};
  given.offer_labels = {{Labels{{0, a}}}, offers};
  given.group = group;
  given.max_per = {{{{0, 1}}}, limits};
  EXPECT_EQ(run(made, given).offer_index, (Indices{1, -1, -1}));
  given.running = {Running{.group = 0, .labels = {{0, a}}}};
  EXPECT_EQ(run(made, given).placed, 0u);
}

TEST(Rules, AvoidIsMutual) {
  TestProblem made = equal(2, 2);
  Constraints given;
  const Indices node = {0, 0}, group = {0, 1}, first = {0, -1}, second = {-1, 0};
  given.node = node;
  given.group = group;
  given.avoid = {{{1}}, first};
  EXPECT_EQ(run(made, given).offer_index, (Indices{0, -1}));
  given.avoid = {{{0}}, second};
  EXPECT_EQ(run(made, given).offer_index, (Indices{0, -1}));
  given.avoid = {};
  given.running = {Running{.node = 0, .avoid = {1}}};
  EXPECT_EQ(run(made, given).offer_index, (Indices{0, -1}));
}

TEST(Rules, AGangIsPlacedWholeOrNotAtAll) {
  TestProblem made = equal(4, 3);
  Constraints given;
  const Indices gang = {7, -1, 7, -1};
  given.gang = gang;
  Placement placement = run(made, given);
  EXPECT_EQ(placement.order, (Indices{0, 2, 1, 3}));
  EXPECT_EQ(placement.offer_index, (Indices{0, 2, 1, -1}));
  made.tasks[0][2] = 101;
  placement = run(made, given);
  EXPECT_EQ(placement.offer_index, (Indices{-1, 0, -1, 1}));
  made.problem.ties = Ties::swap_remove;  // positions are undone too
  EXPECT_EQ(run(made, given).offer_index, (Indices{-1, 0, -1, 2}));
  made.priority = {1, 0, 0, 0};
  expect_fault(made, given, Side::tasks, 2, "gang");
}

TEST(Rules, DevicesDecideTheFitOfTheirKind) {
  TestProblem made;
  made.tasks = {{4'000, 10'000, 6'000, 20'000}};
  made.offers = {{15'000, 20'000}};
  made.problem.mode = Mode::packing;
  Constraints given;
  const std::vector<int64_t> begin = {0, 3, 5}, shares = {5'000, 6'000, 4'000, 10'000, 10'000};
  given.devices = {{0, begin, shares}};
  const Placement placement = run(made, given);
  EXPECT_EQ(placement.offer_index, (Indices{0, 1, 1, -1}));
  EXPECT_EQ(placement.device_begin, (std::vector<int64_t>{0, 1, 2, 3, 3}));
  EXPECT_EQ(placement.device_index, (Indices{2, 0, 1}));
  made.tasks[0][0] = 15'000;
  expect_fault(made, given, Side::tasks, 0, "devices.0");
  made.tasks[0][0] = 20'000;
  EXPECT_EQ(run(made, given).device_index, (Indices{0, 1, 1}));
  made.offers[0][1] = 19'999;
  expect_fault(made, given, Side::offers, 1, "devices.0");
}

TEST(Rules, AQuotaHoldsForWhatATenantHas) {
  TestProblem made = equal(4, 4);
  made.tasks[0] = {3, 3, 3, 0};
  Constraints given;
  const Indices tenant = {0, 0, 1, 0};
  given.tenant = tenant;
  given.quotas = {{0, {{0, 5}}}, {1, {{0, 5}}}};
  EXPECT_EQ(run(made, given).offer_index, (Indices{0, -1, 1, 2}));
  given.running = {Running{.tenant = 1, .amounts = {{0, 3}}}};
  EXPECT_EQ(run(made, given).offer_index, (Indices{0, -1, -1, 1}));
}

TEST(Rules, LocalityCostsTheShareOfBytesThatIsNotStaged) {
  TestProblem made = equal(1, 2);
  Constraints given;
  const std::vector<int64_t> bytes = {75, 25};
  const Indices inputs = {0}, staged = {0, 1};
  given.input_bytes = bytes;
  given.inputs = {{{0, 1}}, inputs};
  given.staged = {{{1}, {0}}, staged};
  const Placement placement = run(made, given);
  EXPECT_EQ(placement.offer_index, (Indices{1}));
  const Wide base = (static_cast<Wide>(65536) << 64) / 100 * 99;
  const Wide score = (static_cast<Wide>(placement.score_high[0]) << 64) | placement.score_low[0];
  EXPECT_EQ(score, base + (static_cast<Wide>(16384) << 64));
}

TEST(Rules, MaxPerNeedsAGroup) {
  TestProblem made = equal(2, 2);
  Constraints given;
  const Indices limits = {-1, 0};
  given.max_per = {{{{kNodeKey, 1}}}, limits};
  expect_fault(made, given, Side::tasks, 1, "max_per");
  const Indices wild = {0, 9};
  given.max_per.of = wild;
  expect_fault(made, given, Side::tasks, 1, "max_per");
}

}  // namespace
}  // namespace windlass::match
