// Numbers that a caller gave, from 0 up, to places of ours: open addressing in one array, so that a look costs one line
// of memory. Linear probing; what is erased leaves no mark, for those behind it move up (Knuth, 6.4, algorithm R). The
// hash is keyed (proto/keyed_hash.hpp). One thread at a time.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "plugin/match/huge_vector.hpp"
#include "proto/keyed_hash.hpp"

namespace windlass::match {

class NumberTable {
 public:
  size_t size() const { return size_; }

  // The place of a number, -1 where it is not here; a negative number never is.
  int32_t find(int64_t number) const {
    if (number < 0 || entries_.empty()) return -1;
    for (size_t at = home(number);; at = next(at)) {
      if (entries_[at].number == number) return entries_[at].place;
      if (entries_[at].number < 0) return -1;
    }
  }
  bool contains(int64_t number) const { return find(number) >= 0; }
  // Entries that a look for this number, which is here, passes: for tests, which count what they cannot time.
  size_t passed(int64_t number) const {
    size_t at = home(number);
    while (entries_[at].number != number) at = next(at);
    return distance(home(number), at);
  }
  void prefetch(int64_t number) const {
    if (number >= 0 && !entries_.empty()) __builtin_prefetch(&entries_[home(number)]);
  }

  // Also in place of an earlier one.
  void put(int64_t number, int32_t place) {
    if (2 * (size_ + 1) > entries_.size()) grow();
    size_t at = home(number);
    while (entries_[at].number >= 0 && entries_[at].number != number) at = next(at);
    size_ += entries_[at].number < 0 ? 1 : 0;
    entries_[at] = {number, place};
  }

  void erase(int64_t number) {
    if (number < 0 || entries_.empty()) return;
    size_t at = home(number);
    while (entries_[at].number != number) {
      if (entries_[at].number < 0) return;
      at = next(at);
    }
    --size_;
    for (size_t behind = next(at); entries_[behind].number >= 0; behind = next(behind)) {
      // It may move up unless its home lies between.
      const size_t from_home = distance(home(entries_[behind].number), behind);
      if (from_home < distance(at, behind)) continue;
      entries_[at] = entries_[behind];
      at = behind;
    }
    entries_[at] = {};
  }

 private:
  struct Entry {
    int64_t number = -1;
    int32_t place = -1;
  };

  size_t home(int64_t number) const {
    return static_cast<size_t>(proto::keyed_hash(static_cast<uint64_t>(number)) >> shift_);
  }
  size_t next(size_t at) const { return (at + 1) & (entries_.size() - 1); }
  size_t distance(size_t from, size_t to) const { return (to - from) & (entries_.size() - 1); }

  void grow() {
    HugeVector<Entry> before(entries_.empty() ? 16 : 2 * entries_.size());
    before.swap(entries_);
    shift_ = 64 - std::countr_zero(entries_.size());
    size_ = 0;
    for (const Entry& entry : before) {
      if (entry.number >= 0) put(entry.number, entry.place);
    }
  }

  HugeVector<Entry> entries_;  // a power of two, at most half of them in use
  size_t size_ = 0;
  int shift_ = 64;
};

}  // namespace windlass::match
