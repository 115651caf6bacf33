#include "plugin/match/scan.hpp"

#include <algorithm>
#include <bit>
#include <numeric>

#include "plugin/match/index/kernels.hpp"
#include "plugin/match/index/key.hpp"
#include "plugin/match/scoring.hpp"
#include "plugin/match/turns.hpp"

namespace windlass::match {
namespace {

// Offers stand in slots, in the order in which they win ties. The first column holds -1 where none is to be had.
class Scan {
 public:
  Scan(const Problem& problem, const Kernel& kernel)
      : problem_(problem),
        kernel_(kernel),
        scoring_(scoring_of(problem)),
        dot_(problem.policy == Policy::dot_product),
        slots_(problem.offers),
        room_((slots_ + kLanes - 1) / kLanes * kLanes),
        rows_(std::max<size_t>(problem.dimensions, 1)),
        amounts_(room_ * rows_, 0),
        offer_(problem.offers),
        wanted_(rows_, 0),
        factors_(problem.dimensions, 0) {
    placement_.engine = kernel.engine;
    placement_.resize(problem.tasks, problem.policy == Policy::cost);
    std::iota(offer_.begin(), offer_.end(), 0);
    for (size_t d = 0; d < problem.dimensions; ++d) {
      if (const int64_t* given = problem.offer_amounts[d]) std::copy_n(given, slots_, column(d));
    }
    if (dot_) {
      parts_.resize(slots_ * problem.dimensions);
    } else {
      keys_.resize(slots_);
    }
    for (size_t slot = 0; slot < slots_; ++slot) weigh(slot, problem.policy == Policy::cost ? problem.price[slot] : 0);
    for (size_t slot = 0; slot < slots_; ++slot) {
      if (problem.max_price && problem.price[slot] > *problem.max_price) column(0)[slot] = -1;
    }
    std::fill(column(0) + slots_, column(0) + room_, -1);
  }

  Placement run() {
    Turns turns = turns_of(problem_, {});
    for (const int32_t task : turns.order) take(task);
    placement_.order = std::move(turns.order);
    return std::move(placement_);
  }

 private:
  struct Choice {
    size_t slot = 0;
    bool found = false;
    Key key;  // the least; for the dot product its score
  };

  int64_t* column(size_t d) { return amounts_.data() + d * room_; }
  const int64_t* column(size_t d) const { return amounts_.data() + d * room_; }

  // What the slot's scores are made from, as it stands.
  void weigh(size_t slot, int64_t price) {
    if (!dot_) keys_[slot] = {price, 0};
    for (size_t d = 0; d < problem_.dimensions; ++d) {
      const int64_t has = column(d)[slot];
      if (dot_) {
        parts_[slot * problem_.dimensions + d] = static_cast<int32_t>(scoring_.dot_part(d, has));
      } else if (problem_.policy == Policy::worst_fit) {
        keys_[slot].sum -= scoring_.weight[d] * has;
      } else {
        keys_[slot].sum += scoring_.weight[d] * has;
      }
    }
  }

  void take(int32_t task) {
    Wide factors = 0;
    for (size_t d = 0; d < problem_.dimensions; ++d) {
      wanted_[d] = problem_.task_amount(task, d);
      if (!dot_) continue;
      factors_[d] = scoring_.weight_q[d] * scoring_.dot_part(d, wanted_[d]);  // at most 2^50
      factors += factors_[d];
    }
    Choice choice;
    if (!dot_) {
      choice = least([&](size_t slot) { return keys_[slot]; });
    } else if (factors <= Wide{1} << 42) {  // parts are at most 2^20, so that sums stay within 64 bits
      choice = least([&](size_t slot) { return product<int64_t>(slot); });
    } else {
      choice = least([&](size_t slot) { return product<Wide>(slot); });
    }
    if (!choice.found) return;
    Wide score = choice.key.sum;
    if (!dot_) score += problem_.policy == Policy::worst_fit ? own_sum() : -own_sum();
    if (scoring_.limited && score > scoring_.limit) return;
    placement_.put(task, offer_[choice.slot], score);
    if (problem_.policy == Policy::cost) placement_.price_added[task] = choice.key.price;
    ++placement_.placed;
    use(choice.slot);
  }

