// Sessions against a slow model that keeps plain records and placed tasks, and asks the plain matcher anew each time. A
// failure prints the seed that replays it: WINDLASS_SEED=n WINDLASS_CASES=1.
#include "plugin/match/session.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "plugin/match/scalar.hpp"
#include "plugin/match/session_model.hpp"
#include "plugin/match/validate.hpp"

namespace windlass::match {
namespace {

using namespace session_model;

class Play {
 public:
  size_t kept[2] = {0, 0};  // calls that had an order to go by: of amounts, of labels

  explicit Play(uint64_t seed) : made_(seed), model_(made_.kit), session_(made_.kit.options) {
    for (const char* text : kTexts) session_.label(text);
    model_.largest = made_.kit.scale;
  }

  void run() {
    change(static_cast<size_t>(made_.below(12)), 0);
    for (int64_t left = made_.below(10) + 2; left > 0 && !::testing::Test::HasFailure(); --left) {
      if (made_.one_in(2)) {
        match();
      } else {
        change(made_.one_in(2) ? static_cast<size_t>(made_.below(4)) : 0, made_.below(4));
      }
      compare_offers();
    }
  }

 private:
  int64_t some_offer() {
    if (model_.offers.empty() || made_.one_in(8)) return 1'000 + made_.below(3);
    return model_.offers[made_.below(static_cast<int64_t>(model_.offers.size()))].number;
  }

  Check apply(const std::vector<Record>& records, Session::Change change, Session::Applied& applied) {
    RowColumns rows;
    rows.tasks.resize(made_.dimensions());
    rows.offers.resize(made_.dimensions());
    rows.take_offers(made_.kit, records);
    rows.weights = made_.kit.weights;
    rows.scale = made_.kit.scale;
    std::vector<int64_t> numbers;
    for (const Record& record : records) numbers.push_back(record.number);
    change.rows = rows.view();
    change.rows.offers = records.size();
    change.numbers = numbers;
    if (made_.kit.constrained || made_.kit.nodes) change.given = &rows.given;
    return session_.apply(change, applied);
  }

  void change(size_t adds, int64_t others) {
    std::vector<int64_t> removes, releases;
    std::vector<Record> records;
    for (int64_t i = made_.below(others + 1); i > 0; --i) removes.push_back(some_offer());
    for (int64_t i = others > 0 ? made_.below(12) : 0; i > 0; --i) releases.push_back(made_.below(next_task_ + 1));
    const std::set<int64_t> gone(removes.begin(), removes.end());
    for (size_t i = 0; i < adds; ++i) records.push_back(made_.record(next_offer_++));
    std::set<int64_t> again;  // removed ones that come back at once, and updates
    std::vector<Record> updates;
    for (int64_t i = made_.below(others + 1); i > 0; --i) {
      const int64_t number = some_offer();
      if (!model_.find(number) || !again.insert(number).second) continue;
      (gone.contains(number) ? records : updates).push_back(made_.record(number));
    }
    adds = records.size();
    records.insert(records.end(), updates.begin(), updates.end());
    const bool rescale = made_.one_in(6);
    Session::Applied applied;
    const Check fault = apply(
        records, {.rows = {}, .adds = adds, .removes = removes, .releases = releases, .rescale = rescale}, applied);
    if (refused(records)) {
      EXPECT_TRUE(fault);
      return;
    }
    ASSERT_FALSE(fault) << fault->message;
    Session::Applied wanted;
    for (const int64_t number : releases) wanted.released += model_.placed.erase(number);
    for (const int64_t number : removes) wanted.removed += model_.remove(number) ? 1 : 0;
    for (const Record& record : records) model_.put(record);
    model_.note_scale(records);
    const bool scaled = rescale && model_.rescale();
    model_.version += wanted.released + wanted.removed + records.size() > 0 || scaled ? 1 : 0;
    EXPECT_EQ(applied.released, wanted.released);
    EXPECT_EQ(applied.removed, wanted.removed);
  }

