// A matching session: offers that stay between calls, and what was placed on them (docs/matching.md, "Sessions"). Names
// are numbers that the caller gives. A call that returns a fault has changed nothing. One thread at a time.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "plugin/match/decode.hpp"
#include "plugin/match/fault.hpp"
#include "plugin/match/matcher.hpp"
#include "plugin/match/session_index.hpp"
#include "plugin/match/session_state.hpp"

namespace windlass::match {

class Session {
 public:
  struct Options {
    Mode mode = Mode::exclusive;
    Policy policy = Policy::best_fit;
    bool normalize = true;
    std::optional<double> max_score{};
    std::optional<int64_t> max_price{};
    EngineChoice engine = EngineChoice::automatic;
  };
  // Applied in this order: releases, removes, adds, updates, rescale.
  struct Change {
    Problem rows;  // records as offers, the adds first; weights and scale of new dimensions
    const Constraints* given = nullptr;
    size_t adds = 0;
    std::span<const int64_t> numbers{};  // of the rows
    std::span<const int64_t> removes{}, releases{};
    bool rescale = false;
    int64_t expect = -1;  // the session's version; -1: any
  };
  struct Applied {
    uint64_t removed = 0, released = 0;  // how many were found
  };
  struct Call {
    Problem tasks;  // without offers
    const Constraints* given = nullptr;
    std::span<const int64_t> numbers{};
    int64_t expect = -1;
  };
  struct Answer {
    Placement placement;                // offer_index: places in tie order at the call's start
    std::vector<int64_t> offer_number;  // by task, -1 where none
  };

  explicit Session(const Options& options);

  // What is wrong with the options themselves.
  Check check_options() const;
  // Reads a "Constraints" map for the `apply` or `match` that comes next; its texts are numbered as the session's,
  // which forgets those that no offer has before.
  Check read(std::string_view bytes, std::span<const Column> columns, const Problem& problem, Constraints& given);
  int32_t label(std::string_view text) { return texts_.number_of(text); }

  Check apply(const Change& change, Applied& applied);
  Check match(const Call& call, Answer& answer);

  uint64_t version() const { return version_; }
  const SessionState& state() const { return state_; }
  const std::vector<int64_t>& scale() const { return scale_.largest; }  // M_d
  // Whether offers are kept in order for calls that ask for amounts, or for labels too; for tests.
  bool keeps_order(bool by_labels) const { return indexes_[by_labels ? 1 : 0].index != nullptr; }
  // How many texts of labels are numbered; for tests.
  size_t texts() const { return texts_.size(); }
  // Dimensions that are kinds of devices.
  std::vector<int32_t> kinds() const;

 private:
  enum class Use : uint8_t { unknown, amount, kind };
  struct Scale {
    std::vector<int64_t> largest;  // M_d, 0 while no offer had any
    std::vector<int64_t> fixed;    // 0: by the offers
    std::vector<int64_t> weights;
  };
  struct Merged;
  // What a call's tasks and the offers ask of each other beside priorities: each more than the one before.
  enum class Asks : uint8_t { amounts, labels, more };
  struct Kept {
    std::unique_ptr<SessionIndex> index{};
    size_t idle = 0;  // calls since it served one
  };

  Problem with_options(const Problem& rows) const;
  Check check_expected(int64_t expect) const;
  // `slots`: of the rows, -1 where they are to be added.
  Check check_change(const Change& change, const Scale& scale, std::vector<int32_t>& slots) const;
  Check check_numbers(const Change& change, std::vector<int32_t>& slots) const;
  Check check_uses(const Change& change) const;
  Check check_call(const Call& call) const;
  Check check_task_numbers(const Call& call) const;
  Scale grown(const Problem& rows) const;
  void grow(const Scale& scale);
  void take_rows(const Change& change, std::span<int32_t> slots);
  void refresh_index(std::span<const int32_t> slots);
  void rescale_for(const Change& change);
  bool rescale();
  Asks asks_of(const Call& call) const;
  void merge(const Call& call, Merged& merged) const;
  void merge_constraints(const Call& call, Merged& merged) const;
  void add_running(const Constraints& given, std::vector<Running>& running) const;
  bool offered(size_t slot) const;
  Check match_anew(const Call& call, Placement& placement);
  void match_indexed(const Call& call, Asks asks, Placement& placement);
  bool wants_index(const Call& call, Asks asks);
  std::unique_ptr<SessionIndex> made_index(const Call& call, bool by_labels) const;
  void forget_indexes() { indexes_ = {}; }
  void forget_texts();
  void answer_places(Answer& answer);
  void hold(const Call& call, const Placement& placement, size_t task, int32_t slot, const int64_t* amounts);

  const Options options_;
  static constexpr size_t kSpareTexts = 1024;  // that no offer has, besides as many as offers have

  Texts texts_;
  size_t texts_max_ = kSpareTexts;  // before it is looked which are used
  SessionState state_;
  Scale scale_;
  std::vector<Use> use_;
  std::array<Kept, 2> indexes_;  // for calls that ask for amounts, and those that ask for labels
  uint64_t version_ = 0;
};

}  // namespace windlass::match
