// The plain scan: for each task every offer that is left, in blocks that the compiler turns into SIMD. Best fit, ties to
// the offer given first, exact: a 64-bit key of the weighted sum finds the candidates, the 128-bit sum decides.
#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace {

using Sum = unsigned __int128;

constexpr int kKeyShift = 26;  // sums are below 2^88, so keys are below 2^62
constexpr int64_t kNoKey = INT64_MAX;
constexpr size_t kBlock = 2048;

struct Offers {
  std::vector<std::vector<int64_t>> amounts;  // by dimension; -1 in the first: used
  std::vector<int64_t> key;
  std::vector<Sum> sum;
  std::vector<int32_t> row;
  size_t used = 0;

  size_t size() const { return key.size(); }

  void drop_used() {
    size_t kept = 0;
    for (size_t at = 0; at < size(); ++at) {
      if (amounts[0][at] < 0) continue;
      for (auto& column : amounts) column[kept] = column[at];
      key[kept] = key[at];
      sum[kept] = sum[at];
      row[kept++] = row[at];
    }
    for (auto& column : amounts) column.resize(kept);
    key.resize(kept), sum.resize(kept), row.resize(kept);
    used = 0;
  }
};

// Keys of those of a block that fit, kNoKey of the others; answers the smallest.
int64_t keys_of_block(const Offers& offers, const int64_t* task, size_t begin, size_t count, int64_t* keys) {
  std::copy_n(offers.key.data() + begin, count, keys);
  for (size_t d = 0; d < offers.amounts.size(); ++d) {
    const int64_t* free = offers.amounts[d].data() + begin;
    const int64_t wanted = task[d];
    for (size_t i = 0; i < count; ++i) keys[i] = free[i] >= wanted ? keys[i] : kNoKey;
  }
  int64_t least = kNoKey;
  for (size_t i = 0; i < count; ++i) least = std::min(least, keys[i]);
  return least;
}

// The place of the best offer, -1 where none fits.
int64_t best_of(const Offers& offers, const int64_t* task) {
  std::array<int64_t, kBlock> keys;
  int64_t best = -1;
  for (size_t begin = 0; begin < offers.size(); begin += kBlock) {
    const size_t count = std::min(kBlock, offers.size() - begin);
    const int64_t least = keys_of_block(offers, task, begin, count, keys.data());
    if (least == kNoKey || (best >= 0 && least > offers.key[best])) continue;
    for (size_t i = 0; i < count; ++i) {
      const auto at = static_cast<int64_t>(begin + i);
      if (keys[i] == least && (best < 0 || offers.sum[at] < offers.sum[best])) best = at;
    }
  }
  return best;
}

}  // namespace

// Columns by dimension, in units; `weights` are W_d, each below 2^81, as two halves. `found` gets the row of each task's
// offer, -1 where none.
extern "C" void simd_scan(int64_t dimensions, int64_t tasks, int64_t offers, const int64_t* const* wanted,
                          const int64_t* const* had, const uint64_t* weights, int32_t packing, int32_t* found) {
  Offers left;
  std::vector<Sum> weight;
  for (int64_t d = 0; d < dimensions; ++d) {
    left.amounts.emplace_back(had[d], had[d] + offers);
    weight.push_back((static_cast<Sum>(weights[2 * d]) << 64) | weights[2 * d + 1]);
  }
  left.key.resize(offers), left.sum.resize(offers), left.row.resize(offers);
  for (int64_t at = 0; at < offers; ++at) {
    for (int64_t d = 0; d < dimensions; ++d) left.sum[at] += weight[d] * static_cast<Sum>(had[d][at]);
    left.key[at] = static_cast<int64_t>(left.sum[at] >> kKeyShift);
    left.row[at] = static_cast<int32_t>(at);
  }
  std::vector<int64_t> task(dimensions);
  for (int64_t number = 0; number < tasks; ++number) {
    for (int64_t d = 0; d < dimensions; ++d) task[d] = wanted[d][number];
    const int64_t best = best_of(left, task.data());
    found[number] = best < 0 ? -1 : left.row[best];
    if (best < 0) continue;
    if (packing) {
      for (int64_t d = 0; d < dimensions; ++d) {
        left.amounts[d][best] -= task[d];
        left.sum[best] -= weight[d] * static_cast<Sum>(task[d]);
      }
      left.key[best] = static_cast<int64_t>(left.sum[best] >> kKeyShift);
      continue;
    }
    left.amounts[0][best] = -1;
    if (++left.used * 8 > left.size()) left.drop_used();
  }
}
