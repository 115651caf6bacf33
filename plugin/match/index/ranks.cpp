#include "plugin/match/index/ranks.hpp"

#include <algorithm>
#include <bit>
#include <limits>

namespace windlass::match {
namespace {

constexpr size_t kSamples = 1024;
constexpr size_t kBounds = 254;

std::vector<int64_t> sample(const int64_t* column, size_t rows) {
  std::vector<int64_t> values;
  const size_t step = rows / kSamples + 1;
  for (size_t row = 0; column && row < rows; row += step) values.push_back(column[row]);
  std::sort(values.begin(), values.end());
  return values;
}

// How many of the pairs of a sampled task and a sampled offer don't fit: what looking at this dimension is worth.
size_t misfits(const std::vector<int64_t>& tasks, const std::vector<int64_t>& offers) {
  size_t count = 0, below = 0;
  for (const int64_t task : tasks) {
    while (below < offers.size() && offers[below] < task) ++below;
    count += below;
  }
  return count;
}

}  // namespace

Ranks::Ranks(const Problem& problem) {
  struct Candidate {
    size_t dimension;
    size_t worth;
    std::vector<int64_t> values;
  };
  std::vector<Candidate> candidates;
  for (size_t d = 0; d < problem.dimensions; ++d) {
    std::vector<int64_t> values = sample(problem.task_amounts[d], problem.tasks);
    if (values.empty() || values.back() == 0) continue;  // nobody asks for it
    const size_t worth = misfits(values, sample(problem.offer_amounts[d], problem.offers));
    values.erase(std::unique(values.begin(), values.end()), values.end());
    candidates.push_back({d, worth, std::move(values)});
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.worth > b.worth; });
  if (candidates.size() > kRanksMax) candidates.resize(kRanksMax);
  blind_ = candidates.empty();
  if (blind_) rows_.emplace_back();
  for (const Candidate& candidate : candidates) {
    Row& row = rows_.emplace_back();
    row.dimension = candidate.dimension;
    row.bounds.fill(std::numeric_limits<int64_t>::max());
    const size_t count = std::min(kBounds, candidate.values.size());
    row.half = std::bit_ceil(count + 1) / 2;
    for (size_t i = 0; i < count; ++i) row.bounds[i] = candidate.values[i * candidate.values.size() / count];
  }
}

uint8_t Ranks::rank(const Row& row, int64_t amount) {
  const int64_t* bounds = row.bounds.data();
  size_t at = 0;
  for (size_t half = row.half; half > 0; half /= 2) {
    at += half * static_cast<size_t>(bounds[at + half - 1] <= amount);  // no branch to guess wrong
  }
  return static_cast<uint8_t>(at + 1);
}

uint64_t Ranks::of(const int64_t* amounts) const {
  if (blind_) return 1;
  uint64_t packed = 0;
  for (size_t r = 0; r < rows_.size(); ++r) {
    packed |= static_cast<uint64_t>(rank(rows_[r], amounts[rows_[r].dimension])) << (8 * r);
  }
  return packed;
}

}  // namespace windlass::match
