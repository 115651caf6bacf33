// What the labels of a session's offers and the tags of one call's tasks allow, for calls that ask nothing else beside
// amounts. Answers as Rules (rules.hpp) do. One thread at a time.
#pragma once

#include <cstdint>
#include <utility>

#include "plugin/match/rules.hpp"
#include "plugin/match/session_state.hpp"

namespace windlass::match {

class SessionLabels {
 public:
  using Alike = std::pair<int32_t, int32_t>;

  // `given`: the call's, null where it has none.
  SessionLabels(const Constraints* given, const SessionState& state, const Texts& texts)
      : given_(given), state_(state), texts_(texts) {}

  // From now on `admits` is asked for this task.
  void turn(size_t task) {
    asked_ = given_ ? given_->task_labels.set(task) : nullptr;
    tags_ = given_ ? given_->task_tags.set(task) : nullptr;
    alike_ = given_ ? Alike{given_->task_labels.number(task), given_->task_tags.number(task)} : Alike{-1, -1};
  }
  // The same for tasks that ask alike.
  Alike alike() const { return alike_; }
  // Whether the task may go where these sets of the state stand.
  bool admits(int32_t labels, int32_t only) {
    if (asked_ && !by_label_.get(alike_.first, labels, state_.labels().sets().size(), [&] {
          return holds(*asked_, labels < 0 ? none_ : *state_.labels().at(labels), texts_);
        })) {
      return false;
    }
    return only < 0 || by_tag_.get(alike_.second, only, state_.only().sets().size(),
                                   [&] { return holds(*state_.only().at(only), tags_ ? *tags_ : none_, texts_); });
  }

 private:
  const Constraints* given_;
  const SessionState& state_;
  const Texts& texts_;
  const Labels none_{};
  const Conditions* asked_ = nullptr;
  const Labels* tags_ = nullptr;
  Alike alike_{-1, -1};
  PairMemo<bool> by_label_, by_tag_;
};

}  // namespace windlass::match