  // A fixed scale is the only thing that these cases may be refused for.
  bool refused(const std::vector<Record>& records) const {
    for (const Record& record : records) {
      for (size_t d = 0; d < made_.dimensions(); ++d) {
        const int64_t scale = made_.kit.scale[d];
        if (scale > 0 && record.amounts[d] > static_cast<Wide>(scale) << 24) return true;
      }
    }
    return false;
  }

  void match() {
    std::vector<TaskRow> tasks;
    const bool again = made_.one_in(8) && !model_.placed.empty();
    for (int64_t left = made_.below(12); left > 0; --left) tasks.push_back(made_.task(next_task_++));
    if (again) tasks.push_back(made_.task(model_.placed.begin()->first));
    RowColumns rows;
    rows.tasks.resize(made_.dimensions());
    rows.offers.resize(made_.dimensions());
    rows.take_tasks(made_.kit, tasks);
    std::vector<int64_t> numbers;
    for (const TaskRow& task : tasks) numbers.push_back(task.number);
    const std::vector<int64_t> nothing = {0};
    Session::Call call{.tasks = rows.view(),
                       .given = made_.kit.constrained || made_.kit.nodes ? &rows.given : nullptr,
                       .numbers = numbers};
    call.tasks.offers = 0;
    Session::Answer answer;
    const Check fault = session_.match(call, answer);
    if (again) {
      ASSERT_TRUE(fault);
      EXPECT_EQ(fault->row, static_cast<int64_t>(tasks.size()) - 1);
      return;
    }
    ASSERT_FALSE(fault) << fault->message;
    kept[0] += session_.keeps_order(false) ? 1 : 0;
    kept[1] += session_.keeps_order(true) ? 1 : 0;
    compare(tasks, answer);
  }

  void compare(const std::vector<TaskRow>& tasks, const Session::Answer& answer) {
    std::vector<Record> left;
    std::vector<int32_t> places;
    for (size_t place = 0; place < model_.offers.size(); ++place) {
      Record record = model_.offers[place];
      const int held = model_.held(record.number);
      if (held > 0 && made_.kit.options.mode == Mode::exclusive) continue;
      for (size_t d = 0; d < made_.dimensions(); ++d) record.amounts[d] = model_.free(record, d);
      record.shares = model_.free_shares(record);
      const bool admitted = !made_.kit.options.max_price || record.price <= *made_.kit.options.max_price;
      if (!admitted) continue;
      if (held > 0 && made_.kit.options.policy == Policy::cost) record.price = 0;
      if (!made_.kit.nodes) record.node = 100 + static_cast<int32_t>(record.number);
      left.push_back(record);
      places.push_back(static_cast<int32_t>(place));
    }
    const Placement truth = solve(left, tasks);
    std::vector<int32_t> wanted(tasks.size(), -1);
    for (size_t task = 0; task < tasks.size(); ++task) {
      const int32_t found = truth.offer_index[task];
      if (found < 0) continue;
      wanted[task] = places[found];
      EXPECT_EQ(answer.offer_number[task], left[found].number);
    }
    EXPECT_EQ(answer.placement.offer_index, wanted);
    EXPECT_EQ(answer.placement.order, truth.order);
    EXPECT_EQ(answer.placement.score_high, truth.score_high);
    EXPECT_EQ(answer.placement.score_low, truth.score_low);
    EXPECT_EQ(answer.placement.price_added, truth.price_added);
    EXPECT_EQ(answer.placement.device_index, truth.device_index);
    keep(left, tasks, truth);
  }

