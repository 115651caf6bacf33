// What a matching session keeps: records of offers, what is placed on them, and what is free. Offers lie in slots in
// tie order, removed ones leave theirs empty until `compact`. No checks: the caller (session.cpp) has made them. One
// thread at a time.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "plugin/match/constraints.hpp"
#include "plugin/match/huge_vector.hpp"
#include "plugin/match/number_table.hpp"
#include "plugin/match/problem.hpp"

namespace windlass::match {

// Sets that offers share, numbered while any has them.
template <typename Set>
class SharedSets {
 public:
  // -1 for none.
  int32_t take(const Set* set) {
    if (!set) return -1;
    const auto [at, fresh] = numbers_.try_emplace(*set, 0);
    if (fresh) {
      if (spare_.empty()) {
        spare_.push_back(static_cast<int32_t>(sets_.size()));
        sets_.emplace_back();
        users_.push_back(0);
      }
      at->second = spare_.back();
      spare_.pop_back();
      sets_[at->second] = *set;
    }
    ++users_[at->second];
    return at->second;
  }
  void drop(int32_t number) {
    if (number < 0 || --users_[number] > 0) return;
    numbers_.erase(sets_[number]);
    sets_[number] = {};
    spare_.push_back(number);
  }
  bool empty() const { return numbers_.empty(); }
  const std::vector<Set>& sets() const { return sets_; }
  const Set* at(int32_t number) const { return number < 0 ? nullptr : &sets_[number]; }

 private:
  std::map<Set, int32_t> numbers_;
  std::vector<Set> sets_;
  std::vector<int64_t> users_;
  std::vector<int32_t> spare_;
};

class SessionState {
 public:
  struct Kind {  // devices of an offer, by index
    int32_t dimension;
    std::vector<int64_t> shares;  // as the record says
    std::vector<int64_t> held;
  };
  struct Offer {
    int64_t number = -1;
    int64_t price = -1;
    int32_t node = 0;  // its own where none was given: kOwnNode or more
    int32_t labels = -1, only = -1, staged = -1;
    int32_t first = -1;  // of the tasks that are placed here
    int32_t held = 0;    // how many they are
    bool present = false;
    std::vector<Kind> kinds{};
  };
  // In a pool; a place without a task has no slot.
  struct Task {
    int64_t number = -1;
    int32_t slot = -1;
    int32_t before = -1, next = -1;  // among those of its offer
    int32_t tenant = 0, group = -1;
    std::vector<int32_t> avoid{};
    std::vector<Device> devices{};
  };
  // A row of a change.
  struct Record {
    const Problem& rows;
    const Constraints* given;
    size_t row;
  };

  static constexpr int32_t kOwnNode = 1 << 30;  // numbers of nodes that callers give lie below

  size_t slots() const { return offers_.size(); }
  size_t present() const { return slot_of_.size(); }
  size_t placed() const { return task_of_.size(); }
  size_t dimensions() const { return dimensions_; }
  const Offer& offer(size_t slot) const { return offers_[slot]; }
  int32_t slot_of(int64_t number) const { return slot_of_.find(number); }
  void prefetch_number(int64_t number) const { slot_of_.prefetch(number); }
  // Brings near what a write to the slot will look at.
  void prefetch(int32_t slot) const {
    __builtin_prefetch(&offers_[slot]);
    for (size_t at = 0; at < 3 * dimensions_; at += 8) __builtin_prefetch(record(slot) + at);
  }
  bool has_task(int64_t number) const { return task_of_.contains(number); }
  const HugeVector<Task>& tasks() const { return tasks_; }
  // What a task of the pool holds, by dimension.
  const int64_t* amounts(size_t task) const { return task_amounts_.data() + task * dimensions_; }
  // Of a slot, by dimension.
  const int64_t* record(size_t slot) const { return rows_.data() + 3 * slot * dimensions_; }
  const int64_t* held(size_t slot) const { return record(slot) + dimensions_; }
  const int64_t* free(size_t slot) const { return record(slot) + 2 * dimensions_; }
  const SharedSets<Labels>& labels() const { return labels_; }
  const SharedSets<Conditions>& only() const { return only_; }
  const SharedSets<std::vector<int32_t>>& staged() const { return staged_; }

  void grow(size_t dimensions);
  int32_t add(int64_t number, const Record& record);
  void update(int32_t slot, const Record& record);
  void remove(int32_t slot);
  // The slot that it was on, -1 where there is no such task.
  int32_t release(int64_t number);
  // `task.slot` says where; takes its amounts, by dimension, and its devices off what is free.
  void hold(Task task, const int64_t* amounts);
  bool sparse() const { return slots() > 64 && present() * 2 < slots(); }
  void compact();
  // Appends what is free of each device of a kind.
  void add_free_shares(size_t slot, int32_t dimension, std::vector<int64_t>& into) const;
  // By slot: its place among the offers present.
  std::vector<int32_t> places() const;

 private:
  int64_t* row(size_t slot) { return rows_.data() + 3 * slot * dimensions_; }
  void write(int32_t slot, const Record& record);
  void write_kinds(Offer& offer, const Record& record);
  void drop_sets(int32_t labels, int32_t only, int32_t staged);
  void move_amounts(int32_t task, int64_t sign);
  void move_shares(const Task& task, const int64_t* amounts, int64_t sign);
  void refresh(int32_t slot, size_t d);
  void forget_devices(Offer& offer);
  void forget(int32_t task);
  int32_t new_task();

  size_t dimensions_ = 0;
  HugeVector<Offer> offers_;
  HugeVector<int64_t> rows_;  // [slots][record, held, free][dimensions]
  NumberTable slot_of_, task_of_;
  HugeVector<Task> tasks_;
  HugeVector<int64_t> task_amounts_;  // [places of the pool][dimensions]
  std::vector<int32_t> spare_tasks_;
  SharedSets<Labels> labels_;
  SharedSets<Conditions> only_;
  SharedSets<std::vector<int32_t>> staged_;
};

}  // namespace windlass::match