  // The weighted sum of what is wanted. Within bounds only where some offer has as much.
  Wide own_sum() const {
    Wide own = 0;
    for (size_t d = 0; d < problem_.dimensions; ++d) own += scoring_.weight[d] * wanted_[d];
    return own;
  }

  template <typename Sum>
  Key product(size_t slot) const {
    Sum sum = 0;
    const int32_t* parts = parts_.data() + slot * problem_.dimensions;
    for (size_t d = 0; d < problem_.dimensions; ++d) sum -= Sum{factors_[d]} * parts[d];
    return {0, sum};
  }

  template <typename KeyOf>
  Choice least(KeyOf key_of) const {
    Choice best;
    for (size_t base = 0; base < slots_; base += kLanes) {
      uint64_t mask = ~uint64_t{0};
      for (size_t d = 0; d < rows_ && mask != 0; ++d) {
        mask &= kernel_.amounts(column(d) + base, wanted_[d]);
      }
      for (; mask != 0; mask &= mask - 1) {
        const size_t slot = base + static_cast<size_t>(std::countr_zero(mask));
        const Key key = key_of(slot);
        if (best.found && !(key < best.key)) continue;
        best = {slot, true, key};
      }
    }
    return best;
  }

  void use(size_t slot) {
    if (problem_.mode == Mode::packing) {
      for (size_t d = 0; d < problem_.dimensions; ++d) column(d)[slot] -= wanted_[d];
      weigh(slot, 0);  // no price is added for an offer in use
    } else if (problem_.ties == Ties::swap_remove) {
      move(--slots_, slot);
      column(0)[slots_] = -1;
    } else {
      column(0)[slot] = -1;
      if (++used_ * 3 > slots_ && used_ > kLanes) close_gaps();
    }
  }

  void move(size_t from, size_t to) {
    if (from == to) return;
    for (size_t d = 0; d < rows_; ++d) column(d)[to] = column(d)[from];
    offer_[to] = offer_[from];
    if (!dot_) keys_[to] = keys_[from];
    const auto row = [&](size_t slot) { return parts_.begin() + static_cast<ptrdiff_t>(slot * problem_.dimensions); };
    if (dot_) std::copy(row(from), row(from + 1), row(to));
  }

  void close_gaps() {
    size_t kept = 0;
    for (size_t slot = 0; slot < slots_; ++slot) {
      if (column(0)[slot] >= 0) move(slot, kept++);
    }
    std::fill(column(0) + kept, column(0) + room_, -1);
    slots_ = kept;
    used_ = 0;
  }

  const Problem& problem_;
  const Kernel& kernel_;
  const Scoring scoring_;
  const bool dot_;
  size_t slots_;                  // in use, from the first on
  size_t used_ = 0;               // of them gaps
  const size_t room_, rows_;      // slots in whole lanes; dimensions, one at least
  std::vector<int64_t> amounts_;  // [rows][room]: what each slot has
  std::vector<int32_t> offer_;    // by slot
  std::vector<Key> keys_;         // by slot; not for the dot product
  std::vector<int32_t> parts_;    // [slots][dimensions] of the dot product
  std::vector<int64_t> wanted_;   // amounts of the task at hand
  std::vector<int64_t> factors_;  // of the dot product: its weighted parts
  Placement placement_;
};

}  // namespace

bool scan_serves(const Problem& problem) {
  return !problem.constraints && problem.policy != Policy::fragmentation;
}

Placement match_scan(const Problem& problem, bool plain) {
  return Scan(problem, plain ? plain_kernel() : kernel()).run();
}

}  // namespace windlass::match
