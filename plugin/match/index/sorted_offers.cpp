#include "plugin/match/index/sorted_offers.hpp"

#include <algorithm>
#include <array>

namespace windlass::match {
namespace {

std::vector<Key> keys_of(const Problem& problem, const Scoring& scoring) {
  std::vector<Key> keys(problem.offers);
  for (size_t d = 0; d < problem.dimensions; ++d) {
    const int64_t* column = problem.offer_amounts[d];
    if (!column || scoring.weight[d] == 0) continue;
    for (size_t offer = 0; offer < problem.offers; ++offer) keys[offer].sum += scoring.weight[d] * column[offer];
  }
  for (size_t offer = 0; offer < problem.offers; ++offer) {
    if (problem.policy == Policy::worst_fit) keys[offer].sum = -keys[offer].sum;
    if (problem.policy == Policy::cost) keys[offer].price = problem.price[offer];
  }
  return keys;
}

struct Coarse {
  uint64_t digits;  // orders as the key does, but for those that it takes for equal
  int32_t offer;
};

constexpr unsigned kDigitBits = 11, kPasses = 3;
constexpr size_t kFew = 512;  // up to here the tables of a sort by digits take longer than the sort

int bits_of(WideUnsigned value) {
  int bits = 0;
  for (; value != 0; value >>= 1) ++bits;
  return bits;
}

// The upper 33 bits of the keys' spread: of 100,000 offers hardly two have them in common by chance.
std::vector<Coarse> coarse(const std::vector<Key>& keys, const std::vector<int32_t>& offers, Policy policy) {
  std::vector<Coarse> made(offers.size());
  if (offers.empty()) return made;
  const auto value = [&](int32_t offer) { return policy == Policy::cost ? Wide{keys[offer].price} : keys[offer].sum; };
  Wide low = kWideMax, high = -kWideMax;
  for (const int32_t offer : offers) {
    low = std::min(low, value(offer));
    high = std::max(high, value(offer));
  }
  const int spare =
      std::max(0, bits_of(static_cast<WideUnsigned>(high - low)) - static_cast<int>(kDigitBits * kPasses));
  for (size_t i = 0; i < offers.size(); ++i) {
    made[i] = {static_cast<uint64_t>((value(offers[i]) - low) >> spare), offers[i]};
  }
  return made;
}

// By digits; equal ones keep their order.
void radix_sort(std::vector<Coarse>& values) {
  if (values.size() <= kFew) {
    std::stable_sort(values.begin(), values.end(),
                     [](const Coarse& a, const Coarse& b) { return a.digits < b.digits; });
    return;
  }
  std::vector<Coarse> other(values.size());
  for (unsigned pass = 0; pass < kPasses; ++pass) {
    const unsigned shift = pass * kDigitBits;
    std::array<uint32_t, size_t{1} << kDigitBits> begin{};
    const auto digit = [&](const Coarse& value) { return (value.digits >> shift) & (begin.size() - 1); };
    for (const Coarse& value : values) ++begin[digit(value)];
    uint32_t sum = 0;
    for (uint32_t& count : begin) {
      const uint32_t here = count;
      count = sum;
      sum += here;
    }
    for (const Coarse& value : values) other[begin[digit(value)]++] = value;
    values.swap(other);
  }
}

// A run whose digits are equal: exactly, unless all are alike as they stand.
void sort_run(const Problem& problem, const std::vector<Key>& keys, bool by_amounts, Coarse* begin, Coarse* end) {
  const bool alike = std::all_of(begin + 1, end, [&](const Coarse& one) {
    return keys[one.offer] == keys[begin->offer] && (!by_amounts || same_amounts(problem, one.offer, begin->offer));
  });
  if (alike) return;
  std::sort(begin, end, [&](const Coarse& a, const Coarse& b) {
    if (!(keys[a.offer] == keys[b.offer])) return keys[a.offer] < keys[b.offer];
    for (size_t d = 0; by_amounts && d < problem.dimensions; ++d) {
      const int64_t x = problem.offer_amount(a.offer, d), y = problem.offer_amount(b.offer, d);
      if (x != y) return x < y;
    }
    return a.offer < b.offer;
  });
}

}  // namespace

bool same_amounts(const Problem& problem, int32_t a, int32_t b) {
  for (size_t d = 0; d < problem.dimensions; ++d) {
    const int64_t* column = problem.offer_amounts[d];
    if (column && column[a] != column[b]) return false;
  }
  return true;
}

SortedOffers sort_offers(const Problem& problem, const Scoring& scoring, bool by_amounts) {
  SortedOffers sorted;
  sorted.key = keys_of(problem, scoring);
  std::vector<int32_t> offers;
  offers.reserve(problem.offers);
  for (size_t offer = 0; offer < problem.offers; ++offer) {
    if (!problem.max_price || problem.price[offer] <= *problem.max_price) offers.push_back(static_cast<int32_t>(offer));
  }
  std::vector<Coarse> values = coarse(sorted.key, offers, problem.policy);
  radix_sort(values);
  for (size_t begin = 0, end = 0; begin < values.size(); begin = end) {
    while (end < values.size() && values[end].digits == values[begin].digits) ++end;
    if (end - begin > 1) sort_run(problem, sorted.key, by_amounts, values.data() + begin, values.data() + end);
  }
  for (size_t i = 0; i < offers.size(); ++i) offers[i] = values[i].offer;
  sorted.offers = std::move(offers);
  return sorted;
}

}  // namespace windlass::match
