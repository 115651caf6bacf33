// Who of which group is where: what `max_per` and `avoid` look at.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "plugin/match/constraints.hpp"
#include "proto/keyed_hash.hpp"

namespace windlass::match {

class Groups {
 public:
  explicit Groups(const Constraints& given);

  bool none() const { return !watched_; }
  bool admits(int32_t task, int32_t offer) const;
  // `change`: +1 when the task is placed there, -1 when that is undone.
  void count(int32_t task, int32_t offer, int32_t change);

 private:
  struct Place {  // of a group: the value of a label key, or a node under kNodeKey
    int32_t group, key, value;
    bool operator==(const Place&) const = default;
  };
  using Counts = proto::KeyedMap<Place, int32_t>;

  static int32_t at(const Counts& counts, const Place& place);
  int32_t domain(int32_t key, int32_t offer) const;
  void count_running(const Running& running);

  const Constraints& given_;
  bool watched_ = false;
  std::vector<int32_t> keys_;  // label keys that some max_per names
  Counts members_;
  Counts avoiders_;  // tasks on a node that avoid the group
};

}  // namespace windlass::match
