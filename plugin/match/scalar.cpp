#include "plugin/match/scalar.hpp"

#include <optional>
#include <tuple>

#include "plugin/match/fragmentation.hpp"
#include "plugin/match/rules.hpp"
#include "plugin/match/scoring.hpp"
#include "plugin/match/state.hpp"
#include "plugin/match/turns.hpp"

namespace windlass::match {
namespace {

struct Choice {
  int32_t offer = -1;
  int64_t price = 0;  // what it adds; 0 unless the policy is cost
  Wide score = 0;
};

class Scalar {
 public:
  explicit Scalar(const Problem& problem)
      : problem_(problem),
        scoring_(scoring_of(problem)),
        state_(problem),
        wanted_(problem.dimensions),
        by_amount_(problem.dimensions, true) {
    if (of_products(problem.policy)) {
      wanted_parts_.resize(problem.dimensions);
      parts_.resize(problem.offers * problem.dimensions);
      for (size_t offer = 0; offer < problem.offers; ++offer) cut_parts(static_cast<int32_t>(offer));
    }
    if (problem.constraints) rules_.emplace(problem, *problem.constraints, scoring_.one);
    for (size_t d = 0; rules_ && d < problem.dimensions; ++d) by_amount_[d] = !rules_->is_device(d);
    if (rules_ && problem.policy == Policy::fragmentation) {
      fragmentation_.emplace(problem, scoring_, rules_->devices());
    }
    placement_.resize(problem.tasks, problem.policy == Policy::cost);
  }

  Placement run() {
    const bool gangs = problem_.constraints != nullptr;
    Turns turns = turns_of(problem_, gangs ? problem_.constraints->gang : std::span<const int32_t>{});
    for (size_t number = 0; number < turns.count(); ++number) take(turns.turn(number));
    placement_.order = std::move(turns.order);
    if (rules_) rules_->write_devices(placement_);
    return std::move(placement_);
  }

 private:
  // All tasks of a turn are placed, or none.
  void take(std::span<const int32_t> turn) {
    for (size_t member = 0; member < turn.size(); ++member) {
      const Choice choice = best(turn[member]);
      if (choice.offer < 0) {
        while (member > 0) undo(turn[--member]);
        return;
      }
      place(turn[member], choice);
    }
  }

  void place(int32_t task, const Choice& choice) {
    load(task);
    state_.place(choice.offer, wanted_);
    if (!parts_.empty()) cut_parts(choice.offer);
    if (rules_) rules_->place(task, choice.offer, wanted_);
    if (fragmentation_) fragmentation_->changed(choice.offer);
    placement_.put(task, choice.offer, choice.score);
    if (problem_.policy == Policy::cost) placement_.price_added[task] = choice.price;
    ++placement_.placed;
  }

  void undo(int32_t task) {
    load(task);
    state_.undo(placement_.offer_index[task], wanted_);
    if (!parts_.empty()) cut_parts(placement_.offer_index[task]);
    if (rules_) rules_->undo(task, placement_.offer_index[task], wanted_);
    if (fragmentation_) fragmentation_->changed(placement_.offer_index[task]);
    placement_.put(task, -1, 0);
    if (problem_.policy == Policy::cost) placement_.price_added[task] = 0;
    --placement_.placed;
  }

  void load(int32_t task) {
    for (size_t d = 0; d < problem_.dimensions; ++d) wanted_[d] = problem_.task_amount(task, d);
    for (size_t d = 0; d < wanted_parts_.size(); ++d) wanted_parts_[d] = scoring_.dot_part(d, wanted_[d]);
  }

  // Of the dot product: what the offer has now.
  void cut_parts(int32_t offer) {
    const std::span<const int64_t> has = state_.amounts(offer);
    int64_t* parts = parts_.data() + static_cast<size_t>(offer) * problem_.dimensions;
    for (size_t d = 0; d < problem_.dimensions; ++d) parts[d] = scoring_.dot_part(d, has[d]);
  }

  // The first of the smallest; offer -1 where none qualifies.
  Choice best(int32_t task) {
    load(task);
    Choice best;
    if (rules_ && !rules_->quota_allows(task, wanted_)) return best;
    for (const int32_t offer : state_.list()) {
      if (!qualifies(offer)) continue;
      if (rules_ && !rules_->admits(task, offer, wanted_)) continue;
      Choice choice{offer, price_added(offer), score(offer)};
      if (rules_) choice.score += rules_->penalty(task, offer);
      if (fragmentation_) {
        choice.score += fragmentation_->increase(task, offer, state_.amounts(offer), wanted_, rules_->devices());
      }
      if (scoring_.limited && choice.score > scoring_.limit) continue;
      if (best.offer < 0 || std::tie(choice.price, choice.score) < std::tie(best.price, best.score)) best = choice;
    }
    return best;
  }

  bool qualifies(int32_t offer) const {
    if (!state_.free(offer)) return false;
    if (problem_.max_price && problem_.price[offer] > *problem_.max_price) return false;
    const std::span<const int64_t> has = state_.amounts(offer);
    for (size_t d = 0; d < problem_.dimensions; ++d) {
      if (by_amount_[d] && wanted_[d] > has[d]) return false;
    }
    return true;
  }

  int64_t price_added(int32_t offer) const {
    if (problem_.policy != Policy::cost) return 0;
    return problem_.mode == Mode::packing && state_.held(offer) > 0 ? 0 : problem_.price[offer];
  }

  Wide score(int32_t offer) const {
    const std::span<const int64_t> has = state_.amounts(offer);
    Wide sum = 0;
    for (size_t d = 0; d < problem_.dimensions; ++d) {
      if (!parts_.empty()) {
        const int64_t part = parts_[static_cast<size_t>(offer) * problem_.dimensions + d];
        sum -= static_cast<Wide>(scoring_.weight_q[d]) * (wanted_parts_[d] * part);
      } else {
        sum += scoring_.weight[d] * (has[d] - wanted_[d]);
      }
    }
    return problem_.policy == Policy::worst_fit ? -sum : sum;
  }

  const Problem& problem_;
  const Scoring scoring_;
  OfferState state_;
  std::vector<int64_t> wanted_;        // amounts of the task at hand
  std::vector<int64_t> wanted_parts_;  // the same as parts of a product; empty for other policies
  std::vector<int64_t> parts_;         // [offers][dimensions]
  std::vector<bool> by_amount_;        // by dimension: false where devices decide
  std::optional<Rules> rules_;
  std::optional<Fragmentation> fragmentation_;
  Placement placement_;
};

}  // namespace

Placement match_scalar(const Problem& problem) {
  return Scalar(problem).run();
}

}  // namespace windlass::match
