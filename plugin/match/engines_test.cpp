// The fast engines against the plain one, on random problems of many kinds. A failure prints the seed that replays it:
// WINDLASS_SEED=n ./windlass_match_engines_test; WINDLASS_CASES=n runs more.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "plugin/match/decode.hpp"
#include "plugin/match/index/index.hpp"
#include "plugin/match/scalar.hpp"
#include "plugin/match/scan.hpp"
#include "plugin/match/testing.hpp"
#include "plugin/match/validate.hpp"

namespace windlass::match {
namespace {

class Maker {
 public:
  explicit Maker(uint64_t seed) : random_(seed) {}

  TestProblem make() { return make(below(one_in(4) ? 400 : 60), below(one_in(4) ? 400 : 60)); }

  TestProblem make(size_t tasks, size_t offers) {
    TestProblem made;
    const size_t dimensions = one_in(20) ? below(24) + 1 : below(5) + (one_in(30) ? 0 : 1);
    const int64_t kind = below(8);
    for (size_t d = 0; d < dimensions; ++d) {
      made.tasks.push_back(column(tasks, kind, 2));
      made.offers.push_back(column(offers, kind, one_in(10) ? 1 : 3));
      // What no offer has: its weighted sum would leave 128 bits.
      if (tasks > 0 && one_in(10)) made.tasks.back()[below(static_cast<int64_t>(tasks))] = 9'200'000'000'000'000'000;
    }
    made.problem.tasks = tasks;
    made.problem.offers = offers;
    options(made, kind);
    if (one_in(3)) constrain(made);
    return made;
  }

 private:
  int64_t below(int64_t end) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(end)); }
  bool one_in(int64_t n) { return below(n) == 0; }

