// The constraints of one call as they stand: what admits a task to an offer beside amounts, and what it costs.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "plugin/match/constraints.hpp"
#include "plugin/match/devices.hpp"
#include "plugin/match/groups.hpp"
#include "plugin/match/problem.hpp"
#include "plugin/match/quotas.hpp"

namespace windlass::match {

// What a pair of sets gives, remembered for the set at hand on the tasks' side.
template <typename Value>
class PairMemo {
 public:
  template <typename Make>
  const Value& get(int32_t task_set, int32_t offer_set, size_t offer_sets, Make make) {
    if (task_set != task_set_ || entries_.empty()) {
      task_set_ = task_set;
      entries_.resize(offer_sets + 1);
      ++round_;
    }
    Entry& entry = entries_[offer_set + 1];
    if (entry.round != round_) entry = {round_, make()};
    return entry.value;
  }

 private:
  struct Entry {
    uint64_t round = 0;
    Value value{};
  };
  int32_t task_set_ = -1;
  uint64_t round_ = 0;
  std::vector<Entry> entries_;  // by set of the offer, none first
};

class Rules {
 public:
  // The constraints have passed `check_constraints`. `one` is the scores' ONE.
  Rules(const Problem& problem, const Constraints& given, Wide one);

  // A kind's fit is a matter of devices alone.
  bool is_device(size_t dimension) const { return devices_.has(dimension); }
  Devices& devices() { return devices_; }
  // `wanted`: the task's amounts by dimension.
  bool quota_allows(int32_t task, std::span<const int64_t> wanted) const;
  bool admits(int32_t task, int32_t offer, std::span<const int64_t> wanted);
  Wide penalty(int32_t task, int32_t offer);
  void place(int32_t task, int32_t offer, std::span<const int64_t> wanted);
  void undo(int32_t task, int32_t offer, std::span<const int64_t> wanted);
  // Writes the devices of placed tasks, where any task asks for one.
  void write_devices(Placement& placement) const;

 private:
  bool labels_admit(int32_t task, int32_t offer);
  Wide preference_penalty(int32_t task, int32_t offer);
  Wide locality_penalty(int32_t task, int32_t offer);

  const Problem& problem_;
  const Constraints& given_;
  const Wide step_;  // ONE / 2^16
  Devices devices_;
  Groups groups_;
  Quotas quotas_;
  PairMemo<bool> by_label_, by_tag_;
  PairMemo<Wide> by_preference_, by_input_;
  std::vector<std::vector<Device>> held_;  // by task
};

}  // namespace windlass::match
