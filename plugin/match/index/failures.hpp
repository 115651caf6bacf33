// Amounts that nothing had room for. Offers only shrink, so whatever asks for as much or more fails too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace windlass::match {

class Failures {
 public:
  explicit Failures(size_t dimensions) : dimensions_(dimensions) {}

  bool covers(const int64_t* wanted) const {
    for (size_t i = 0; i < count_; ++i) {
      if (at_most(&amounts_[i * dimensions_], wanted)) return true;
    }
    return false;
  }

  // Keeps a few that none of the others covers; the oldest makes room.
  void add(const int64_t* wanted) {
    size_t kept = 0;
    for (size_t i = 0; i < count_; ++i) {
      if (at_most(wanted, &amounts_[i * dimensions_])) continue;
      if (kept != i) copy(&amounts_[i * dimensions_], kept);
      ++kept;
    }
    count_ = kept;
    if (count_ < kMost) {
      ++count_;
      if (amounts_.size() < count_ * dimensions_) amounts_.resize(count_ * dimensions_);
      copy(wanted, count_ - 1);
    } else {
      copy(wanted, oldest_++ % kMost);
    }
  }

 private:
  static constexpr size_t kMost = 24;

  bool at_most(const int64_t* a, const int64_t* b) const {
    for (size_t d = 0; d < dimensions_; ++d) {
      if (a[d] > b[d]) return false;
    }
    return true;
  }
  void copy(const int64_t* from, size_t to) {
    for (size_t d = 0; d < dimensions_; ++d) amounts_[to * dimensions_ + d] = from[d];
  }

  size_t dimensions_;
  size_t count_ = 0;
  size_t oldest_ = 0;
  std::vector<int64_t> amounts_;
};

}  // namespace windlass::match
