#include "plugin/match/index/index.hpp"

#include <algorithm>
#include <optional>

#include "plugin/match/index/failures.hpp"
#include "plugin/match/index/pool.hpp"
#include "plugin/match/index/shapes.hpp"
#include "plugin/match/turns.hpp"

namespace windlass::match {
namespace {

// In packing an offer that comes back may lie before a shape's cursor; so each is told, while they are few.
constexpr size_t kShapesTold = 128;

// What is known of a task's amounts, or of a shape's.
struct Query {
  Wide sum = 0;  // weighted, as the offers' keys
  uint64_t ranks = 0;
  Key from = kKeyLeast, to = kKeyMost;
  bool known = false;
  bool failed = false;
};

class Index {
 public:
  Index(const Problem& problem, const Kernel& kernel)
      : problem_(problem),
        scoring_(scoring_of(problem)),
        ranks_(problem),
        pool_(problem, scoring_, ranks_, kernel),
        shapes_(problem.constraints ? Shapes{} : shapes_of(problem)),
        queries_(shapes_.example.size()),
        failures_(problem.dimensions),
        wanted_(problem.dimensions) {
    if (problem.constraints) rules_.emplace(problem, *problem.constraints, scoring_.one);
    placement_.engine = kernel.engine;
    placement_.resize(problem.tasks, problem.policy == Policy::cost);
    cursors_ = problem.mode == Mode::exclusive || queries_.size() <= kShapesTold;
    for (size_t d = 0; d < problem.dimensions; ++d) {
      const int64_t* column = problem.offer_amounts[d];
      largest_.push_back(column && problem.offers > 0 ? *std::max_element(column, column + problem.offers) : 0);
    }
  }

  Placement run() {
    Turns turns = turns_of(problem_, rules_ ? problem_.constraints->gang : std::span<const int32_t>{});
    for (size_t number = 0; number < turns.count(); ++number) take(turns.turn(number));
    placement_.order = std::move(turns.order);
    if (rules_) rules_->write_devices(placement_);
    return std::move(placement_);
  }

 private:
  struct Taken {
    Slot slot;
    int32_t offer;
    Key after;
  };

  // All tasks of a turn are placed, or none.
  void take(std::span<const int32_t> turn) {
    taken_.clear();
    for (const int32_t task : turn) {
      if (take(task)) continue;
      while (!taken_.empty()) undo(turn[taken_.size() - 1]);
      break;
    }
    pool_.tidy();
  }

  // The task that was placed last.
  void undo(int32_t task) {
    const Taken& taken = taken_.back();
    load(task);
    pool_.undo(taken.slot, taken.offer, taken.after, wanted_.data());
    rules_->undo(task, taken.offer, wanted_);
    placement_.put(task, -1, 0);
    if (problem_.policy == Policy::cost) placement_.price_added[task] = 0;
    --placement_.placed;
    taken_.pop_back();
  }

  void load(int32_t task) {
    for (size_t d = 0; d < problem_.dimensions; ++d) wanted_[d] = problem_.task_amount(task, d);
  }

  bool take(int32_t task) {
    load(task);
    Query one;
    Query& query = shapes_.of.empty() ? one : queries_[shapes_.of[task]];
    if (!query.known) ask(query);
    if (query.failed || (rules_ && !rules_->quota_allows(task, wanted_))) return false;
    const Pool::Search search{wanted_.data(), query.ranks, query.from, query.to};
    const Slot slot = rules_ ? pool_.best(search, task, *rules_) : pool_.best(search);
    if (slot.group < 0) {
      fail(query);
      return false;
    }
    if (cursors_) query.from = slot.key;  // what lies before it can't take this shape any more
    place(task, query, slot);
    return true;
  }

  void ask(Query& query) {
    query.known = true;
    for (size_t d = 0; d < problem_.dimensions; ++d) query.failed = query.failed || wanted_[d] > largest_[d];
    if (query.failed || (query.failed = failures_.covers(wanted_.data()))) return;
    query.ranks = ranks_.of(wanted_.data());
    for (size_t d = 0; d < problem_.dimensions; ++d) query.sum += scoring_.weight[d] * wanted_[d];
    if (problem_.policy == Policy::best_fit) {
      query.from = {0, query.sum};
      if (scoring_.limited) query.to = {0, added(query.sum, scoring_.limit)};
    } else if (problem_.policy == Policy::worst_fit) {
      query.to = {0, rules_ ? kWideMax : -query.sum};  // a smaller offer can't fit; with penalties keys don't tell
      if (scoring_.limited) query.to.sum = std::min(query.to.sum, added(-query.sum, scoring_.limit));
    }
  }

  void fail(Query& query) {
    if (rules_) return;  // others may be admitted where this one was not
    if (scoring_.limited) {
      query.failed = problem_.mode == Mode::exclusive;  // in packing an offer may shrink into the limit
      return;
    }
    query.failed = true;
    failures_.add(wanted_.data());
  }

  void place(int32_t task, const Query& query, const Slot& slot) {
    const int32_t offer = pool_.offer(slot);
    const bool descending = problem_.policy == Policy::worst_fit;
    placement_.put(task, offer, descending ? slot.total.sum + query.sum : slot.total.sum - query.sum);
    if (problem_.policy == Policy::cost) placement_.price_added[task] = slot.key.price;
    ++placement_.placed;
    if (rules_) rules_->place(task, offer, wanted_);
    const Key key = pool_.take(slot, wanted_.data(), query.sum);
    taken_.push_back({slot, offer, key});
    if (problem_.mode == Mode::packing && cursors_) tell(key, pool_.amounts(offer));
  }

  void tell(const Key& key, const int64_t* amounts) {
    for (size_t shape = 0; shape < queries_.size(); ++shape) {
      Query& query = queries_[shape];
      if (!query.known || query.failed || !(key < query.from)) continue;
      bool fits = true;
      for (size_t d = 0; d < problem_.dimensions; ++d) {
        fits = fits && problem_.task_amount(shapes_.example[shape], d) <= amounts[d];
      }
      if (fits) query.from = key;
    }
  }

  const Problem& problem_;
  const Scoring scoring_;
  const Ranks ranks_;
  Pool pool_;
  const Shapes shapes_;
  std::vector<Query> queries_;  // by shape
  Failures failures_;
  std::vector<int64_t> largest_;  // by dimension: of all offers at the start
  std::vector<int64_t> wanted_;   // amounts of the task at hand
  bool cursors_ = false;
  std::vector<Taken> taken_;  // of the turn at hand
  std::optional<Rules> rules_;
  Placement placement_;
};

}  // namespace

bool index_serves(const Problem& problem) {
  return !of_products(problem.policy);
}

Placement match_index(const Problem& problem, bool plain) {
  return Index(problem, plain ? plain_kernel() : kernel()).run();
}

}  // namespace windlass::match