  int64_t amount(int64_t kind, int64_t size) {
    switch (kind) {
      case 0:
        return below(3) * size;  // ties and zeros
      case 1:
        return 1'000 * size;  // all equal
      case 2:
        return 50'000 + below(3) + size;  // nearly equal
      case 3:
        return below(1'000'000) << below(40);  // huge and tiny
      case 4:
        return (int64_t{1} << below(8)) * size;  // few shapes
      case 5:
        return one_in(2) ? 0 : below(20);
      default:
        return below(100'000) * size;
    }
  }

  std::vector<int64_t> column(size_t rows, int64_t kind, int64_t size) {
    std::vector<int64_t> made(rows);
    for (int64_t& value : made) value = amount(kind, size);
    return made;
  }

  int64_t weight() {
    if (one_in(3)) return 0;
    return one_in(4) ? int64_t{1} << 30 : below(200'000) + 1;  // the largest leaves 64 bits
  }

  void options(TestProblem& made, int64_t kind) {
    Problem& problem = made.problem;
    constexpr Policy kPolicies[] = {Policy::best_fit, Policy::best_fit, Policy::worst_fit, Policy::cost,
                                    Policy::dot_product};
    problem.policy = kPolicies[below(5)];
    problem.mode = one_in(2) ? Mode::packing : Mode::exclusive;
    if (problem.mode == Mode::exclusive && one_in(2)) problem.ties = Ties::swap_remove;
    problem.normalize = problem.policy == Policy::dot_product || !one_in(4);
    if (one_in(3)) {
      for (size_t d = 0; d < made.tasks.size(); ++d) made.weights.push_back(weight());
    }
    if (one_in(5) && kind != 3) {
      for (size_t d = 0; d < made.tasks.size(); ++d) made.scale.push_back(one_in(3) ? 0 : below(100'000) + 1);
    }
    if (one_in(3)) {
      for (size_t task = 0; task < problem.tasks; ++task) made.priority.push_back(static_cast<int32_t>(below(3)) - 1);
    }
    if (problem.policy == Policy::cost || one_in(4)) {
      for (size_t offer = 0; offer < problem.offers; ++offer) made.price.push_back(below(5));
      if (one_in(2)) problem.max_price = below(5);
    }
    if (problem.policy != Policy::cost && one_in(3)) {
      problem.max_score = static_cast<double>(below(2'000) - 1'000) / (problem.normalize ? 500.0 : 0.01);
    }
  }

  // A column of numbers from -1 to `sets` - 1.
  std::span<const int32_t> numbers(TestProblem& made, size_t rows, int64_t sets, bool none = true) {
    std::vector<int32_t>& column = made.rows.emplace_back(rows);
    for (int32_t& value : column) value = static_cast<int32_t>(none ? below(sets + 1) - 1 : below(sets));
    return column;
  }

  Conditions conditions(Texts& texts) {
    Condition condition;
    if (one_in(2)) condition.in = std::vector<int32_t>{texts.number_of(kTexts[below(2)]), texts.number_of("7")};
    if (one_in(4)) condition.not_in = {texts.number_of("a")};
    if (one_in(6)) condition.exists = one_in(2);
    if (one_in(6)) condition.max = 5;
    return {{static_cast<int32_t>(below(2)), condition}};
  }

  void constrain(TestProblem& made) {
    Constraints& given = made.given;
    const size_t tasks = made.problem.tasks, offers = made.problem.offers;
    made.constrained = true;
    given.keys = 2;
    for (const char* text : kTexts) given.texts.number_of(text);
    const auto label = [&] { return Labels{{static_cast<int32_t>(below(2)), static_cast<int32_t>(below(3))}}; };
    given.offer_labels = {{label(), label(), label()}, numbers(made, offers, 3)};
    if (one_in(2)) {
      given.task_labels = {{conditions(given.texts), conditions(given.texts)}, numbers(made, tasks, 2)};
    }
    if (one_in(3)) {
      given.task_tags = {{label(), label()}, numbers(made, tasks, 2)};
      given.offer_only = {{conditions(given.texts)}, numbers(made, offers, 1)};
    }
    if (one_in(3)) {
      const std::vector<Preference> some = {{conditions(given.texts), below(100'000)},
                                            {conditions(given.texts), below(100'000)}};
      given.prefer = {{some}, numbers(made, tasks, 1)};
    }
    if (one_in(2)) given.node = numbers(made, offers, static_cast<int64_t>(offers) / 2 + 1, false);
    if (one_in(3)) {
      given.group = numbers(made, tasks, 4, false);
      given.max_per = {{{{kNodeKey, below(3) + 1}}, {{0, below(4) + 1}}}, numbers(made, tasks, 2)};
      given.avoid = {{{0}, {1, 2}}, numbers(made, tasks, 2)};
      given.running = {Running{.node = 0, .group = 1, .avoid = {0}, .labels = {{0, 1}}}};
    }
    if (one_in(3) && !made.tasks.empty()) {
      given.tenant = numbers(made, tasks, 2, false);
      given.quotas = {{0, {{0, below(1'000'000)}}}, {1, {{0, below(100)}}}};
    }
    if (one_in(3) && made.priority.empty()) given.gang = numbers(made, tasks, static_cast<int64_t>(tasks) / 3 + 1);
    if (one_in(4)) {
      given.input_bytes = made.wides.emplace_back(std::vector<int64_t>{10, 0, 1'000});
      given.inputs = {{{0, 2}, {1}}, numbers(made, tasks, 2)};
      given.staged = {{{0}, {1, 2}}, numbers(made, offers, 2)};
    }
    if (one_in(3) && !made.tasks.empty()) add_devices(made);
  }

  // Dimension 0 becomes a kind of device.
  void add_devices(TestProblem& made) {
    std::vector<int64_t>& begin = made.wides.emplace_back(1, 0);
    std::vector<int64_t>& shares = made.wides.emplace_back();
    for (int64_t& sum : made.offers[0]) {
      sum = 0;
      for (int64_t left = below(5); left > 0; --left) {
        shares.push_back(one_in(2) ? 10'000 : below(10'001));
        sum += shares.back();
      }
      begin.push_back(static_cast<int64_t>(shares.size()));
    }
    for (int64_t& share : made.tasks[0]) share = one_in(3) ? below(3) * 10'000 : below(3) * 3'000;
    made.given.devices = {{0, begin, shares}};
  }

  static constexpr const char* kTexts[3] = {"a", "b", "7"};
  std::mt19937_64 random_;
};

uint64_t number_from(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

void expect_same(const Placement& truth, const Placement& fast) {
  EXPECT_EQ(truth.offer_index, fast.offer_index);
  EXPECT_EQ(truth.order, fast.order);
  EXPECT_EQ(truth.placed, fast.placed);
  EXPECT_EQ(truth.score_high, fast.score_high);
  EXPECT_EQ(truth.score_low, fast.score_low);
  EXPECT_EQ(truth.price_added, fast.price_added);
  EXPECT_EQ(truth.device_begin, fast.device_begin);
  EXPECT_EQ(truth.device_index, fast.device_index);
}

template <typename Make>
void compare_all(uint64_t cases, Make make) {
  const uint64_t first = number_from("WINDLASS_SEED", 1);
  size_t compared = 0;
  for (uint64_t seed = first; seed < first + cases; ++seed) {
    TestProblem made = make(Maker(seed));
    const Problem& problem = made.view();
    if (validate(problem) || !(index_serves(problem) || scan_serves(problem))) continue;
    if (problem.constraints) {
      ASSERT_FALSE(check_constraints(problem, *problem.constraints));
    }
    ++compared;
    const Placement truth = match_scalar(problem);
    for (const bool plain : {false, true}) {
      if (index_serves(problem)) expect_same(truth, match_index(problem, plain));
      if (scan_serves(problem)) expect_same(truth, match_scan(problem, plain));
    }
    ASSERT_FALSE(::testing::Test::HasFailure()) << "WINDLASS_SEED=" << seed << " WINDLASS_CASES=1";
  }
  EXPECT_TRUE(compared > cases / 3 || cases < 10);
}

TEST(Engines, AnswerAlikeOnRandomProblems) {
  compare_all(number_from("WINDLASS_CASES", 3'000), [](Maker maker) { return maker.make(); });
}

// Enough offers for bands to be cut and joined.
TEST(Engines, AnswerAlikeOnLargerProblems) {
  compare_all(number_from("WINDLASS_LARGE_CASES", 12), [](Maker maker) { return maker.make(6'000, 3'500); });
}

}  // namespace
}  // namespace windlass::match