  Placement solve(const std::vector<Record>& left, const std::vector<TaskRow>& tasks) {
    RowColumns rows;
    rows.tasks.resize(made_.dimensions());
    rows.offers.resize(made_.dimensions());
    Kit kit = made_.kit;
    kit.nodes = true;
    rows.take_offers(kit, left);
    rows.take_tasks(kit, tasks);
    rows.weights = kit.weights;
    rows.scale = model_.largest;
    rows.constrained = true;
    for (const char* text : kTexts) rows.given.texts.number_of(text);
    for (const auto& [number, task] : model_.placed) rows.given.running.push_back(running(task));
    Problem problem = rows.view();
    problem.mode = kit.options.mode;
    problem.policy = kit.options.policy;
    problem.normalize = kit.options.normalize;
    problem.max_score = kit.options.max_score;
    EXPECT_FALSE(validate(problem));
    EXPECT_FALSE(check_constraints(problem, rows.given));
    return match_scalar(problem);
  }

  Running running(const Placed& task) {
    const Record& offer = *model_.find(task.offer);
    const int32_t own = 100 + static_cast<int32_t>(offer.number);
    Running made{.node = made_.kit.nodes ? offer.node : own, .tenant = task.tenant, .group = task.group};
    if (task.avoid >= 0) made.avoid = made_.kit.avoid[task.avoid];
    for (size_t d = 0; d < task.amounts.size(); ++d)
      made.amounts.emplace_back(static_cast<int32_t>(d), task.amounts[d]);
    if (offer.labels >= 0) made.labels = made_.kit.labels[offer.labels];
    return made;
  }

  void keep(const std::vector<Record>& left, const std::vector<TaskRow>& tasks, const Placement& truth) {
    for (size_t task = 0; task < tasks.size(); ++task) {
      if (truth.offer_index[task] < 0) continue;
      Placed& held = model_.placed[tasks[task].number];
      held = {left[truth.offer_index[task]].number,
              tasks[task].amounts,
              {},
              tasks[task].tenant,
              tasks[task].group,
              tasks[task].avoid};
      if (truth.device_begin.empty()) continue;
      held.devices.assign(truth.device_index.begin() + truth.device_begin[task],
                          truth.device_index.begin() + truth.device_begin[task + 1]);
    }
    model_.version += truth.placed > 0 ? 1 : 0;
  }

  void compare_offers() {
    const SessionState& state = session_.state();
    std::vector<int64_t> numbers, wanted;
    for (size_t slot = 0; slot < state.slots(); ++slot) {
      if (!state.offer(slot).present) continue;
      numbers.push_back(state.offer(slot).number);
      const Record* record = model_.find(numbers.back());
      ASSERT_TRUE(record);
      EXPECT_EQ(state.offer(slot).held, model_.held(record->number));
      for (size_t d = 0; d < made_.dimensions(); ++d) EXPECT_EQ(state.free(slot)[d], model_.free(*record, d));
    }
    for (const Record& record : model_.offers) wanted.push_back(record.number);
    EXPECT_EQ(numbers, wanted);
    EXPECT_EQ(session_.version(), model_.version);
    if (session_.version() > 0) {
      EXPECT_EQ(session_.scale(), model_.largest);
    }
  }

  Case made_;
  Model model_;
  Session session_;
  int64_t next_offer_ = 0, next_task_ = 0;
};

uint64_t number_from(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

TEST(Session, AnswersAsTheModelUnderRandomCalls) {
  const uint64_t first = number_from("WINDLASS_SEED", 1), cases = number_from("WINDLASS_CASES", 6'000);
  size_t kept[2] = {0, 0};
  for (uint64_t seed = first; seed < first + cases; ++seed) {
    Play play(seed);
    play.run();
    for (const int of : {0, 1}) kept[of] += play.kept[of];
    ASSERT_FALSE(::testing::Test::HasFailure()) << "WINDLASS_SEED=" << seed << " WINDLASS_CASES=1";
  }
  EXPECT_TRUE(cases < 100 || std::min(kept[0], kept[1]) > cases / 20) << kept[0] << " and " << kept[1];
}

}  // namespace
}  // namespace windlass::match
