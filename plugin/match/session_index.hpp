// The offers that a session has left, kept in the order of their keys from call to call: for a task that asks for
// amounts, or for labels too, the best offer is found, and an offer that changed is put right, without a look at the
// others. Offers with equal amounts share a group; in an index that is made `by_labels` those with equal labels and
// conditions alone. Serves best_fit, worst_fit and cost. One thread at a time.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "plugin/match/index/bands.hpp"
#include "plugin/match/index/failures.hpp"
#include "plugin/match/index/ranks.hpp"
#include "plugin/match/scoring.hpp"
#include "plugin/match/session_labels.hpp"
#include "plugin/match/session_state.hpp"

namespace windlass::match {

class SessionIndex {
 public:
  struct Found {
    int32_t slot = -1;
    int64_t price = 0;
    Wide score = 0;
  };

  // `problem`: the session's options, scale and weights, and tasks like those that will be asked for. Its dimensions
  // are those of the state. All slots are empty until `fill`.
  SessionIndex(const SessionState& state, const Problem& problem, bool by_labels);

  // Takes in every slot that `offered` tells.
  void fill(const std::vector<bool>& offered);
  // The slot has changed, or is new.
  void refresh(int32_t slot, bool offered);
  // The same of many; `offered` by position.
  void refresh(std::span<const int32_t> slots, const std::vector<bool>& offered);

  // Before the first `best` of a call: offers may have grown since the last one.
  void begin_call() { failures_.clear(); }
  // `wanted`: amounts by dimension. `labels`: at the task's turn; null where no labels are looked at, else the index is
  // one by labels.
  Found best(const int64_t* wanted, SessionLabels* labels);

  // How many tasks the index was shaped by.
  size_t sampled() const { return sampled_; }

 private:
  struct Group {
    Key key;
    int32_t live = 0;
    int32_t labels = -1, only = -1;
    int32_t first = -1;         // its lowest slot
    std::vector<int32_t> more;  // a heap of the others, and of some that have left
  };

  // What is to become of a slot, as far as that can be told ahead of time.
  struct Step {
    int32_t slot = -1;
    bool joins = false;
    Key key{};
    uint64_t ranks = 0;
    Bands::Hint hint{};
  };

  const int64_t* amounts(int32_t group) const { return amounts_.data() + static_cast<size_t>(group) * dimensions_; }
  Key key_of(int32_t slot) const;
  Step step_of(int32_t slot, bool offered) const;
  void take(const Step& step);
  bool admitted(int32_t slot) const;
  bool before(const std::vector<Key>& keys, int32_t a, int32_t b) const;
  bool equals(int32_t group, int32_t slot) const;
  Failures& failures_of(SessionLabels* labels);
  int32_t make_group(const Step& step);
  void join(const Step& step);
  void put(int32_t number, int32_t slot);
  void leave(int32_t slot);
  void end(int32_t group);
  void tidy(int32_t group);

  const SessionState& state_;
  const Policy policy_;
  const bool packing_, by_labels_;
  const std::optional<int64_t> max_price_;
  const size_t dimensions_;
  const size_t sampled_;
  const Scoring scoring_;
  const Ranks ranks_;
  Bands bands_;
  HugeVector<Group> groups_;
  HugeVector<int64_t> amounts_;  // [groups][dimensions]
  std::vector<int32_t> spare_;
  HugeVector<int32_t> group_of_;                       // by slot, -1: not there
  std::map<SessionLabels::Alike, Failures> failures_;  // of tasks that ask alike
};

}  // namespace windlass::match
