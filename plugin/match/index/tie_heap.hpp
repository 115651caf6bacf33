// Heaps of offers by who wins a tie, many at once in shared arrays: a pairing heap per group of equal offers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace windlass::match {

class TieHeaps {
 public:
  static constexpr int32_t kNone = -1;

  // `order` by offer: the lower wins. It is the caller's, and may only sink, followed by `sunk`.
  TieHeaps(size_t offers, const std::vector<int32_t>& order)
      : order_(order), child_(offers, kNone), next_(offers, kNone), back_(offers, kNone) {}

  // Each takes the root of a heap (kNone: an empty one) and answers its new root.
  int32_t push(int32_t root, int32_t offer) {
    child_[offer] = next_[offer] = back_[offer] = kNone;
    return root == kNone ? offer : meld(root, offer);
  }
  int32_t pop(int32_t root);
  int32_t sunk(int32_t root, int32_t offer);

 private:
  int32_t meld(int32_t a, int32_t b) {
    if (order_[b] < order_[a]) std::swap(a, b);
    next_[b] = child_[a];
    if (child_[a] != kNone) back_[child_[a]] = b;
    back_[b] = a;
    child_[a] = b;
    return a;
  }

  const std::vector<int32_t>& order_;
  std::vector<int32_t> child_;  // the first
  std::vector<int32_t> next_;   // sibling
  std::vector<int32_t> back_;   // the sibling before, or the parent of a first child
};

inline int32_t TieHeaps::pop(int32_t root) {
  int32_t at = child_[root];
  int32_t pairs = kNone;  // melded pairs, the last first
  while (at != kNone) {
    const int32_t first = at;
    const int32_t second = next_[first];
    at = second == kNone ? kNone : next_[second];
    next_[first] = kNone;
    int32_t pair = first;
    if (second != kNone) {
      next_[second] = kNone;
      pair = meld(first, second);
    }
    next_[pair] = pairs;
    pairs = pair;
  }
  int32_t made = kNone;
  while (pairs != kNone) {
    const int32_t pair = pairs;
    pairs = next_[pair];
    next_[pair] = kNone;
    made = made == kNone ? pair : meld(made, pair);
  }
  if (made != kNone) back_[made] = kNone;
  child_[root] = kNone;
  return made;
}

inline int32_t TieHeaps::sunk(int32_t root, int32_t offer) {
  if (offer == root) return root;
  const int32_t before = back_[offer];
  (child_[before] == offer ? child_[before] : next_[before]) = next_[offer];
  if (next_[offer] != kNone) back_[next_[offer]] = before;
  next_[offer] = back_[offer] = kNone;
  return meld(root, offer);
}

}  // namespace windlass::match
