// Bands against a plain list, where entries come and go until cells and bands are cut and joined many times.
#include "plugin/match/index/bands.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace windlass::match {
namespace {

constexpr size_t kRows = 3;

bool at_least(uint64_t ranks, uint64_t wanted) {
  for (size_t row = 0; row < kRows; ++row) {
    if (bytes_of(ranks)[row] < bytes_of(wanted)[row]) return false;
  }
  return true;
}

class Pair {
 public:
  Pair(uint64_t seed, bool priced)
      : random_(seed), priced_(priced), bands_({.rows = kRows, .cells = 8, .fill = 44, .priced = priced}, kernel()) {
    std::vector<Entry> entries;
    for (int i = 0; i < 700; ++i) entries.push_back(make());
    std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.key < b.key; });
    bands_.build(entries);
  }

  void insert() {
    const Entry entry = make();
    ASSERT_EQ(bands_.insert(entry, [](int32_t) { return false; }, {}), -1);
  }

  // Takes what is best for some ranks; both sides must agree on it.
  void take() {
    const uint64_t wanted = ranks();
    const auto slot = bands_.best(
        wanted, kKeyLeast, kKeyMost, [&](int32_t group) { return Wide{gone_[group] ? -1 : 0}; },
        [](int32_t group) { return group; });
    int32_t best = -1;
    for (size_t group = 0; group < all_.size(); ++group) {
      if (gone_[group] || !at_least(all_[group].ranks, wanted)) continue;
      if (best < 0 || all_[group].key < all_[best].key) best = static_cast<int32_t>(group);
    }
    ASSERT_EQ(slot.group, best);
    if (best < 0) return;
    gone_[best] = true;
    bands_.erase(slot);
  }

  bool coin(unsigned in) { return random_() % in == 0; }

 private:
  // Most lack one thing and have plenty of the rest.
  uint64_t ranks() {
    uint64_t made = 0;
    const size_t lacks = random_() % kRows;
    for (size_t row = 0; row < kRows; ++row) {
      const uint64_t rank = row == lacks || coin(6) ? random_() % 200 + 1 : 255;
      made |= rank << (8 * row);
    }
    return made;
  }
  Entry make() {
    const int64_t price = priced_ ? static_cast<int64_t>(random_() % 5) : 0;
    const Entry entry{
        {price, Wide{static_cast<int64_t>(random_() % 400)} << 60}, ranks(), static_cast<int32_t>(all_.size())};
    all_.push_back(entry);
    gone_.push_back(false);
    return entry;
  }

  std::mt19937_64 random_;
  bool priced_;
  std::vector<Entry> all_;
  std::vector<bool> gone_;
  Bands bands_;
};

TEST(Bands, AgreeWithAPlainListWhileEntriesComeAndGo) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    Pair pair(seed, seed % 2 == 0);
    for (int step = 0; step < 4'000; ++step) {
      const bool grows = step % 2'000 < 1'000;
      if (pair.coin(3) != grows) {
        pair.insert();
      } else {
        pair.take();
      }
      ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed << " step " << step;
    }
  }
}

}  // namespace
}  // namespace windlass::match
